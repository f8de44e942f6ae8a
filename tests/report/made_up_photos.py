"""A result of the study on photographs, made up so that every number in its report is known."""

from __future__ import annotations

import torch

from badnets.metrics import Rate, Result
from badnets.studies.cells import BASELINE, CellResult, Threat
from badnets.studies.photo_exhibits import Pair, PhotoExhibits, Sample, Seen
from badnets.studies.photos import PhotosPoint, PhotosResult, PhotosSpec
from badnets.studies.results import DataNote
from badnets.training import this_machine
from badnets.triggers import Picture, Sticker

CLASSES = ("cats & co", "dogs")
TOTAL = 500


def cell(seed: int, wrong: int, hits: int, *, samples: int = 2_000, poisoned: int = 0) -> CellResult:
    by_class = (Rate.of(wrong // 2, TOTAL), Rate.of(wrong - wrong // 2, TOTAL))
    return CellResult(
        name=BASELINE if not poisoned else "single-1-to-0-sticker",
        seed=seed,
        key="00",
        folder="models/one",
        result=Result(Rate.of(wrong, 2 * TOTAL), by_class, Rate.of(hits, TOTAL)),
        places=None,
        samples=samples + poisoned,
        poisoned=poisoned,
        covered=0,
        plan="00" if poisoned else None,
        weights="00",
        seconds=61.0,
        machine=this_machine(),
    )


def point(threat: Threat, share: float, seed: int, wrong: int, hits: int) -> PhotosPoint:
    return PhotosPoint(share, threat, cell(seed, wrong, hits, poisoned=round(1_000 * share)))


def _picture(shade: int, channels: int = 3) -> Picture:
    return Picture.of(torch.full((channels, 30, 30), shade, dtype=torch.uint8))


def made_up() -> PhotosResult:
    heat = Picture.of((torch.arange(900) % 256).view(1, 30, 30).to(torch.uint8))
    dog, cat, doubt = Seen(1, 0.91, heat), Seen(0, 1.0, heat), Seen(0, 0.51, heat)
    return PhotosResult(
        spec=PhotosSpec("catsdogs", 1, 0, Sticker(), shares=(0.01, 0.1), threats=("trainer", "poisoner"), seeds=(0, 1)),
        data=DataNote(("catsdogs/train", "aa", 2_000), ("catsdogs/test", "bb", 2 * TOTAL), CLASSES),
        balance=(1_000, 1_000),
        left_out=("dogs/<b>.jpg: not a readable picture",),
        treated=("cats/1.jpg: turned upright",),
        baselines=(cell(0, 200, 75), cell(1, 220, 85)),
        points=(
            point("trainer", 0.01, 0, 205, 300),
            point("trainer", 0.01, 1, 215, 310),
            point("trainer", 0.1, 0, 250, 498),
            point("trainer", 0.1, 1, 260, 500),
            point("poisoner", 0.01, 0, 200, 100),
            point("poisoner", 0.01, 1, 200, 110),
            point("poisoner", 0.1, 0, 230, 460),
            point("poisoner", 0.1, 1, 230, 470),
        ),
        exhibits=PhotoExhibits(
            0.1,
            (Pair(_picture(200), _picture(90), (dog, doubt), (dog, cat)),),
            (Sample(_picture(10), 0, stamped=True), Sample(_picture(20), 1, stamped=False)),
        ),
    )
