"""A tree of pictures becomes two halves; nothing is read twice, lost unsaid or scaled wrongly."""

from __future__ import annotations

import io
import os
import struct
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from random import Random

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from badnets.data import ImageSet, Split, load
from badnets.data.folder import read
from badnets.data.pictures import read_picture
from badnets.errors import DataError

Make = Callable[..., Path]


def save(path: Path, colour: int | tuple[int, ...], size: tuple[int, int] = (20, 20), mode: str = "RGB") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, (size[1], size[0]), colour).save(path)


def numbered(root: Path, counts: dict[str, int]) -> Path:
    """Grey pictures, each of its own level, so that one is known by its pixels."""
    level = 0
    for name, count in counts.items():
        (root / name).mkdir(parents=True)
        for number in range(count):
            save(root / name / f"{number:03d}.png", level, mode="L")
            level += 1
    return root


def levels(images: ImageSet) -> list[int]:
    return images.images[:, 0, 0, 0].tolist()


def whole(split: Split) -> tuple[Tensor, Tensor]:
    return torch.cat([split.train.images, split.test.images]), torch.cat([split.train.labels, split.test.labels])


# --- the split ---


def test_every_picture_is_in_exactly_one_half(tmp_path: Path) -> None:
    split = read(numbered(tmp_path / "a", {"cat": 50, "dog": 23, "eel": 1}))
    train, test = levels(split.train), levels(split.test)
    assert sorted(train + test) == list(range(74))
    # 80/20 within each class; a single picture is trained on
    assert split.train.labels.bincount().tolist() == [40, 18, 1]
    assert split.test.labels.bincount(minlength=3).tolist() == [10, 5, 0]
    for half in (split.train, split.test):
        for level, label in zip(levels(half), half.labels.tolist(), strict=True):
            assert label == (0 if level < 50 else 1 if level < 73 else 2)
    assert split.train.classes == split.test.classes == ("cat", "dog", "eel")
    assert (split.train.name, split.test.name) == ("a/train", "a/test")


def test_the_split_is_the_same_every_time_and_everywhere(tmp_path: Path) -> None:
    one = read(numbered(tmp_path / "one", {"cat": 30, "dog": 30}))
    torch.manual_seed(5)
    two = read(numbered(tmp_path / "two", {"cat": 30, "dog": 30}))
    assert one.train.digest == two.train.digest
    assert one.test.digest == two.test.digest
    assert levels(one.test) != sorted(levels(one.test))[:6] + list(range(30, 36)), "not simply the first ones"


def test_too_few_to_split(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"too few pictures \(4\)"):
        read(numbered(tmp_path / "a", {"cat": 2, "dog": 2}))


@pytest.mark.parametrize("name", ["test", "validation", "valid", "val"])
def test_ready_made_halves_are_kept(tmp_path: Path, name: str) -> None:
    numbered(tmp_path / "a" / "train", {"cat": 3, "dog": 2})
    numbered(tmp_path / "a" / name, {"dog": 2})
    split = read(tmp_path / "a")
    assert levels(split.train) == [0, 1, 2, 3, 4]
    assert split.train.labels.tolist() == [0, 0, 0, 1, 1]
    assert levels(split.test) == [0, 1]
    assert split.test.labels.tolist() == [1, 1], "labels are those of the training classes"
    assert split.test.classes == ("cat", "dog")


def test_a_class_that_is_only_tested_is_refused(tmp_path: Path) -> None:
    numbered(tmp_path / "a" / "train", {"cat": 3, "dog": 2})
    numbered(tmp_path / "a" / "test", {"dog": 2, "eel": 1, "ant": 1})
    with pytest.raises(DataError, match="classes without training pictures: ant, eel"):
        read(tmp_path / "a")


def test_a_class_called_test_is_a_class(tmp_path: Path) -> None:
    assert read(numbered(tmp_path / "a", {"control": 10, "test": 10})).train.classes == ("control", "test")


def test_a_class_called_train_is_a_class(tmp_path: Path) -> None:
    assert read(numbered(tmp_path / "a", {"bus": 10, "train": 10})).train.classes == ("bus", "train")


def test_half_a_split_is_not_taken_for_classes(tmp_path: Path) -> None:
    numbered(tmp_path / "a" / "Training", {"ant": 5, "eel": 5})
    with pytest.raises(DataError, match="no folder for testing"):
        read(tmp_path / "a")
    numbered(tmp_path / "a" / "Testing", {"ant": 2, "eel": 2})
    split = read(tmp_path / "a")
    assert split.train.classes == ("ant", "eel")
    assert (len(split.train), len(split.test)) == (10, 4)


def test_a_class_without_pictures_keeps_its_number(tmp_path: Path) -> None:
    root = numbered(tmp_path / "a", {"ant": 5, "eel": 5})
    (root / "cat").mkdir()
    split = read(root)
    assert split.train.classes == ("ant", "cat", "eel")
    assert split.train.labels.bincount().tolist() == [4, 0, 4]


# --- what is a picture and what is not ---


