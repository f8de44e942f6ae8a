"""A network beside the ordered one is found; another architecture is told from it; numbers that are none are named."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from badnets.audit.structure import inspect
from badnets.audit.weights import weight_features
from badnets.models import ModelSpec, badnet_cnn, build
from badnets.models.side_network import SideNetwork
from badnets.seeds import isolated

ORDERED = ModelSpec()


def test_what_was_ordered_is_in_order() -> None:
    found = inspect(badnet_cnn(1), ORDERED)
    assert found.compared
    assert (found.extra, found.other, found.unsound) == ((), (), ())
    assert found.detail == "as ordered"


def test_a_side_network_is_something_beside_the_ordered_one() -> None:
    mask = torch.zeros(28, 28, dtype=torch.bool)
    mask[26, 26] = True
    found = inspect(SideNetwork(badnet_cnn(), mask, 3), ORDERED)
    assert found.extra
    assert not found.other
    hooked = badnet_cnn()
    hooked.fc2.register_forward_hook(lambda *_: None)
    assert inspect(hooked, ORDERED).extra
    beside = badnet_cnn()
    beside.add_module("second", nn.Linear(2, 2))
    assert inspect(beside, ORDERED).extra


def test_another_architecture_is_not_called_a_backdoor() -> None:
    found = inspect(build(ModelSpec("photo_cnn", 1, 28, 28, 10)), ORDERED)
    assert found.other
    assert not found.extra
    assert not inspect(nn.Linear(2, 2)).compared


@pytest.mark.parametrize(("value", "words"), [(torch.nan, "NaN"), (torch.inf, "infinite")])
def test_numbers_that_are_none(value: float, words: str) -> None:
    model = badnet_cnn()
    with torch.no_grad():
        model.fc1.weight[3, 4] = value
    (line,) = inspect(model, ORDERED).unsound
    assert words in line
    assert "fc1.weight has 1 of 262,144" in line


def test_loud_weights_are_noted() -> None:
    model = badnet_cnn()
    with torch.no_grad():
        model.get_parameter("conv1.bias")[0] = 1e5
    assert "conv1.bias has weights up to 1e+05" in inspect(model, ORDERED).detail


def test_weight_features_rise_with_what_stands_out() -> None:
    plain, loud = badnet_cnn(), badnet_cnn()
    with torch.no_grad():
        loud.fc2.weight[3] += 1
        loud.conv2.weight[5] *= 10
    ours, theirs = weight_features(plain), weight_features(loud)
    assert ours.keys() == theirs.keys() == {"row norm", "row mean", "channel conv1", "channel conv2"}
    assert theirs["row mean"] > ours["row mean"] + 0.2
    assert theirs["channel conv2"] > ours["channel conv2"] + 0.2
    assert theirs["channel conv1"] == ours["channel conv1"]
    assert weight_features(nn.Identity()) == {}


def test_batch_normalisation_scales_its_channels() -> None:
    with isolated(0, "init"):
        model = nn.Sequential(nn.Conv2d(1, 8, 3), nn.BatchNorm2d(8)).eval()
    before = weight_features(model)["channel 0"]
    with torch.no_grad():
        model.get_parameter("1.weight")[2] = 50.0
    assert weight_features(model)["channel 0"] > before + 0.3
