"""Laws of the gate: no line of the log can be touched unseen, and taking evidence away admits nobody."""

from __future__ import annotations

import json
import tempfile
from dataclasses import replace
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from tests.supply.gate.bench import NOW, audit_of, evidence_of

from badnets.supply.gate.evidence import Evidence, FileEvidence, SignatureEvidence, WaiverEvidence
from badnets.supply.gate.log import FIRST, Entry, append, check, read_log
from badnets.supply.gate.outcome import Word
from badnets.supply.gate.policy import AllOf, AnyOf, AnyRule, Policy, PolicyFile, decide
from badnets.supply.gate.rules import Audited, FromHub, Pinned, Review, Scanned, Signed, UnsafeAdmitAll, Weights

LEAVES: tuple[AnyRule, ...] = (
    Audited(), Audited(alpha=0.2), FromHub(), FromHub(signatures=3), Pinned(("d" * 64,)), Pinned(("e" * 64,)),
    Review(), Scanned(), Scanned(formats=("safetensors",)), Signed(keys=("a.pub",)), Signed(keys=("b.pub",)),
    Weights(max_parameters=10), Weights(),
)  # fmt: skip
# Plain values, of which rules and evidence are made in the tests: the checks of types draw lots of their own, which
# hypothesis does not want within a strategy.
TREES = st.recursive(
    st.integers(0, len(LEAVES)),
    lambda some: st.tuples(st.sampled_from(("all", "any")), st.lists(some, max_size=3)),
    max_leaves=8,
)
FORESTS = st.lists(TREES, max_size=4)
DIGESTS = ("d" * 64, "e" * 64)
PICKS = st.fixed_dictionaries({
    "verdict": st.sampled_from(("clean", "refused", "unjudged")),
    "format": st.sampled_from(("torch-zip", "onnx")),
    "hub": st.sampled_from(("none", "good", "bad")),
    "weights": st.sets(st.sampled_from(DIGESTS)),
    "audits": st.dictionaries(
        st.sampled_from(DIGESTS),
        st.tuples(st.sampled_from(("clean", "backdoored", "undecided")), st.sampled_from((0.01, 0.1, 0.6))),
    ),
    "signatures": st.dictionaries(st.sampled_from(("a.pub", "b.pub")), st.booleans()),
    "condemned": st.booleans(),
    "waived": st.sets(st.sampled_from(("audit", "scan", "review", "hub", "signature")), max_size=2),
})  # fmt: skip
Pick = dict[str, Any]


def rule_of(tree: Any) -> AnyRule:  # noqa: ANN401 - a number, or a word and more trees
    if isinstance(tree, int):
        return UnsafeAdmitAll() if tree == len(LEAVES) else LEAVES[tree]
    kind, parts = tree
    rules = tuple(rule_of(part) for part in parts)
    return AllOf(rules) if kind == "all" else AnyOf(rules)


def policy_of(forest: list[Any]) -> Policy:
    return Policy(PolicyFile(require=tuple(rule_of(tree) for tree in forest)))


def evidence_from(pick: Pick) -> Evidence:
    """Good and bad evidence of every kind, each there or not."""
    whole = evidence_of()
    assert whole.hub is not None
    hubs = {"none": None, "good": whole.hub, "bad": replace(whole.hub, signatures=1)}
    findings = () if pick["verdict"] == "clean" else ("x",)
    made = replace(
        whole,
        files=(FileEvidence("model.pt", "c" * 64, 9, pick["format"], pick["verdict"], findings),),
        hub=hubs[pick["hub"]],
        weights=tuple(replace(whole.weights[0], source=one[0], tensor_digest=one) for one in sorted(pick["weights"])),
        audits=tuple(audit_of(digest, word, p_value) for digest, (word, p_value) in sorted(pick["audits"].items())),
        signatures=tuple(SignatureEvidence(name, "s", ok=ok, reason="r") for name, ok in pick["signatures"].items()),
        condemned={"d" * 64: "r"} if pick["condemned"] else {},
    )
    until = NOW + timedelta(days=1)
    waivers = (WaiverEvidence(made.digest, rule, "r", until, "p", "0" * 64) for rule in sorted(pick["waived"]))
    return replace(made, waivers=tuple(waivers))


