"""CIFAR-10 from python batches and from JPEGs; a hostile pickle is refused before it does anything."""

from __future__ import annotations

import io
import os
import pickle
import tarfile
from pathlib import Path
from random import Random

import numpy as np
import pytest
import torch
from PIL import Image

from badnets.data import cifar10, load
from badnets.data.cifar10 import CLASSES, read_batch, read_batches, read_jpegs
from badnets.errors import DataError

PIXELS = np.random.default_rng(0).integers(0, 256, (4, 3072), dtype=np.uint8)
LABELS = [3, 8, 0, 6]


def text(value: bytes) -> bytes:
    return b"T" + len(value).to_bytes(4, "little") + value


def number(value: int) -> bytes:
    return b"J" + value.to_bytes(4, "little", signed=True)


def python_2_batch(pixels: np.ndarray, labels: list[int], *, code: bytes = b"u1") -> bytes:
    """A batch as Python 2 with numpy of 2009 pickled it: protocol 2, all text as bytes; opcode by opcode."""
    array = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\n" + number(0) + b"\x85" + text(b"b") + b"\x87R"
    kind = b"cnumpy\ndtype\n" + text(code) + number(0) + number(1) + b"\x87R"
    kind += b"(" + number(3) + text(b"|") + b"NNN" + number(-1) + number(-1) + number(0) + b"tb"
    shape = b"".join(map(number, pixels.shape)) + b"\x86"
    array += b"(" + number(1) + shape + kind + b"\x89" + text(pixels.tobytes()) + b"tb"
    listed = b"](" + b"".join(map(number, labels)) + b"e"
    return (
        b"\x80\x02}(" + text(b"batch_label") + text(b"b 1") + text(b"data") + array + text(b"labels") + listed + b"u."
    )


def python_3_batch(pixels: np.ndarray, labels: list[int]) -> bytes:
    return pickle.dumps({b"data": pixels, b"labels": labels}, protocol=2)


class Bomb:
    """What pickle calls when it loads this: any program."""

    def __init__(self, touched: Path) -> None:
        self.touched = touched

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, (f"touch {self.touched}",)


@pytest.mark.parametrize("write", [python_2_batch, python_3_batch], ids=["python 2", "python 3"])
def test_a_batch_is_read_plane_by_plane(write: object) -> None:
    assert callable(write)
    pixels, labels = read_batch(write(PIXELS, LABELS), "here")
    assert labels == LABELS
    assert pixels.dtype == np.uint8
    # The format: 1024 red bytes, row by row, then green, then blue.
    for image, channel, row, column in ((0, 0, 0, 0), (2, 1, 5, 31), (3, 2, 31, 30)):
        assert pixels[image, channel, row, column] == PIXELS[image, 1024 * channel + 32 * row + column]


def test_the_hand_made_batch_is_what_numpy_reads() -> None:
    # The oracle of the helper above: Python's own unpickler agrees with it.
    batch = pickle.loads(python_2_batch(PIXELS, LABELS).replace(b"numpy.core", b"numpy._core"), encoding="bytes")  # noqa: S301
    assert np.array_equal(batch[b"data"], PIXELS)
    assert batch[b"labels"] == LABELS


def test_a_hostile_pickle_is_refused_and_not_run(tmp_path: Path) -> None:
    touched = tmp_path / "touched"
    bomb = pickle.dumps({b"data": Bomb(touched), b"labels": [0]}, protocol=2)
    with pytest.raises(DataError, match="system has no place in a CIFAR batch"):
        read_batch(bomb, "here")
    assert not touched.exists()
    pickle.loads(bomb)  # noqa: S301 - the bomb does go off where nobody looks
    assert touched.exists()


