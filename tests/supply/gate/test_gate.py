"""One decision after another: what comes into the store, what the log remembers, and what is left behind."""

from __future__ import annotations

import os
import shutil
from datetime import timedelta
from pathlib import Path

import pytest
from tests.supply.weights_files import torch_zip

from badnets.errors import DataError, InputError, StorageError
from badnets.supply.gate.admitted import NotAdmitted, check_entry
from badnets.supply.gate.evidence import AuditEvidence
from badnets.supply.gate.examine import Extras
from badnets.supply.gate.gate import Keeper, gate, revoke
from badnets.supply.gate.intake import from_disk
from badnets.supply.gate.log import check, read_log
from badnets.supply.gate.store import anchors
from badnets.supply.hub.lock import locked
from badnets.supply.signing import Scope, sign, write_bundle

from .bench import NOW, Bench, audit_of


def sane(bench: Bench) -> None:
    """The log fits what is signed, and nothing lies in the quarantine."""
    assert check(read_log(bench.store.log), anchors(bench.store)) == ()
    assert list(bench.store.quarantine.iterdir()) == []


def test_admitted_refused_and_undecided(bench: Bench) -> None:
    digest = bench.digest()
    dry = bench.decide(key=False)
    assert [one.tensor_digest for one in dry.evidence.weights] == [digest]
    assert not bench.store.log.exists(), "a dry run leaves nothing"
    assert bench.decide().word == "undecided"
    decision = bench.admit()
    assert decision.word == "admit"
    assert decision.path is not None
    assert sorted(path.name for path in (decision.path / "model").iterdir()) == ["config.json", "weights.safetensors"]
    assert decision.expires == NOW + timedelta(days=30)
    bad = bench.decide(extras=Extras(audits=(audit_of(digest, "backdoored", 0.025),)))
    assert (bad.word, bad.path) == ("refuse", None)
    sane(bench)
    assert [one.word for one in read_log(bench.store.log).entries] == ["undecided", "admit", "refuse"]


def test_an_audit_of_other_weights_counts_for_nothing(bench: Bench) -> None:
    other = bench.write_model("other", (4.0, 5.0))
    decision = bench.decide(extras=Extras(audits=(audit_of(bench.digest(other)),)))
    assert decision.word == "undecided"
    assert "speak(s) of other weights" in decision.outcome.deciding()[0].reason


def test_a_refusal_by_an_audit_is_remembered(bench: Bench) -> None:
    digest = bench.digest()
    bench.decide(extras=Extras(audits=(audit_of(digest, "backdoored", 0.025),)))
    again = bench.admit()
    assert again.word == "refuse", "a second audit that is clean does not wash it off"
    assert "held these weights for backdoored in decision 0" in again.outcome.deciding()[0].reason
    both = Extras(audits=(audit_of(digest), audit_of(digest, "backdoored", 0.025)))
    assert bench.decide(bench.write_model("other", (9.0,)), extras=both).word == "undecided"


def test_torch_weights_are_admitted_as_safetensors_only(bench: Bench, tmp_path: Path) -> None:
    model = tmp_path / "torch"
    model.mkdir()
    (model / "weights.pt").write_bytes(torch_zip())
    decision = bench.admit(model)
    assert decision.path is not None
    assert [path.name for path in (decision.path / "model").iterdir()] == ["weights.safetensors"]
    assert decision.evidence.weights[0].source == "weights.pt"


def test_one_file_and_its_signature(bench: Bench) -> None:
    bench.policy_file.write_text(
        '[verdict]\nsigners = ["gate.pub"]\n[[require]]\nrule = "signature"\nkeys = ["person.pub"]\n'
    )
    file = bench.model / "weights.safetensors"
    assert bench.decide(file).word == "undecided"
    signature = bench.folder / "weights.sig"
    write_bundle(signature, sign(file, bench.keys["person"], signature=signature))
    assert bench.decide(file, extras=Extras(signature=signature)).word == "admit"
    file.write_bytes(bench.write_model("other", (7.0,)).joinpath("weights.safetensors").read_bytes())
    decision = bench.decide(file, extras=Extras(signature=signature))
    assert decision.word == "refuse"
    assert "changed" in decision.outcome.deciding()[0].reason
    sane(bench)


def test_a_signed_folder(bench: Bench) -> None:
    bench.policy_file.write_text(
        '[verdict]\nsigners = ["gate.pub"]\n[[require]]\nrule = "signature"\nkeys = ["person.pub"]\n'
    )
    signature = bench.model / "model.sig"
    write_bundle(signature, sign(bench.model, bench.keys["person"], scope=Scope(), signature=signature))
    decision = bench.decide()
    assert decision.word == "admit", decision.outcome
    assert decision.path is not None
    assert not (decision.path / "model" / "model.sig").exists(), "it signs what came, not what is admitted"
    (bench.model / "extra.json").write_text("{}")
    assert bench.decide().word == "refuse"


