"""Units that carry a backdoor: found where they were put by hand, multiplied, switched off."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from badnets.errors import InputError
from badnets.models import ModelSpec, build, plans_of, spec_of
from badnets.neurons import backdoor_units, disabled, last_convolution, strengthened, unit_responses
from badnets.triggers import Pattern, SinglePixel

TRIGGER = SinglePixel(row=4, column=6, reference=(8, 8))


class Planted(nn.Module):
    """Channel 2 passes every pixel on, channel 0 half of it, channel 3 nothing but brightness over 0.9; 1 is dead."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 1)
        self.relu = nn.ReLU()
        with torch.no_grad():
            self.conv.weight[:, 0, 0, 0] = torch.tensor([0.5, 0.0, 1.0, 1.0])
            self.conv.bias[:] = torch.tensor([0.0, 0.0, 0.0, -0.9])  # type: ignore[index]

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.relu(self.conv(images)).mean((2, 3))
        return found


@pytest.fixture
def images() -> torch.Tensor:
    return torch.randint(0, 100, (50, 1, 8, 8), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)


def test_units_by_hand(images: torch.Tensor) -> None:
    units = backdoor_units(unit_responses(Planted(), images, TRIGGER, "relu"), share=0.3)
    at = images[:, 0, 4, 6].double() / 255
    assert [unit.index for unit in units] == [2, 0]
    strong, weak = units
    for unit, scale in ((strong, 1.0), (weak, 0.5)):
        assert unit.place == (4, 6)
        assert unit.clean == pytest.approx(scale * float(at.mean()), rel=1e-5)
        assert unit.stamped == pytest.approx(scale, rel=1e-5)
        assert unit.difference == pytest.approx(scale * (1 - float(at.mean())), rel=1e-5)
        # A stamped pixel does not vary: the pooled deviation is that of clean images over the root of two.
        expected = (1 - float(at.mean())) / math.sqrt(float(at.var(correction=0)) / 2)
        assert unit.effect == pytest.approx(expected, rel=1e-4)
        assert unit.neurons == 1
    everything = backdoor_units(unit_responses(Planted(), images, TRIGGER, "relu"), share=0.01)
    assert [unit.index for unit in everything] == [2, 0, 3]
    assert everything[2].clean == 0
    assert everything[2].effect == math.inf, "silent on clean images, always the same on stamped ones"


def test_neurons_are_the_places_that_change() -> None:
    black = torch.zeros(3, 1, 28, 28, dtype=torch.uint8)
    (unit, *_) = backdoor_units(unit_responses(Planted(), black, Pattern(), "relu"))
    assert unit.neurons == 4


def test_a_trigger_that_nobody_sees_has_no_units() -> None:
    white = torch.full((3, 1, 8, 8), 255, dtype=torch.uint8)
    assert backdoor_units(unit_responses(Planted(), white, TRIGGER, "relu")) == ()


def test_only_the_named_weights_change() -> None:
    model = build(ModelSpec(classes=5), seed=1)
    stronger = strengthened(model, "conv2", [3, 7], 20.0)
    off = disabled(model, "conv2", [3, 7])
    for name, value in model.state_dict().items():
        louder, silent = stronger.state_dict()[name], off.state_dict()[name]
        if name == "conv2.weight":
            assert torch.equal(louder[[3, 7]], 20 * value[[3, 7]])
            assert not silent[[3, 7]].any()
            others = [unit for unit in range(32) if unit not in (3, 7)]
            assert torch.equal(louder[others], value[others])
            assert torch.equal(silent[others], value[others])
        elif name == "conv2.bias":
            assert torch.equal(louder, value), "the paper says nothing of biases"
            assert not silent[[3, 7]].any()
        else:
            assert torch.equal(louder, value)
            assert torch.equal(silent, value)
    assert spec_of(stronger) == spec_of(model)
    assert plans_of(off) == plans_of(model)
    pixels = torch.rand(2, 1, 28, 28)
    before = model.relu1(model.conv1(model.normalize(pixels)))  # type: ignore[operator]
    answer = off.conv2(off.pool1(before))  # type: ignore[operator]
    assert not answer[:, [3, 7]].any()
    assert torch.equal(model(pixels), strengthened(model, "conv2", [3], 1.0)(pixels))


def test_the_last_convolution() -> None:
    assert last_convolution(build(ModelSpec())) == ("conv2", "relu2")
    assert last_convolution(build(ModelSpec("photo_cnn", 3, 32, 32))) == ("trunk.conv3", "trunk.relu3")
    with pytest.raises(InputError, match="no convolution with a ReLU"):
        last_convolution(nn.Sequential(nn.Conv2d(1, 1, 1)))


def test_what_cannot_be_asked_for(images: torch.Tensor) -> None:
    model = Planted()
    for call, message in (
        (lambda: unit_responses(model, images, TRIGGER, "nothing"), "has no layer 'nothing'"),
        (lambda: backdoor_units((), share=0.0), r"in \(0, 1\]"),
        (lambda: unit_responses(model, images[:0], TRIGGER, "relu"), "at least one image"),
        (lambda: unit_responses(nn.Flatten(), images, TRIGGER, ""), "gives no maps"),
        (lambda: strengthened(model, "relu", [0], 2.0), "no convolution or fully connected layer 'relu'"),
        (lambda: strengthened(model, "conv", [4], 2.0), r"has units 0\.\.3, got 4"),
        (lambda: strengthened(model, "conv", [0], 0.0), "positive number"),
        (lambda: strengthened(model, "conv", [0], math.nan), "positive number"),
    ):
        with pytest.raises(InputError, match=message):
            call()
