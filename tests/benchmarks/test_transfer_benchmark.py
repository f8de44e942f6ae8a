"""The benchmark of retraining compares the same work: both ways come out with the same weights, to rounding."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from badnets.models import build
from benchmarks import transfer


@pytest.mark.parametrize("task", transfer.TASKS, ids=lambda task: task.name)
def test_both_ways_give_the_same_network(task: transfer.Task) -> None:
    kept, through = (transfer.retrain(task, 40, 2, kept=way).state_dict() for way in (True, False))
    fresh = build(task.spec, seed=1).state_dict()
    for name, value in kept.items():
        assert torch.allclose(value, through[name], atol=2e-5), name
        if value.is_floating_point() and not name.startswith("normalize"):
            assert torch.equal(value, fresh[name]) is name.startswith("trunk"), name