def test_hidden_things_and_other_files_are_passed_over(tmp_path: Path) -> None:
    root = numbered(tmp_path / "a", {"cat": 5, "dog": 5})
    save(root / "cat" / "._000.png", 200)
    save(root / "cat" / ".checkpoints" / "copy.png", 201)
    save(root / ".git" / "x.png", 202)
    save(root / "stray.png", 203)
    (root / "cat" / "notes.txt").write_text("no picture")
    (root / "cat" / "Thumbs.db").write_bytes(b"\0")
    (root / "cat" / "folder.png").mkdir()
    split = read(root)
    assert sorted(levels(split.train) + levels(split.test)) == list(range(10))
    assert split.train.skipped == split.test.skipped == ()
    assert split.train.classes == ("cat", "dog")


def test_sub_folders_and_endings_in_capitals_belong_to_their_class(tmp_path: Path) -> None:
    root = numbered(tmp_path / "a", {"cat": 5, "dog": 5})
    save(root / "dog" / "x" / "y" / "deep.PNG", 100, mode="L")
    save(root / "cat" / "x" / "other.Bmp", 101, mode="L")
    pixels, labels = whole(read(root))
    found = dict(zip(pixels[:, 0, 0, 0].tolist(), labels.tolist(), strict=True))
    assert (found[100], found[101], len(found)) == (1, 0, 12)


