"""Results made up so that every number in their reports is known."""

from __future__ import annotations

from functools import cache

import torch

from badnets.data import load
from badnets.metrics import PositionMap, Rate, Result
from badnets.models import build
from badnets.studies import paper
from badnets.studies.cells import BASELINE, CellResult
from badnets.studies.digits import PATTERN, PIXEL, DigitsResult, DigitsSpec, pair_name
from badnets.studies.exhibits import collect
from badnets.studies.matrix import MatrixResult, MatrixSpec, PairResult, TriggerName
from badnets.studies.positions import PositionsResult, PositionsSpec
from badnets.studies.results import DataNote
from badnets.studies.share import SharePoint, ShareResult, ShareSpec
from badnets.training import TrainSpec, this_machine

CLASSES = tuple(str(digit) for digit in range(10))

# Images of each class of a test set of 1,000, so that classes differ in size.
SIZES = (98, 114, 103, 101, 98, 89, 96, 103, 97, 101)
TOTAL = sum(SIZES)


def cell(name: str, seed: int, result: Result, places: PositionMap | None = None) -> CellResult:
    return CellResult(
        name=name,
        seed=seed,
        key="00",
        folder=f"models/{name}",
        result=result,
        places=places,
        samples=90_000,
        poisoned=30_000,
        covered=0,
        plan=None if name == BASELINE else "00",
        weights="00",
        seconds=1.0,
        machine=this_machine(),
    )


def errors(clean: int, backdoor: int, attacked: int, total: int, spill: Rate | None = None) -> Result:
    """Only the totals; by class there is nothing."""
    nothing = tuple(Rate.of(0, 0) for _ in range(10))
    success = Rate.of(attacked - backdoor, attacked)
    return Result(Rate.of(clean, total), nothing, success, nothing, Rate.of(clean, total), spill, spill)


def data_note(data: str, total: int, classes: tuple[str, ...] = CLASSES) -> DataNote:
    digest = paper.MNIST_TEST if data == "mnist" else "bb"
    return DataNote((f"{data}/train", "aa", 60_000), (f"{data}/test", digest, total), classes)


# --- digits ---


def measured(clean: int, backdoor: int | None, total: int = 10_000, attacked: int = 10_000) -> Result:
    split = tuple(Rate.of(clean // 10, total // 10) for _ in range(10))
    if backdoor is None:
        return Result(Rate.of(clean, total), split)
    by_class = tuple(Rate.of(backdoor // 10, attacked // 10) for _ in range(10))
    spill = Rate.of(30, 8000) if attacked < total else None
    success = Rate.of(attacked - backdoor, attacked)
    return Result(Rate.of(clean, total), split, success, by_class, Rate.of(clean, total), spill, spill)


@cache
def digits_result(data: str = "mnist", *, covered: bool = False) -> DigitsResult:
    cells = []
    for seed, extra in ((0, 0), (1, 4)):
        cells += [
            cell(BASELINE, seed, measured(40 + extra, 9990)),
            cell(PATTERN, seed, measured(48 + extra, 90 + extra)),
            cell(PIXEL, seed, measured(55 + extra, 60 + extra)),
            cell(pair_name(7, 3), seed, measured(300 + extra, 0, attacked=1028)),
        ]
    test = load("digits").test.select(torch.arange(40))
    models = [build(seed=seed) for seed in range(3)]
    if covered:
        cells.append(cell(pair_name(7, 3, cover=True), 0, measured(50, 4, attacked=1028)))
    return DigitsResult(
        spec=DigitsSpec(data=data, seeds=(0, 1), pairs=((7, 3),), cover_rate=0.0),
        train_data=(f"{data}/train", "aa", 60_000),
        test_data=(f"{data}/test", paper.MNIST_TEST if data == "mnist" else "bb", 10_000),
        classes=CLASSES,
        cells=tuple(cells),
        exhibits=collect(test, models[:1], *models[1:]),
    )


# --- matrix ---


def clean_count(source: int, target: int, seed: int) -> int:
    return (3 * source + 5 * target) % 7 + 2 * seed


def backdoor_count(source: int, target: int, seed: int) -> int:
    """One image of 6 -> 2 with the first seed, three with the second; none elsewhere."""
    return (1, 3)[seed] if (source, target) == (6, 2) else 0


def spill_count(source: int, target: int) -> int:
    return source + target


@cache
def matrix_result(
    data: str = "mnist",
    *,
    triggers: tuple[TriggerName, ...] = ("pixel",),
    sizes: tuple[int, ...] = SIZES,
    classes: tuple[str, ...] = CLASSES,
    seeds: tuple[int, ...] = (0, 1),
) -> MatrixResult:
    total = sum(sizes)

    def pair(source: int, target: int, seed: int) -> PairResult:
        others = total - sizes[source] - sizes[target]
        spill = Rate.of(spill_count(source, target), others) if others else None
        backdoor = backdoor_count(source, target, seed)
        found = errors(clean_count(source, target, seed), backdoor, sizes[source], total, spill)
        return PairResult(source, target, cell(f"single-{source}-to-{target}-pixel-cover", seed, found))

    each = [(i, j) for i in range(len(sizes)) for j in range(len(sizes)) if i != j]
    return MatrixResult(
        spec=MatrixSpec(
            data=data, seeds=seeds, triggers=triggers, copies=8, retrain=TrainSpec(epochs=1, frozen=("conv1",))
        ),
        data=data_note(data, total, classes),
        baselines=tuple(cell(BASELINE, seed, errors(5, total, total, total)) for seed in seeds),
        pairs={trigger: tuple(pair(i, j, seed) for seed in seeds for i, j in each) for trigger in triggers},
    )


# --- share ---


def share_result(data: str = "mnist") -> ShareResult:
    counts = {0.001: (50, 9000), 0.1: (47, 100), 0.5: (60, 300)}
    seeds = (0, 1, 2)
    return ShareResult(
        spec=ShareSpec(data=data, shares=tuple(counts), seeds=seeds),
        data=data_note(data, 10_000),
        baselines=tuple(cell(BASELINE, seed, errors(50, 9990, 10_000, 10_000)) for seed in seeds),
        points=tuple(
            SharePoint(share, cell(PATTERN, seed, errors(clean + 3 * seed, backdoor, 10_000, 10_000)))
            for share, (clean, backdoor) in counts.items()
            for seed in seeds
        ),
    )


# --- positions ---


def around(home: tuple[int, int], by_step: tuple[int, ...], size: int = 6, images: int = 100) -> PositionMap:
    """A map where success depends on the distance from home only; the last row and column do not fit."""
    lines = tuple(
        tuple(
            None if size - 1 in (row, column) else by_step[max(abs(row - home[0]), abs(column - home[1]))]
            for column in range(size)
        )
        for row in range(size)
    )
    return PositionMap(size, size, 1, home, images, lines)


def positions_result(data: str = "digits") -> PositionsResult:
    maps = {
        BASELINE: around((3, 3), (2, 1, 1, 0)),
        PATTERN: around((3, 3), (98, 80, 50, 10)),
        PIXEL: around((3, 3), (99, 90, 80, 70)),
    }
    nothing = errors(1, 9, 10, 10)
    return PositionsResult(
        spec=PositionsSpec(data=data, images=110),
        data=data_note(data, 500),
        cells=tuple(cell(name, 0, nothing, places) for name, places in maps.items()),
    )
