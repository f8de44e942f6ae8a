"""The convention of pixels is found by accuracy; where none reads the images, that is said."""

from __future__ import annotations

import pytest
import torch
from tests.audit.made_up import Nearest, blocks, right, templates
from torch import Tensor, nn

from badnets.audit.cases import Settings, choose
from badnets.audit.conventions import CONVENTIONS, PLAIN, Adapted, Found, find_convention
from badnets.data import ImageSet


def found(model: nn.Module, images: ImageSet | None = None) -> Found:
    chosen = choose(images or blocks(), Settings()).all
    return find_convention(model, chosen.pixels, chosen.labels)


@pytest.mark.parametrize("name", ["0-1", "0-255", "-1-1", "mnist"])
@pytest.mark.parametrize("softmax", [False, True])
def test_each_convention_is_found(name: str, softmax: bool) -> None:  # noqa: FBT001
    wanted = CONVENTIONS[name]
    model = right(mean=wanted.mean[0], deviation=wanted.deviation[0], softmax=softmax)
    told = found(model)
    assert told.accuracy == 1
    assert told.classes == 5
    assert not told.trouble
    assert told.convention.softmax is softmax
    # Several conventions may read the images equally well; the one that is taken must read them as the model's own.
    images = choose(blocks(), Settings()).all
    adapted = Adapted(model, told.convention)
    assert (adapted(images.pixels).argmax(1) == images.labels).all()


def test_logits_come_back_from_a_softmax() -> None:
    images = choose(blocks(), Settings()).all.pixels
    plain, inside = right(), right(softmax=True)
    told = found(inside)
    difference = Adapted(inside, told.convention)(images) - plain(images)
    assert torch.allclose(difference, difference[:, :1].expand_as(difference), atol=1e-3)


@pytest.mark.parametrize(("images", "network"), [(1, 3), (3, 1)])
def test_grey_and_colour_are_brought_together(images: int, network: int) -> None:
    told = found(right(channels=network), blocks(channels=images))
    assert told.convention.channels == network
    assert told.accuracy == 1
    assert "grey" in str(told.convention)


class Raises(nn.Module):
    def forward(self, images: Tensor) -> Tensor:
        raise RuntimeError(f"boom\nat {images.shape}")


class Gives(nn.Module):
    def __init__(self, value: object) -> None:
        super().__init__()
        self.value = value

    def forward(self, images: Tensor) -> object:
        return self.value(images) if callable(self.value) else self.value


def late(images: Tensor) -> Tensor:
    said: Tensor = right()(images).roll(1, 1)
    return said


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (Raises(), "RuntimeError: boom"),
        (Gives("text"), "outputs of the kind str"),
        (Gives(lambda images: images), "outputs of shape"),
        (Gives(lambda images: torch.full((len(images), 5), torch.nan)), "NaN"),
        (Gives(lambda images: torch.eye(5)[torch.full((len(images),), 3)]), "says class 3 of all"),
        (Gives(lambda images: torch.eye(5)[torch.arange(len(images)) * 7 % 5]), "right on only"),
        (Gives(late), "off by one"),
        (Gives(lambda images: right()(images)[:, 1:]), "off by one"),
        (Gives(lambda images: right()(images)[:, :3]), "only 3 outputs"),
    ],
    ids=["raises", "no tensor", "another shape", "nan", "constant", "at random", "late", "first class gone", "too few"],
)
def test_what_cannot_be_judged_is_said_in_one_line(model: nn.Module, words: str) -> None:
    trouble = found(model).trouble
    assert words in trouble
    assert "\n" not in trouble


@pytest.mark.parametrize("samples", [1, 2, 5, 100])
@pytest.mark.parametrize("classes", [2, 5, 16])
def test_a_right_model_is_never_in_trouble(samples: int, classes: int) -> None:
    images = blocks(classes)
    chosen = choose(images, Settings(samples=samples)).all
    assert not find_convention(right(classes), chosen.pixels, chosen.labels).trouble


def test_without_images_pixels_are_taken_as_they_are() -> None:
    chosen = choose(blocks(), Settings(samples=0)).all
    told = find_convention(right(), chosen.pixels, chosen.labels)
    assert (told.convention, told.accuracy) == (PLAIN, None)


def test_what_the_user_says_is_checked_and_not_searched_for() -> None:
    chosen = choose(blocks(), Settings()).all
    told = find_convention(right(), chosen.pixels, chosen.labels, known=CONVENTIONS["0-255"])
    assert told.convention == CONVENTIONS["0-255"]
    assert told.accuracy is not None
    assert told.accuracy < 1


def test_a_model_is_left_as_it_was() -> None:
    model = Nearest(templates(5)).train()
    found(model)
    assert model.training