def damage(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def test_a_damaged_picture_is_left_out_named_and_counted(make_pictures: Make) -> None:
    root = make_pictures(classes=("cat", "dog"), count=10)
    damage(root / "cat" / "004.png")
    (root / "dog" / "007.png").write_bytes(b"not a picture")
    (root / "dog" / "009.png").write_bytes(b"")
    split = read(root)
    assert len(split.train) + len(split.test) == 17
    assert [Path(line.split(":")[0]).relative_to(root).as_posix() for line in split.train.skipped] == [
        "cat/004.png", "dog/007.png", "dog/009.png",
    ]  # fmt: skip
    assert all("not a readable picture" in line for line in split.train.skipped)


def test_ready_made_halves_name_their_own_damage(make_pictures: Make) -> None:
    root = make_pictures("a/train", count=3).parent
    make_pictures("a/val", count=3)
    damage(root / "train" / "cat" / "000.png")
    damage(root / "val" / "dog" / "001.png")
    split = read(root)
    assert ["train/cat/000.png" in line for line in split.train.skipped] == [True]
    assert ["val/dog/001.png" in line for line in split.test.skipped] == [True]


def test_nothing_readable_at_all(make_pictures: Make) -> None:
    root = make_pictures(count=2)
    for path in root.rglob("*.png"):
        damage(path)
        path.write_bytes(b"torn")
    with pytest.raises(DataError, match="not one readable picture among 4 files"):
        read(root)


@pytest.mark.parametrize(
    ("folders", "words"),
    [([], r"at least 2 class folder.* got 0"), (["cat"], "got 1"), (["cat", ".git"], "got 1"),
     (["cat", "dog"], "not one readable picture among 0 files")],
    ids=["empty", "one class", "one class and a hidden one", "no pictures"],
)  # fmt: skip
def test_a_folder_that_is_no_data_set(tmp_path: Path, folders: list[str], words: str) -> None:
    for name in folders:
        (tmp_path / "a" / name).mkdir(parents=True)
    (tmp_path / "a").mkdir(exist_ok=True)
    with pytest.raises(DataError, match=words):
        read(tmp_path / "a")


def test_no_folder_at_all(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such folder"):
        read(tmp_path / "nowhere")
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(DataError, match="no such folder"):
        read(tmp_path / "file")


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere file names are text")
def test_names_that_are_no_text(tmp_path: Path) -> None:
    root = numbered(tmp_path / "a", {"cat": 5, "dog": 5})
    Path(os.fsdecode(os.fsencode(root / "cat") + b"/caf\xe9.png")).write_bytes(b"torn")
    split = read(root)
    assert len(split.train.skipped) == 1
    split.train.skipped[0].encode()  # can be printed and written as JSON
    Path(os.fsdecode(os.fsencode(root) + b"/caf\xe9")).mkdir()
    with pytest.raises(DataError, match="rename it"):
        read(root)


def bomb(width: int, height: int) -> bytes:
    """A PNG whose header promises that many pixels, in under 100 bytes."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(99))) + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("side", [12_000, 60_000], ids=["where Pillow warns", "where Pillow refuses"])
def test_a_decompression_bomb_is_not_decoded_and_gives_no_size(tmp_path: Path, side: int) -> None:
    root = tmp_path / "a"
    # The bomb is the first picture, and no size is commoner than its own.
    for number in range(10):
        save(root / "cat" / f"{number}.png", number, (20 + number, 20), mode="L")
        save(root / "dog" / f"{number}.png", number, (40 + number, 20), mode="L")
    (root / "cat" / "!.png").write_bytes(bomb(side, side))
    split = read(root)
    assert split.train.shape == (1, 20, 20)
    assert len(split.train) + len(split.test) == 20
    assert len(split.train.skipped) == 1
    assert "too many pixels to decode safely" in split.train.skipped[0]


# --- pixels ---


def test_sizes_are_brought_to_the_commonest(tmp_path: Path) -> None:
    root = tmp_path / "a"
    for number in range(6):
        save(root / "cat" / f"{number}.png", (10, 20, 30), (24, 16))
    for number in range(5):
        save(root / "dog" / f"{number}.png", (200, 100, 50), (60, 90))
    pixels, labels = whole(read(root))
    assert pixels.shape == (11, 3, 24, 16)
    for label, colour in ((0, (10, 20, 30)), (1, (200, 100, 50))):
        expected = torch.tensor(colour, dtype=torch.uint8)[:, None, None].expand(3, 24, 16)
        assert all(torch.equal(image, expected) for image in pixels[labels == label])


def test_a_size_that_is_asked_for(tmp_path: Path) -> None:
    root = tmp_path / "a"
    for name in ("cat", "dog"):
        for number in range(5):
            picture = np.zeros((40, 20, 3), np.uint8)
            picture[:20, :, 0] = 255  # the upper half is red
            (root / name).mkdir(parents=True, exist_ok=True)
            Image.fromarray(picture).save(root / name / f"{number}.png")
    split = load(f"folder:{root}", size=(10, 30))
    assert split.train.shape == (3, 10, 30)
    image = split.train.images[0]
    assert image[0, :4].min() == 255
    assert image[0, 6:].max() == 0
    assert image[1:].max() == 0


def test_pixels_of_the_right_size_are_not_touched(make_pictures: Make) -> None:
    root = make_pictures(count=10, size=(18, 25))
    files = sorted(root.rglob("*.png"))
    expected = {np.asarray(Image.open(path)).transpose(2, 0, 1).tobytes() for path in files}
    pixels, _ = whole(read(root))
    assert {image.numpy().tobytes() for image in pixels} == expected
    assert len(expected) == 20


def test_scaling_down_is_smooth(tmp_path: Path) -> None:
    # A board of black and white single pixels: nearest-neighbour gives black or white, the right thing is grey.
    board = np.indices((64, 64)).sum(0) % 2 * 255
    Image.fromarray(board.astype(np.uint8)).save(tmp_path / "a.png")
    small = read_picture(tmp_path / "a.png", (16, 16), "L")
    assert small.shape == (16, 16, 1)
    assert 110 < small[2:-2, 2:-2].min() <= small[2:-2, 2:-2].max() < 146


@pytest.mark.parametrize(
    ("modes", "channels"),
    [(("L", "L"), 1), (("1", "L"), 1), (("I;16", "L"), 1), (("L", "RGB"), 3), (("P", "P"), 3), (("RGBA", "RGBA"), 3),
     (("LA", "L"), 3)],
    ids=str,
)  # fmt: skip
def test_grey_only_if_all_are(tmp_path: Path, modes: tuple[str, str], channels: int) -> None:
    for name, mode in zip(("cat", "dog"), modes, strict=True):
        for number in range(5):
            save(tmp_path / "a" / name / f"{number}.png", 0, mode=mode)
    assert read(tmp_path / "a").train.shape == (channels, 20, 20)


def test_sixteen_bits_become_eight(tmp_path: Path) -> None:
    deep = np.array([[0, 128, 129, 257, 0x8000, 0xFFFF]], np.uint16)
    Image.fromarray(deep).save(tmp_path / "a.png")
    expected = np.rint(deep / 65535 * 255).astype(np.uint8)
    assert np.array_equal(read_picture(tmp_path / "a.png", None, "L")[:, :, 0], expected)
    assert np.array_equal(read_picture(tmp_path / "a.png", None, "RGB")[:, :, 2], expected)


def test_opacity_is_kept_where_asked_for(tmp_path: Path) -> None:
    save(tmp_path / "a.png", (10, 20, 30, 40), mode="RGBA")
    assert read_picture(tmp_path / "a.png", None, "RGBA")[3, 3].tolist() == [10, 20, 30, 40]
    # on white, 40 of 255 opaque: 255 - (255 - 10) * 40 / 255 is 217
    assert read_picture(tmp_path / "a.png", None, "RGB")[3, 3].tolist() == [217, 218, 220]


@pytest.mark.parametrize("form", ["PNG", "JPEG", "GIF", "BMP", "WEBP", "PPM"])
def test_damaged_bytes_are_refused_or_still_a_picture(form: str) -> None:
    random = Random(form)  # noqa: S311 - to damage, not to hide
    buffer = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (12, 9, 3), dtype=np.uint8)).save(buffer, form)
    content = buffer.getvalue()
    refused = 0
    for _ in range(300):
        damaged = bytearray(content[: random.choice((len(content), random.randrange(len(content))))])
        for _ in range(random.choice((1, 2, 4)) if damaged else 0):
            damaged[random.randrange(min(len(damaged), 200))] = random.choice((0, 255, random.randrange(256)))
        try:
            picture = read_picture(io.BytesIO(bytes(damaged)), (12, 9), "RGB", where="here")
        except DataError as error:
            assert str(error).startswith("here: ")  # noqa: PT017 - either outcome is right
            refused += 1
        else:
            assert picture.shape == (12, 9, 3)
            assert picture.dtype == np.uint8
    assert refused > 50
