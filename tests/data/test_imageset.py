"""An image set keeps its word, and its digest is its identity."""

from __future__ import annotations

from dataclasses import replace

import jaxtyping
import pytest
import torch
from torch import Tensor

from badnets.data import ImageSet
from badnets.errors import DataError


def make(n: int = 6) -> ImageSet:
    pixels = torch.arange(n * 3 * 4 * 5).remainder(251).to(torch.uint8).reshape(n, 3, 4, 5)
    return ImageSet(pixels, torch.arange(n) % 3, ("a", "b", "c"), "some/train", ("x.png: torn",))


def test_what_it_says_about_itself() -> None:
    images = make()
    assert len(images) == 6
    assert images.shape == (3, 4, 5)
    assert repr(images) == "ImageSet('some/train', 6x3x4x5 uint8, 3 classes)"


@pytest.mark.parametrize(
    ("pixels", "labels", "classes", "words"),
    [
        (torch.zeros(2, 1, 4, 4), torch.tensor([0, 1]), 2, "expected uint8"),
        (torch.zeros(2, 4, 4, dtype=torch.uint8), torch.tensor([0, 1]), 2, "shape"),
        (torch.zeros(2, 1, 4, 4, dtype=torch.uint8), torch.tensor([0]), 2, "2 images but 1 labels"),
        (torch.zeros(0, 1, 4, 4, dtype=torch.uint8), torch.tensor([], dtype=torch.int64), 2, "no images"),
        (torch.zeros(2, 1, 4, 4, dtype=torch.uint8), torch.tensor([0, 2]), 2, r"labels 0\.\.2 do not fit 2 classes"),
        (torch.zeros(2, 1, 4, 4, dtype=torch.uint8), torch.tensor([-1, 0]), 2, r"labels -1\.\.0 do not fit"),
    ],
    ids=["float", "three axes", "too few labels", "empty", "label too high", "label below 0"],
)
def test_what_does_not_fit_together_is_refused(
    monkeypatch: pytest.MonkeyPatch, pixels: Tensor, labels: Tensor, classes: int, words: str
) -> None:
    # Outside of tests nothing checks shapes but the set itself.
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)
    with pytest.raises(DataError, match=words):
        ImageSet(pixels, labels, tuple("ab"[:classes]), "some")


def test_select_keeps_pixels_and_labels_together_in_the_order_asked_for() -> None:
    images = make()
    picked = images.select(torch.tensor([4, 0, 4]), "few")
    assert torch.equal(picked.images, images.images[[4, 0, 4]])
    assert picked.labels.tolist() == [1, 0, 1]
    assert (picked.name, picked.classes, picked.skipped) == ("few", images.classes, ())
    by_mask = images.select(images.labels == 2)
    assert torch.equal(by_mask.images, images.images[[2, 5]])
    assert by_mask.name == images.name


def test_the_digest_is_of_the_content_only() -> None:
    images = make()
    same = ImageSet(images.images.clone(), images.labels.clone(), images.classes, "another name")
    assert same.digest == images.digest
    # a view with other strides is the same data
    turned = images.images.permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2)
    assert not turned.is_contiguous()
    assert replace(images, images=turned).digest == images.digest


def test_every_change_changes_the_digest() -> None:
    images = make()
    pixel = images.images.clone()
    pixel[3, 2, 1, 4] += 1
    label = images.labels.clone()
    label[5] = 0
    variants = [
        images,
        replace(images, images=pixel),
        replace(images, labels=label),
        replace(images, classes=("a", "b", "d")),
        replace(images, classes=("a", "b", "c", "d")),
        images.select(torch.tensor([1, 0, 2, 3, 4, 5])),
        images.select(torch.arange(5)),
        replace(images, images=images.images.reshape(6, 3, 5, 4)),
    ]
    assert len({variant.digest for variant in variants}) == len(variants)
