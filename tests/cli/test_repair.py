"""`badnets repair` from a file to repaired weights, and one line for what cannot be done."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from safetensors import safe_open
from tests.cli.conftest import Call
from tests.cli.test_audit import FAST, GIVEN, supplied
from tests.report.reader import alone

from badnets.artifacts import read_json
from badnets.studies.repair_report import RepairReport

__all__ = ["supplied"]
WORDS = (*GIVEN, *FAST, "--images", "9")


def test_nothing_found_leaves_the_model_alone(badnets: Call, supplied: Path) -> None:
    done = badnets("audit", "model.pth", *GIVEN, *FAST, "--out", "audit")
    assert done.code == 2, done.err
    done = badnets("repair", "model.pth", *WORDS, "--verdict", "audit", "--out", "out")
    assert done.code == 2, done.err
    assert done.out.strip().splitlines()[-1].startswith("left: left as it is: undecided")
    report = read_json(RepairReport, supplied / "out" / "repair.json")
    assert (report.outcome, report.method, report.second) == ("left", "", None)
    assert not (supplied / "out" / "model.safetensors").exists()
    assert "Left as it is" in " ".join(alone((supplied / "out" / "report.html").read_text()).text)


def test_anyway_writes_weights_that_can_be_audited(badnets: Call, supplied: Path) -> None:
    words = ("--anyway", "--method", "fine-tuning", "--loss", "1")
    done = badnets("repair", "model.safetensors", *WORDS, *words, "--out", "out", "--json")
    assert done.code == 2, done.err
    report = json.loads(done.out)
    assert (report["outcome"], report["method"]) == ("repaired", "fine-tuning")
    assert report["images"] == 9
    with safe_open(supplied / "out" / "model.safetensors", "pt") as file:
        assert file.metadata()["badnets repair"] == "repaired"
    again = badnets("audit", "out/model.safetensors", *GIVEN, *FAST, "--json")
    assert json.loads(again.out)["model"]["digest"] == report["repaired"] != report["model"]
    page = " ".join(alone((supplied / "out" / "report.html").read_text()).text)
    assert "Before and after, by fine-tuning" in page


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("model.onnx", "--data", "folder:pictures", "--out", "o"), "an ONNX graph cannot be written back"),
        (("model.pth", *GIVEN, "--out", "o", "--method", "prayer"), "no repair is called 'prayer': known are fine-tun"),
        (("model.pth", *GIVEN, "--out", "o", "--loss", "7"), "a share in"),
        (("model.pth", *GIVEN, "--out", "o", "--verdict", "gone.json"), "gone.json"),
        (("model.pth", *WORDS, "--out", "o", "--anyway", "--method", "anp"), "anp works on batch normalisation"),
        (("model.pth", *WORDS, "--out", "o", "--anyway", "--method", "unlearning"), "names no mapping of classes"),
    ],
)
def test_one_line_for_what_cannot_be_done(badnets: Call, supplied: Path, words: tuple[str, ...], message: str) -> None:
    done = badnets("repair", *words)
    assert done.code == 2
    assert message in done.err
    assert done.err.strip().splitlines()[-1].startswith("badnets: ")
    assert not (supplied / "o").exists()
