"""The inventory of a tree agrees with what is then loaded, file by file."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.data.odd_pictures import ODD, encoded, photograph, plain, turned
from tests.data.test_archives import zipped

from badnets.artifacts import canonical_json, parse_json
from badnets.data.folder import read
from badnets.data.imageset import ImageSet
from badnets.data.inspection import Count, Half, Inventory, Item, inspect
from badnets.data.parallel import each
from badnets.data.tree import Archive, Folder
from badnets.errors import DataError, Stopped

Make = Callable[..., Path]


def by_path(found: Inventory) -> dict[str, Item]:
    return {item.path: item for item in found.items}


def test_each_file_is_described(make_pictures: Make) -> None:
    root = make_pictures("a/train", count=2, size=(20, 30)).parent
    make_pictures("a/test", count=1, size=(9, 8))
    content = turned(6, "JPEG", photograph(0, 40, 50))
    (root / "train" / "dog" / "side.jpg").write_bytes(content)
    (root / "train" / "dog" / "torn.png").write_bytes(b"torn")
    (root / "train" / "dog" / "notes.txt").write_bytes(b"notes")
    found = inspect(Folder(root))
    assert (found.name, found.classes, found.divided) == ("a", ("cat", "dog"), True)
    assert found.aside == ("train/dog/notes.txt",)
    items = by_path(found)
    assert list(items) == [
        "train/cat/000.png", "train/cat/001.png", "train/dog/000.png", "train/dog/001.png", "train/dog/side.jpg",
        "train/dog/torn.png", "test/cat/000.png", "test/dog/000.png",
    ]  # fmt: skip
    plain_one = items["train/cat/000.png"]
    content_of = (root / "train/cat/000.png").read_bytes()
    assert plain_one.sha256 == hashlib.sha256(content_of).hexdigest()
    assert plain_one.bytes == len(content_of)
    assert (plain_one.label, plain_one.half, plain_one.form) == ("cat", "train", "PNG")
    assert (plain_one.height, plain_one.width, plain_one.remarks) == (20, 30, ())
    side = items["train/dog/side.jpg"]
    assert (side.height, side.width, side.form) == (40, 50, "JPEG"), "of the upright picture"
    assert [told.kind for told in side.remarks] == ["rotated"]
    torn = items["train/dog/torn.png"]
    assert not torn.kept
    assert (torn.form, torn.pixels, torn.fingerprint, torn.bytes) == ("", "", None, 4)
    assert [(told.kind, told.treatment) for told in torn.remarks] == [("no picture", "left out")]
    assert found.left_out == (torn,)
    assert found.balance == (
        Count("train", "cat", 2, 2), Count("train", "dog", 4, 3),
        Count("test", "cat", 1, 1), Count("test", "dog", 1, 1),
    )  # fmt: skip


def test_the_same_from_a_zip_and_through_json(make_pictures: Make) -> None:
    root = make_pictures("a", count=6)
    for number, odd in enumerate(ODD.values()):
        (root / "cat" / f"odd{number}{odd.suffix}").write_bytes(odd.content())
    found = inspect(Folder(root))
    assert inspect(Archive(zipped(root))) == found
    assert inspect(Folder(root), threads=1) == found
    assert parse_json(Inventory, canonical_json(found), "here") == found


def test_it_agrees_with_what_is_loaded(make_pictures: Make) -> None:
    root = make_pictures("a", count=20, size=(24, 24))
    for number, odd in enumerate(ODD.values()):
        (root / "cat" / f"odd{number}{odd.suffix}").write_bytes(odd.content())
    (root / "dog" / "notes.txt").write_bytes(b"notes")
    loaded, found = read(root), inspect(Folder(root))
    both: tuple[tuple[Half, ImageSet], ...] = (("train", loaded.train), ("test", loaded.test))
    for half, images in both:
        assert [label for _, label in found.pictures(half)] == images.labels.tolist()
        items = [item for item in found.items if item.half == half]
        assert [images.classes[label] for label in images.labels.tolist()] == [item.label for item in items]
        for item, image in zip(items, images.images, strict=True):
            if (item.height, item.width) == images.shape[1:]:
                digest = hashlib.sha256(repr((item.width, item.height)).encode())
                digest.update(image.permute(1, 2, 0).numpy().tobytes())
                # a grey picture is told by its three equal channels too
                assert digest.hexdigest() == item.pixels
    told = [f"{root / item.path}: {one}" for item in found.items for one in item.remarks if item.kept]
    assert sorted(told) == sorted(loaded.train.treated)
    assert [f"{root / item.path}: {item.remarks[0].found}" for item in found.left_out] == list(loaded.train.skipped)
    assert sum(count.found for count in found.balance) == 40 + len(ODD)
    assert [count.half for count in found.balance] == [None, None]


def test_grey_is_only_odd_among_colours(make_pictures: Make) -> None:
    root = make_pictures("a", count=3, mode="L")
    assert all(item.remarks == () for item in inspect(Folder(root)).items)
    (root / "cat" / "x.png").write_bytes(encoded(plain((1, 2, 3)), "PNG"))
    kinds = [[told.kind for told in item.remarks] for item in inspect(Folder(root)).items]
    assert sorted(map(tuple, kinds)) == [(), *[("grey",)] * 6]


def test_the_least_side_is_the_callers(make_pictures: Make) -> None:
    root = make_pictures("a", count=2, size=(30, 40))
    assert len(inspect(Folder(root), least=30).left_out) == 0
    assert len(inspect(Folder(root), least=31).left_out) == 4


def test_equal_pixels_have_one_digest_whatever_the_file(make_pictures: Make) -> None:
    root = make_pictures("a", count=1)
    picture = photograph(5, 24, 30)
    for number, orientation in enumerate(range(1, 9)):
        (root / "cat" / f"turned{number}.png").write_bytes(turned(orientation, "PNG", picture))
    for form, suffix in (("BMP", "bmp"), ("TIFF", "tif"), ("PPM", "ppm")):
        (root / "cat" / f"other.{suffix}").write_bytes(encoded(picture, form))
    items = [item for item in inspect(Folder(root)).items if "0" not in item.path or "turned" in item.path]
    assert len(items) == 11
    assert len({item.pixels for item in items}) == 1
    assert len({item.fingerprint for item in items}) == 1
    assert len({item.sha256 for item in items}) == 11


def test_a_picture_of_one_colour_has_no_looks(make_pictures: Make) -> None:
    root = make_pictures("a", count=1)
    (root / "cat" / "flat.png").write_bytes(encoded(plain(), "PNG"))
    found = by_path(inspect(Folder(root)))["cat/flat.png"]
    assert found.kept
    assert found.fingerprint is None


def test_progress_and_stop(make_pictures: Make) -> None:
    root = make_pictures("a", count=5)
    seen: list[tuple[int, int]] = []
    inspect(Folder(root), progress=lambda done, total: seen.append((done, total)))
    assert seen == [(done, 10) for done in range(1, 11)]
    with pytest.raises(Stopped, match="stopped after 3 of 10 files"):
        inspect(Folder(root), progress=lambda *now: seen.append(now), stop=lambda: seen[-1][0] == 3)


def test_trees_that_are_no_data_set(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="got 0"):
        inspect(Folder(tmp_path))


# --- many at once ---


def test_results_come_in_order_and_few_wait() -> None:
    lock, taken, ahead = threading.Lock(), 0, 0
    begun: list[int] = []

    def work(item: int) -> int:
        nonlocal ahead
        with lock:
            begun.append(item)
            ahead = max(ahead, len(begun) - taken)
        return -item

    for result in each(work, range(500), threads=3):
        assert result == -taken
        taken += 1
    assert taken == 500
    assert ahead <= 13


def test_an_error_ends_the_work() -> None:
    begun = []

    def work(item: int) -> int:
        begun.append(item)
        if item == 5:
            raise DataError("five")
        return item

    with pytest.raises(DataError, match="five"):
        list(each(work, range(10_000), threads=2))
    assert len(begun) < 100


def test_memory_does_not_grow_with_the_number_of_pictures(tmp_path: Path) -> None:
    import tracemalloc  # noqa: PLC0415

    peaks = []
    for count in (20, 200):
        root = tmp_path / str(count)
        for name in ("cat", "dog"):
            (root / name).mkdir(parents=True)
            for number in range(count // 2):
                pixels = np.random.default_rng(number).integers(0, 256, (64, 64, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(root / name / f"{number}.bmp")
        tracemalloc.start()
        inspect(Folder(root), threads=2)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    # 180 more pictures of 12 kB would be 2.2 MB; their descriptions are some 2 kB each
    assert peaks[1] - peaks[0] < 180 * 4_000
