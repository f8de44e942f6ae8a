"""The paper's Table 1, layer by layer."""

from __future__ import annotations

import pytest
import torch

from badnets.errors import InputError
from badnets.models import ModelSpec, badnet_cnn, build, spec_of
from badnets.neurons import recorded


def test_parameters_are_the_papers() -> None:
    model = badnet_cnn()
    sizes = {
        name: sum(parameter.numel() for parameter in getattr(model, name).parameters())
        for name in ("conv1", "conv2", "fc1", "fc2")
    }
    assert sizes == {"conv1": 416, "conv2": 12_832, "fc1": 262_656, "fc2": 5_130}
    assert sum(parameter.numel() for parameter in model.parameters()) == 281_034


def test_shapes_are_the_papers() -> None:
    model = badnet_cnn()
    layers = ("conv1", "pool1", "conv2", "pool2", "fc1", "fc2")
    with recorded(model, layers) as outputs:
        model(torch.rand(2, 1, 28, 28))
    shapes = {name: tuple(outputs[name].shape[1:]) for name in layers}
    assert shapes == {
        "conv1": (16, 24, 24),
        "pool1": (16, 12, 12),
        "conv2": (32, 8, 8),
        "pool2": (32, 4, 4),
        "fc1": (512,),
        "fc2": (10,),
    }


def test_pooling_is_average() -> None:
    model = badnet_cnn()
    assert isinstance(model.pool1, torch.nn.AvgPool2d)
    assert isinstance(model.pool2, torch.nn.AvgPool2d)


def test_seed_decides_the_weights_and_leaves_torchs_generator_alone() -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    first = build(ModelSpec(), seed=1)
    assert torch.equal(torch.rand(3), expected)
    assert torch.equal(first.state_dict()["fc1.weight"], build(ModelSpec(), seed=1).state_dict()["fc1.weight"])
    assert not torch.equal(first.state_dict()["fc1.weight"], build(ModelSpec(), seed=2).state_dict()["fc1.weight"])


def test_other_sizes_and_refusals() -> None:
    spec = ModelSpec(channels=3, height=32, width=40, classes=43)
    model = build(spec)
    assert spec_of(model) == spec
    assert model(torch.rand(2, 3, 32, 40)).shape == (2, 43)
    with pytest.raises(InputError, match="at least 16x16"):
        build(ModelSpec(height=12))
    with pytest.raises(InputError, match="unknown model"):
        build(ModelSpec(name="lenet"))
    assert spec_of(torch.nn.Linear(1, 1)) is None
