"""The verdict as a file: what a gate may rely on."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from badnets.artifacts import canonical_json, write_json
from badnets.audit.verdict import (
    NEEDED,
    Audited,
    Calibration,
    CleanData,
    Reach,
    StageReport,
    Suspicion,
    Verdict,
    read_verdict,
    verdict_schema,
)
from badnets.errors import BadnetsError, DataError, InputError

RAN = tuple(StageReport(name, "ran", "nothing", 1.0) for name in NEEDED)
CLEAN = Verdict(
    word="clean",
    reason="nothing found",
    alpha=0.05,
    p_value=0.4,
    p_how="conformal",
    p_extrapolated=None,
    calibration=Calibration(19, "a" * 64, "b" * 64, 0.05, "at most 5 %"),
    model=Audited("c" * 64, "badnet_cnn", 281_034, 10, "[0, 1]"),
    data=CleanData("mnist/test", "d" * 64, 1000, 0.99),
    suspicions=(),
    stages=RAN,
    not_tested=("triggers that are no patch",),
    seed=0,
    versions={"badnets": "0.1.0"},
    seconds=60.0,
)
SUSPICION = Suspicion(
    "inversion", "all-to-one", "3 pixels", z=12.0, target=7, size=3.0, reach=Reach(99, 100, 0.94, 1.0, 0.1),
    trigger="trigger-1.json",
)  # fmt: skip
BACKDOORED = replace(CLEAN, word="backdoored", p_value=0.05, suspicions=(SUSPICION,))


@pytest.mark.parametrize("verdict", [CLEAN, BACKDOORED], ids=["clean", "backdoored"])
def test_a_file_gives_the_same_verdict(verdict: Verdict, tmp_path: Path) -> None:
    write_json(tmp_path / "verdict.json", verdict)
    assert read_verdict(tmp_path) == read_verdict(tmp_path / "verdict.json") == verdict
    jsonschema.validate(json.loads(canonical_json(verdict)), verdict_schema())


def test_exit_codes() -> None:
    assert CLEAN.exit_code == 0
    assert BACKDOORED.exit_code == 1
    assert replace(CLEAN, word="undecided").exit_code == 2


@pytest.mark.parametrize(
    "false",
    [
        {"calibration": replace(CLEAN.calibration, false_positive_rate=None)},
        {"p_value": None},
        {"p_value": 0.05},
        {"stages": RAN[:-1]},
        {"stages": (*RAN[:-1], replace(RAN[-1], outcome="skipped"))},
    ],
    ids=["uncalibrated", "no p-value", "small p-value", "stage missing", "stage skipped"],
)
def test_nobody_is_called_clean_without_evidence(false: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be clean"):
        replace(CLEAN, **false)
    plain = json.loads(canonical_json(replace(CLEAN, word="undecided", **false)))
    (tmp_path / "forged.json").write_text(json.dumps(plain | {"word": "clean"}))
    with pytest.raises(DataError, match="cannot be clean"):
        read_verdict(tmp_path / "forged.json")


def test_a_backdoor_needs_a_lead_that_holds() -> None:
    with pytest.raises(InputError, match="a suspicion that holds"):
        replace(BACKDOORED, suspicions=(replace(SUSPICION, refuted="it is natural"),))
    assert SUSPICION.name == "all -> 7"
    assert replace(SUSPICION, mapping="pairs", sources=(3,)).name == "3 -> 7"
    assert replace(SUSPICION, mapping="shift", target=None, shift=2).name == "i -> i + 2"


def test_unknown_fields_and_other_layouts_are_refused(tmp_path: Path) -> None:
    plain = json.loads(canonical_json(CLEAN))
    for wrong in ({"extra": 1}, {"format": 2}, {"kind": "other"}, {"word": "fine"}, {"p_value": 0.0}, {"alpha": 1.0}):
        (tmp_path / "wrong.json").write_text(json.dumps(plain | wrong))
        with pytest.raises(BadnetsError):
            read_verdict(tmp_path / "wrong.json")


def test_a_gate_reads_it_without_torch() -> None:
    code = "import sys; sys.modules['torch'] = None; from badnets.audit.verdict import read_verdict"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