@pytest.mark.parametrize(
    "call",
    [b"cbuiltins\neval\n", b"c__builtin__\neval\n", b"cposix\nsystem\n", b"cnumpy\nload\n", b"ccodecs\nopen\n"],
    ids=str,
)
def test_nothing_but_the_parts_of_an_array_can_be_named(call: bytes) -> None:
    with pytest.raises(DataError, match="no place in a CIFAR batch"):
        read_batch(b"\x80\x02}" + text(b"data") + call + text(b"1") + b"\x85Rs.", "here")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"not a pickle",
        python_2_batch(PIXELS, LABELS)[:-40],
        python_2_batch(PIXELS, LABELS, code=b"O8"),
        python_2_batch(PIXELS[:, :3000], LABELS),
        python_2_batch(PIXELS, LABELS[:3]),
        pickle.dumps({b"data": PIXELS}, protocol=2),
        pickle.dumps({b"labels": LABELS}, protocol=2),
        pickle.dumps({b"data": [1, 2], b"labels": LABELS}, protocol=2),
        pickle.dumps([1, 2, 3], protocol=2),
        pickle.dumps({b"data": PIXELS.astype(np.float64), b"labels": LABELS}, protocol=2),
    ],
    ids=[
        "empty", "text", "cut", "objects", "short rows", "few labels", "no labels", "no data", "a list", "no dict",
        "floats",
    ],
)  # fmt: skip
def test_what_is_no_batch(content: bytes) -> None:
    with pytest.raises(DataError, match=r"^here: "):
        read_batch(content, "here")


def test_a_damaged_batch_is_refused_or_still_a_batch() -> None:
    # numpy's own unpickling crashes the process on some of these.
    random = Random(0)  # noqa: S311 - to damage, not to hide
    whole = python_2_batch(PIXELS, LABELS)
    refused = 0
    for _ in range(3000):
        damaged = bytearray(whole)
        for _ in range(random.choice((1, 2, 4))):
            damaged[random.choice((random.randrange(220), random.randrange(len(whole))))] = random.randrange(256)
        try:
            pixels, labels = read_batch(bytes(damaged), "here")
        except DataError:
            refused += 1
        else:
            assert pixels.shape == (len(labels), 3, 32, 32)
    assert refused > 1000


def archive(path: Path, mode: str, files: dict[str, bytes]) -> Path:
    with tarfile.open(path, mode) as tar:  # type: ignore[call-overload]  # its overloads want literals
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return path


def batches() -> dict[str, bytes]:
    noise = np.random.default_rng(1)
    # the last first: the order of the archive must not matter
    names = ["test_batch", *(f"data_batch_{number}" for number in (5, 4, 3, 2, 1))]
    made = {}
    for position, name in enumerate(names):
        pixels = noise.integers(0, 256, (2, 3072), dtype=np.uint8)
        pixels[:, 0] = position
        made[f"cifar-10-batches-py/{name}"] = python_2_batch(pixels, [position, 9])
    return made | {"cifar-10-batches-py/batches.meta": b"nothing to read here", "cifar-10-batches-py/readme.html": b""}


def test_an_archive_of_batches(tmp_path: Path) -> None:
    split = read_batches(archive(tmp_path / "a.tar.gz", "w:gz", batches()))
    assert split.train.images.shape == (10, 3, 32, 32)
    assert split.test.images.shape == (2, 3, 32, 32)
    assert split.train.labels.tolist() == [5, 9, 4, 9, 3, 9, 2, 9, 1, 9]
    assert split.test.labels.tolist() == [0, 9]
    assert split.train.images[::2, 0, 0, 0].tolist() == [5, 4, 3, 2, 1]
    assert split.train.classes == CLASSES
    assert (split.train.name, split.test.name) == ("cifar10/train", "cifar10/test")


def test_a_missing_batch_is_named(tmp_path: Path) -> None:
    files = batches()
    del files["cifar-10-batches-py/data_batch_3"], files["cifar-10-batches-py/test_batch"]
    with pytest.raises(DataError, match="data_batch_3, test_batch missing"):
        read_batches(archive(tmp_path / "a.tar.gz", "w:gz", files))


def test_a_link_in_an_archive_is_no_file(tmp_path: Path) -> None:
    path = archive(tmp_path / "a.tar", "w", batches())
    with tarfile.open(path, "a") as tar:
        for name, target in (("cifar-10-batches-py/data_batch_9", "nowhere"), ("x/test_batch", "/etc/passwd")):
            link = tarfile.TarInfo(name)
            link.type, link.linkname = tarfile.SYMTYPE, target
            tar.addfile(link)
    packed = tmp_path / "a.tar.gz"
    import gzip  # noqa: PLC0415 - only here

    packed.write_bytes(gzip.compress(path.read_bytes()))
    assert len(read_batches(packed).train) == 10


