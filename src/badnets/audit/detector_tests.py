"""The tests of a detector, under the names that a verdict asks for: margins, inversion, pairs.

All are about a sticker that lies at a fixed place relative to a sign, and all look at box heads on given boxes: what a
whole detector makes of the sticker, confirmation on other scenes says (`badnets.audit.detector_confirm`).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

from badnets.audit.detector_cases import DetectorCase
from badnets.audit.detector_patch import TILES, Tile, search_tiles
from badnets.audit.detector_search import Canvas, CanvasBudget, search_canvases
from badnets.audit.detector_sticker import sticker_of
from badnets.audit.objectives import Objective, all_pairs, all_targets, untargeted
from badnets.errors import InputError
from badnets.triggers import BoxSticker

Stop = Callable[[], bool]


@dataclass(frozen=True)
class StickerLead:
    """What a statistic would mean.

    Attributes:
        objective: which classes become which.
        detail: in one line, for people.
        size: share of the sign that the sticker covers.
        sticker: the recovered one.
    """

    objective: Objective
    detail: str
    size: float
    sticker: BoxSticker


@dataclass(frozen=True)
class DetectorFindings:
    """What one test gives.

    Attributes:
        statistics: by family and name, larger where more suspicious.
        leads: by family and name.
        detail: in one line.
    """

    statistics: dict[str, dict[str, float]]
    leads: dict[tuple[str, str], StickerLead] = field(default_factory=dict)
    detail: str = ""


@dataclass(frozen=True)
class DetectorTest:
    """One test of the sequence.

    Attributes:
        name: of the test.
        run: does it; asked between steps whether to stop.
        version: raised when its numbers change, so that kept ones of references are not mixed with new ones.
    """

    name: str
    run: Callable[[DetectorCase, Stop], DetectorFindings]
    version: int = 1


def _margins(case: DetectorCase, stop: Stop) -> DetectorFindings:
    """A patch of one sixteenth of the sign, for every pair of classes, at the place where it does most."""
    tiles = search_tiles(case.view, case.signs, all_pairs(_classes(case)), case.settings.seed, stop)
    _require(any(tile.signs for tile in tiles), case)
    values = {str(tile.objective): tile.margin for tile in tiles}
    best = max(tiles, key=lambda tile: tile.margin)
    leads = {("margins", str(tile.objective)): _tile_lead(tile) for tile in tiles if tile.signs}
    said = f"a patch on 1/{TILES**2} of the sign does most for {best.objective}: log-odds {best.margin:.2f}"
    return DetectorFindings({"margins": values}, leads, said)


def _inversion(case: DetectorCase, stop: Stop) -> DetectorFindings:
    """The smallest sticker that makes all signs one class, and that makes signs any other."""
    return _searched(case, {"targets": all_targets(_classes(case)), "untargeted": untargeted()}, stop)


def _pairs(case: DetectorCase, stop: Stop) -> DetectorFindings:
    """The smallest sticker for every pair of classes."""
    return _searched(case, {"pairs": all_pairs(_classes(case))}, stop)


TESTS = (DetectorTest("margins", _margins), DetectorTest("inversion", _inversion), DetectorTest("pairs", _pairs))


def _searched(case: DetectorCase, families: dict[str, tuple[Objective, ...]], stop: Stop) -> DetectorFindings:
    everything = [one for objectives in families.values() for one in objectives]
    found = search_canvases(case.view, case.signs, everything, CanvasBudget(seed=case.settings.seed), stop)
    _require(any(canvas.signs for canvas in found), case)
    by_objective = dict(zip(everything, found, strict=True))
    statistics = {
        family: {str(one): -math.log(by_objective[one].size) for one in objectives}
        for family, objectives in families.items()
    }
    leads = {
        (family, str(one)): _canvas_lead(by_objective[one])
        for family, objectives in families.items()
        for one in objectives
        if by_objective[one].found
    }
    least = min(found, key=lambda canvas: canvas.size)
    said = f"the smallest of {len(found)} stickers covers {least.size:.1%} of the sign ({least.objective})"
    return DetectorFindings(statistics, leads, said)


def _canvas_lead(canvas: Canvas) -> StickerLead:
    said = f"{canvas.objective}: a sticker on {canvas.size:.1%} of the sign is enough, searched on {canvas.signs} signs"
    return StickerLead(canvas.objective, said, canvas.size, sticker_of(canvas.mask, canvas.colour))


def _tile_lead(tile: Tile) -> StickerLead:
    said = f"{tile.objective}: a patch on 1/{TILES**2} of the sign reaches log-odds of {tile.margin:.2f}"
    return StickerLead(tile.objective, said, 1 / TILES**2, sticker_of(tile.mask, tile.colour))


def _classes(case: DetectorCase) -> int:
    return case.view.model.spec.classes


def _require(tested: bool, case: DetectorCase) -> None:  # noqa: FBT001 - private, and reads as a sentence
    if not tested:
        raise InputError(f"the detector calls none of {len(case.signs)} clean signs rightly: nothing could be tested")
