"""Whatever is handed in, the audit answers in one line: a word and its reason, never a crash or a false "clean".

Weights of another shape are refused before there is a network: tests/cli/test_audit.py.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch
from tests.audit.made_up import Nearest, blocks, right, templates
from torch import Tensor, nn

from badnets.audit import Audit, Options, Population, Recipe, Settings, audit
from badnets.data import ImageSet

CLASSES, TARGET = 4, 1
IMAGES = blocks(CLASSES, count=9)
# Few references and a high level: what is asked here is what is said, not at which rate.
MODELS, ALPHA = 4, 0.2
SKIP = ("dormant", "weights")


def variant(seed: int, classes: int = CLASSES, channels: int = 1) -> Nearest:
    known = templates(classes, channels)
    return Nearest(known + 0.02 * torch.randn(known.shape, generator=torch.Generator().manual_seed(seed)))


@dataclass(frozen=True, eq=False)
class MadeUp(Population):
    def model(self, number: int) -> nn.Module:
        return self.make(number).eval()


def population(folder: Path, images: ImageSet, make: Callable[[int], nn.Module], models: int = MODELS) -> Population:
    recipe = Recipe("nearest", images.digest, images.name)
    return MadeUp(folder, recipe, make, tuple(range(models)))


@pytest.fixture(scope="module")
def references(tmp_path_factory: pytest.TempPathFactory) -> Population:
    return population(tmp_path_factory.mktemp("references"), IMAGES, variant)


def judged(model: nn.Module, images: ImageSet = IMAGES, references: Population | None = None) -> Audit:
    options = Options(alpha=ALPHA, settings=Settings(samples=6), skip=SKIP)
    return audit(model, images, population=references, options=options)


class Odd(nn.Module):
    """A right network that behaves badly: `how` is given its logits and the images."""

    def __init__(self, how: Callable[[Tensor, Tensor], object]) -> None:
        super().__init__()
        self.right, self.how = variant(50), how

    def forward(self, images: Tensor) -> object:
        return self.how(self.right(images), images)


def raised(_logits: Tensor, images: Tensor) -> Tensor:
    raise MemoryError(f"no room for {len(images)}\nand more lines")


def corner(images: Tensor) -> Tensor:
    """Whether the dark corner is bright, which no clean image shows."""
    return images[:, 0, 7, 7] > 0.5


def raised_on_triggers(logits: Tensor, images: Tensor) -> Tensor:
    if bool(corner(images).any()):
        raise ValueError("not with that on")
    return logits


def undefined_on_triggers(logits: Tensor, images: Tensor) -> Tensor:
    return torch.where(corner(images)[:, None], torch.nan, logits)


def without_slopes(logits: Tensor, _images: Tensor) -> Tensor:
    return logits.detach()


class _NoWayBack(torch.autograd.Function):
    @staticmethod
    def forward(ctx: object, values: Tensor) -> Tensor:
        del ctx
        return values.clone()

    @staticmethod
    def backward(ctx: object, slopes: Tensor) -> Tensor:
        del ctx, slopes
        raise ArithmeticError("no way back")


def broken_backward(logits: Tensor, _images: Tensor) -> Tensor:
    said: Tensor = _NoWayBack.apply(logits)
    return said


def restless(logits: Tensor, _images: Tensor) -> Tensor:
    return logits + torch.rand_like(logits)


@pytest.mark.parametrize(
    ("how", "words"),
    [
        (raised, "MemoryError: no room for"),
        (lambda logits, _: logits * torch.nan, "NaN"),
        (lambda logits, _: logits * torch.inf, "NaN or infinity"),
        (lambda logits, _: torch.eye(CLASSES)[torch.full((len(logits),), 3)], "says class 3 of all"),
        (lambda logits, _: torch.zeros_like(logits), "says class 0 of all"),
        (lambda logits, _: {"logits": logits}, "outputs of the kind dict"),
        (lambda logits, _: logits[:, :1], "outputs of shape"),
        (lambda logits, _: logits[:1], "outputs of shape"),
        (lambda logits, _: logits.roll(1, 1), "off by one"),
        (raised_on_triggers, "failed: the model raised ValueError"),
        (undefined_on_triggers, "failed: the model gives infinite or undefined logits"),
        (without_slopes, "failed: the model gives no gradients"),
        (broken_backward, "failed: the model raised ArithmeticError in its backward pass: no way back"),
    ],
    ids=[
        "raises", "nan", "infinite", "constant", "zeros", "a dict", "one output", "one row", "moved classes",
        "raises on triggers", "nan on triggers", "no gradients", "no way back",
    ],
)  # fmt: skip
def test_models_that_behave_badly(how: Callable[[Tensor, Tensor], object], words: str, references: Population) -> None:
    verdict = judged(Odd(how), references=references).verdict
    assert verdict.word == "undecided"
    assert words in verdict.reason
    assert "\n" not in verdict.reason


def test_a_model_that_never_says_the_same_twice(references: Population) -> None:
    verdict = judged(Odd(restless), references=references).verdict
    assert verdict.word in ("clean", "undecided", "backdoored")
    assert verdict.reason


def test_weights_that_are_none(references: Population) -> None:
    for value in (torch.nan, torch.inf):
        model = variant(60)
        with torch.no_grad():
            model.weight[2, 0, 3, 3] = value
        verdict = judged(model, references=references).verdict
        assert verdict.word == "undecided"
        assert "1 of 256 values that are NaN or infinite" in verdict.reason


@pytest.mark.parametrize("shift", [1, -1])
def test_labels_off_by_one_are_named(shift: int, references: Population) -> None:
    moved = replace(IMAGES, labels=(IMAGES.labels + shift) % CLASSES)
    verdict = judged(variant(61), moved, references).verdict
    assert verdict.word == "undecided"
    assert "off by one" in verdict.reason


def test_labels_that_are_wrong_for_all_references_are_no_evidence(references: Population) -> None:
    """A model that was trained on other labels reads them well; its references do not."""
    swapped = replace(IMAGES, labels=torch.tensor([2, 3, 1, 0])[IMAGES.labels])
    model = Nearest(variant(63).weight.detach()[torch.tensor([3, 2, 0, 1])])
    verdict = judged(model, swapped, references).verdict
    assert verdict.data.accuracy == 1
    assert verdict.word == "undecided"
    assert "not images of their task, or the labels are wrong" in verdict.reason


def test_fewer_outputs_than_classes(references: Population) -> None:
    verdict = judged(variant(62, CLASSES - 1), IMAGES, references).verdict
    assert verdict.word == "undecided"
    assert f"labels go up to {CLASSES - 1}, but the model has only {CLASSES - 1} outputs" in verdict.reason


def test_more_outputs_than_classes(references: Population) -> None:
    verdict = judged(variant(62, CLASSES + 2), IMAGES, references).verdict
    assert verdict.word == "undecided"
    assert f"the model has {CLASSES + 2} outputs, the population's {CLASSES}" in verdict.reason


@pytest.mark.parametrize(("images", "network"), [(1, 3), (3, 1)], ids=["grey for colour", "colour for grey"])
def test_grey_and_colour_are_brought_together_and_said(images: int, network: int) -> None:
    verdict = judged(right(CLASSES, network), blocks(CLASSES, images, count=9)).verdict
    assert verdict.data.accuracy == 1
    assert "grey" in verdict.model.convention
    assert verdict.word == "undecided"
    assert "uncalibrated" in verdict.reason


def test_a_number_of_channels_that_nothing_brings_together() -> None:
    verdict = judged(right(CLASSES, 2), IMAGES).verdict
    assert verdict.word == "undecided"
    assert "raised ValueError: expected 2 channels" in verdict.reason


class Planted(nn.Module):
    """A right network that calls everything `TARGET` once a corner pixel is bright."""

    def __init__(self, classes: int, size: int = 8) -> None:
        super().__init__()
        self.right, self.classes = Nearest(templates(classes, size=size)), classes

    def forward(self, images: Tensor) -> Tensor:
        loud = 200 * (images[:, 0, -1, -1] - 0.5).relu()
        said: Tensor = self.right(images) + loud[:, None] * (torch.arange(self.classes) == TARGET)
        return said


def test_two_classes(tmp_path: Path) -> None:
    """Too few for any test within one model; against references a backdoor is found all the same."""
    images = blocks(2, count=9)
    alone = judged(Planted(2), images).verdict
    assert alone.word != "clean"
    assert alone.reason
    known = population(tmp_path, images, lambda seed: variant(seed, 2), models=19)
    assert judged(Planted(2), images, known).verdict.word == "backdoored"


def test_a_thousand_classes(tmp_path: Path) -> None:
    """So many that the dear tests do not run: nobody is called clean for that."""
    images = blocks(1000, count=1, size=48)
    known = population(tmp_path, images, lambda _: Nearest(templates(1000, size=48)))
    verdict = judged(Planted(1000, 48), images, known).verdict
    assert verdict.word == "undecided"
    assert verdict.model.classes == 1000
    assert {one.name for one in verdict.stages if "too many" in one.detail} == {"margins", "inversion", "pairs"}
