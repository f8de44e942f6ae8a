"""Bounds hold for every input that is tried, and certificates agree with trying everything."""

from __future__ import annotations

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from badnets.audit.bounds import Between, bounds, chain
from badnets.audit.certificates import CertificateBudget, certify
from badnets.audit.conventions import CONVENTIONS, Adapted
from badnets.errors import InputError
from badnets.models import build
from badnets.models.normalize import Normalize

CLASSES, SIZE = 3, 6


def network(seed: int, kind: str = "average", channels: int = 1) -> nn.Sequential:
    """A tiny network of every layer that can be bounded."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        pool = {"average": nn.AvgPool2d(2), "largest": nn.MaxPool2d(2), "overlapping": nn.MaxPool2d(3, 1)}[kind]
        hidden = 9 if kind != "overlapping" else 4
        norm = nn.BatchNorm2d(2)
        norm.running_mean, norm.running_var = torch.randn(2), torch.rand(2) + 0.5
        nn.init.normal_(norm.weight)  # of either sign
        return nn.Sequential(
            Normalize((0.3,) * channels, (0.4,) * channels),
            nn.Conv2d(channels, 2, 3, padding=1),
            norm,
            nn.ReLU(),
            pool,
            nn.Sequential(nn.Conv2d(2, 3, 2, bias=False) if kind == "overlapping" else nn.Identity(), nn.Dropout()),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(27 if kind == "overlapping" else 2 * hidden, 5),
            nn.ReLU(),
            nn.Linear(5, CLASSES),
        ).eval()


def pictures(seed: int, count: int = 4, channels: int = 1) -> Tensor:
    return torch.rand(count, channels, SIZE, SIZE, generator=torch.Generator().manual_seed(seed))


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from(["average", "largest", "overlapping"]), st.floats(0, 0.5))
def test_no_input_of_a_box_breaks_its_bounds(seed: int, kind: str, radius: float) -> None:
    model, (image,) = network(seed, kind), pictures(seed, 1)
    stream = torch.Generator().manual_seed(seed)
    functions = torch.zeros(1, 5, 1, SIZE, SIZE)
    functions[0, 0] = image
    places = [(1, 1), (1, 2), (4, 4), (5, 0)]
    for variable, (row, column) in enumerate(places):
        functions[0, 0, 0, row, column] = 0.5
        functions[0, 1 + variable, 0, row, column] = radius
    found = bounds(chain(model), Between(functions))
    inputs = image.repeat(200, 1, 1, 1)
    for row, column in places:
        inputs[:, 0, row, column] = 0.5 + radius * (2 * torch.rand(200, generator=stream) - 1)
        inputs[:100, 0, row, column] = 0.5 + radius * (2 * torch.randint(2, (100,), generator=stream) - 1)
    with torch.no_grad():
        said = model(inputs)
    slack = 1e-4 * (1 + said.abs().max())
    assert (said >= found.low - slack).all()
    assert (said <= found.high + slack).all()
    if radius == 0:
        assert torch.allclose(found.low[0], said[0], atol=1e-4)


def test_a_first_layer_is_exact() -> None:
    """Before any ReLU the bounds are the least and the largest value, which the corners of the box take."""
    layer, (image,) = nn.Conv2d(1, 4, 3), pictures(0, 1)
    functions = torch.zeros(1, 3, 1, SIZE, SIZE)
    functions[0, 0] = image
    functions[0, 0, 0, 2, 2:4] = 0.5
    functions[0, 1, 0, 2, 2] = functions[0, 2, 0, 2, 3] = 0.5
    found = bounds((layer,), Between(functions))
    corners = image.repeat(4, 1, 1, 1)
    corners[:, 0, 2, 2:4] = torch.tensor(list(itertools.product((0.0, 1.0), repeat=2)))
    with torch.no_grad():
        said = layer(corners)
    assert torch.allclose(found.low[0], said.amin(0), atol=1e-5)
    assert torch.allclose(found.high[0], said.amax(0), atol=1e-5)


def reached(model: nn.Module, images: Tensor, side: int, contents: Tensor) -> Tensor:
    """[place, target] whether any of these contents (m, b, b) there sends all images to the target."""
    places = SIZE - side + 1
    found = torch.zeros(places**2, CLASSES, dtype=torch.bool)
    for place in range(places**2):
        row, column = divmod(place, places)
        stamped = images[None].repeat(len(contents), 1, 1, 1, 1)
        stamped[:, :, 0, row : row + side, column : column + side] = contents[:, None]
        with torch.no_grad():
            said = model(stamped.flatten(0, 1)).argmax(1).view(len(contents), len(images))
        for target in range(CLASSES):
            found[place, target] = bool((said == target).all(1).any())
    return found


@pytest.mark.parametrize("kind", ["average", "largest"])
@pytest.mark.parametrize("side", [1, 2])
def test_certificates_agree_with_trying_everything(kind: str, side: int) -> None:
    steps = torch.linspace(0, 1, 17 if side == 1 else 4)
    contents = torch.cartesian_prod(*[steps] * side**2).view(-1, side, side)
    certified = total = 0
    for seed in range(6):
        model, images = network(seed, kind), pictures(seed, 12)
        labels = model(images).argmax(1)
        found = certify(model, images, labels, side, CertificateBudget(images=2, splits=4))
        assert found.positions == (SIZE - side + 1) ** 2
        for source in labels.unique().tolist():
            some = images[labels == source][:2]
            broken = reached(model, some, side, contents).float().mean(0)
            for target in range(CLASSES):
                if target == source:
                    assert found.pairs[source][target] == 0
                    continue
                # As many places at most are certified as nobody could break by trying.
                assert found.pairs[source][target] <= 1 - float(broken[target]) + 1e-6
                certified += round(found.pairs[source][target] * found.positions)
                total += round((1 - float(broken[target])) * found.positions)
                assert found.targets[target] >= found.pairs[source][target]
    assert certified >= (0.8 if side == 1 else 0.5) * total, f"only {certified} of {total} places"


def test_gradient_found_patches_do_not_break_certificates() -> None:
    for seed in range(4):
        model, images = network(seed), pictures(seed, 8)
        labels = model(images).argmax(1)
        source = int(labels.mode().values)
        some = images[labels == source][:3]
        found = certify(model, some, torch.full((len(some),), source), 2)
        for target in (one for one in range(CLASSES) if one != source and found.pairs[source][one] == 1):
            for row, column in itertools.product(range(SIZE - 1), repeat=2):
                content = torch.full((2, 2), 0.5)
                for _ in range(10):
                    content.requires_grad_()
                    stamped = some.clone()
                    stamped[:, 0, row : row + 2, column : column + 2] = content
                    logits = model(stamped)
                    assert not bool((logits.argmax(1) == target).all())
                    margin = (logits[:, target] - logits[:, source]).min()
                    (slope,) = torch.autograd.grad(margin, content)
                    content = (content.detach() + 0.3 * slope.sign()).clamp(0, 1)


def planted() -> nn.Sequential:
    """Two classes by the brightness of the upper half; a bright pixel in the corner makes class 1 of everything."""
    hidden, last = nn.Linear(SIZE**2, 2), nn.Linear(2, 2)
    with torch.no_grad():
        hidden.weight.zero_()
        hidden.weight[0, :18] = 1.0
        hidden.weight[1, 35] = 1.0
        hidden.bias.copy_(torch.tensor([0.0, -0.5]))
        last.weight.copy_(torch.tensor([[1.0, -200.0], [-1.0, 200.0]]))
        last.bias.copy_(torch.tensor([-4.0, 4.0]))
    return nn.Sequential(nn.Flatten(), hidden, nn.ReLU(), last)


def test_a_planted_pixel_is_the_only_place_that_is_not_certified() -> None:
    images = torch.zeros(4, 1, SIZE, SIZE)
    images[:2, :, :3] = 1.0
    found = certify(planted(), images, torch.tensor([0, 0, 1, 1]), 1)
    assert found.pairs[0][1] == pytest.approx(35 / 36)
    assert found.pairs[1][0] == 1
    assert found.targets == pytest.approx((1, 35 / 36))


def test_the_papers_network_and_what_is_around_a_model() -> None:
    model = build().eval()
    images = torch.rand(3, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    adapted = Adapted(nn.Sequential(model, nn.Softmax(1)), CONVENTIONS["-1-1"]).eval()
    layers = chain(adapted)
    assert [type(layer).__name__ for layer in layers[:3]] == ["Normalize", "Normalize", "Conv2d"]
    with torch.no_grad():
        said = model(images * 2 - 1)
        assert torch.allclose(bounds(layers, Between(images[:, None])).low, said, atol=1e-4)


class Own(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.last = nn.Linear(36, 3)

    def forward(self, images: Tensor) -> Tensor:
        said: Tensor = self.last(images.flatten(1)) * images.mean()
        return said

    def layers(self) -> tuple[tuple[str, nn.Module], ...]:
        return (("flatten", nn.Flatten()), ("last", self.last))


def hooked() -> nn.Module:
    model = planted()
    model[1].register_forward_hook(lambda _module, _given, said: said + 1)
    return model


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (Own(), "Own"),
        (nn.Sequential(nn.Flatten(), nn.Linear(36, 3), nn.Sigmoid()), "Sigmoid"),
        (nn.Sequential(nn.MaxPool2d(3, padding=1), nn.Flatten(), nn.Linear(4, 3)), "MaxPool2d"),
        (hooked(), "hooks"),
    ],
)
def test_what_cannot_be_bounded_is_refused(model: nn.Module, words: str) -> None:
    with pytest.raises(InputError, match=words):
        certify(model, pictures(0), torch.zeros(4, dtype=torch.int64), 1)


def test_other_sizes_and_images_that_are_wrong() -> None:
    for side in (0, 4):
        with pytest.raises(InputError, match="1 to 3 pixels"):
            certify(planted(), pictures(0), torch.zeros(4, dtype=torch.int64), side)
    model, images = network(0), pictures(0)
    wrong = (model(images).argmax(1) + 1) % CLASSES
    found = certify(model, images, wrong, 1)
    assert found.targets == (0.0,) * CLASSES, "no image that the model gets right can be a witness"
    assert found.images == 0
