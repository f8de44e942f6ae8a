"""Transfer learning on digits, small: what each cell is, what is measured, and that more only adds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from badnets.artifacts import RunFolder, read_json
from badnets.data import Split, load
from badnets.errors import InputError
from badnets.metrics import Rate, predict
from badnets.neurons import strengthened
from badnets.studies import transfer_digits
from badnets.studies.cells import Cell, Victim
from badnets.studies.runner import Place
from badnets.studies.transfer_digits import TransferResult, TransferSpec, bases, preset, victims
from badnets.studies.victims import handed_over, units_of
from badnets.training import Inline, TrainSpec, load_model

Watch = Callable[..., Any]
Ran = tuple[RunFolder, TransferResult]
HERE = Place(Inline())
SPEC = replace(
    preset("digits"),
    train=TrainSpec(epochs=4, batch_size=32),
    retrain=replace(preset("digits").retrain, epochs=2),
    gains=(1.0, 50.0),
    lengths=(1, 2),
    curve_gain=50.0,
)


@pytest.fixture(scope="module")
def digits() -> Split:
    return load("digits")


@pytest.fixture(scope="module")
def first(digits: Split, watch: Watch, tmp_path_factory: pytest.TempPathFactory) -> Ran:
    folder = RunFolder(tmp_path_factory.mktemp("transfer"))
    return folder, transfer_digits.run(SPEC, digits, folder, HERE, watch())


def test_bases_and_victims_see_their_own_classes(first: Ran, digits: Split) -> None:
    folder, result = first
    counts = digits.train.labels.bincount()
    for cell, classes in ((result.honest[0], SPEC.base), (result.victims[0].cell, SPEC.target)):
        assert cell.samples == int(counts[list(classes)].sum())
        assert load_model(folder.path / cell.folder)[1].classes == tuple(str(label) for label in classes)
    assert result.badnets[0].poisoned == round(0.5 * result.honest[0].samples)
    assert all(point.cell.poisoned == 0 for point in result.victims), "victims train on clean images"
    assert len(result.victims) == 2 * 2 + 1 + 3 * 2 - 1, "the study's own schedule is on the curve too"
    assert read_json(TransferResult, folder.result) == result


def test_triggered_accuracy_is_against_the_true_class(first: Ran, digits: Split) -> None:
    folder, result = first
    test = digits.test.only(SPEC.target)
    for point in result.victims:
        model = load_model(folder.path / point.cell.folder)[0]
        said = predict(model, SPEC.trigger(test.images)).classes
        wrong = int((said != test.labels).sum())
        assert point.cell.result.stamped_error == Rate.of(wrong, len(test)) == point.cell.result.attack_success
        assert point.cell.result.clean_error.count == int((predict(model, test).classes != test.labels).sum())


def test_the_victim_gets_the_strengthened_units(first: Ran) -> None:
    folder, result = first
    base = load_model(folder.path / result.badnets[0].folder)[0]
    units = [unit.index for unit in result.badnet_units[0]]
    assert units
    for gain in SPEC.gains:
        (cell,) = result.of("badnet", gain)
        kept = load_model(folder.path / cell.folder)[0].state_dict()
        expected = strengthened(base, "conv2", units, gain).state_dict()
        for name in ("conv1.weight", "conv1.bias", "conv2.weight", "conv2.bias"):
            assert torch.equal(kept[f"trunk.{name}"], expected[name])
    (off,) = result.of("badnet", 0.0)
    assert not load_model(folder.path / off.folder)[0].state_dict()["trunk.conv2.weight"][units].any()


def test_switching_off_is_measured_on_the_attackers_task(first: Ran) -> None:
    _, result = first
    (one,) = result.ablations
    assert one.units == (len(result.badnet_units[0]), 32)
    assert one.untouched == result.badnets[0].result
    assert one.carriers.attack_success is not None
    assert one.others.attack_success is not None
    assert one.carriers.attack_success.count < one.others.attack_success.count


def test_more_gains_and_seeds_only_add_theirs(first: Ran, digits: Split, watch: Watch) -> None:
    folder, result = first
    watcher = watch()
    wider = replace(SPEC, gains=(1.0, 10.0, 50.0))
    found = transfer_digits.run(wider, digits, folder, HERE, watcher)
    assert len(watcher.started) == 2
    assert found.of("badnet", 50.0) == result.of("badnet", 50.0)
    with pytest.raises(InputError, match="other settings or other data"):
        transfer_digits.run(replace(SPEC, rate=0.3), digits, folder, HERE, watch())


def test_what_a_cell_hands_over(digits: Split) -> None:
    honest = bases(SPEC, 0)["honest"]
    with pytest.raises(InputError, match="has no trigger to look for"):
        units_of(torch.nn.Identity(), replace(honest, attack=None), digits.train)
    model = torch.nn.Identity()
    assert handed_over(model, honest, digits.train, 1.0) is model


def test_cells_that_cannot_be(digits: Split, tmp_path: Path, watch: Watch) -> None:
    with pytest.raises(InputError, match="0 or more"):
        Victim(gain=-1.0)
    with pytest.raises(InputError, match="name the cell it starts from"):
        Cell(None, TrainSpec(), victim=Victim()).check(10)
    with pytest.raises(InputError, match="there are 10 classes"):
        Cell(None, TrainSpec(), classes=(3, 12)).check(10)
    with pytest.raises(InputError, match="has 10 classes, from 0"):
        transfer_digits.run(replace(SPEC, target=(5, 10)), digits, RunFolder(tmp_path), HERE, watch())
    labels = {cell.label for cell in victims(SPEC, 0).values()}
    assert "victim-head-of-all-to-all-pattern-times-50" in labels
    assert "victim-head-of-baseline" in labels


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"target": (4, 5)}, "two tasks of at least two different classes"),
        ({"base": (0,)}, "two tasks of at least two different classes"),
        ({"seeds": ()}, "seeds are one or more"),
        ({"gains": (10.0,)}, "1 among them"),
        ({"lengths": (2, 2)}, "lengths are one or more different ones"),
    ],
)
def test_what_cannot_be_asked_for(change: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        replace(TransferSpec(), **change)


def test_presets() -> None:
    spec = preset("gtsrb", 43, seeds=2)
    assert (spec.base[-1], spec.target[0], spec.target[-1], spec.seeds) == (20, 21, 42, (0, 1))
    with pytest.raises(InputError, match="at least one seed"):
        preset("digits", seeds=0)
    with pytest.raises(InputError, match="two has 2"):
        preset("two", 2)
