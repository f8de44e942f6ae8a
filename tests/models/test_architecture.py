"""The check of an ordered architecture: nothing on an honest network, a line for whatever was changed."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn

from badnets.errors import InputError
from badnets.models import MODELS, ModelSpec, build
from badnets.models.architecture import differences
from badnets.models.side_network import SideNetwork
from badnets.triggers import Pattern

ORDERED = ModelSpec()


@pytest.mark.parametrize("name", [*MODELS, "badnet_cnn/head", "photo_cnn/last"])
def test_what_was_ordered_is_accepted(name: str) -> None:
    spec = ModelSpec(name, 3, 32, 32, 5)
    model = build(spec, seed=3)
    for weight in model.parameters():
        nn.init.normal_(weight)
    assert differences(model.eval(), spec) == ()


def _swap(name: str, module: nn.Module) -> Callable[[nn.Module], object]:
    return lambda model: setattr(model, name, module)


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (_swap("relu2", nn.LeakyReLU()), "relu2 is a LeakyReLU, a ReLU was ordered"),
        (_swap("pool1", nn.MaxPool2d(2)), "pool1 is a MaxPool2d, a AvgPool2d was ordered"),
        (_swap("conv1", nn.Conv2d(1, 16, 5, padding=2)), "conv1 is Conv2d(1, 16, kernel_size=(5, 5)"),
        (_swap("fc1", nn.Linear(512, 600)), "tensor fc1.weight is (600, 512) of torch.float32, (512, 512)"),
        (_swap("extra", nn.Linear(2, 2)), "module extra was not ordered"),
        (lambda model: model.register_buffer("secret", torch.zeros(3)), "tensor secret was not ordered"),
        (lambda model: model.half(), "of torch.float16"),
        (lambda model: model.fc2.register_forward_hook(lambda *_: None), "fc2 has forward hooks"),
        (lambda model: setattr(model, "forward", lambda x: x), "the network itself has a forward pass of its own"),
        (lambda model: delattr(model, "relu3"), "module relu3 is missing"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_every_change_has_a_line(change: Callable[[nn.Module], object], line: str) -> None:
    model = build(ORDERED)
    change(model)
    assert any(line in found for found in differences(model, ORDERED)), differences(model, ORDERED)


def test_a_class_of_the_same_name_is_another() -> None:
    class BadnetCnn(type(build(ORDERED))):  # type: ignore[misc]
        pass

    (line,) = differences(BadnetCnn(), ORDERED)
    assert line.startswith("the network itself is a ")
    assert line.endswith("badnets.models.digits_cnn.BadnetCnn was ordered")


def test_the_side_network_of_the_paper_is_refused() -> None:
    honest = build(ORDERED, seed=1).eval()
    side = SideNetwork(honest, Pattern().mask(28, 28), 7).eval()
    images = torch.randint(0, 200, (20, 1, 28, 28), dtype=torch.uint8)
    clean, stamped = images.float() / 255, Pattern()(images).float() / 255
    assert torch.equal(side(clean), honest(clean)), "it loses nothing"
    assert side(stamped).argmax(1).tolist() == [7] * 20
    found = differences(side, ORDERED)
    assert len(found) == 11
    assert found[-1].startswith("and ")
    assert any("module honest was not ordered" in line for line in found)
    with pytest.raises(InputError, match="at least one pixel"):
        SideNetwork(honest, torch.zeros(28, 28, dtype=torch.bool), 0)
