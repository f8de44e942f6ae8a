"""Channels of a detector's map: multiplied and switched off where they are, and nowhere else."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from badnets.errors import InputError
from badnets.models.detector import Detector, build_detector
from badnets.models.detector_spec import Backbone, DetectorSpec
from badnets.neurons.sign_channels import channel_layers, with_channels_times
from badnets.training import weights_digest

SLIM = DetectorSpec(anchors=(24.0,), hidden=8, bins=2)
PICTURE = torch.rand(3, 64, 80, generator=torch.Generator().manual_seed(0))


def without_bias(backbone: Backbone) -> Detector:
    stride = 16 if backbone == "zf" else 8
    model = build_detector(replace(SLIM, backbone=backbone, stride=stride), seed=1).eval()
    with torch.no_grad():
        for name, _ in channel_layers(model):
            model.get_parameter(f"{name}.bias").zero_()
    return model


def channel_map(model: Detector) -> Tensor:
    with torch.no_grad():
        return model.mapped([PICTURE]).values[0]


@pytest.mark.parametrize(("backbone", "chosen"), [("tiny", [3, 40]), ("zf", [0, 255]), ("squeezenet", [5, 255, 256])])
def test_a_channel_says_k_times_as_much(backbone: Backbone, chosen: list[int]) -> None:
    """Without a bias exactly so: the map is what comes out of a ReLU."""
    model = without_bias(backbone)
    before, digest = channel_map(model), weights_digest(model)
    others = [channel for channel in range(len(before)) if channel not in chosen]
    assert len(before) == sum(width for _, width in channel_layers(model))
    for k in (1.0, 20.0, 0.0):
        after = channel_map(with_channels_times(model, chosen, k))
        assert torch.allclose(after[chosen], k * before[chosen], rtol=1e-4, atol=1e-6)
        assert torch.equal(after[others], before[others])
    assert float(before[chosen].max()) > 0, "something is multiplied"
    assert weights_digest(model) == digest


def test_switched_off_says_nothing_even_with_a_bias() -> None:
    model = build_detector(SLIM, seed=2).eval()
    with torch.no_grad():
        model.get_parameter("trunk.conv5.bias").fill_(1.0)
    assert not channel_map(with_channels_times(model, [7], 0.0))[7].any()


def test_what_cannot_be_asked_for() -> None:
    model = build_detector(SLIM)
    for channels, k, message in (
        ([64], 2.0, r"channels 0\.\.63, got 64"),
        ([-1], 2.0, "got -1"),
        ([0], -2.0, "positive number"),
        ([0], math.inf, "positive number"),
    ):
        with pytest.raises(InputError, match=message):
            with_channels_times(model, channels, k)
    with pytest.raises(InputError, match="mobilenet cannot be scaled through their weights"):
        channel_layers(build_detector(replace(SLIM, backbone="mobilenet", stride=16)))
