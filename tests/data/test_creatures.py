"""The drawn cats and dogs: varied, the same in every run, and told apart by shape alone."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import nn
from torch.nn import functional

from badnets.data import ImageSet, Split, contact_sheet, creatures, load
from badnets.seeds import isolated


@pytest.fixture(scope="module")
def split() -> Split:
    """Drawn when the first test asks, and not while tests are collected."""
    return load("creatures")


def test_sizes_and_classes(split: Split) -> None:
    assert split.train.images.shape == (600, 3, 64, 64)
    assert split.test.images.shape == (200, 3, 64, 64)
    assert all(half.images.is_contiguous() for half in (split.train, split.test))
    assert split.train.classes == split.test.classes == ("cat", "dog")
    assert [half.labels.bincount().tolist() for half in (split.train, split.test)] == [[300, 300], [100, 100]]
    assert [half.name for half in (split.train, split.test)] == ["creatures/train", "creatures/test"]


def test_reading_again_gives_the_same_and_not_the_same_memory(split: Split) -> None:
    load("creatures").train.images.zero_()
    assert load("creatures").train.digest == split.train.digest
    torch.manual_seed(1)
    np.random.seed(1)  # noqa: NPY002 - whoever else uses it must not matter
    for number in range(0, 600, 23):
        picture = torch.from_numpy(creatures._picture(number)).permute(2, 0, 1)
        assert torch.equal(picture, split.train.images[number])


def test_every_picture_is_another_one(split: Split) -> None:
    pictures = torch.cat([half.images for half in (split.train, split.test)])
    assert len({picture.numpy().tobytes() for picture in pictures}) == 800
    small = functional.adaptive_avg_pool2d(pictures.float(), 8).flatten(1)
    apart = torch.cdist(small, small) / small.shape[1] ** 0.5
    apart.fill_diagonal_(255)
    assert float(apart.min()) > 6, "root of the mean square, in levels"


def test_both_kinds_are_as_bright_and_as_busy(split: Split) -> None:
    pictures, labels = split.train.images.float(), split.train.labels
    for measure in (pictures.mean((1, 2, 3)), pictures.std((1, 2, 3))):
        cats, dogs = measure[labels == 0], measure[labels == 1]
        error = (cats.var() / len(cats) + dogs.var() / len(dogs)).sqrt()
        assert abs(float(cats.mean() - dogs.mean())) < 4 * float(error)


@pytest.mark.parametrize("cells", [1, 2, 4])
def test_colours_and_backgrounds_do_not_tell_the_class(split: Split, cells: int) -> None:
    """A logistic classifier of thumbnails; of the mean colour, where they are one cell."""
    seen = [
        functional.adaptive_avg_pool2d(half.images.float(), cells).flatten(1).numpy()
        for half in (split.train, split.test)
    ]
    judge = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=1000))
    judge.fit(seen[0], split.train.labels.numpy())
    assert judge.score(seen[1], split.test.labels.numpy()) < 0.7


def network() -> nn.Sequential:
    layers: list[nn.Module] = [nn.AvgPool2d(2)]
    for before, after in ((3, 12), (12, 24), (24, 32)):
        layers += [nn.Conv2d(before, after, 3, padding=1), nn.BatchNorm2d(after), nn.ReLU(), nn.MaxPool2d(2)]
    return nn.Sequential(*layers, nn.Flatten(), nn.Dropout(0.3), nn.Linear(32 * 16, 2))


def test_a_small_network_tells_cats_from_dogs(split: Split) -> None:
    with isolated(0, "creatures", "test"):
        model = network()
        pictures, labels, epochs = (split.train.images.float() / 255 - 0.5), split.train.labels, 8
        optimizer = torch.optim.Adam(model.parameters())
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimizer, 1e-2, total_steps=epochs * math.ceil(len(labels) / 32)
        )
        for _ in range(epochs):
            for rows in torch.randperm(len(labels)).split(32):
                batch = pictures[rows]
                batch = torch.where(torch.rand(len(rows), 1, 1, 1) < 0.5, batch, batch.flip(3))
                optimizer.zero_grad()
                functional.cross_entropy(model(batch), labels[rows]).backward()
                optimizer.step()
                schedule.step()
    model.eval()
    with torch.inference_mode():
        said = model(split.test.images.float() / 255 - 0.5).argmax(1)
    assert float((said == split.test.labels).float().mean()) > 0.9


def test_a_contact_sheet_of_them(split: Split) -> None:
    few = ImageSet(split.test.images[:20], split.test.labels[:20], split.test.classes, "few")
    sheet = contact_sheet(few, columns=10, cell=64)
    assert sheet.size == (230 + 10 * 68, 2 * 68 + 4)
