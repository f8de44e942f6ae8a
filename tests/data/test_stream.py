"""Photographs decoded as they are asked for: the same pixels, the same training, in any process."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from badnets.data import ImageSet, ImageSource, PhotoStream, catalog, load_photographs
from badnets.data import folder as in_folder
from badnets.data.folder import Album, look
from badnets.data.pictures import read_picture, read_pictures
from badnets.data.streamed import streamed
from badnets.data.tree import Folder
from badnets.errors import DataError, InputError, Stopped
from badnets.metrics import evaluate
from badnets.models import ModelSpec, build
from badnets.poison import DataPoisoner, FilePoisoner, Recipe, SingleTarget, TrainingSet, apply, overlay, plan
from badnets.training import Augment, ManySession, Order, TrainSpec, fit, fit_many, weights_digest
from badnets.triggers import Patch, Sticker

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
    assert images.digest  # studies know it before they train
    (folder / "cat" / "04.jpg").write_bytes(b"\xff\xd8\xff")
    with pytest.raises(DataError, match=r"04\.jpg: not a readable picture"):
        fit(build(ModelSpec.fitting(images, "photo_cnn")), images, TrainSpec(epochs=1, batch_size=8))
    (folder / "cat" / "04.jpg").unlink()
    with pytest.raises(DataError, match=r"04\.jpg: cannot be read"):
        images.take(torch.arange(COUNT))
    with pytest.raises(DataError, match="few: 0 files but 0 labels"):
        PhotoStream(Folder(folder), (), torch.tensor([], dtype=torch.int64), ("cat", "dog"), "few", SIZE)


def test_a_folder_as_streams_is_what_it_is_in_memory(folder: Path) -> None:
    (folder / "dog" / "31.jpg").write_bytes(b"\xff\xd8\xff")
    Image.new("RGBA", (20, 20), (9, 200, 9, 90)).save(folder / "cat" / "99.png")
    for undamaged in (False, True):
        if undamaged:
            (folder / "dog" / "31.jpg").unlink()
        album = look(Folder(folder), SIZE, mode="RGB")
        assert album.pixels == len(album.train) * 3 * SIZE[0] * SIZE[1]
        seen: list[tuple[int, int]] = []
        found = streamed(album, progress=partial(_note, seen))
        for one, whole in zip((found.train, found.test), held_halves(album), strict=True):
            assert (one.known == "") is not undamaged
            assert one.digest == whole.digest
            assert (one.name, one.classes, one.shape) == (whole.name, whole.classes, whole.shape)
            assert (one.skipped, one.treated) == (whole.skipped, whole.treated)
            assert torch.equal(one.take(torch.arange(len(one))), whole.images)
            assert torch.equal(one.labels, whole.labels)
        assert seen == [(at + 1, len(album.train)) for at in range(len(album.train))]


def _note(seen: list[tuple[int, int]], done: int, total: int) -> None:
    seen.append((done, total))


def held_halves(album: Album) -> tuple[ImageSet, ImageSet]:
    split = in_folder.held(album)
    return split.train, split.test


def test_halves_of_its_own(make_pictures: Callable[..., Path]) -> None:
    make_pictures("pets/train", count=4)
    root = make_pictures("pets/val", count=3).parent
    (root / "val" / "cat" / "000.png").write_bytes(b"")
    album = look(Folder(root), SIZE)
    found = streamed(album)
    for one, whole in zip((found.train, found.test), held_halves(album), strict=True):
        assert (one.digest, one.skipped) == (whole.digest, whole.skipped)
        assert torch.equal(one.take(torch.arange(len(one))), whole.images)
    assert "not a readable picture (an empty file" in streamed(album).test.skipped[0]
    for file in (root / "val").rglob("*.png"):
        file.write_bytes(b"")
    with pytest.raises(DataError, match="pets/test: not one readable picture for it among 14 files"):
        streamed(album)
    with pytest.raises(Stopped, match="stopped after reading 1 of 14 pictures"):
        streamed(album, stop=lambda: True)


def test_memory_decides_unless_its_user_does(
    make_pictures: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    name = f"folder:{make_pictures('pets', count=5)}"
    assert isinstance(load_photographs(name).train, ImageSet)
    assert isinstance(load_photographs(name, stream=True).train, PhotoStream)
    monkeypatch.setattr(catalog, "LARGEST_HELD", 10 * 3 * 32 * 32 - 1)
    assert isinstance(load_photographs(name).train, PhotoStream)
    assert isinstance(load_photographs(name, stream=False).train, ImageSet)
    monkeypatch.setattr(catalog, "LARGEST_HELD", 10 * 3 * 32 * 32)
    assert isinstance(load_photographs(name).train, ImageSet)
    assert isinstance(load_photographs("creatures").train, ImageSet)
    with pytest.raises(InputError, match="creatures is no set of picture files"):
        load_photographs("creatures", stream=True)


def test_stamps_at_the_size_of_the_file(folder: Path) -> None:
    images, trigger = stream(folder), Sticker(size=0.5, jpeg=60)
    rows, flags = torch.tensor([3, 3, 8]), torch.tensor([True, False, True])
    stamped = images.stamped_at(rows, torch.tensor([0, 1, 0]), flags, trigger)
    found = stamped.take(torch.arange(3))
    assert torch.equal(found[1], images.take(rows[:1])[0]), "not asked for"
    for place in (0, 2):
        path = folder / images.paths[int(rows[place])]
        whole = torch.from_numpy(read_picture(path, None, "RGB")).permute(2, 0, 1)[None].contiguous()
        by_hand = Image.fromarray(trigger(whole)[0].permute(1, 2, 0).numpy())
        scaled = np.array(by_hand.resize((SIZE[1], SIZE[0]), Image.Resampling.BILINEAR, reducing_gap=2.0))
        assert torch.equal(found[place], torch.from_numpy(scaled).permute(2, 0, 1))
        assert not torch.equal(found[place], trigger(images.take(rows[place : place + 1]))[0]), "after scaling"
    assert stamped.labels.tolist() == [0, 1, 0]
    again = pickle.loads(pickle.dumps(stamped))  # noqa: S301 - what we have just written
    assert torch.equal(again.take(torch.arange(3)), found)
    digests = {
        images.digest, stamped.digest,
        images.stamped_at(rows, torch.tensor([0, 1, 0]), ~flags, trigger).digest,
        images.stamped_at(rows, torch.tensor([0, 1, 0]), flags, Sticker(size=0.5)).digest,
    }  # fmt: skip
    assert len(digests) == 4
    with pytest.raises(InputError, match="is stamped already"):
        stamped.stamped_at(rows, rows, flags, trigger)
    with pytest.raises(InputError, match=r"07\.jpg: a sticker of .* is larger than the image"):
        images.stamped_at(torch.tensor([18]), torch.tensor([0]), torch.tensor([True]), Sticker(size=50.0)).take(
            torch.tensor([0])
        )


def test_three_attackers(folder: Path) -> None:
    images, trigger = stream(folder), Sticker(size=0.4)
    made = plan(images, Recipe(SingleTarget(1, 0), trigger, rate=0.4))
    clean, rows = images.take(torch.arange(COUNT)), torch.tensor(made.rows)
    everything = torch.arange(COUNT + len(rows))
    data = DataPoisoner().training_set(images, made)
    in_memory = DataPoisoner().training_set(held(folder), made)
    assert torch.equal(data.base.take(everything), in_memory.base.take(everything))
    assert not bool(data.stamped.any())
    files = FilePoisoner().training_set(images, made)
    assert torch.equal(files.base.take(everything[:COUNT]), clean)
    stamped = files.base.take(everything[COUNT:])
    assert not torch.equal(stamped, trigger(images.take(rows)))
    # A sticker that is scaled with the picture is the same sticker, seen less sharply.
    assert (stamped.float() - trigger(images.take(rows)).float()).abs().mean() < 8
    for one in (data, files):
        assert one.labels.tolist() == in_memory.labels.tolist()
        assert one.plan == made
        assert len({data.base.digest, files.base.digest, in_memory.base.digest, images.digest}) == 4
    with pytest.raises(InputError, match="few is held in memory"):
        FilePoisoner().training_set(held(folder), made)
