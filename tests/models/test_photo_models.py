"""Networks for photographs: their sizes, and that a trunk with somebody's weights computes what theirs does."""

from __future__ import annotations

import sys

import pytest
import torch
from torch import nn
from torchvision import models as theirs

from badnets.errors import CheckpointError, InputError, MissingPart
from badnets.models import Beheaded, ModelSpec, PhotoCnn, TwoParts, build, pretrained, spec_of

SQUEEZENET = ModelSpec("torchvision:squeezenet1_0", 3, 64, 64, 2)


def trained(name: str) -> nn.Module:
    """A network of torchvision whose weights are not those that anything of ours would start with."""
    torch.manual_seed(1)
    model: nn.Module = theirs.get_model(name, weights=None).eval()
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.05)
    return model


def test_photo_cnn_has_the_parameters_of_the_exercise() -> None:
    counts = {name: sum(p.numel() for p in part.parameters()) for name, part in PhotoCnn().named_children()}
    assert counts == {"normalize": 0, "trunk": 448 + 4_640 + 18_496, "head": 9_470_464 + 1_026}
    assert PhotoCnn(1, 22, 22, classes=5)(torch.rand(3, 1, 22, 22)).shape == (3, 5)
    with pytest.raises(InputError, match="at least 22x22, got 21x40"):
        PhotoCnn(3, 21, 40)


@pytest.mark.parametrize(
    ("name", "pooled"), [("squeezenet1_0", None), ("resnet18", "avgpool"), ("mobilenet_v3_small", "classifier.2")]
)
def test_a_trunk_gives_the_features_of_the_whole_network(name: str, pooled: str | None) -> None:
    whole = trained(name)
    model = Beheaded(f"torchvision:{name}", height=64, width=64).eval()
    model.load_trunk(whole.state_dict())
    images = torch.rand(2, 3, 64, 64)
    mean, deviation = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    normal = (images - mean[:, None, None]) / deviation[:, None, None]
    if pooled is None:
        expected = whole.get_submodule("features")(normal).mean((2, 3))
    else:
        seen: list[torch.Tensor] = []
        whole.get_submodule(pooled).register_forward_hook(lambda _m, _i, output: seen.append(output))
        whole(normal)
        expected = seen[0].flatten(1)
    assert torch.allclose(model.features(images), expected, atol=1e-5)
    assert torch.allclose(model(images), model.head(expected), atol=1e-5)


def test_models_in_two_parts_are_known_as_such() -> None:
    assert isinstance(build(ModelSpec("photo_cnn", 3, 32, 32, 2)), TwoParts)
    model = build(SQUEEZENET, seed=3)
    assert isinstance(model, TwoParts)
    assert spec_of(model) == SQUEEZENET
    assert not isinstance(build(), TwoParts)
    again = build(SQUEEZENET, seed=3)
    assert all(torch.equal(a, b) for a, b in zip(model.state_dict().values(), again.state_dict().values(), strict=True))


def test_grey_images_are_repeated() -> None:
    model = Beheaded("torchvision:squeezenet1_0", 1, 64, 64).eval()
    grey = torch.rand(2, 1, 64, 64)
    assert torch.equal(model(grey), model(grey.expand(-1, 3, -1, -1)))


def test_weights_of_another_network_are_refused_by_name() -> None:
    model = Beheaded("torchvision:squeezenet1_0", height=64, width=64)
    with pytest.raises(CheckpointError, match=r"another network: the file has no 'features\.0\.bias' and \d+ more"):
        model.load_trunk({})
    good = trained("squeezenet1_0").state_dict()
    with pytest.raises(CheckpointError, match="the file brings 'extra'"):
        model.load_trunk({**good, "extra": torch.zeros(1)})
    with pytest.raises(CheckpointError, match=r"features\.0\.bias is \(96,\) here, got \(95,\)"):
        model.load_trunk({**good, "features.0.bias": torch.zeros(95)})


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (ModelSpec("torchvision:nothing", 3, 64, 64, 2), "torchvision knows no classifier 'nothing'"),
        (ModelSpec("torchvision:fasterrcnn_resnet50_fpn", 3, 64, 64, 2), "torchvision knows no classifier"),
        (ModelSpec("torchvision:squeezenet1_0", 2, 64, 64, 2), "takes grey or colour images, got 2 channels"),
        (ModelSpec("torchvision:squeezenet1_0", 3, 8, 8, 2), "does not take images of 8x8"),
        (ModelSpec("neither", 3, 64, 64, 2), "known are badnet_cnn, photo_cnn, preact_resnet18, torchvision:NAME"),
    ],
)
def test_what_cannot_be_built(spec: ModelSpec, message: str) -> None:
    with pytest.raises(InputError, match=message):
        build(spec)


@pytest.mark.parametrize("name", ["resnet18", "vit_tiny_patch16_224"])
def test_networks_of_timm_with_their_own_normalisation(name: str) -> None:
    timm = pytest.importorskip("timm", reason="timm is not installed")
    whole = timm.create_model(name, pretrained=False).eval()
    model = Beheaded(f"timm:{name}", height=224, width=224).eval()
    model.load_trunk(whole.state_dict())
    images = torch.rand(1, 3, 224, 224)
    mean, deviation = (torch.tensor(whole.pretrained_cfg[key])[:, None, None] for key in ("mean", "std"))
    expected = whole.forward_head(whole.forward_features((images - mean) / deviation), pre_logits=True)
    assert torch.allclose(model.features(images), expected, atol=1e-4)


def test_a_library_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pretrained, "find_spec", lambda _: None)
    with pytest.raises(MissingPart, match="timm:resnet18 needs timm: pip install timm"):
        build(ModelSpec("timm:resnet18", 3, 64, 64, 2))


def test_timm_is_never_asked_for_names_that_reach_a_server(monkeypatch: pytest.MonkeyPatch) -> None:
    class Timm:
        @staticmethod
        def is_model(name: str) -> bool:
            assert "/" in name
            return False

    monkeypatch.setattr(pretrained, "find_spec", lambda _: True)
    monkeypatch.setitem(sys.modules, "timm", Timm)
    with pytest.raises(InputError, match="timm knows no network 'hf_hub:someone/model'"):
        build(ModelSpec("timm:hf_hub:someone/model", 3, 64, 64, 2))
