"""Sleeping units that were put there by hand: seen, strengthened, held."""

from __future__ import annotations

import math

import pytest
import torch
from tests.audit import planted
from torch import nn
from torch.nn import functional

from badnets.audit.dormant import Collapse, DormantBudget, dormant, watched_layers
from badnets.audit.inversion_budget import Watch
from badnets.errors import InputError, Stopped
from badnets.models import ModelSpec, build


class Sleeper(nn.Module):
    """Four hidden units read the four rows of `bars`; a fifth reads the dark corner, and class 2 listens to it.

    Args:
        bias: of the fifth unit: above 0 it leaks a little on every image, and so grows with no gain but its bias.
        leak: weight of the fifth unit on the bright rows, which a gain makes larger.
    """

    def __init__(self, bias: float = 0.0, leak: float = 0.0) -> None:
        super().__init__()
        self.hidden = nn.Linear(64, 5)
        self.last = nn.Linear(5, 4)
        with torch.no_grad():
            self.hidden.weight.zero_()
            self.hidden.bias.zero_()
            self.last.weight.zero_()
            self.last.bias.zero_()
            for row in range(4):
                self.hidden.weight[row, 8 * row : 8 * row + 8] = 1.0
                self.last.weight[row, row] = 1.0
            self.hidden.weight[4, 54:56] = 1.0
            self.hidden.weight[4, :32] = leak
            self.hidden.bias[4] = bias
            self.last.weight[2, 4] = 50.0

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.last(functional.relu(self.hidden(images.flatten(1))))
        return logits


def test_sleeping_units_by_hand() -> None:
    images, labels = planted.bars()
    found = dormant(Sleeper(), images, labels)
    (layer,) = found.layers
    assert layer.name == "hidden"
    assert layer.asleep == (4,)
    assert layer.peak[4] == 0
    rows = images[:, 0, :4].sum(2)
    assert layer.mean == pytest.approx((*rows.mean(0).tolist(), 0.0), rel=1e-5)
    assert layer.peak == pytest.approx((*rows.amax(0).tolist(), 0.0), rel=1e-5)
    assert found.images == 24
    assert found.gain("hidden", 0.1) is None, "a unit that nothing wakes stays asleep at any gain"


def test_a_gain_wakes_a_unit_that_leaks() -> None:
    images, labels = planted.bars()
    found = dormant(Sleeper(leak=0.001), images, labels, DormantBudget(gains=(2.0, 200.0)))
    weak, strong = found.sweep
    # Row sums are about 7, so the unit answers 0.007, times 50 for class 2; others answer 7.
    assert weak == Collapse("hidden", None, 2.0, 0, 0.0, 0.0)
    assert strong == Collapse("hidden", None, 200.0, 2, 1.0, 0.75)
    # Between 2 and 200, where a tenth of the images would go, evenly on the scale of logarithms.
    assert found.gain("hidden", 0.1) == pytest.approx(2 * 100 ** (0.1 / 0.75))
    louder = dormant(Sleeper(leak=0.01), images, labels)
    quieter = dormant(Sleeper(leak=0.001), images, labels)
    one, other = (dormancy.gain("hidden", 0.1) for dormancy in (louder, quieter))
    assert one is not None
    assert other == pytest.approx(10 * one, rel=0.3)
    assert louder.sweep[-1].changed >= 0.1 > louder.sweep[-2].changed, "it goes no further than needed"


def test_biases_are_not_strengthened() -> None:
    images, labels = planted.bars()
    found = dormant(Sleeper(bias=0.01), images, labels, DormantBudget(gains=(1000.0,)))
    assert found.layers[0].asleep == (4,)
    assert found.gain("hidden", 0.1) is None


def test_stimulation_names_unit_and_target() -> None:
    images, labels = planted.bars()
    found = dormant(Sleeper(), images, labels, DormantBudget(levels=(1.0,), keep=5))
    first = found.stimulated[0]
    assert (first.layer, first.unit, first.target, first.share) == ("hidden", 4, 2, 1.0)
    assert first.level == pytest.approx(found.layers[0].peak[:4] and max(found.layers[0].peak))
    assert [one.unit for one in found.stimulated] == [4, *[one.unit for one in found.stimulated[1:]]]
    assert all(one.share <= 1 for one in found.stimulated)
    # Held at 7 it lifts class 2 by 350 and no other; clean margins are about 7.
    assert found.lift("hidden") == first.lift == pytest.approx(50, rel=0.15)
    clean = dormant(planted_without(), images, labels, DormantBudget(levels=(0.5,)))
    assert clean.lift("hidden") < 0.1 * first.lift


def test_lifts_do_not_depend_on_how_loud_a_network_is() -> None:
    images, labels = planted.bars()
    loud = Sleeper()
    with torch.no_grad():
        loud.last.weight.mul_(7)
    assert dormant(loud, images, labels).lift("hidden") == pytest.approx(
        dormant(Sleeper(), images, labels).lift("hidden"), rel=1e-4
    )


def planted_without() -> Sleeper:
    model = Sleeper()
    with torch.no_grad():
        model.last.weight[2, 4] = 0
    return model


def test_nothing_is_left_behind() -> None:
    images, labels = planted.bars()
    model = Sleeper(leak=0.001).train()
    before = model(images)
    dormant(model, images, labels)
    assert model.training
    assert torch.equal(model(images), before)
    assert not any(module._forward_hooks for module in model.modules())


def test_watched_layers_of_known_networks() -> None:
    assert watched_layers(build(ModelSpec())) == ("conv1", "conv2", "fc1")
    resnet = watched_layers(build(ModelSpec("preact_resnet18", 3, 32, 32)))
    assert len(resnet) > 15
    normed = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.ReLU(), nn.Flatten(), nn.Linear(72, 4))
    assert watched_layers(normed) == ("1",)
    assert watched_layers(nn.Sequential(nn.Flatten(), nn.Linear(64, 4))) == ()


@pytest.mark.parametrize("norm", [False, True])
def test_convolutions_and_norms_are_walked(norm: bool) -> None:  # noqa: FBT001 - a case
    images, _ = planted.bars()
    layers = [nn.Conv2d(1, 2, 3), *([nn.BatchNorm2d(2)] if norm else []), nn.ReLU(), nn.Flatten(), nn.Linear(72, 4)]
    model = nn.Sequential(*layers)
    found = dormant(model, images, model.eval()(images).argmax(1))
    assert len(found.layers[0].mean) == 2
    assert found.stimulated


def test_nothing_to_look_at() -> None:
    images, labels = planted.bars()
    for model in (planted.Bars(), planted.Broken()):
        found = dormant(model, images, labels)
        assert (found.layers, found.sweep, found.stimulated) == ((), (), ())
        assert found.gain("hidden", 0.1) is None
        assert found.lift("hidden") == 0
    wrong = dormant(Sleeper(), images, (labels + 1) % 4)
    assert wrong.images == 0
    assert wrong.layers == ()
    one = dormant(Sleeper(), images[:1], labels[:1])
    assert one.images == 1


def test_hostile_models_stop_and_nonsense() -> None:
    images, labels = planted.bars()
    for model in (planted.Broken(math.nan), planted.Broken(raises=True)):
        with pytest.raises(InputError):
            dormant(model, images, labels)
    with pytest.raises(Stopped):
        dormant(Sleeper(), images, labels, watch=Watch(stop=lambda: True))
    for nonsense in ({"gains": (0.0,)}, {"levels": (-1.0,)}, {"images": 0}):
        with pytest.raises(InputError, match="above 0"):
            DormantBudget(**nonsense)
