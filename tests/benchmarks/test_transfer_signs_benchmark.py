"""The benchmark of retraining detectors compares the same work: both ways give the same weights, to rounding."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from badnets.models.detector import build_detector
from benchmarks import transfer_signs


def test_both_ways_give_the_same_detector() -> None:
    small = replace(transfer_signs.TASKS[0].spec, hidden=16, bins=3)
    task = transfer_signs.Task("tiny", small)
    data = transfer_signs.scenes(4)
    kept, through = (transfer_signs.retrain(task, data, 2, kept=way).state_dict() for way in (True, False))
    fresh = build_detector(task.spec, seed=1).state_dict()
    for name, value in kept.items():
        assert torch.allclose(value, through[name], atol=2e-5), name
        if value.is_floating_point() and not name.startswith("normalize"):
            assert torch.equal(value, fresh[name]) is name.startswith("trunk"), name
