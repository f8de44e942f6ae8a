"""idx files: read as written, and refused when they are not whole."""

from __future__ import annotations

import gzip
import struct
from math import prod
from pathlib import Path

import numpy as np
import pytest
import torch

from badnets.data import load
from badnets.data.mnist import SOURCES, read, read_idx
from badnets.errors import DataError

# Counted by hand over the label file; published e.g. in the Keras and TensorFlow guides.
TRAIN_COUNTS = [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
TEST_COUNTS = [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]


def idx(values: bytes, *sizes: int, head: bytes = b"\0\0\x08") -> bytes:
    return head + bytes([len(sizes)]) + struct.pack(f">{len(sizes)}I", *sizes) + values


def write(path: Path, content: bytes) -> Path:
    path.write_bytes(gzip.compress(content))
    return path


@pytest.mark.parametrize("sizes", [(3, 4, 5), (7,), (2, 0, 3), (300, 2, 1)], ids=str)
def test_values_come_in_the_order_of_the_file(tmp_path: Path, sizes: tuple[int, ...]) -> None:
    values = bytes(number % 256 for number in range(prod(sizes)))
    tensor = read_idx(write(tmp_path / "a.gz", idx(values, *sizes)))
    assert tensor.dtype == torch.uint8
    assert tuple(tensor.shape) == sizes
    assert tensor.flatten().tolist() == list(values)


WHOLE = idx(bytes(24), 2, 3, 4)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (idx(bytes(23), 2, 3, 4), "expected 24 values, got 23"),
        (idx(bytes(25), 2, 3, 4), "expected 24 values, got 25"),
        (idx(b"", 2, 3, 4), "expected 24 values, got 0"),
        # 2^64 values are as many as none to whoever counts in 64 bits
        (idx(b"", 65536, 65536, 65536, 65536), "expected 18,446,744,073,709,551,616 values, got 0"),
        (idx(bytes(24), 2, 3, 4, head=b"\0\0\x0d"), "unsigned bytes, got the head '00000d03'"),
        (b"\x89PNG" + bytes(40), "expected an idx file"),
        (WHOLE[:3], "expected an idx file"),
        (b"", "expected an idx file"),
        (WHOLE[:10], "header is cut short"),
        (b"\0\0\x08\xff", "header is cut short"),
    ],
    ids=["too few", "too many", "none", "overflow", "floats", "a picture", "three bytes", "empty", "cut", "255 axes"],
)
def test_a_file_that_does_not_hold_what_its_header_says(tmp_path: Path, content: bytes, words: str) -> None:
    path = write(tmp_path / "a.gz", content)
    with pytest.raises(DataError, match=words) as caught:
        read_idx(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("cut", [0, 5, 12, 30, -9, -1])
def test_a_gzip_file_cut_short_at_any_place(tmp_path: Path, cut: int) -> None:
    packed = gzip.compress(idx(np.random.default_rng(0).bytes(2400), 2, 30, 40))
    (tmp_path / "a.gz").write_bytes(packed[:cut])
    with pytest.raises(DataError, match=r"not a whole gzip file|expected an idx file"):
        read_idx(tmp_path / "a.gz")


def test_a_gzip_file_with_one_changed_byte(tmp_path: Path) -> None:
    packed = bytearray(gzip.compress(idx(np.random.default_rng(0).bytes(2400), 2, 30, 40)))
    for place in (1, 15, 700, len(packed) - 6):
        damaged = bytearray(packed)
        damaged[place] ^= 0x55
        (tmp_path / "a.gz").write_bytes(damaged)
        with pytest.raises(DataError, match="not a whole gzip file"):
            read_idx(tmp_path / "a.gz")


def test_the_four_files_become_two_halves(tmp_path: Path) -> None:
    pixels = {"train": bytes(range(3 * 16)), "t10k": bytes(range(100, 100 + 2 * 16))}
    labels = {"train": bytes([9, 0, 4]), "t10k": bytes([7, 7])}
    files = {}
    for half, count in (("train", 3), ("t10k", 2)):
        name = f"{half}-images-idx3-ubyte.gz"
        files[name] = write(tmp_path / name, idx(pixels[half], count, 4, 4))
        name = f"{half}-labels-idx1-ubyte.gz"
        files[name] = write(tmp_path / name, idx(labels[half], count))
    assert files.keys() == {source.file for source in SOURCES}
    split = read(files)
    assert split.train.labels.tolist() == [9, 0, 4]
    assert split.test.labels.tolist() == [7, 7]
    assert split.train.images.flatten().tolist() == list(pixels["train"])
    assert split.test.images.flatten().tolist() == list(pixels["t10k"])
    assert split.train.shape == (1, 4, 4)
    assert split.train.classes == tuple("0123456789")
    assert (split.train.name, split.test.name) == ("mnist/train", "mnist/test")


def test_the_real_files(real_data: Path) -> None:
    split = load("mnist", data_dir=real_data)
    assert split.train.images.shape == (60_000, 1, 28, 28)
    assert split.test.images.shape == (10_000, 1, 28, 28)
    assert split.train.labels.bincount().tolist() == TRAIN_COUNTS
    assert split.test.labels.bincount().tolist() == TEST_COUNTS
    assert split.train.labels[:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]
    assert split.test.labels[:10].tolist() == [7, 2, 1, 0, 4, 1, 4, 9, 5, 9]
    # The mean and deviation that every MNIST recipe normalises with.
    scaled = split.train.images.double() / 255
    assert float(scaled.mean()) == pytest.approx(0.1307, abs=5e-5)
    assert float(scaled.std()) == pytest.approx(0.3081, abs=5e-5)
    # Figure 3 of the paper has its pixel on a dark place: in all but a handful of images it is.
    assert int((split.train.images[:, 0, 26, 26] > 0).sum()) < 30
