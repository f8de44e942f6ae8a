"""Policies: what the file may hold, what each rule says of which evidence, and what is put together of them."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from badnets.errors import InputError
from badnets.supply.gate.evidence import AuditEvidence, Evidence, FileEvidence, SignatureEvidence, WaiverEvidence
from badnets.supply.gate.outcome import Outcome, Word, all_of, any_of
from badnets.supply.gate.policy import AllOf, AnyOf, AnyRule, Policy, PolicyFile, decide, read_policy
from badnets.supply.gate.rules import (
    Audited,
    FromHub,
    FromHuggingFace,
    Pinned,
    Review,
    Rule,
    Scanned,
    Signed,
    UnsafeAdmitAll,
    Weights,
)
from badnets.supply.gate.verdict import levels

from .bench import NOW, Bench, audit_of, evidence_of

GOOD = evidence_of()
AUDIT = GOOD.audits[0]


def of(*rules: AnyRule) -> Policy:
    return Policy(PolicyFile(require=rules))


def audited(**changes: object) -> Evidence:
    return replace(GOOD, audits=(replace(AUDIT, **changes),))  # type: ignore[arg-type]


def hub(**changes: object) -> Evidence:
    assert GOOD.hub is not None
    return replace(GOOD, hub=replace(GOOD.hub, **changes))  # type: ignore[arg-type]


def signed(*, ok: bool) -> Evidence:
    return replace(GOOD, signatures=(SignatureEvidence("a.pub", "key abc", ok=ok, reason="because"),))


def file(**changes: object) -> Evidence:
    return replace(GOOD, files=(replace(GOOD.files[0], **changes),))  # type: ignore[arg-type]


CASES: list[tuple[Rule, Evidence, Word, str]] = [
    (FromHub(), GOOD, Word.ADMIT, "lab/a by admission"),
    (FromHub(), replace(GOOD, hub=None), Word.UNDECIDED, "does not come from a hub"),
    (FromHub(), hub(age_hours=49.0), Word.UNDECIDED, "49.0 hours old, 48 are allowed"),
    (FromHub(), hub(age_hours=None), Word.UNDECIDED, "does not say when"),
    (FromHub(), hub(signatures=1), Word.REFUSE, "1 signature(s) of 2 keys offer it, 2 are asked for"),
    (FromHub(root_sha256="f" * 64), GOOD, Word.ADMIT, ""),
    (FromHub(root_sha256="e" * 64), GOOD, Word.REFUSE, "another root"),
    (FromHuggingFace(("org/*",)), GOOD, Word.UNDECIDED, "does not come from the Hugging Face Hub"),
    (
        FromHuggingFace(("org/*",)),
        replace(GOOD, kind="huggingface", name="org/net", commit="a" * 40),
        Word.ADMIT,
        "org/net at aaa",
    ),
    (
        FromHuggingFace(("org/*",)),
        replace(GOOD, kind="huggingface", name="orgy/net", commit="a" * 40),
        Word.REFUSE,
        "orgy/net is none of org/*",
    ),
    (FromHuggingFace(("*",)), replace(GOOD, kind="huggingface", commit="main"), Word.UNDECIDED, "at a commit"),
    (Signed(keys=("a.pub",)), GOOD, Word.UNDECIDED, "there is no signature"),
    (Signed(keys=("a.pub",)), signed(ok=True), Word.ADMIT, "key abc (a.pub)"),
    (Signed(keys=("a.pub",)), signed(ok=False), Word.REFUSE, "a.pub: because"),
    (Signed(keys=("b.pub",)), signed(ok=True), Word.UNDECIDED, "there is no signature"),
    (Scanned(), GOOD, Word.ADMIT, "every byte explained"),
    (Scanned(), file(verdict="refused", findings=("pickle-global: os.system",)), Word.REFUSE, "os.system"),
    (Scanned(), file(verdict="unjudged", findings=("bound-reached: no end",)), Word.UNDECIDED, "no end"),
    (Scanned(), file(verdict=""), Word.UNDECIDED, "was not scanned"),
    (Scanned(), replace(GOOD, files=()), Word.UNDECIDED, "there is no file"),
    (Scanned(), file(format="onnx"), Word.REFUSE, "model.pt is onnx"),
    (Scanned(notes=False), file(notes=("safetensors-note: hello",)), Word.REFUSE, "hello"),
    (Weights(), GOOD, Word.ADMIT, "25 parameters in 1 file(s)"),
    (Weights(max_parameters=24), GOOD, Word.REFUSE, "25 parameters, 24 are allowed"),
    (Weights(dtypes=("F16",)), GOOD, Word.REFUSE, "holds F32"),
    (Weights(), replace(GOOD, weights=()), Word.UNDECIDED, "no weights were converted"),
    (Pinned(("d" * 64,)), GOOD, Word.ADMIT, "listed"),
    (Pinned(("e" * 64,)), GOOD, Word.REFUSE, "which are not listed"),
    (Pinned(("d" * 64,)), replace(GOOD, weights=()), Word.UNDECIDED, "no weights"),
    (Audited(), GOOD, Word.ADMIT, "clean, p = 0.6, 39 reference models: stated false-positive rate 0.05"),
    (Audited(), replace(GOOD, audits=()), Word.UNDECIDED, "no audit of model.pt"),
    (Audited(), replace(GOOD, audits=(audit_of("e" * 64),)), Word.UNDECIDED, "speak(s) of other weights"),
    (Audited(), audited(word="backdoored", p_value=0.025), Word.REFUSE, "it came out clean"),
    (Audited(), audited(word="undecided", reason="no time"), Word.UNDECIDED, "no time"),
    (Audited(), audited(p_value=0.05), Word.REFUSE, "at or below this policy's alpha of 0.05"),
    (Audited(), audited(alpha=0.001, p_value=0.03), Word.REFUSE, "alpha of 0.05"),
    (Audited(), audited(p_value=None), Word.UNDECIDED, "not calibrated"),
    (Audited(), audited(false_positive_rate=None), Word.UNDECIDED, "not calibrated"),
    (Audited(), audited(false_positive_rate=0.2), Word.UNDECIDED, "stated false-positive rate is 0.2"),
    (Audited(), audited(population=18), Word.UNDECIDED, "19 reference models are asked for"),
    (Audited(tests=("transfer",)), GOOD, Word.UNDECIDED, "transfer did not run"),
    (Audited(signed_by=("a.pub",)), GOOD, Word.UNDECIDED, "signed by none of a.pub"),
    (Audited(signed_by=("a.pub",)), audited(trusted_as="a.pub"), Word.ADMIT, ""),
    (Audited(signed_by=("a.pub",)), audited(ran_here=True), Word.ADMIT, ""),
    (Audited(), replace(GOOD, condemned={"d" * 64: "decision 3 said so"}), Word.REFUSE, "decision 3 said so"),
    (Review(), GOOD, Word.REVIEW, "a person has not looked at it yet"),
    (UnsafeAdmitAll(), replace(GOOD, files=()), Word.ADMIT, "UNSAFE"),
    (AllOf(()), GOOD, Word.REFUSE, "no rules"),
    (AnyOf(()), GOOD, Word.REFUSE, "no rules"),
    (AllOf((Scanned(), Review())), GOOD, Word.REVIEW, "1 of 2 hold"),
    (AnyOf((Signed(keys=("a.pub",)), FromHub())), GOOD, Word.ADMIT, "1 of 2 hold"),
    (AnyOf((Signed(keys=("a.pub",)), FromHub(root_sha256="e" * 64))), GOOD, Word.UNDECIDED, "0 of 2 hold"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("rule", "evidence", "word", "words"), CASES, ids=[f"{n}-{c[0].rule}" for n, c in enumerate(CASES)]
)
def test_a_rule(rule: Rule, evidence: Evidence, word: Word, words: str) -> None:
    outcome = rule.judge(evidence)
    assert (outcome.word, outcome.rule) == (word, rule.rule)
    assert words in outcome.reason


def test_every_rule_has_cases_of_all_its_words() -> None:
    seen = {(rule.rule, word) for rule, _, word, _ in CASES}
    for name in ("hub", "huggingface", "signature", "scan", "weights", "pinned", "audit"):
        assert {(name, word) for word in (Word.ADMIT, Word.REFUSE, Word.UNDECIDED)} <= seen


def test_words_are_combined_worst_and_best() -> None:
    words = [Outcome(word.value, word, "") for word in (Word.ADMIT, Word.REVIEW, Word.UNDECIDED, Word.REFUSE)]
    assert [all_of(words[: n + 1]).word for n in range(4)] == [one.word for one in words]
    assert [any_of(words[n:]).word for n in range(4)] == [one.word for one in words]
    assert [one.rule for one in all_of([*words, words[3]]).deciding()] == ["refuse", "refuse"]


def test_an_empty_policy_refuses_everything() -> None:
    outcome = decide(of(), GOOD)
    assert outcome.word == Word.REFUSE
    assert [leaf.reason for leaf in outcome.deciding()] == ["the policy has no rules: nothing is admitted"]
    assert decide(of(Scanned(), Audited()), GOOD).word == Word.ADMIT


@pytest.mark.parametrize(
    ("evidence", "word", "rule"),
    [
        (file(verdict="refused", findings=("x",)), Word.REFUSE, "closed-grammar"),
        (file(verdict="unjudged", findings=("x",)), Word.UNDECIDED, "closed-grammar"),
        (replace(GOOD, odd=("a is a symbolic link",)), Word.REFUSE, "plain-files"),
        (replace(GOOD, revoked={"d" * 64: "a backdoor"}), Word.REFUSE, "not-revoked"),
        (replace(GOOD, revoked={GOOD.digest: "a backdoor"}), Word.REFUSE, "not-revoked"),
        (replace(GOOD, unconverted=("x could not be",)), Word.UNDECIDED, "converted"),
        (replace(GOOD, weights=()), Word.UNDECIDED, "converted"),
    ],
)
def test_the_bypass_reaches_no_rule_that_always_holds(evidence: Evidence, word: Word, rule: str) -> None:
    waivers = tuple(
        WaiverEvidence(evidence.digest, name, "w", NOW, "p", "0" * 64)
        for name in ("closed-grammar", "plain-files", "not-revoked", "converted")
    )
    outcome = decide(of(UnsafeAdmitAll()), replace(evidence, waivers=waivers))
    assert outcome.word == word
    assert rule in [leaf.rule for leaf in outcome.deciding()]


def test_the_bypass_leaves_its_mark() -> None:
    outcome = decide(of(AnyOf((Audited(), UnsafeAdmitAll()))), replace(GOOD, audits=()))
    assert outcome.word == Word.ADMIT
    assert any(leaf.unsafe for leaf in outcome.leaves())
    assert "GATE_UNSAFE_BYPASS" in levels(outcome, GOOD)
    assert not any(word.startswith("GATE_AUDIT") for word in levels(outcome, GOOD))


def test_a_waiver_is_for_one_rule_and_one_model() -> None:
    bad = audited(word="backdoored")
    waiver = WaiverEvidence(bad.digest, "audit", "we know", NOW + timedelta(days=1), "person.pub", "0" * 64)
    policy = of(Scanned(), Audited())
    outcome = decide(policy, replace(bad, waivers=(waiver,)))
    assert outcome.word == Word.ADMIT
    (leaf,) = [leaf for leaf in outcome.leaves() if leaf.waived]
    assert leaf.reason.startswith("WAIVED: we know (by person.pub")
    assert "without it refuse: model.pt: clean" not in leaf.reason
    assert "GATE_WAIVED_AUDIT" in levels(outcome, bad)
    for other in (replace(waiver, model="0" * 64), replace(waiver, rule="scan")):
        assert decide(policy, replace(bad, waivers=(other,))).word == Word.REFUSE
    assert decide(of(Review()), GOOD).word == Word.REVIEW
    yes = replace(waiver, model=GOOD.digest, rule="review")
    assert decide(of(Review()), replace(GOOD, waivers=(yes,))).word == Word.ADMIT


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("x = 1", "unknown key x"),
        ("[limits]\nbites = 1", "unknown key limits.bites"),
        ('[[require]]\nrule = "audit"\nalfa = 0.1', "unknown key require.0.audit.alfa"),
        (
            '[[require]]\nrule = "any-of"\nrules = [{rule = "scan", x = 1}]',
            "unknown key require.0.any-of.rules.0.scan.x",
        ),
        ('[[require]]\nrule = "audits"', "no rule is called 'audits'"),
        ("[[require]]\nalpha = 0.1", "a rule has its name as 'rule'"),
        ('[limits]\nbytes = "5"', "limits.bytes: Input should be a valid integer"),
        ("[limits]\nbytes = 0", "limits are above 0"),
        ("[verdict]\ndays = 0", "a verdict holds for more than 0 days"),
        ('[[require]]\nrule = "audit"\nalpha = 0.01', "could never refuse"),
        ('[[require]]\nrule = "signature"', "names keys or authorities"),
        ('[[require]]\nrule = "pinned"\ntensors = ["ff"]', "64 small hex digits"),
        ('[[require]]\nrule = "hub"\nroot_sha256 = "root.json"', "sha256sum of the root file"),
        ('[verdict]\nsigners = ["none.pub"]', "cannot read"),
        ("a =", "is not TOML"),
        ('[[require]]\nrule = "audit"\nalpha = nan', "not finite"),
    ],
)
def test_a_policy_that_cannot_be_is_one_line_that_names_the_fault(text: str, line: str, tmp_path: Path) -> None:
    path = tmp_path / "gate.toml"
    path.write_text(text)
    with pytest.raises(InputError) as raised:
        read_policy(path)
    assert line in str(raised.value)
    assert str(tmp_path) in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_policy_is_its_terms_and_its_keys(bench: Bench) -> None:
    before = bench.policy
    bench.policy_file.write_text("# a word\n" + bench.policy_file.read_text())
    assert bench.policy.digest == before.digest
    for text in ("days = 29.0\n", 'signers = ["person.pub"]'):
        changed = bench.policy_file.read_text()
        bench.policy_file.write_text(
            changed.replace('signers = ["gate.pub"]', 'signers = ["gate.pub"]\n' + text if "days" in text else text)
        )
        assert bench.policy.digest != before.digest
        bench.policy_file.write_text(changed)
    (bench.folder / "gate.pub").write_bytes((bench.folder / "person.pub").read_bytes())
    assert bench.policy.digest != before.digest, "the same file name with another key is another policy"


def test_files_and_audits_are_told_apart() -> None:
    two = (FileEvidence("a", "1" * 64, 1), FileEvidence("b", "2" * 64, 1))
    swapped = (FileEvidence("a", "2" * 64, 1), FileEvidence("b", "1" * 64, 1))
    assert replace(GOOD, files=two).digest != replace(GOOD, files=swapped).digest
    assert replace(GOOD, files=two).digest == replace(GOOD, files=two[::-1]).digest
    assert isinstance(AUDIT, AuditEvidence)