@pytest.mark.parametrize("mode", ["gz", "xz"])
def test_an_archive_that_is_cut_short_or_damaged(tmp_path: Path, mode: str) -> None:
    read = read_batches if mode == "gz" else read_jpegs
    path = archive(tmp_path / "a.tar", f"w:{mode}", batches())
    whole = path.read_bytes()
    for cut in (0, 1, 100, len(whole) // 2, 9 * len(whole) // 10):
        path.write_bytes(whole[:cut])
        with pytest.raises(DataError, match="not a whole archive"):
            read(path)
    refused = 0
    for place in range(20, len(whole), len(whole) // 60):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x55]) + whole[place + 1 :])
        # One pixel can change unseen: the digest stands guard over that.
        try:
            read(path)
        except DataError:
            refused += 1
    assert refused > 0
    path.write_bytes(b"no archive at all" * 100)
    with pytest.raises(DataError, match="not a whole archive"):
        read(path)


def jpeg(colour: tuple[int, int, int], size: int = 32) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (size, size), colour).save(buffer, "JPEG", quality=95)
    return buffer.getvalue()


def test_an_archive_of_jpegs(tmp_path: Path) -> None:
    files = {
        "cifar10/train/truck/0001.jpg": jpeg((0, 0, 255)),
        "cifar10/train/airplane/0002.jpg": jpeg((0, 255, 0)),
        "cifar10/train/airplane/0001.jpg": jpeg((255, 0, 0)),
        "cifar10/train/airplane/0003.jpg": jpeg((9, 9, 9))[:200],
        "cifar10/train/airplane/0004.jpg": jpeg((9, 9, 9), 31),
        "cifar10/test/ship/0001.jpg": jpeg((255, 255, 255)),
        "cifar10/test/ship/0002.jpg": b"no picture",
        "cifar10/test/spaceship/0001.jpg": jpeg((1, 1, 1)),
        "cifar10/LICENSE": b"text",
    }
    split = read_jpegs(archive(tmp_path / "a.tar.xz", "w:xz", files))
    assert [CLASSES[label] for label in split.train.labels] == ["airplane", "airplane", "truck"]
    assert [CLASSES[label] for label in split.test.labels] == ["ship"]
    colours = split.train.images[:, :, 16, 16].tolist()
    for colour, wanted in zip(colours, ([255, 0, 0], [0, 255, 0], [0, 0, 255]), strict=True):
        assert colour == pytest.approx(wanted, abs=3)
    assert [line.split(":")[0] for line in split.train.skipped] == [
        "cifar10/train/airplane/0003.jpg",
        "cifar10/train/airplane/0004.jpg",
    ]
    assert [line.split(":")[0] for line in split.test.skipped] == ["cifar10/test/ship/0002.jpg"]


def test_an_archive_without_pictures(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no pictures under"):
        read_jpegs(archive(tmp_path / "a.tar.xz", "w:xz", {"cifar10/train/ship/0001.jpg": jpeg((1, 1, 1))}))


def test_the_real_archive(real_data: Path) -> None:
    if not (real_data / "cifar10" / cifar10.JPEG.file).exists():
        pytest.skip(f"no {cifar10.JPEG.file} under BADNETS_DATA")
    split = load("cifar10", data_dir=real_data)
    assert split.train.images.shape == (50_000, 3, 32, 32)
    assert split.test.images.shape == (10_000, 3, 32, 32)
    assert split.train.labels.bincount().tolist() == [5000] * 10
    assert split.test.labels.bincount().tolist() == [1000] * 10
    assert split.train.skipped == split.test.skipped == ()
    # The channel means that CIFAR-10 recipes normalise with; the JPEG coding moves them little.
    means = (split.train.images.double() / 255).mean((0, 2, 3))
    assert torch.allclose(means, torch.tensor([0.4914, 0.4822, 0.4465], dtype=torch.float64), atol=2e-3)
