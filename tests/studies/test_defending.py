"""The study of defenses: its models, its cells, and a short run that goes on where it was."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from badnets.artifacts import RunFolder
from badnets.data import Split, load
from badnets.errors import InputError
from badnets.poison import AllToAll, AllToOne, SingleTarget
from badnets.report.studies import present, read_result
from badnets.studies.cells import BASELINE
from badnets.studies.defending import (
    DATA,
    INPUTS,
    DefenseCell,
    DefensesSpec,
    _halves,
    _suspect,
    cells,
    preset,
    run,
)
from badnets.studies.progress import Standing
from badnets.studies.runner import Place
from badnets.training import Inline, Progress, TrainSpec
from badnets.training.spec import Augment

SHORT = TrainSpec(epochs=1, batch_size=128, augment=Augment(), precision="float32", compiled="no")
SPEC = DefensesSpec(train=SHORT, pixel=SHORT, retrain=SHORT, clean=220, suspect=200, repairs=("fine-tuning", "clp"))


class Silent:
    """An observer that counts what is finished."""

    def __init__(self) -> None:
        self.finished: list[str] = []

    def begun(self, name: str, standing: Standing) -> None:
        del name, standing

    def progress(self, name: str, progress: Progress, standing: Standing) -> None:
        del name, progress, standing

    def done(self, name: str, cell: object, standing: Standing) -> None:
        del cell, standing
        self.finished.append(name)

    def failed(self, name: str, reason: str, standing: Standing) -> None:
        raise AssertionError(f"{name}: {reason} ({standing})")

    def stop(self) -> bool:
        return False


@pytest.fixture(scope="module")
def small() -> Split:
    split = load("digits")
    return Split(split.train.select(torch.arange(300)), split.test.select(torch.arange(440)))


def test_the_models_of_a_seed() -> None:
    twin, everything, to_one, single = cells(SPEC, 3)
    assert twin.label == BASELINE
    assert twin.recipe is None
    assert everything.recipe is not None
    assert to_one.recipe is not None
    assert single.recipe is not None
    assert isinstance(everything.recipe.policy, AllToAll)
    assert to_one.recipe.policy == AllToOne(0)
    assert single.recipe.policy == SingleTarget(7, 3)
    assert twin.train == everything.train == to_one.train  # so that only the poison differs
    assert {one.seed for one in (twin, everything, to_one, single)} == {3}


def test_defender_and_judge_share_no_image(small: Split) -> None:
    cell = DefenseCell(INPUTS, cells(SPEC, 0)[0], "00", 60, 200, Path())
    clean, judge = _halves(small.test, cell)
    assert (len(clean), len(judge)) == (60, 380)
    every = torch.cat([clean.images, judge.images]).flatten(1).double().sum(0)
    assert torch.equal(every, small.test.images.flatten(1).double().sum(0))
    greedy, rest = _halves(small.test, replace(cell, clean=1000))
    assert len(greedy) == len(rest) == 220


def test_suspect_sets_are_poisoned_as_the_models_were(small: Split) -> None:
    twin, everything, _, single = (DefenseCell(DATA, one, "00", 60, 200, Path()) for one in cells(SPEC, 0))
    suspect, poison = _suspect(small.train, twin)
    assert len(suspect) == 200
    assert not bool(poison.any())
    suspect, poison = _suspect(small.train, everything)
    assert (len(suspect), int(poison.sum())) == (300, 100)
    suspect, poison = _suspect(small.train, single)
    assert bool((suspect.labels[poison] == 3).all())
    assert int(poison.sum()) > 0


def test_keys_tell_work_apart() -> None:
    cell = DefenseCell("clp", cells(SPEC, 0)[1], "00", 60, 200, Path("here"))
    assert cell.key("data") == replace(cell, home=Path("there")).key("data")
    others = [replace(cell, what="anp"), replace(cell, weights="01"), replace(cell, clean=61)]
    assert len({one.key("data") for one in (cell, *others)}) == 4
    assert cell.key("data") != cell.key("other")


def test_a_short_run_and_one_that_adds_to_it(small: Split, tmp_path: Path) -> None:
    folder, place = RunFolder(tmp_path), Place(Inline())
    first = Silent()
    result = run(replace(SPEC, repairs=("fine-tuning",)), small, folder, place, first)
    assert len(result.models) == 4
    assert [one.backdoored for one in result.models] == [False, True, True, True]
    assert read_result(folder.result) == result
    twin, bad = result.models[:2]
    assert [one.defense for one in bad.inputs] == ["strip", "scale-up", "ted"]
    assert len(bad.data) == 4
    assert all(one.auroc is None and not one.hits.total for one in twin.data)
    assert all(one.hits.total == 100 for one in bad.data)
    assert bad.repairs[0].relearned is not None
    assert twin.repairs[0].relearned is None
    made = folder.path / twin.cell.folder / "model.safetensors"
    before = made.stat().st_mtime_ns
    again = run(SPEC, small, folder, place, Silent())
    assert made.stat().st_mtime_ns == before
    assert [model.repairs[0] for model in again.models] == [model.repairs[0] for model in result.models]
    assert [model.repairs[1].refused[:5] for model in again.models] == ["clp w"] * 4
    assert "clp works on batch normalisation" in present(again).page


def test_what_cannot_be_asked_for() -> None:
    for wrong in ({"seeds": ()}, {"seeds": (0, 0)}, {"repairs": ("prayer",)}, {"clean": 1}):
        with pytest.raises(InputError):
            replace(SPEC, **wrong)
    with pytest.raises(InputError, match="7 to class 3, cats has 2 classes"):
        preset("cats", 2)
    assert preset("digits", seeds=(4, 5), epochs=2).train.epochs == 2