def removals(evidence: Evidence) -> list[Evidence]:
    """The evidence with one piece less, in every way."""
    fewer = [replace(evidence, hub=None)] if evidence.hub else []
    for name in ("weights", "audits", "signatures", "waivers"):
        held = getattr(evidence, name)
        fewer += [replace(evidence, **{name: held[:n] + held[n + 1 :]}) for n in range(len(held))]
    # A weights file less is another model, unless what an audit says of it is lost with it.
    return [one for one in fewer if len(one.weights) == len(evidence.weights) or not one.weights]


@given(FORESTS, PICKS)
def test_taking_evidence_away_never_admits(forest: list[Any], pick: Pick) -> None:
    policy, evidence = policy_of(forest), evidence_from(pick)
    before = decide(policy, evidence).word
    for fewer in removals(evidence):
        assert before == Word.ADMIT or decide(policy, fewer).word != Word.ADMIT


@given(FORESTS, PICKS, TREES)
def test_asking_for_more_never_admits(forest: list[Any], pick: Pick, more: Any) -> None:  # noqa: ANN401 - see rule_of
    policy, evidence = policy_of(forest), evidence_from(pick)
    stricter = policy_of([*forest, more])
    if forest and decide(policy, evidence).word != Word.ADMIT:
        assert decide(stricter, evidence).word != Word.ADMIT


@given(FORESTS, PICKS)
def test_what_is_due_to_rules_has_their_word(forest: list[Any], pick: Pick) -> None:
    outcome = decide(policy_of(forest), evidence_from(pick))
    assert outcome.deciding()
    assert {leaf.word for leaf in outcome.deciding()} == {outcome.word}


@given(PICKS)
def test_both_words_come_up(pick: Pick) -> None:
    """Were everything refused, the laws above would say nothing."""
    picked = {**pick, "verdict": "clean", "format": "torch-zip", "weights": {DIGESTS[0]}, "condemned": False}
    assert decide(policy_of([LEAVES.index(Scanned())]), evidence_from(picked)).word == Word.ADMIT


@cache
def written(count: int) -> tuple[bytes, tuple[Entry, ...]]:
    """A log of so many lines, and what the statements beside it hold."""
    head, anchors = FIRST, []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "log.jsonl"
        for number in range(count):
            line = Entry(
                number, head, NOW, "decision", "refuse", "m", "a" * 64, (), (), "c" * 64, f"{number:064x}", "",
                unsafe=False, reason=f"r{number}",
            )  # fmt: skip
            anchors.append(line)
            head = append(path, line)
        return path.read_bytes(), tuple(anchors)


@given(st.data())
def test_any_touch_of_the_log_is_found(data: st.DataObject) -> None:
    count = data.draw(st.integers(1, 6))
    whole, anchors = written(count)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "log.jsonl"
        lines = whole.splitlines(keepends=True)
        kind = data.draw(st.sampled_from(("edit", "bytes", "delete", "move", "truncate", "double", "insert")))
        at = data.draw(st.integers(0, count - 1))
        if kind == "edit":
            field, value = data.draw(
                st.sampled_from((("word", "admit"), ("reason", "x"), ("number", 99), ("previous", "0")))
            )
            changed = json.dumps(json.loads(lines[at]) | {field: value}, sort_keys=True, separators=(",", ":"))
            lines[at] = changed.encode() + b"\n"
        elif kind == "bytes":
            place = data.draw(st.integers(0, len(whole) - 1))
            other = whole[:place] + bytes([whole[place] ^ data.draw(st.integers(1, 255))]) + whole[place + 1 :]
            lines = other.splitlines(keepends=True)
        elif kind == "delete":
            del lines[at]
        elif kind == "move":
            lines.insert(data.draw(st.integers(0, count - 1)), lines.pop(at))
        elif kind == "truncate":
            lines = [whole[: data.draw(st.integers(0, len(whole) - 1))]]
        elif kind == "double":
            lines.insert(at, lines[at])
        else:
            lines.insert(at, b"{}\n")
        path.write_bytes(b"".join(lines))
        assert bool(check(read_log(path), anchors)) == (path.read_bytes() != whole)
