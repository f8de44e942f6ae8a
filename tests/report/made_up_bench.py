"""A result of the study after BackdoorBench's protocol, made up so that every number in its report is known."""

from __future__ import annotations

from badnets.metrics import Rate, Result
from badnets.studies.bb_compat import BbCompatResult, BbCompatSpec, BenchPoint
from badnets.studies.cells import BASELINE, CellResult
from badnets.studies.results import DataNote
from badnets.training import this_machine

CLASSES = tuple("abcdefghij")


def point(ratio: float, seed: int, right: int, success: int, robust: int) -> BenchPoint:
    nothing = tuple(Rate.of(0, 0) for _ in CLASSES)
    result = Result(Rate.of(10_000 - right, 10_000), nothing, Rate.of(success, 9_000), nothing)
    cell = CellResult(
        name=BASELINE if not ratio else "all-to-0-patch-cover",
        seed=seed,
        key="00",
        folder="models/one",
        result=result,
        places=None,
        samples=50_000,
        poisoned=round(ratio * 45_000),
        covered=round(ratio * 5_000),
        plan="00" if ratio else None,
        weights="00",
        seconds=1.0,
        machine=this_machine(),
    )
    return BenchPoint(ratio, cell, Rate.of(robust, 9_000))


def made_up() -> BbCompatResult:
    return BbCompatResult(
        spec=BbCompatSpec(ratios=(0.02, 0.1), seeds=(0, 1)),
        data=DataNote(("cifar10/train", "aa", 50_000), ("cifar10/test", "bb", 10_000), CLASSES),
        baselines=(point(0.0, 0, 9_300, 90, 8_100), point(0.0, 1, 9_400, 180, 8_190)),
        points=(
            point(0.02, 0, 9_250, 7_200, 1_350),
            point(0.02, 1, 9_250, 7_380, 1_170),
            point(0.1, 0, 9_100, 8_550, 450),
            point(0.1, 1, 9_200, 8_640, 360),
        ),
    )
