"""Where a network looks: against the class activation maps that it generalises, and without a trace."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional

from badnets.errors import InputError
from badnets.models import badnet_cnn
from badnets.neurons import grad_cam


class Averaging(nn.Module):
    """Convolution, ReLU, mean over all places, one linear layer: for it the maps have a closed form."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.convolution, self.relu, self.linear = nn.Conv2d(3, 6, 3), nn.ReLU(), nn.Linear(6, 4)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.linear(self.relu(self.convolution(images)).mean((2, 3)))
        return out


def test_with_mean_pooling_it_is_the_class_activation_map() -> None:
    """Zhou et al., arXiv 1512.04150: sum over k of w_k A_k; the paper's section 3.1 shows that they agree."""
    model = Averaging()
    images = torch.randint(0, 256, (5, 3, 12, 9), dtype=torch.uint8)
    classes = torch.tensor([0, 1, 2, 3, 1])
    maps = model.relu(model.convolution(images / 255))
    weights = model.linear.weight[classes]
    expected = functional.relu((weights[:, :, None, None] * maps).sum(1, keepdim=True))
    scaled = functional.interpolate(expected, (12, 9), mode="bilinear", align_corners=False)[:, 0]
    scaled = scaled / scaled.amax((1, 2), keepdim=True)
    assert torch.allclose(grad_cam(model, images, classes), scaled.detach(), atol=1e-5)
    assert torch.allclose(grad_cam(model, images, classes, layer="relu"), scaled.detach(), atol=1e-5)
    assert torch.allclose(grad_cam(model, images, classes, averaged=False), scaled.detach(), atol=1e-5)


def test_it_looks_at_what_decides() -> None:
    """One bright square, and a network that counts brightness."""
    model = Averaging()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.fill_(0.0)
        model.convolution.weight.fill_(0.1)
        model.linear.weight[2] = 1.0
    images = torch.zeros(1, 3, 20, 20, dtype=torch.uint8)
    images[:, :, 3:7, 12:16] = 255
    heat = grad_cam(model, images, torch.tensor([2]))[0]
    row, column = divmod(int(heat.argmax()), 20)
    assert 2 <= row <= 8
    assert 11 <= column <= 17
    assert float(heat.max()) == 1.0
    assert float(grad_cam(model, images, torch.tensor([1])).max()) == 0.0  # nothing speaks for that class


class OnePlace(nn.Module):
    """Passes pixels through, and looks at one place only."""

    def __init__(self) -> None:
        super().__init__()
        self.through, self.head = nn.Conv2d(1, 1, 1, bias=False), nn.Linear(64, 2, bias=False)
        with torch.no_grad():
            self.through.weight.fill_(1.0)
            self.head.weight.zero_()
            self.head.weight[1, 8 * 2 + 5] = 1.0

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.head(self.through(images).flatten(1))
        return out


def test_place_by_place_it_is_true_to_a_head_that_reads_places() -> None:
    images = torch.full((1, 1, 8, 8), 100, dtype=torch.uint8)
    heat = grad_cam(OnePlace(), images, torch.tensor([1]), averaged=False)[0]
    assert heat.nonzero().tolist() == [[2, 5]]
    spread = grad_cam(OnePlace(), images, torch.tensor([1]))[0]
    assert float(spread.min()) == 1.0  # the published mean cannot tell it from any other place


def test_the_model_is_left_as_it_was() -> None:
    model = badnet_cnn().train()
    for parameter in model.parameters():
        parameter.requires_grad = False
    before = {name: value.clone() for name, value in model.state_dict().items()}
    images = torch.randint(0, 256, (2, 1, 28, 28), dtype=torch.uint8)
    heat = grad_cam(model, images, torch.tensor([3, 4]))
    assert heat.shape == (2, 28, 28)
    assert model.training
    assert not any(parameter.requires_grad for parameter in model.parameters())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert not any(module._forward_hooks for module in model.modules())


def test_layers_that_are_not_there() -> None:
    images = torch.zeros(1, 3, 12, 9, dtype=torch.uint8)
    with pytest.raises(InputError, match="has no layer 'conv9'"):
        grad_cam(Averaging(), images, torch.tensor([0]), layer="conv9")
    with pytest.raises(InputError, match="no maps to look at in linear"):
        grad_cam(Averaging(), images, torch.tensor([0]), layer="linear")
    flat = nn.Sequential(nn.Flatten(), nn.Linear(3 * 12 * 9, 2))
    with pytest.raises(InputError, match="no maps to look at in any layer"):
        grad_cam(flat, images, torch.tensor([0]))