@pytest.mark.parametrize("kind", ["link", "fifo", "pickle", "nothing"])
def test_what_is_never_admitted(bench: Bench, kind: str) -> None:
    bench.policy_file.write_text('[verdict]\nsigners = ["gate.pub"]\n[[require]]\nrule = "unsafe-admit-all"\n')
    place = bench.model / "odd"
    if kind == "link":
        place.symlink_to("/etc/passwd")
    elif kind == "fifo":
        os.mkfifo(place)
    elif kind == "pickle":
        place.write_bytes(b"\x80\x04cposix\nsystem\n.")
    else:
        shutil.rmtree(bench.model)
        bench.model.mkdir()
    decision = bench.decide()
    assert decision.word == ("undecided" if kind == "nothing" else "refuse")
    assert decision.unsafe
    assert not bench.store.admitted.exists()


def test_the_bypass_marks_verdict_and_log(bench: Bench) -> None:
    bench.policy_file.write_text('[verdict]\nsigners = ["gate.pub"]\n[[require]]\nrule = "unsafe-admit-all"\n')
    decision = bench.decide()
    assert (decision.word, decision.unsafe) == ("admit", True)
    assert read_log(bench.store.log).entries[0].unsafe
    assert decision.path is not None
    assert check_entry(decision.path, bench.policy, now=NOW).unsafe


def test_limits_of_size_and_count(bench: Bench) -> None:
    text = bench.policy_file.read_text()
    for limit in ("bytes = 50", "files = 1"):
        bench.policy_file.write_text(f"{text}\n[limits]\n{limit}\n")
        with pytest.raises(DataError, match=r"the policy allows .* see \[limits\]"):
            bench.decide()
        assert list(bench.store.quarantine.iterdir()) == []


def test_not_a_number_is_refused_unless_the_policy_says_otherwise(bench: Bench) -> None:
    model = bench.write_model("odd", (float("nan"),))
    decision = bench.decide(model)
    assert decision.word == "undecided"
    assert "could not be converted" in decision.outcome.deciding()[0].reason
    bench.policy_file.write_text(bench.policy_file.read_text() + "\n[limits]\nfinite = false\n")
    assert bench.admit(model).word == "admit"


def test_taken_back_is_gone_and_stays_out(bench: Bench) -> None:
    decision = bench.admit()
    assert decision.path is not None
    line = revoke(decision.path.name, "a backdoor was found", bench.store, bench.keys["gate"])
    assert (line.kind, line.number) == ("revocation", 1)
    assert not decision.path.exists()
    again = bench.admit(now=NOW + timedelta(days=1))
    assert again.word == "refuse"
    assert "taken back: a backdoor was found" in again.outcome.deciding()[0].reason
    torch_twin = bench.folder / "twin"
    torch_twin.mkdir()
    shutil.copy(bench.model / "weights.safetensors", torch_twin / "other-name.safetensors")
    assert bench.admit(torch_twin).word == "refuse", "the same tensors under another name are the same tensors"
    assert revoke(decision.path.name, "again", bench.store, bench.keys["gate"]).number == 1
    for name, reason in (("0" * 64, "x"), (decision.path.name, " ")):
        with pytest.raises(InputError):
            revoke(name, reason, bench.store, bench.keys["gate"])
    sane(bench)


def test_a_second_admission_renews_the_verdict_and_mends_the_model(bench: Bench) -> None:
    first = bench.admit()
    assert first.path is not None
    weights = first.path / "model" / "weights.safetensors"
    later = bench.admit(now=NOW + timedelta(days=20))
    assert later.path == first.path
    assert check_entry(first.path, bench.policy, now=NOW + timedelta(days=45)).expires == NOW + timedelta(days=50)
    weights.chmod(0o644)
    weights.write_bytes(b"other")
    with pytest.raises(NotAdmitted, match="is not as it was"):
        check_entry(first.path, bench.policy, now=NOW + timedelta(days=20))
    assert bench.admit().path == first.path
    check_entry(first.path, bench.policy, now=NOW)
    sane(bench)


def test_nothing_is_decided_on_a_damaged_log(bench: Bench) -> None:
    bench.decide()
    bench.decide()
    lines = bench.store.log.read_bytes().splitlines(keepends=True)
    bench.store.log.write_bytes(lines[1])
    with pytest.raises(DataError, match="nothing is decided on a damaged log"):
        bench.decide()


def test_a_gate_that_waits_no_longer_says_so(bench: Bench) -> None:
    bench.digest()
    with (
        locked(bench.store.folder, "the store"),
        pytest.raises(StorageError, match="is being changed by another process"),
    ):
        gate(from_disk(bench.model), Keeper(bench.policy, bench.store, None, 0.0))


def test_the_gate_has_an_audit_run_where_none_was_given(bench: Bench) -> None:
    digest = bench.digest()
    seen: list[str] = []

    def audit(weights: Path) -> AuditEvidence:
        seen.append(weights.name)
        return audit_of(digest)

    decision = bench.decide(extras=Extras(auditor=audit))
    assert decision.word == "admit"
    assert decision.evidence.audits[0].ran_here
    assert seen == ["weights.safetensors"]
    bench.decide(extras=Extras(audits=(audit_of(digest),), auditor=audit))
    assert len(seen) == 1
