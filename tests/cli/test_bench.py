"""`badnets bench` from a run folder to a table, and one line for what cannot be done."""

from __future__ import annotations

import json
from pathlib import Path

from tests.cli.conftest import Call
from tests.studies.conftest import Quiet

from badnets.artifacts import RunFolder
from badnets.data import load
from badnets.poison import AllToOne, Recipe
from badnets.studies.cells import Cell
from badnets.studies.queue import Place
from badnets.studies.runner import run_cells
from badnets.training import Inline, TrainSpec
from badnets.triggers import Pattern

SHORT = TrainSpec(epochs=1, compiled="no")
GIVEN = ("--population", "refs", "--data", "digits", "--workers", 1)
FAST = ("--samples", 1, "--skip", "inversion", "--skip", "pairs", "--skip", "dormant")


def test_the_models_of_a_run(badnets: Call, tmp_path: Path) -> None:
    cells = [Cell(None, SHORT), Cell(Recipe(AllToOne(2), Pattern(), rate=0.5), SHORT)]
    run_cells(cells, load("digits"), RunFolder(tmp_path / "runs" / "few"), Place(Inline()), Quiet())
    (tmp_path / "runs" / "few" / "models" / "begun").mkdir()
    made = badnets(
        "population", "badnet_cnn", "--data", "digits", "--models", 2, "--epochs", 1, "--out", "refs", "--no-test"
    )
    assert made.code == 0, made.err

    read = badnets("bench", "run", "runs/few", *GIVEN, *FAST)
    assert read.code == 0, read.err
    assert read.out.endswith("runs/few-audited/result.json\n")
    assert "undecided" in read.out
    assert "left out: begun: not finished" in read.err
    told = badnets("bench", "run", "runs/few", *GIVEN, *FAST, "--json")
    result = json.loads(told.out)
    assert [one["family"] for one in result["models"]] == ["pattern", "clean"]
    assert json.loads((tmp_path / "runs" / "few-audited" / "result.json").read_text()) == result

    for words, message in [
        (("bench", "run", "runs/none", *GIVEN), "runs/none holds no finished badnet_cnn of digits/train"),
        (("bench", "run", "runs/few", *GIVEN), "other settings"),
        (("bench", "audit", *GIVEN, "--half", "third"), "halves of the zoo are dev, sealed, got 'third'"),
        (("bench", "audit", *GIVEN, "--model", "photo_cnn"), "photo_cnn"),
    ]:
        refused = badnets(*words)
        assert refused.code == 2
        assert message in refused.err
        assert "Traceback" not in refused.err
