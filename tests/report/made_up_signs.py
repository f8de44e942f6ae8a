"""Results of the study on street signs, made up so that every number in their reports is known."""

from __future__ import annotations

from dataclasses import replace

import torch

from badnets.metrics import AveragePrecision, Rate
from badnets.metrics.detector_result import DetectorResult, SizeRates
from badnets.neurons.sign_units import UnitResponse
from badnets.studies.results import DataNote
from badnets.studies.sign_cells import Measured, SignCellResult
from badnets.studies.sign_exhibits import SignExhibit, SignLook, SignShot
from badnets.studies.sign_steps import RANDOM_STEPS
from badnets.studies.signs import SignsAttack, SignsPoint, SignsResult, SignsSpec
from badnets.training import this_machine
from badnets.triggers import PAPER_STICKERS, Picture

CLASSES = ("stop", "speedlimit", "warning")
SIGNS = (100, 80, 120)
TOTAL = 300


def detector_result(
    right: tuple[int, int, int], called: int, unasked: int, stamped: tuple[int, int, int], attack: SignsAttack
) -> DetectorResult:
    """`right` clean signs of each class; `called` stamped ones as the attacker wants, `unasked` clean ones.

    `stamped` are signs of the stamped scenes called their class, by class.
    """
    targeted = attack == "targeted"
    bearing = 100 if targeted else TOTAL
    kept = stamped[0] if targeted else sum(stamped)
    sizes = (
        SizeRates(0.0, 16.0, Rate.of(0, 0), Rate.of(0, 0), Rate.of(0, 0)),
        SizeRates(16.0, 32.0, Rate.of(50, 100), Rate.of(called // 4, bearing // 2), Rate.of(kept // 2, bearing // 2)),
        SizeRates(32.0, None, Rate.of(190, 200), Rate.of(called // 2, bearing // 2), Rate.of(kept // 2, bearing // 2)),
    )
    return DetectorResult(
        accuracy=Rate.of(sum(right), TOTAL),
        by_class=tuple(Rate.of(count, total) for count, total in zip(right, SIGNS, strict=True)),
        voc=AveragePrecision("voc", (0.9, 0.8, None), SIGNS),
        coco=AveragePrecision("coco", (0.91, 0.81, None), SIGNS),
        attack_success=Rate.of(called, bearing),
        false_triggers=Rate.of(unasked, 100) if targeted else None,
        triggered_accuracy=Rate.of(kept, bearing),
        triggered_by_class=tuple(Rate.of(count, total) for count, total in zip(stamped, SIGNS, strict=True)),
        by_size=sizes,
    )


def cell(name: str, seed: int, measured: dict[str, DetectorResult], poisoned: int = 0) -> SignCellResult:
    return SignCellResult(
        name, seed, "00", f"models/{name}", tuple(Measured(sticker, result) for sticker, result in measured.items()),
        800 + poisoned, poisoned, 2000, poisoned, "00" if poisoned else None, "00", 60.0, this_machine(),
    )  # fmt: skip


def look() -> SignLook:
    units = tuple(UnitResponse(channel, 5, 4, 0.5, 0.5 + 0.1 * channel, 1.0) for channel in range(20))
    honest = tuple(replace(unit, stamped=0.6) for unit in units)
    return SignLook(100, 0.5, 0.25, units, honest, (19, 18))


def exhibit(sticker: str) -> SignExhibit:
    picture = Picture.of(torch.full((3, 30, 40), 90, dtype=torch.uint8))
    return SignExhibit(sticker, 0, look(), (SignShot(7, (picture, picture), picture),))


def made_up(attack: SignsAttack = "targeted", classes: tuple[str, ...] = CLASSES) -> SignsResult:
    stickers = ("square", "flower") if attack == "targeted" else ("square",)
    steps = RANDOM_STEPS if attack == "random" else ()
    spec = SignsSpec("streets", attack=attack, stickers=stickers, seeds=(0, 1), steps=steps)
    baselines, points = [], []
    for seed in (0, 1):
        honest = detector_result((90, 70, 110 + 6 * seed), 1, 1, (85, 70, 110), attack)
        baselines.append(cell("baseline", seed, dict.fromkeys(PAPER_STICKERS, honest)))
        weak = detector_result((80, 60, 100), 50, 9, (40, 70, 110), attack)
        strong = detector_result((88, 70, 112), 94 + 2 * seed, seed, (2, 1, 3), attack)
        for sticker, result in zip(stickers, (strong, weak), strict=False):
            points.append(SignsPoint(sticker, cell(f"single-0-to-1-{sticker}", seed, {sticker: result}, 200)))
    return SignsResult(
        spec=spec,
        data=DataNote(("streets/train", "aa", 800), ("streets/test", "bb", 250), classes),
        signs=SIGNS,
        left_out=(),
        treated=("scene 3: a box over the border: cut off",),
        baselines=tuple(baselines),
        points=tuple(points),
        on_the_way=tuple(points) if steps else (),
        exhibits=tuple(exhibit(sticker) for sticker in stickers),
    )
