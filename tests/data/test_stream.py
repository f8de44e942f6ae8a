"""Photographs decoded as they are asked for: the same pixels, the same training, in any process."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from badnets.data import ImageSet, ImageSource
from badnets.data.pictures import read_pictures
from badnets.data.stream import PhotoStream
from badnets.data.tree import Folder
from badnets.errors import DataError
from badnets.metrics import evaluate
from badnets.models import ModelSpec, build
from badnets.poison import Recipe, SingleTarget, TrainingSet, apply, overlay, plan
from badnets.training import Augment, ManySession, Order, TrainSpec, fit, fit_many, weights_digest
from badnets.triggers import Patch

COUNT, SIZE = 30, (24, 28)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    noise = np.random.default_rng(0)
    for number in range(COUNT):
        place = tmp_path / "dog" if number % 2 else tmp_path / "cat"
        place.mkdir(exist_ok=True)
        pixels = noise.integers(0, 256, (40, 33, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(place / f"{number:02}.jpg")
    return tmp_path


def stream(folder: Path, **options: int) -> PhotoStream:
    tree = Folder(folder)
    paths = tree.files()
    labels = torch.tensor([int(path.startswith("dog")) for path in paths])
    return PhotoStream(tree, paths, labels, ("cat", "dog"), "few", SIZE, **options)  # type: ignore[arg-type]


def held(folder: Path) -> ImageSet:
    tree = Folder(folder)
    files = [(path, int(path.startswith("dog"))) for path in tree.files()]
    return read_pictures(tree, files, ("cat", "dog"), "few", form=(SIZE, "RGB"))


def test_it_hands_out_what_reading_all_would(folder: Path) -> None:
    streamed, whole = stream(folder), held(folder)
    assert isinstance(streamed, ImageSource)
    assert isinstance(whole, ImageSource)
    assert streamed.shape == whole.shape == (3, *SIZE)
    rows = torch.tensor([29, 0, 7, 7])
    assert torch.equal(streamed.take(rows), whole.images[rows])
    again = pickle.loads(pickle.dumps(streamed))  # noqa: S301 - what we have just written
    assert torch.equal(again.take(rows), whole.images[rows])
    assert streamed.digest == stream(folder, threads=1).digest


def test_another_file_is_another_digest(folder: Path) -> None:
    before = stream(folder).digest
    Image.new("RGB", (9, 9)).save(folder / "cat" / "00.jpg")
    assert stream(folder).digest != before


@pytest.mark.parametrize("moved", [Augment(), Augment(shift=2, flip=True)], ids=["still", "augmented"])
def test_training_comes_out_the_same(folder: Path, moved: Augment) -> None:
    spec = TrainSpec(epochs=2, batch_size=8, augment=moved)
    models = []
    for images in (stream(folder), held(folder)):
        made = plan(images, Recipe(SingleTarget(1, 0), Patch.square(), rate=0.4))
        model = fit(build(ModelSpec.fitting(images, "photo_cnn")), overlay(images, made), spec).model
        models.append(model)
        assert evaluate(model, images, Patch.square(), SingleTarget(1, 0)) == evaluate(
            model, held(folder), Patch.square(), SingleTarget(1, 0)
        )
    assert weights_digest(models[0]) == weights_digest(models[1])


def test_workers_open_their_own(folder: Path) -> None:
    spec = TrainSpec(epochs=1, batch_size=8, augment=Augment())
    images = stream(folder)
    orders = [
        Order(build(ModelSpec.fitting(images, "photo_cnn"), seed=seed), TrainingSet.of(images), spec, seed)
        for seed in (0, 1)
    ]
    for done, order in zip(fit_many(orders, ManySession(workers=2)), orders, strict=True):
        alone = fit(order.model, order.data, spec, seed=order.seed)
        assert weights_digest(done.model) == weights_digest(alone.model)


def test_poisoned_files(folder: Path) -> None:
    images = stream(folder)
    made = plan(images, Recipe(SingleTarget(1, 0), Patch.square(), rate=0.4))
    found = apply(images, made)
    assert len(found) == COUNT + 6
    assert torch.equal(found.images[COUNT:], Patch.square()(images.take(torch.tensor(made.rows))))


def test_a_file_that_breaks_later(folder: Path) -> None:
    images = stream(folder)
    (folder / "cat" / "04.jpg").write_bytes(b"\xff\xd8\xff")
    with pytest.raises(DataError, match=r"04\.jpg: not a readable picture"):
        fit(build(ModelSpec.fitting(images, "photo_cnn")), images, TrainSpec(epochs=1, batch_size=8))
    (folder / "cat" / "04.jpg").unlink()
    with pytest.raises(DataError, match=r"04\.jpg: cannot be read"):
        images.take(torch.arange(COUNT))
    with pytest.raises(DataError, match="few: 0 files but 0 labels"):
        PhotoStream(Folder(folder), (), torch.tensor([], dtype=torch.int64), ("cat", "dog"), "few", SIZE)
