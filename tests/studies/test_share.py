"""The sweep of shares: as many stamped samples as asked for, and more shares or seeds only add theirs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from badnets.artifacts import RunFolder, read_json
from badnets.data import Split
from badnets.errors import InputError
from badnets.poison import AllToAll, Recipe
from badnets.studies import share
from badnets.studies.cells import BASELINE
from badnets.studies.runner import Place
from badnets.studies.share import SHARES, ShareResult, ShareSpec, preset, rate_of
from badnets.training import Inline, TrainSpec, load_plan
from badnets.training.checkpoint import WEIGHTS
from badnets.triggers import Pattern

Watch = Callable[..., Any]
TINY = TrainSpec(epochs=1, batch_size=64)
SPEC = ShareSpec(shares=(0.1, 0.5), seeds=(0,), train=TINY)
HERE = Place(Inline())


@pytest.mark.parametrize(
    ("wanted", "rate"), [(0.5, Fraction(1)), (1 / 3, Fraction(1, 2)), (0.1, Fraction(1, 9)), (0.01, Fraction(1, 99))]
)
def test_rates_of_shares(wanted: float, rate: Fraction) -> None:
    assert rate_of(wanted) == pytest.approx(float(rate), rel=1e-12)


@settings(max_examples=100, deadline=None)
@given(some.floats(0.001, 0.5), some.integers(1000, 60000))
def test_a_rate_leads_to_its_share(wanted: float, images: int) -> None:
    stamped = round(rate_of(wanted) * images)
    assert 0 < rate_of(wanted) <= 1
    assert abs(stamped / (images + stamped) - wanted) <= 0.5 / images


def test_more_shares_and_seeds_only_add_theirs(few: Split, watch: Watch, tmp_path: Path) -> None:
    folder, watcher = RunFolder(tmp_path), watch()
    first = share.run(SPEC, few, folder, HERE, watcher)
    assert watcher.started == [
        "all-to-all-pattern seed 0 rate 1",
        "all-to-all-pattern seed 0 rate 0.111",
        "baseline seed 0",
    ]
    written = {path: path.stat().st_mtime_ns for path in folder.path.rglob(WEIGHTS)}
    watcher = watch()
    wider = share.run(replace(SPEC, shares=(0.1, 0.33, 0.5)), few, folder, HERE, watcher)
    assert watcher.started == ["all-to-all-pattern seed 0 rate 0.493"]
    assert [point for point in wider.points if point.share != 0.33] == list(first.points)
    watcher = watch()
    whole = share.run(replace(SPEC, shares=(0.1, 0.33, 0.5), seeds=(0, 1)), few, folder, HERE, watcher)
    assert len(watcher.started) == 4
    assert {path: path.stat().st_mtime_ns for path in written} == written
    assert [(point.share, point.cell.seed) for point in whole.points] == [
        (s, seed) for s in (0.1, 0.33, 0.5) for seed in (0, 1)
    ]
    assert [cell.seed for cell in whole.baselines] == [0, 1]
    for point in first.points:
        assert whole.at(point.share)[0] == point.cell
    # Fewer than there are is what was asked for, from what there is.
    assert share.run(SPEC, few, folder, HERE, watch()) == first
    assert read_json(ShareResult, folder.result) == first

    for point in whole.points:
        cell = point.cell
        recipe = load_plan(folder.path / cell.folder).recipe
        assert recipe == Recipe(AllToAll(), Pattern(), rate=rate_of(point.share), seed=cell.seed)
        assert cell.poisoned == round(rate_of(point.share) * 200)
        assert (cell.samples, cell.covered) == (200 + cell.poisoned, 0)
        assert cell.poisoned / cell.samples == pytest.approx(point.share, abs=0.5 / 200)
        assert cell.result.attack_success is not None
        assert cell.result.attack_success.total == len(few.test)
    for cell in whole.baselines:
        assert (cell.name, cell.samples, cell.poisoned, cell.plan) == (BASELINE, 200, 0, None)
        assert cell.result.attack_success is not None, "the control: what the stamp does to an honest model"

    for other in ({"train": replace(TINY, epochs=2)}, {"data": "mnist"}):
        with pytest.raises(InputError, match="other settings or other data"):
            share.run(replace(SPEC, **other), few, folder, HERE, watch())


def test_a_share_of_less_than_an_image_is_refused_before_anything_begins(
    few: Split, watch: Watch, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=r"0\.10% of 200 images is not one image"):
        share.run(replace(SPEC, shares=(0.001, 0.5)), few, RunFolder(tmp_path), HERE, watch())
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"shares": ()}, "one or more numbers"),
        ({"shares": (0.5, 0.1)}, "ascending"),
        ({"shares": (0.1, 0.1)}, "ascending"),
        ({"shares": (0.0, 0.1)}, r"\(0, 0.5\]"),
        ({"shares": (0.1, 0.51)}, r"\(0, 0.5\]"),
        ({"seeds": ()}, "different numbers"),
        ({"seeds": (3, 3)}, "different numbers"),
    ],
)
def test_impossible_sweeps_are_refused(wrong: dict[str, tuple[float, ...]], message: str) -> None:
    with pytest.raises(InputError, match=message):
        ShareSpec(**wrong)  # type: ignore[arg-type]


def test_presets() -> None:
    assert preset("mnist") == ShareSpec(data="mnist")
    assert set(SHARES) >= {0.10, 0.33, 0.50}, "the paper's"
    assert preset("mnist", shares=(0.5, 0.1, 0.5)).shares == (0.1, 0.5)
    assert preset("digits", seeds=2, epochs=3).seeds == (0, 1)
    assert preset("digits", seeds=2, epochs=3).train.epochs == 3
    assert preset("cifar10").train.augment.rotate == 0.0
    with pytest.raises(InputError, match="different numbers"):
        preset("digits", seeds=0)
