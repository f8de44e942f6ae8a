"""PreAct-ResNet18 against its layer table and against the same sums written out."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from badnets.errors import InputError
from badnets.models import ModelSpec, PreActResNet18, build, spec_of
from badnets.models.preact_resnet import PreActBlock
from badnets.neurons import recorded

SPEC = ModelSpec("preact_resnet18", channels=3, height=32, width=32)


def stage_parameters(channels: int, width: int, *, shortcut: bool) -> int:
    """Two blocks, counted by hand: scales and shifts of the normalisations, and 3x3 and 1x1 weights."""
    first = 2 * channels + 9 * channels * width + 2 * width + 9 * width * width + shortcut * channels * width
    return first + 2 * (2 * width + 9 * width * width)


def test_parameters_are_those_of_the_layer_table() -> None:
    model = build(SPEC)
    expected = {
        "conv1": 9 * 3 * 64,
        "stage1": stage_parameters(64, 64, shortcut=False),
        "stage2": stage_parameters(64, 128, shortcut=True),
        "stage3": stage_parameters(128, 256, shortcut=True),
        "stage4": stage_parameters(256, 512, shortcut=True),
        "fc": 512 * 10 + 10,
    }
    assert expected == {name: sum(p.numel() for p in model.get_submodule(name).parameters()) for name in expected}
    assert sum(p.numel() for p in model.parameters()) == 11_171_146


def test_shapes_are_those_of_the_layer_table() -> None:
    model = build(SPEC)
    layers = ("conv1", "stage1", "stage2", "stage3", "stage4", "pool", "fc")
    with recorded(model, layers) as outputs, torch.no_grad():
        model(torch.rand(2, 3, 32, 32))
    assert {name: tuple(outputs[name].shape[1:]) for name in layers} == {
        "conv1": (64, 32, 32),
        "stage1": (64, 32, 32),
        "stage2": (128, 16, 16),
        "stage3": (256, 8, 8),
        "stage4": (512, 4, 4),
        "pool": (512, 1, 1),
        "fc": (10,),
    }


@pytest.mark.parametrize(("channels", "width", "stride"), [(4, 4, 1), (4, 6, 1), (4, 4, 2), (4, 8, 2)])
def test_a_block_is_its_formula(channels: int, width: int, stride: int) -> None:
    torch.manual_seed(0)
    block = PreActBlock(channels, width, stride)
    inputs = torch.randn(5, channels, 8, 8)
    # Freshly made, normalisation scales by one and shifts by nothing.
    active = functional.relu(functional.batch_norm(inputs, None, None, training=True))
    hidden = functional.conv2d(active, block.conv1.weight, stride=stride, padding=1)
    hidden = functional.relu(functional.batch_norm(hidden, None, None, training=True))
    kept = inputs if block.shortcut is None else functional.conv2d(active, block.shortcut.weight, stride=stride)
    expected = functional.conv2d(hidden, block.conv2.weight, padding=1) + kept
    assert (block.shortcut is None) == (stride == 1 and channels == width)
    torch.testing.assert_close(block(inputs), expected)


def test_colour_is_normalised_as_in_cifar_10() -> None:
    model = build(SPEC)
    assert isinstance(model, PreActResNet18)
    images = torch.rand(2, 3, 16, 16)
    mean, deviation = torch.tensor([0.4914, 0.4822, 0.4465]), torch.tensor([0.247, 0.243, 0.261])
    expected = (images.permute(0, 2, 3, 1) - mean) / deviation
    torch.testing.assert_close(model.normalize(images).permute(0, 2, 3, 1), expected)


def test_other_sizes_and_refusals() -> None:
    spec = ModelSpec("preact_resnet18", channels=1, height=28, width=20, classes=4)
    model = build(spec)
    assert spec_of(model) == spec
    with torch.no_grad():
        assert model(torch.rand(1, 1, 28, 20)).shape == (1, 4)
    smallest = build(ModelSpec("preact_resnet18", height=16, width=16)).train()
    assert smallest(torch.rand(1, 1, 16, 16)).shape == (1, 10)  # a last batch of one image can be trained on
    with pytest.raises(InputError, match="at least 16x16, got 15x16"):
        build(ModelSpec("preact_resnet18", height=15, width=16))
