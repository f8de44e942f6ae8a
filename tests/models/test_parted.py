"""Networks cut in two: the same function, the right border, and only fitting layers taken over."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from badnets.errors import InputError
from badnets.models import ModelSpec, Parted, TwoParts, build, layers_of, spec_of
from badnets.models.parted import cut_of


@pytest.mark.parametrize("network", ["badnet_cnn", "photo_cnn"])
@pytest.mark.parametrize("cut", ["head", "last"])
def test_a_cut_network_is_the_same_function(network: str, cut: str) -> None:
    shape = (3, 32, 32)
    whole = build(ModelSpec(network, *shape, 5), seed=3).eval()
    parted = build(ModelSpec(f"{network}/{cut}", *shape, 5), seed=4).eval()
    assert isinstance(parted, Parted)
    assert isinstance(parted, TwoParts)
    for (_, ours), (_, theirs) in zip(parted.layers(), layers_of(whole), strict=True):
        ours.load_state_dict(theirs.state_dict())
    images = torch.rand(4, *shape)
    assert torch.equal(parted(images), whole(images))
    assert torch.equal(parted.head(parted.features(images)), whole(images))
    # In channels-last memory a flattened map must still be read channel by channel.
    assert torch.allclose(parted(images.contiguous(memory_format=torch.channels_last)), whole(images), atol=1e-5)


def test_where_the_border_lies() -> None:
    head = build(ModelSpec("badnet_cnn/head"))
    last = build(ModelSpec("badnet_cnn/last"))
    assert isinstance(head, Parted)
    assert isinstance(last, Parted)
    names = [name for name, _ in head.trunk.named_children()]
    assert names == ["normalize", "conv1", "relu1", "pool1", "conv2", "relu2", "pool2", "flatten"]
    assert [name for name, _ in head.head.named_children()] == ["fc1", "relu3", "fc2"]
    assert [name for name, _ in last.head.named_children()] == ["fc2"]
    assert sum(weight.numel() for weight in last.head.parameters()) == 5_130
    spec = spec_of(head)
    assert spec is not None
    assert spec.name == "badnet_cnn/head"


def test_only_the_trunk_is_taken_over() -> None:
    base = build(ModelSpec("badnet_cnn", classes=5), seed=1)
    parted = build(ModelSpec("badnet_cnn/head", classes=7), seed=2)
    fresh = build(ModelSpec("badnet_cnn/head", classes=7), seed=2)
    assert isinstance(parted, Parted)
    parted.adopt(base)
    ours, theirs, before = parted.state_dict(), base.state_dict(), fresh.state_dict()
    for name, value in ours.items():
        part, _, inner = name.partition(".")
        assert torch.equal(value, theirs[inner] if part == "trunk" else before[name]), name
    again = build(ModelSpec("badnet_cnn/last", classes=3), seed=3)
    assert isinstance(again, Parted)
    again.adopt(parted)  # from one cut to another: fc1 comes along now
    assert torch.equal(again.state_dict()["trunk.fc1.weight"], ours["head.fc1.weight"])


def test_what_does_not_fit() -> None:
    parted = build(ModelSpec("badnet_cnn/head"))
    assert isinstance(parted, Parted)
    with pytest.raises(InputError, match="has no layer normalize like that"):
        parted.adopt(build(ModelSpec("badnet_cnn", channels=3)))
    with pytest.raises(InputError, match="Linear is not one layer after the other"):
        parted.adopt(nn.Linear(2, 2))
    with pytest.raises(InputError, match="PreActResNet18 is not one layer after the other"):
        build(ModelSpec("preact_resnet18/head", 3, 32, 32))
    with pytest.raises(InputError, match="unknown model 'nothing/head'"):
        build(ModelSpec("nothing/head"))
    assert cut_of("badnet_cnn/tail") is None
    assert cut_of("timm:resnet18") is None
