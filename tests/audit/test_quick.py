"""The quick way through convolutions gives what the usual one gives."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from badnets.audit.answers import examined
from badnets.audit.inversion_forms import FORMS, FormName
from badnets.audit.quick import QuickConvolutions, images_slopes
from badnets.models import ModelSpec, build


def tensor(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(
    ("kernel", "padding"), [((5, 5), (0, 0)), ((3, 3), (1, 1)), ((2, 4), (0, 2)), ((1, 1), (0, 0))]
)
def test_slopes_are_those_of_torch(channels: int, kernel: tuple[int, int], padding: tuple[int, int]) -> None:
    images, weight = tensor(3, channels, 9, 11), tensor(4, channels, *kernel, seed=1)
    images.requires_grad_()
    output = functional.conv2d(images, weight, None, 1, padding)
    slopes = tensor(*output.shape, seed=2)
    (expected,) = torch.autograd.grad(output, images, slopes)
    found = images_slopes(slopes, weight, (9, 11), padding)
    assert torch.allclose(found, expected, atol=1e-4)


def both(model: nn.Module, images: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Logits and slopes, the usual way and the quick one."""
    for parameter in model.parameters():
        parameter.requires_grad = False
    found = []
    for inside in (False, True):
        leaf = images.clone().requires_grad_()
        if inside:
            with QuickConvolutions():
                said = model(leaf)
        else:
            said = model(leaf)
        found += [said.detach(), torch.autograd.grad(said.logsumexp(1).sum(), leaf)[0]]
    return found[0], found[1], found[2], found[3]


ODD = nn.Sequential(
    nn.Conv2d(3, 6, 3, stride=2, padding=1),
    nn.Conv2d(6, 6, 3, padding="same"),
    nn.Conv2d(6, 6, 3, groups=3),
    nn.Conv2d(6, 4, 3, dilation=2, bias=False),
    nn.Flatten(),
)


@pytest.mark.parametrize(
    ("model", "shape"),
    [(build(), (1, 28, 28)), (build(ModelSpec("badnet_cnn", 3, 32, 32)), (3, 32, 32)), (ODD, (3, 20, 20))],
    ids=["grey", "colour", "odd ones"],
)
def test_networks_say_the_same(model: nn.Module, shape: tuple[int, int, int]) -> None:
    usual, slopes, quick, quick_slopes = both(model.eval(), tensor(5, *shape).sigmoid())
    assert torch.allclose(usual, quick, atol=1e-4)
    assert torch.allclose(slopes, quick_slopes, atol=1e-5)


def test_changed_weights_are_seen_and_nothing_is_left_changed() -> None:
    layer, images = nn.Conv2d(1, 2, 3), tensor(1, 1, 6, 6)
    layer.requires_grad_(requires_grad=False)
    with QuickConvolutions() as quick:
        before = layer(images)
        layer.weight.mul_(2)
        after = layer(images)
    assert layer.bias is not None
    bias = layer.bias[:, None, None]
    assert torch.allclose(after - bias, 2 * (before - bias), atol=1e-5)
    assert layer.weight.is_contiguous()
    assert len(quick._kept) == 1
    normed = nn.utils.parametrizations.weight_norm(nn.Conv2d(1, 2, 3)).requires_grad_(requires_grad=False)
    with QuickConvolutions() as quick:
        assert torch.equal(normed(images), normed(images))
    assert not quick._kept, "a weight that is made in every pass is not kept"


@pytest.mark.parametrize("form", ["patch", "blend"])
def test_slopes_of_a_stamp(form: FormName) -> None:
    """Those of the formula, which torch finds by itself."""
    mask = torch.rand(2, 1, 1, 1) if form == "blend" else torch.rand(2, 1, 5, 4)
    parameters = (mask.requires_grad_(), torch.rand(2, 3, 5, 4).requires_grad_())
    images, slopes = torch.rand(2, 6, 3, 5, 4), tensor(2, 6, 3, 5, 4)
    stamped = FORMS[form].stamp(parameters, images)
    by_formula = images + parameters[0][:, None] * (parameters[1][:, None] - images)
    assert torch.allclose(stamped, by_formula, atol=1e-6)
    ways = [torch.autograd.grad(one, parameters, slopes) for one in (stamped, by_formula)]
    for found, expected in zip(*ways, strict=True):
        assert torch.allclose(found, expected, atol=1e-4)


def test_training_is_left_alone() -> None:
    """Gradients of weights come as ever where somebody asks for them."""
    layer, images = nn.Conv2d(1, 2, 3), tensor(2, 1, 6, 6)
    with QuickConvolutions():
        layer(images).sum().backward()
    assert layer.weight.grad is not None


def test_the_audit_asks_the_quick_way(monkeypatch: pytest.MonkeyPatch) -> None:
    called = []

    def spy(*given: object) -> Tensor:
        called.append(given)
        return images_slopes(*given)  # type: ignore[arg-type]

    monkeypatch.setattr("badnets.audit.quick.images_slopes", spy)
    images = torch.rand(2, 1, 28, 28).requires_grad_()
    with examined(build().eval()) as (ask, _):
        torch.autograd.grad(ask(images).sum(), images)
    assert len(called) == 1, "the second convolution has 16 channels"
