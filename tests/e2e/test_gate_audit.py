"""The gate has `badnets audit` run on what lies in its quarantine, and believes what it says of these very weights."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from badnets.supply.signing import new_key, write_pair

POLICY = '[verdict]\nsigners = ["gate.pub"]\n[[require]]\nrule = "audit"\n'


def badnets(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from badnets.cli import main; main()", *words]
    environment = {**os.environ, "BADNETS_STORE": str(folder / "store"), "BADNETS_GATE_KEY": str(folder / "gate.key")}
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=600
    )


def test_an_audit_without_reference_models_admits_nobody(tmp_path: Path) -> None:
    write_pair(new_key(), tmp_path / "gate.key", tmp_path / "gate.pub")
    (tmp_path / "gate.toml").write_text(POLICY)
    assert badnets(tmp_path, "train", "--data", "digits", "--epochs", "1", "--out", "net").returncode == 0
    words = ("gate", "net/model.safetensors", "--policy", "gate.toml", "--audit-data", "digits", "--json")
    done = badnets(tmp_path, *words, "--audit-arch", "badnet_cnn", "--audit-seconds", "0.01")
    assert done.returncode == 2, done.stderr
    told = json.loads(done.stdout)
    (weights,), (audit,) = told["evidence"]["weights"], told["evidence"]["audits"]
    assert audit["tensor_digest"] == weights["tensor_digest"]
    assert audit["ran_here"] is True
    assert audit["word"] == "undecided"
    assert audit["not_tested"]
    done = badnets(tmp_path, *words, "--audit-arch", "no_such_network")
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith("badnets: the audit came to no verdict: badnets: ")
