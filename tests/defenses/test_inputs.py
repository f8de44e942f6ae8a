"""Input filters: thresholds by their rule, scores against other code, and models whose backdoor is known."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as some
from scipy.stats import entropy
from tests.defenses.planted import TARGET, Planted, corner, quadrants
from torch import Tensor, nn

from badnets.defenses import INPUTS
from badnets.defenses.inputs import ScaleUpSpec, StripSpec, TedSpec, scale_up, strip, ted
from badnets.defenses.inputs.copies import answers
from badnets.defenses.inputs.scale_up import consistency
from badnets.defenses.inputs.screen import calibrated
from badnets.defenses.inputs.strip import mean_entropy
from badnets.defenses.inputs.ted import ranks
from badnets.errors import InputError

Defense = Callable[..., object]


class Brightness(nn.Module):
    """Tells 8 levels of mean brightness apart; a black last pixel is class 2 at any brightness."""

    def forward(self, images: Tensor) -> Tensor:
        level = (images.mean((1, 2, 3)) * 8).long().clamp(0, 7)
        level[images[:, 0, -1, -1] == 0] = 2
        return 10 * nn.functional.one_hot(level, 8).float()


class Undefined(nn.Module):
    def forward(self, images: Tensor) -> Tensor:
        return images.new_full((len(images), 4), float("nan"))


@given(some.integers(1, 400), some.floats(0.005, 0.6), some.integers(0, 100))
def test_a_threshold_is_that_of_split_conformal_prediction(n: int, alpha: float, seed: int) -> None:
    clean = quadrants(n)
    values = torch.rand(n, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    if n < 1 / alpha - 1 - 1e-9:
        with pytest.raises(InputError, match="at least"):
            calibrated("it", lambda _images: values, clean, alpha, 1)
        return
    screen = calibrated("it", lambda _images: values, clean, alpha, 1)
    above = int((values > screen.threshold).sum())
    # With one more image, exchangeable with these, at most alpha of all n + 1 places lie above.
    assert (above + 1) / (n + 1) <= alpha + 1e-9
    assert (above + 2) / (n + 1) > alpha - 1e-9


def test_the_stated_rate_of_false_rejections_holds() -> None:
    model, rates = Planted(), []
    for seed in range(12):
        screen = strip(model, quadrants(120, seed=seed), StripSpec(overlays=20, false_rejections=0.1), seed=seed)
        rates.append(float(screen(quadrants(200, seed=100 + seed).images).flagged.double().mean()))
    assert np.mean(rates) <= 0.1 + 3 * np.std(rates) / math.sqrt(len(rates))


@pytest.mark.parametrize("name", INPUTS)
def test_the_same_seed_gives_the_same_filter_and_the_model_stays(name: str) -> None:
    model, clean, suspect = Planted().train(), quadrants(400), corner(quadrants(20, seed=1).images)
    before = copy.deepcopy(model.state_dict())
    screens = [INPUTS[name](model, clean, seed=3) for _ in range(2)]
    assert screens[0].threshold == screens[1].threshold
    assert torch.equal(screens[0](suspect).scores, screens[1](suspect).scores)
    assert screens[0].method == name
    assert screens[0].calibrated_on < len(clean)
    assert model.training
    assert all(torch.equal(before[key], value) for key, value in model.state_dict().items())
    # One by one or together, an image has the same score.
    alone = torch.cat([screens[0](suspect[row : row + 1]).scores for row in range(3)])
    assert torch.allclose(alone, screens[0](suspect).scores[:3], atol=1e-5)


@pytest.mark.parametrize("name", INPUTS)
def test_a_broken_model_is_refused(name: str) -> None:
    with pytest.raises(InputError, match="undefined"):
        INPUTS[name](Undefined(), quadrants(400))


@pytest.mark.parametrize("name", INPUTS)
def test_too_few_clean_images_are_refused(name: str) -> None:
    with pytest.raises(InputError, match=r"clean images|at least"):
        INPUTS[name](Planted(), quadrants(12))


def test_strip_finds_a_trigger_that_survives_overlays() -> None:
    screen = strip(Planted(), quadrants(300), StripSpec(overlays=32, false_rejections=0.02))
    test = quadrants(80, seed=5)
    assert screen(corner(test.images)).flagged.all()
    assert screen(test.images).flagged.double().mean() < 0.1
    assert screen.passes == 32


def test_entropy_is_scipys() -> None:
    logits = torch.randn(5, 7, 4, generator=torch.Generator().manual_seed(0)) * 3
    shares = torch.softmax(logits.double(), -1).numpy()
    assert np.allclose(mean_entropy(logits), entropy(shares, base=2, axis=-1).mean(1))


def test_copies_are_asked_in_any_batches() -> None:
    images = quadrants(13).images

    def changed(part: Tensor) -> Tensor:
        return torch.stack([part, part / 2, 1 - part], 1)

    whole = answers(Planted(), images, changed)
    assert whole.shape == (13, 3, 4)
    assert torch.allclose(whole, answers(Planted(), images, changed, batch_size=1), atol=1e-5)
    assert torch.allclose(whole[:, 1], Planted()(images.float() / 510), atol=1e-4)


def test_scale_up_finds_a_trigger_that_scaling_leaves() -> None:
    stream = torch.Generator().manual_seed(0)
    clean = quadrants(600)
    level = torch.randint(5, 130, (600, 1, 1, 1), generator=stream)
    clean = type(clean)((clean.images // 25 + level).to(torch.uint8), clean.labels, clean.classes, "levels")
    test = clean.select(torch.arange(100))
    screen = scale_up(Brightness(), clean, ScaleUpSpec(false_rejections=0.05))
    stamped = test.images.clone()
    stamped[..., -1, -1] = 0
    assert screen(stamped).flagged.double().mean() > 0.95
    assert screen(test.images).flagged.double().mean() < 0.15


def test_scale_up_says_nothing_where_clean_images_stay_what_they_are() -> None:
    """Digits on black: consistent at any brightness, stamped or not. Nothing is turned away, and nothing is claimed."""

    class First(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            return images.flatten(1)[:, :4].sign() + torch.tensor([0.5, 0, 0, 0])

    screen = scale_up(First(), quadrants(300))
    assert not screen(corner(quadrants(40, seed=2).images)).flagged.any()


def test_consistency_by_hand() -> None:
    said = torch.tensor([[0, 0, 1], [2, 2, 2]])
    classes, share = consistency(nn.functional.one_hot(said, 3).float())
    assert classes.tolist() == [0, 2]
    assert share.tolist() == [0.5, 1.0]


def test_ted_finds_images_that_come_from_another_class() -> None:
    screen = ted(Planted(), quadrants(400), TedSpec(false_rejections=0.05))
    test = quadrants(80, seed=5)
    others = test.labels != TARGET
    assert screen(corner(test.images[others])).flagged.all()
    assert screen(test.images).flagged.double().mean() < 0.15


@given(some.integers(1, 6), some.integers(1, 12), some.integers(1, 4), some.integers(0, 50))
def test_ranks_are_those_of_sorting(n: int, m: int, classes: int, seed: int) -> None:
    stream = torch.Generator().manual_seed(seed)
    far = torch.rand(n, m, generator=stream)
    called, known = (torch.randint(classes, (size,), generator=stream) for size in (n, m))
    found = ranks(far, called, known)
    for row in range(n):
        order = known[far[row].argsort()].tolist()
        label = int(called[row])
        assert int(found[row]) == (order.index(label) if label in order else m)


def test_ted_with_a_class_that_no_reference_has() -> None:
    clean = quadrants(400)
    few = clean.select(clean.labels != 3)
    screen = ted(Planted(), few)
    test = quadrants(40, seed=1)
    assert screen(test.images[test.labels == 3]).scores.isinf().all()
    assert screen(test.images[test.labels != 3]).scores.isfinite().all()


def test_ted_with_two_classes_and_without_relu() -> None:
    screen = ted(Planted(classes=2), quadrants(200, classes=2))
    assert screen(corner(quadrants(40, 2, seed=1).select(torch.arange(1, 40, 2)).images)).flagged.all()
    linear = nn.Sequential(nn.Flatten(), nn.Linear(64, 4))
    with torch.no_grad():
        linear.get_parameter("1.weight").copy_(torch.block_diag(*[torch.ones(1, 16)] * 4))
    assert ted(linear, quadrants(200)).passes == 1
    with pytest.raises(InputError, match="no layer"):
        ted(linear, quadrants(200), TedSpec(("relu7",)))


def test_ted_with_a_constant_model() -> None:
    class Constant(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            return torch.tensor([1.0, 0, 0, 0]).expand(len(images), 4)

    screen = ted(Constant(), quadrants(200))
    assert not screen(quadrants(30, seed=1).images).flagged.any()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: StripSpec(false_rejections=0.0), "false rejection rate"),
        (lambda: StripSpec(overlays=0), "overlays"),
        (lambda: ScaleUpSpec(factors=(0.5,)), "above 1"),
        (lambda: TedSpec(false_rejections=1.0), "false rejection rate"),
    ],
)
def test_what_cannot_be_asked_for(make: Defense, message: str) -> None:
    with pytest.raises(InputError, match=message):
        make()
