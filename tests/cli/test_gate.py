"""`badnets gate` and its neighbours as a user meets them: from an empty folder, with every exit code and every line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.supply.gate.bench import safetensors

from badnets.artifacts import write_json
from badnets.audit.verdict import Audited, Calibration, CleanData, StageReport, Suspicion, Verdict, Word
from badnets.supply.hub import serving

from .conftest import Call

POLICY = """
[verdict]
signers = ["gate.pub"]

[[require]]
rule = "scan"

[[require]]
rule = "audit"

[waivers]
signers = ["person.pub"]
rules = ["audit", "review"]
"""


@pytest.fixture
def desk(badnets: Call, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Call:
    """Keys, a policy, a model and a store in an empty folder."""
    for name in ("gate", "person", "auditor"):
        assert badnets("keys", "new", name, "--no-password").code == 0
    monkeypatch.setenv("BADNETS_STORE", str(tmp_path / "store"))
    monkeypatch.setenv("BADNETS_GATE_KEY", str(tmp_path / "gate.key"))
    monkeypatch.setenv("BADNETS_HUBS", str(tmp_path / "hubs"))
    Path("gate.toml").write_text(POLICY)
    Path("net").mkdir()
    Path("net/weights.safetensors").write_bytes(safetensors())
    return badnets


def audit(word: Word, digest: str, name: str = "audit.json") -> str:
    """The verdict of an audit in a file, as `badnets audit` writes it."""
    bad = word == "backdoored"
    write_json(Path(name), Verdict(
        word=word, reason=f"found {word}", alpha=0.05, p_value=0.025 if bad else 0.5, p_how="conformal",
        p_extrapolated=None,
        calibration=Calibration(39, "k", "s", 0.05, "1 in 20 clean models, by rank among 39"),
        model=Audited(digest, "badnet_cnn", 3, 10, "pixels from 0 to 1"), data=CleanData("digits", "d", 100, 0.97),
        suspicions=(Suspicion("inversion", "all-to-one", "a patch", z=5.0, target=3),) if bad else (),
        stages=tuple(StageReport(one, "ran", "done", 1.0) for one in ("structure", "margins", "inversion", "pairs")),
        not_tested=("triggers larger than a third of the image",), seed=0, versions={"badnets": "0.1.0"}, seconds=3.0,
    ))  # fmt: skip
    return name


def digest_of(badnets: Call, model: str = "net") -> str:
    told = json.loads(badnets("gate", model, "--policy", "gate.toml", "--dry-run", "--json").out)
    return str(told["evidence"]["weights"][0]["tensor_digest"])


def test_the_badnet_is_refused_and_its_clean_twin_admitted(desk: Call) -> None:
    Path("twin").mkdir()
    Path("twin/weights.safetensors").write_bytes(safetensors((1.0, 2.0, 3.5)))
    bad, clean = audit("backdoored", digest_of(desk), "bad.json"), audit("clean", digest_of(desk, "twin"), "clean.json")
    said = desk("gate", "net", "--policy", "gate.toml", "--audit", bad)
    assert (said.code, said.out) == (1, "")
    assert said.err.splitlines()[0].startswith(
        "refuse: audit: weights.safetensors: backdoored, p = 0.025, 39 reference"
    )
    assert "found backdoored" in said.err
    said = desk("gate", "twin", "--policy", "gate.toml", "--audit", clean)
    assert said.code == 0
    entry = Path(said.out.strip())
    assert entry.is_dir()
    assert said.err.startswith("admit: twin: all 6 rules hold, until ")
    assert desk("admitted", "check", entry, "--policy", "gate.toml").code == 0
    said = desk("gate", "net", "--policy", "gate.toml", "--audit", clean)
    assert said.code == 1, "an audit of other weights counts for nothing, and the refusal is remembered"
    assert "in decision 0" in said.err


def test_explain(desk: Call) -> None:
    said = desk("gate", "net", "--policy", "gate.toml", "--explain", "--audit", audit("clean", digest_of(desk)))
    lines = said.err.splitlines()
    assert said.code == 0
    assert lines[0].startswith("model ")
    assert any(line.startswith("  weights.safetensors: tensors-v1:") for line in lines)
    assert "    not tested: triggers larger than a third of the image" in lines
    assert "gate: admit: 2 of 2 hold" in lines
    assert any(line.startswith("    audit: admit: weights.safetensors: clean, p = 0.5") for line in lines)
    assert len(said.out.splitlines()) == 1, "stdout is the path and nothing else"
    said = desk("gate", "net", "--policy", "gate.toml", "--explain", "--dry-run")
    assert said.code == 2
    assert "undecided is due to: audit" in said.err


def test_an_audit_that_must_be_signed(desk: Call) -> None:
    text = POLICY.replace('rule = "audit"', 'rule = "audit"\nsigned_by = ["auditor.pub"]')
    Path("gate.toml").write_text(text)
    file = audit("clean", digest_of(desk))
    assert desk("gate", "net", "--policy", "gate.toml", "--audit", file).code == 2
    assert desk("sign", file, "--key", "person.key").code == 0
    assert desk("gate", "net", "--policy", "gate.toml", "--audit", file).code == 2
    assert desk("sign", file, "--key", "auditor.key").code == 0
    assert desk("gate", "net", "--policy", "gate.toml", "--audit", file).code == 0
    audit("clean", "e" * 64, file)
    assert desk("gate", "net", "--policy", "gate.toml", "--audit", file).code == 2, "changed behind its signature"


def test_a_waiver_and_a_person(desk: Call) -> None:
    Path("gate.toml").write_text(POLICY.replace('rule = "audit"', 'rule = "review"'))
    said = desk("gate", "net", "--policy", "gate.toml")
    assert said.code == 3
    assert "review: review: a person has not looked at it yet" in said.err
    model = json.loads(desk("gate", "net", "--policy", "gate.toml", "--dry-run", "--json").out)["model"]
    words = ("waive", model, "--rule", "review", "--reason", "I looked at it", "--out", "waiver.json")
    assert desk(*words, "--key", "person.key").out == "waiver.json\n"
    said = desk("gate", "net", "--policy", "gate.toml", "--waiver", "waiver.json")
    assert said.code == 0
    assert "note: review was waived: I looked at it (by person.pub" in said.err
    assert desk(*words, "--key", "auditor.key").code == 0
    said = desk("gate", "net", "--policy", "gate.toml", "--waiver", "waiver.json")
    assert (said.code, said.out) == (64, "")
    assert "is not signed by person.pub" in said.err


def test_the_bypass_is_told(desk: Call) -> None:
    Path("gate.toml").write_text('[verdict]\nsigners = ["gate.pub"]\n[[require]]\nrule = "unsafe-admit-all"\n')
    said = desk("gate", "net", "--policy", "gate.toml")
    assert said.code == 0
    assert said.err.startswith("UNSAFE: the policy admits without looking")
    assert "UNSAFE" in desk("admitted", "list").out
    assert "UNSAFE" in desk("log", "show").out
    assert "UNSAFE" in desk("admitted", "check", said.out.strip(), "--policy", "gate.toml").err


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("none", "--policy", "gate.toml"), "there is no none, and no hub is trusted"),
        (("net", "--policy", "none.toml"), "cannot read none.toml"),
        (("net", "--policy", "bad.toml"), "bad.toml: unknown key colour"),
        (("net", "--policy", "gate.toml", "--key", "person.key"), "person.key is none of the signers under [verdict]"),
        (("net", "--policy", "gate.toml", "--audit", "none.json"), "cannot read none.json"),
        (("net", "--policy", "gate.toml", "--waiver", "gate.toml"), "gate.toml is not strict JSON"),
        (("hf:org/name@main", "--policy", "gate.toml"), "a branch or a tag can be moved"),
        (("net",), "Missing option '--policy'"),
        (("net", "--polcy", "x"), "No such option: --polcy"),
        ((), "Missing argument 'SRC'"),
    ],
    ids=str,
)
def test_wrong_use_is_one_line_and_64(desk: Call, words: tuple[str, ...], line: str) -> None:
    Path("bad.toml").write_text("colour = 1\n")
    said = desk("gate", *words)
    assert (said.code, said.out) == (64, ""), said.err
    lines = said.err.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("badnets: ")
    assert line in lines[0]


def test_no_key_and_a_dry_run(desk: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BADNETS_GATE_KEY")
    said = desk("gate", "net", "--policy", "gate.toml")
    assert said.code == 64
    assert "give --key or BADNETS_GATE_KEY, or --dry-run" in said.err
    assert desk("gate", "net", "--policy", "gate.toml", "--dry-run").code == 2
    assert not Path("store/log").exists()


def test_an_audit_that_is_none(desk: Call) -> None:
    Path("audit.json").write_text('{"word": "clean"}')
    said = desk("gate", "net", "--policy", "gate.toml", "--audit", "audit.json")
    assert said.code == 2
    assert "audit.json is not a Verdict" in said.err
    assert len(said.err.splitlines()) == 1


def test_the_log_and_what_is_found_in_it(desk: Call) -> None:
    desk("gate", "net", "--policy", "gate.toml")
    head = desk("log", "verify").out.strip()
    desk("gate", "net", "--policy", "gate.toml")
    said = desk("log", "verify", "--policy", "gate.toml", "--head", head)
    assert said.code == 0
    assert said.err.startswith("2 entries, whole")
    log = Path("store/log/decisions.jsonl")
    whole = log.read_bytes()
    log.write_bytes(whole.replace(b"undecided", b"admit", 1))
    said = desk("log", "verify")
    assert said.code == 1
    assert "line 2 does not follow on the line before it" in said.err
    log.write_bytes(whole.splitlines(keepends=True)[0])
    said = desk("log", "verify")
    assert said.code == 1
    assert "its end was cut off" in said.err
    log.write_bytes(whole)
    told = json.loads(desk("log", "verify", "--json").out)
    assert (told["ok"], told["entries"]) == (True, 2)
    assert desk("log", "verify", "--head", "0" * 63 + "1").code == 1
    (statement,) = list(Path("store/evidence").glob("*/verdict.intoto.jsonl"))[:1]
    statement.write_text(statement.read_text().replace('"sig":"ME', '"sig":"MF', 1))
    assert desk("log", "verify").code == 0, "signatures are checked against a policy's signers"
    assert desk("log", "verify", "--policy", "gate.toml").code == 1
    rows = json.loads(desk("log", "show", "--json").out)
    assert [row["word"] for row in rows] == ["undecided", "undecided"]


def test_take_back(desk: Call) -> None:
    clean = audit("clean", digest_of(desk))
    entry = desk("gate", "net", "--policy", "gate.toml", "--audit", clean).out.strip()
    said = desk("admitted", "revoke", entry, "--reason", "a backdoor was found")
    assert said.code == 0
    assert "taken back in entry 1 of the log" in said.err
    said = desk("gate", "net", "--policy", "gate.toml", "--audit", clean)
    assert said.code == 1
    assert "taken back: a backdoor was found" in said.err
    said = desk("admitted", "check", entry, "--policy", "gate.toml")
    assert said.code == 2
    assert json.loads(desk("admitted", "list", "--json").out) == []


def test_from_a_hub_and_back_with_a_pin(desk: Call) -> None:
    desk("hub", "keys", "keys", "--no-password")
    desk("hub", "init", "hub")
    desk("hub", "publish", "hub", "lab/net", "net")
    with serving(Path("hub")) as url:
        desk("hub", "trust", "hub/metadata/1.root.json", "--repo", url)
        clean = audit("clean", digest_of(desk, "hub:lab/net"))
        Path("gate.toml").write_text(POLICY + '\n[[require]]\nrule = "hub"\n')
        said = desk("gate", "lab/net", "--policy", "gate.toml", "--audit", clean, "--pin", "pin.json")
        assert said.code == 0, said.err
        entry = said.out.strip()
        pin: dict[str, Any] = json.loads(Path("pin.json").read_text())["gate"]
        assert pin["word"] == "admit"
        assert desk("hub", "publish", "hub", "lab/net-admitted", entry, "--custom", "pin.json").code == 0
        told = json.loads(desk("hub", "get", "lab/net-admitted", "--out", "got", "--pin", "had.json", "--json").out)
        assert told["custom"]["gate"] == pin
        assert json.loads(Path("had.json").read_text()) == {"gate": pin}
        said = desk("hub", "get", "lab/net", "--out", "plain", "--pin", "none.json")
        assert said.code == 2
        assert "no verdict is pinned on lab/net" in said.err
        said = desk("hub", "publish", "hub", "lab/other", "net", "--custom", "pin.json")
        assert said.code == 2
        assert "no verdict.intoto.jsonl came with it; publish the admitted folder" in said.err
        assert desk("admitted", "check", "got", "--policy", "gate.toml").code == 0
        said = desk("gate", "hub:lab/none", "--policy", "gate.toml")
        assert said.code == 2
        assert said.err.splitlines()[-1].startswith("badnets: unlisted: ")
    said = desk("gate", "lab/net", "--policy", "gate.toml", "--repo", "http://127.0.0.1:1/", "--hub", "default")
    assert said.code == 2
    assert said.err.splitlines()[-1].startswith("badnets: unreachable: ")
    assert list(Path("store/quarantine").iterdir()) == []


def test_a_study_of_the_gate_that_could_refuse_nobody(desk: Call) -> None:
    said = desk("run", "gate", "--references", "3")
    assert said.code == 2
    assert "with 3 references no p-value is as low as 0.05" in said.err
    said = desk("run", "gate", "--attack", "sideways")
    assert said.code == 2
    assert "got sideways" in said.err
    assert not Path("runs").exists()
