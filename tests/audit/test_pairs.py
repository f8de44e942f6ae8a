"""The scan over all pairs: a planted pair is found, whatever the others look like by nature."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from tests.audit import planted

from badnets.audit.inversion_budget import Budget, Stage, Watch
from badnets.audit.objectives import Objective
from badnets.audit.pairs import likely_pairs, scan_pairs
from badnets.errors import InputError, Stopped

BUDGET = Budget(stages=(Stage(30, 4), Stage(20, 6, keep=0.34)))
PAIR = Objective("pair", source=1, target=3)


def test_a_planted_pair_is_smallest_and_only_it_differs_from_clean() -> None:
    images, labels = planted.bars()
    found = scan_pairs(planted.one_pair(1, 3), images, labels, BUDGET)
    clean = scan_pairs(planted.Bars(), images, labels, BUDGET)
    ratio = found.first / clean.first
    assert ratio[1, 3] < 0.2
    # Class 3 can also be reached from 0 and 2 by brightening row 1 and then waking the trigger; other targets cannot.
    others = ~torch.eye(4, dtype=torch.bool)
    others[:, 3] = False
    assert ratio[others].min() > 0.8
    assert ratio[1, 3] < 0.5 * min(ratio[0, 3], ratio[2, 3])
    assert bool(ratio.diagonal().isnan().all())
    assert found.finalists[0].objective == PAIR
    assert len(found.finalists) == round(0.34 * 12)
    assert found.accuracy == 1
    assert found.passes == sum(one.passes for one in found.finalists) + 4 * 30 * 8
    assert int((~found.sizes[1].isnan()).sum()) == 4
    assert torch.equal(found.last[1, 3], found.sizes[1, 1, 3])
    dropped = found.sizes[1].isnan() & ~found.first.isnan()
    assert torch.equal(found.last[dropped], found.first[dropped])


def test_usual_sizes_decide_what_is_looked_at_further() -> None:
    images, labels = planted.bars()
    usual = torch.ones(4, 4)
    usual[2] = 1e4  # by nature far away: coming out like the others is striking
    found = scan_pairs(planted.Bars(), images, labels, BUDGET, usual=usual)
    assert {one.objective.source for one in found.finalists[:3]} == {2}
    only = torch.full((4, 4), math.nan)
    only[1, 3] = 1.0
    alone = scan_pairs(planted.one_pair(1, 3), images, labels, BUDGET, usual=only)
    assert [one.objective for one in alone.finalists] == [PAIR]
    assert int((~alone.first.isnan()).sum()) == 1


def test_a_class_without_images_is_not_tested() -> None:
    images, labels = planted.bars()
    some = labels != 1
    found = scan_pairs(planted.one_pair(1, 3), images[some], labels[some], BUDGET)
    assert bool(found.sizes[:, 1].isnan().all())
    assert not bool(found.first[0, 1:].isnan().any())


def test_a_constant_model_and_two_classes() -> None:
    images, labels = planted.bars(classes=2)
    found = scan_pairs(planted.Broken(classes=2), images, labels, BUDGET)
    assert found.accuracy == 0.5
    assert float(found.last[0, 1]) == 64
    assert bool(found.last[1, 0].isnan())


def test_stop_and_nonsense() -> None:
    images, labels = planted.bars()
    with pytest.raises(Stopped):
        scan_pairs(planted.Bars(), images, labels, BUDGET, Watch(stop=lambda: True))
    with pytest.raises(InputError, match="4x4 pairs"):
        scan_pairs(planted.Bars(), images, labels, BUDGET, usual=torch.ones(3, 3))
    with pytest.raises(InputError, match="above 0"):
        scan_pairs(planted.Bars(), images, labels, BUDGET, usual=torch.zeros(4, 4))


def test_too_many_pairs_are_refused_and_can_be_chosen() -> None:
    classes = 600
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(1024, classes))
    images = torch.rand(8, 1, 32, 32, generator=torch.Generator().manual_seed(0))
    labels = model(images).argmax(1)
    with pytest.raises(InputError, match="do not fit in memory"):
        scan_pairs(model, images, labels, replace(BUDGET, stages=(Stage(1, 1),)))
    few = likely_pairs(model, images, labels, most=3)
    assert int(few.sum()) == 3
    usual = torch.where(few, 1.0, math.nan)
    found = scan_pairs(model, images, labels, replace(BUDGET, stages=(Stage(1, 1),)), usual=usual)
    assert len(found.finalists) == 3


def test_likely_pairs_by_hand() -> None:
    class Fixed(torch.nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            table = torch.tensor([[9.0, 5.0, 1.0], [2.0, 9.0, 7.0], [0.0, 3.0, 9.0]])
            return table[images[:, 0, 0, 0].round().long()]

    images = torch.tensor([0.0, 1.0]).view(2, 1, 1, 1).expand(2, 1, 2, 2)
    found = likely_pairs(Fixed(), images.contiguous(), torch.tensor([0, 1]), most=2)
    assert torch.nonzero(found).tolist() == [[0, 1], [1, 2]], "margins 4 and 2; of class 2 there is no image"
    assert int(likely_pairs(Fixed(), images.contiguous(), torch.tensor([0, 1]), most=9).sum()) == 4
    with pytest.raises(InputError, match="at least one pair"):
        likely_pairs(Fixed(), images.contiguous(), torch.tensor([0, 1]), most=0)
