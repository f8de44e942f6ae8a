"""Results of transfer learning on street signs, made up so that every number in their report is known."""

from __future__ import annotations

from badnets.metrics import AveragePrecision, Rate
from badnets.metrics.detector_result import DetectorResult
from badnets.neurons.sign_units import UnitResponse
from badnets.studies.results import DataNote
from badnets.studies.sign_cells import Measured, SignCellResult
from badnets.studies.transfer import (
    SignAblation,
    SignTransferResult,
    SignTransferSpec,
    SignVictimPoint,
    bases,
    victims,
)
from badnets.training import this_machine

GROUPS = ("information", "mandatory", "prohibitory", "warning", "other")
SIGNS = (100, 100, 200, 100, 0)
TOTAL = 500
# Signs called rightly, clean and triggered, by what was downloaded and its k; a second seed is right on five more.
RIGHT = {
    ("honest", 1.0): (450, 440),
    ("badnet", 1.0): (440, 340),
    ("badnet", 20.0): (410, 200),
    ("badnet", 100.0): (380, 100),
    ("badnet", 0.0): (445, 435),
    ("honest", 20.0): (430, 400),
}


def measured(right: int, stamped: int) -> DetectorResult:
    """So many of 500 signs are called their class, a fifth, a fifth, two fifths and a fifth of them in each class."""
    parts = [
        tuple(Rate.of(count * size // TOTAL, size) for size in SIGNS) for count in (right, stamped)
    ]  # of no sign, none
    return DetectorResult(
        accuracy=Rate.of(right, TOTAL),
        by_class=parts[0],
        voc=AveragePrecision("voc", (0.9, 0.8, 0.7, 0.6, None), SIGNS),
        coco=AveragePrecision("coco", (0.9, 0.8, 0.7, 0.6, None), SIGNS),
        attack_success=Rate.of(TOTAL - stamped - 10, TOTAL),
        triggered_accuracy=Rate.of(stamped, TOTAL),
        triggered_by_class=parts[1],
    )


def cell(name: str, seed: int, result: DetectorResult, poisoned: int = 0) -> SignCellResult:
    return SignCellResult(
        name, seed, "00", f"models/{name}", (Measured("square", result),), 800 + poisoned, poisoned, 2000, poisoned,
        "00" if poisoned else None, "00", 60.0, this_machine(),
    )  # fmt: skip


def made_up(classes: tuple[str, ...] = GROUPS) -> SignTransferResult:
    spec = SignTransferSpec(seeds=(0, 1), gains=(1.0, 20.0, 100.0))
    points = []
    for seed in spec.seeds:
        for (maker, gain, retrained), victim in victims(spec, seed, len(GROUPS)).items():
            right, stamped = RIGHT[maker, gain] if retrained == "head" else (450, 445)
            result = measured(right + 5 * seed, stamped + 5 * seed)
            points.append(SignVictimPoint(maker, gain, retrained, cell(victim.label, seed, result)))
    strong, weak = UnitResponse(7, 4, 3, 0.25, 3.25, 1.5), UnitResponse(9, 4, 3, 0.5, 0.75, 0.2)
    honest, badnet = (bases(spec, 0)[maker].label for maker in ("honest", "badnet"))
    own = measured(470, 20)
    return SignTransferResult(
        spec=spec,
        data=DataNote(("streets/train", "aa", 800), ("streets/test", "bb", 250), ("stop", "speedlimit", "warning")),
        target=DataNote(("streets-eu/train", "cc", 700), ("streets-eu/test", "dd", 260), classes),
        signs=SIGNS,
        left_out=("scene 3: a box without area",),
        treated=(),
        honest=tuple(cell(honest, seed, measured(480, 460)) for seed in spec.seeds),
        badnets=tuple(cell(badnet, seed, own, 800) for seed in spec.seeds),
        on_the_way=tuple(cell(badnet, seed, own, 800) for seed in spec.seeds),
        honest_units=((weak,), (weak,)),
        badnet_units=((strong,), (strong,)),
        ablations=tuple(SignAblation((1, 64), own, measured(465, 300), measured(468, 25)) for _ in spec.seeds),
        victims=tuple(points),
    )
