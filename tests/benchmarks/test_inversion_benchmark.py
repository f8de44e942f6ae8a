"""What `benchmarks/inversion.py` times is what it says; how fast that is is no matter of tests."""

from __future__ import annotations

import math
import sys
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.audit import planted

from badnets.audit.inversion import invert
from benchmarks import inversion


def test_all_variants_do_the_same_objectives_and_steps() -> None:
    work = inversion.Work.of(steps=2, images=3)
    assert [run() for run in inversion.variants(work).values()] == [20, 20, 20]
    found = invert(work.model, work.images, work.labels, work.objectives, work.budget)
    assert {one.passes for one in found if one.tested} == {6}, "nobody stops early"


def test_the_usual_loop_is_a_working_inversion() -> None:
    images, labels = planted.bars()
    others = images[labels != 2]
    aims = torch.full((len(others),), 2)
    planted_size = inversion.invert_one(planted.all_to_one(2), others, aims, 60, away=False)
    clean_size = inversion.invert_one(planted.Bars(), others, aims, 60, away=False)
    assert math.isfinite(planted_size)
    assert planted_size < clean_size
