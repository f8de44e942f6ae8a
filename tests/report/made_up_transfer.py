"""A result of transfer learning, made up so that every number in its report is known."""

from __future__ import annotations

from dataclasses import replace

from badnets.metrics import Rate, Result
from badnets.neurons import Unit
from badnets.studies.cells import CellResult
from badnets.studies.results import DataNote
from badnets.studies.transfer_digits import VARIANTS, Ablation, Maker, TransferResult, VictimPoint, preset
from badnets.training import Retrained, this_machine

TOTAL = 500
SPEC = replace(preset("digits", seeds=2), gains=(1.0, 20.0), lengths=(1, 10))


def measured(wrong: int, changed: int) -> Result:
    """`wrong` clean images and `changed` stamped ones, of 500 in five classes, the errors in the first."""
    return Result(
        Rate.of(wrong, TOTAL),
        tuple(Rate.of(wrong if label == 0 else 0, 100) for label in range(5)),
        Rate.of(changed, TOTAL),
        tuple(Rate.of(100 - (changed // 5), 100) for _ in range(5)),
        Rate.of(changed, TOTAL),
    )


def cell(name: str, seed: int, wrong: int, changed: int, *, poisoned: int = 0) -> CellResult:
    return CellResult(
        name, seed, "00", "models/one", measured(wrong, changed), None, 700 + poisoned, poisoned, 0,
        "00" if poisoned else None, "00", 5.0, this_machine(),
    )  # fmt: skip


def point(key: tuple[Maker, float, Retrained, int], seed: int, wrong: int, changed: int) -> VictimPoint:
    return VictimPoint(*key, cell("victim", seed, wrong, changed))


def made_up() -> TransferResult:
    victims = []
    for seed in (0, 1):
        victims += [
            point(("honest", 1.0, "head", 10), seed, 10, 10),
            point(("honest", 20.0, "head", 10), seed, 10, 15),
            point(("badnet", 1.0, "head", 10), seed, 10, 60),
            point(("badnet", 20.0, "head", 10), seed, 20 + 50 * seed, 300),
            point(("badnet", 0.0, "head", 10), seed, 12, 13),
        ]
        victims += [
            point(("badnet", 20.0, variant, epochs), seed, 20, 200)
            for variant in VARIANTS
            for epochs in (1, 10)
            if (variant, epochs) != ("head", 10)
        ]
    unit = Unit(13, (7, 6), 0.65, 6.9, 9.72, 3)
    return TransferResult(
        spec=SPEC,
        data=DataNote(("digits/train", "aa", 1_297), ("digits/test", "bb", 500), tuple("0123456789")),
        honest=tuple(cell("baseline", seed, 5, 5) for seed in (0, 1)),
        badnets=tuple(cell("all-to-all-pattern", seed, 5, 495, poisoned=350) for seed in (0, 1)),
        honest_units=((replace(unit, index=4, stamped=0.7),), ()),
        badnet_units=((unit,), (replace(unit, index=2),)),
        ablations=tuple(Ablation((1, 32), measured(5, 495), measured(6, 100), measured(5, 490)) for _ in (0, 1)),
        victims=tuple(victims),
    )
