"""What leaves the program: contact sheets one can judge by, files that read back the same."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from badnets.data import ImageSet, contact_sheet, load
from badnets.data.export import write_npz, write_pictures
from badnets.data.sheet import to_picture
from badnets.errors import StorageError
from badnets.triggers import SinglePixel


def small(channels: int = 3, count: int = 30, classes: tuple[str, ...] = ("ant", "bee", "cow")) -> ImageSet:
    stream = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (count, channels, 17, 12), generator=stream, dtype=torch.uint8)
    return ImageSet(pixels, torch.arange(count) % len(classes), classes, "small")


def blank(count: int, size: int = 28) -> ImageSet:
    return ImageSet(
        torch.zeros(count, 1, size, size, dtype=torch.uint8), torch.zeros(count).long(), ("a", "b"), "blank"
    )


# --- contact sheets ---


def test_a_sheet_has_a_row_for_each_class_and_a_column_for_each_picture() -> None:
    sheet = contact_sheet(load("digits").train, columns=7, cell=40)
    assert sheet.mode == "RGB"
    assert sheet.size == (230 + 7 * 44, 10 * 44 + 4)
    pixels = np.asarray(sheet.convert("L"))
    for row in range(10):
        label = pixels[4 + row * 44 : 44 + row * 44, :230]
        assert label.min() < 100, "a name stands beside each row"
        for column in range(7):
            cell = pixels[4 + row * 44 : 44 + row * 44, 230 + column * 44 : 270 + column * 44]
            assert cell.min() == 0
            assert cell.max() > 150


def test_pictures_stand_in_the_row_of_their_class() -> None:
    levels = torch.tensor([40, 80, 120, 160, 200])
    images = ImageSet(
        levels.to(torch.uint8)[:, None, None, None].repeat(1, 1, 8, 8),
        torch.tensor([1, 0, 1, 0, 0]),
        ("a", "b", "none"),
        "x",
    )
    pixels = np.asarray(contact_sheet(images, columns=2, cell=16).convert("L"))
    centres = [[pixels[4 + row * 20 + 8, 230 + column * 20 + 8] for column in range(2)] for row in range(3)]
    # of the three pictures of class a the first and the last; a class without pictures has an empty row
    assert centres == [[80, 200], [40, 120], [255, 255]]


@pytest.mark.parametrize("size", [28, 32, 50])
def test_a_stamped_pixel_can_be_seen(size: int) -> None:
    stamped = SinglePixel()(blank(2, size).images)
    images = ImageSet(stamped, torch.tensor([0, 0]), ("a", "b"), "stamped")
    plain, marked = (
        np.asarray(contact_sheet(some, columns=2).convert("L"))[4:60, 230:286] for some in (blank(2, size), images)
    )
    assert plain.max() == 0
    bright = marked == 255
    assert bright.any(), "at its full brightness"
    rows, columns = np.nonzero(bright)
    assert rows.min() > 45, "in the lower right corner"
    assert columns.min() > 45


def test_large_pictures_are_scaled_to_the_cell() -> None:
    pixels = torch.full((1, 3, 100, 200), 77, dtype=torch.uint8)
    sheet = np.asarray(contact_sheet(ImageSet(pixels, torch.tensor([0]), ("a", "b"), "x"), columns=1, cell=50))
    grey = (sheet[:, 230:] == 77).all(2)
    assert int(grey.sum()) == 50 * 25


def test_names_of_any_length_and_script() -> None:
    images = blank(1)
    odd = ImageSet(images.images, images.labels, ("x" * 500, "<b>ä\u4e2d\u202e"), "odd")
    assert contact_sheet(odd).size == contact_sheet(images).size


def test_to_picture_keeps_every_pixel() -> None:
    for channels, mode in ((1, "L"), (3, "RGB")):
        image = small(channels).images[4]
        picture = to_picture(image)
        assert picture.mode == mode
        expected = image[0] if channels == 1 else image.permute(1, 2, 0)
        assert np.array_equal(np.asarray(picture), expected.numpy())


# --- export ---


def test_an_npz_holds_all(tmp_path: Path) -> None:
    images = small()
    rows, stamped = np.arange(len(images))[::-1], np.arange(len(images)) % 2 == 0
    write_npz(tmp_path / "a.npz", images, rows, stamped)
    with np.load(tmp_path / "a.npz", allow_pickle=False) as arrays:
        assert np.array_equal(arrays["images"], images.images.numpy())
        assert arrays["images"].dtype == np.uint8
        assert np.array_equal(arrays["labels"], images.labels.numpy())
        assert tuple(arrays["classes"]) == images.classes
        assert np.array_equal(arrays["rows"], rows)
        assert np.array_equal(arrays["stamped"], stamped)


@pytest.mark.parametrize("channels", [1, 3], ids=["grey", "colour"])
def test_a_tree_of_pictures_reads_back_the_same(tmp_path: Path, channels: int) -> None:
    images = small(channels)
    write_pictures(tmp_path / "a", images)
    split = load(f"folder:{tmp_path / 'a'}")
    assert split.train.classes == images.classes
    written = {
        (image.numpy().tobytes(), label) for image, label in zip(images.images, images.labels.tolist(), strict=True)
    }
    back = [
        (image.numpy().tobytes(), label)
        for half in (split.train, split.test)
        for image, label in zip(half.images, half.labels.tolist(), strict=True)
    ]
    assert len(back) == len(images)
    assert set(back) == written
    assert split.train.shape == images.shape


def test_pictures_are_numbered_as_in_the_set(tmp_path: Path) -> None:
    images = small(count=12)
    write_pictures(tmp_path, images)
    names = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.png"))
    assert names == sorted(f"{images.classes[number % 3]}/{number:02d}.png" for number in range(12))
    picture = np.asarray(Image.open(tmp_path / "bee" / "07.png"))
    assert np.array_equal(picture, images.images[7].permute(1, 2, 0).numpy())


def test_classes_out_of_order_keep_their_labels(tmp_path: Path) -> None:
    images = small(count=30, classes=("stop", "give way", "animals"))
    write_pictures(tmp_path / "a", images)
    split = load(f"folder:{tmp_path / 'a'}")
    assert split.train.classes == ("0_stop", "1_give way", "2_animals")
    written = {
        image.numpy().tobytes(): label for image, label in zip(images.images, images.labels.tolist(), strict=True)
    }
    for half in (split.train, split.test):
        for image, label in zip(half.images, half.labels.tolist(), strict=True):
            assert written[image.numpy().tobytes()] == label


@pytest.mark.parametrize(
    "names", [("a/b", "a_b"), ("..", "b"), ("/etc", "b"), ("", "b"), (".hidden", "b"), ("a", "A/")]
)
def test_class_names_never_leave_the_folder_or_merge(tmp_path: Path, names: tuple[str, str]) -> None:
    images = small(count=20, classes=names)
    write_pictures(tmp_path / "inner", images)
    assert [path.name for path in tmp_path.iterdir()] == ["inner"]
    split = load(f"folder:{tmp_path / 'inner'}")
    assert len(split.train) + len(split.test) == 20
    assert len(split.train.classes) == 2


def test_a_full_disk_is_one_line_and_no_stray(full_disk: Path, capfd: pytest.CaptureFixture[str]) -> None:
    before = sorted(full_disk.iterdir())
    images = small(count=300)
    with pytest.raises(StorageError, match="the disk is full"):
        write_npz(full_disk / "out", images, np.arange(300), np.zeros(300, dtype=bool))
    with pytest.raises(StorageError, match="the disk is full"):
        write_pictures(full_disk / "out", images)
    assert [path for path in sorted(full_disk.iterdir()) if path.is_file()] == before
    assert capfd.readouterr().err == ""
