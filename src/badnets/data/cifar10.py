"""CIFAR-10 (Krizhevsky 2009), 32x32 colour, from the original python batches or from a tar.xz of JPEGs."""

from __future__ import annotations

import io
import lzma
import pickle
import tarfile
import zlib
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
import torch

from badnets.data.imageset import ImageSet, Split
from badnets.data.pictures import read_picture
from badnets.data.sources import Source
from badnets.errors import DataError

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")

BATCHES = Source(
    "cifar-10-python.tar.gz",
    "6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce",
    "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",
)
JPEG = Source("cifar10_jpeg_q75.tar.xz", "3dc0330b58deb4c649f4463d31d160070ab0217232d25a22f3bc967fa01bc123")


class _Array:
    """Stands for the numpy array of a batch: numpy's own unpickling trusts what it reads and can crash."""

    pixels: np.ndarray

    def __setstate__(self, state: tuple[int, tuple[int, ...], object, bool, bytes]) -> None:
        _, shape, _, by_columns, raw = state
        self.pixels = np.frombuffer(raw, np.uint8).reshape(shape, order="F" if by_columns else "C")


class _Bytes:
    """Stands for the array's dtype: unsigned bytes, or it is no batch."""

    def __init__(self, code: str | bytes, *_: object) -> None:
        if code not in ("u1", b"u1"):
            raise pickle.UnpicklingError(f"expected unsigned bytes, got {code!r}")

    def __setstate__(self, state: object) -> None:
        """Byte order and the like: nothing that bytes have."""


def _array(*_: object) -> _Array:
    return _Array()


def _latin_1(text: str, _: str) -> bytes:
    return text.encode("latin-1")


class _PlainUnpickler(pickle.Unpickler):
    """Builds lists, dicts, bytes and arrays of unsigned bytes, and calls nothing but the four stand-ins above."""

    _KNOWN: ClassVar[dict[tuple[str, str], object]] = {
        ("numpy.core.multiarray", "_reconstruct"): _array,
        ("numpy._core.multiarray", "_reconstruct"): _array,
        ("numpy", "ndarray"): _Array,
        ("numpy", "dtype"): _Bytes,
        ("_codecs", "encode"): _latin_1,
    }

    def find_class(self, module: str, name: str) -> object:
        if (module, name) not in self._KNOWN:
            raise pickle.UnpicklingError(f"{module}.{name} has no place in a CIFAR batch")
        return self._KNOWN[module, name]


def read_batch(content: bytes, where: str) -> tuple[np.ndarray, list[int]]:
    """Pixels (n, 3, 32, 32) uint8 and labels of one python batch.

    Raises:
        DataError: damaged, or it holds anything but plain values and one array of bytes.
    """
    try:
        # Python 2 wrote these files: bytes keys, and text is not text.
        batch = _PlainUnpickler(io.BytesIO(content), encoding="bytes").load()
        pixels = batch[b"data"].pixels.reshape(-1, 3, 32, 32)
        labels = [int(label) for label in batch[b"labels"]]
    except Exception as error:  # a damaged pickle raises whatever its bytes happen to mean
        raise DataError(f"{where}: not a CIFAR-10 batch ({error}); get the archive again") from error
    if len(pixels) != len(labels):
        raise DataError(f"{where}: {len(pixels)} images but {len(labels)} labels; get the archive again")
    return pixels, labels


def read_batches(path: Path) -> Split:
    """50,000 images to train on and 10,000 to test on, from `cifar-10-python.tar.gz`.

    Raises:
        DataError: the archive or a batch is damaged or missing.
    """
    parts: dict[str, tuple[np.ndarray, list[int]]] = {}
    for name, content in _members(path, "r:gz"):
        short = name.rsplit("/", 1)[-1]
        if short.startswith("data_batch_") or short == "test_batch":
            parts[short] = read_batch(content, f"{path}:{name}")
    missing = {"test_batch", *(f"data_batch_{i}" for i in range(1, 6))} - parts.keys()
    if missing:
        raise DataError(f"{path}: {', '.join(sorted(missing))} missing; get the archive again")
    train = [parts[f"data_batch_{i}"] for i in range(1, 6)]
    return Split(_set(train, "cifar10/train"), _set([parts["test_batch"]], "cifar10/test"))


def read_jpegs(path: Path) -> Split:
    """The same images as JPEG of quality 75, from a tar.xz with `cifar10/<train|test>/<class>/NNNN.jpg`.

    A picture that cannot be read is left out and named in `skipped`.

    Raises:
        DataError: the archive is damaged or holds no such pictures.
    """
    pixels: dict[str, list[np.ndarray]] = {"train": [], "test": []}
    labels: dict[str, list[int]] = {"train": [], "test": []}
    skipped: dict[str, list[str]] = {"train": [], "test": []}
    for name, content in _members(path, "r:xz"):
        parts = name.split("/")
        if len(parts) != 4 or parts[1] not in pixels or parts[2] not in CLASSES:
            continue
        half = parts[1]
        try:
            picture = read_picture(io.BytesIO(content), None, "RGB", where=name)
        except DataError as error:
            skipped[half].append(str(error))
            continue
        if picture.shape != (32, 32, 3):
            skipped[half].append(f"{name}: {picture.shape[1]}x{picture.shape[0]} pixels, expected 32x32")
            continue
        pixels[half].append(picture)
        labels[half].append(CLASSES.index(parts[2]))
    if not pixels["train"] or not pixels["test"]:
        raise DataError(f"{path}: no pictures under cifar10/<train|test>/<class>/")
    halves = [
        ImageSet(
            torch.from_numpy(np.stack(pixels[half])).permute(0, 3, 1, 2).contiguous(),
            torch.tensor(labels[half]),
            CLASSES,
            f"cifar10 (JPEG q75)/{half}",
            tuple(skipped[half]),
        )
        for half in ("train", "test")
    ]
    return Split(*halves)


def _members(path: Path, mode: Literal["r:gz", "r:xz"]) -> list[tuple[str, bytes]]:
    """Name and content of every plain file in the archive, sorted by name; nothing is unpacked to disk."""
    try:
        with tarfile.open(path, mode) as archive:
            files = ((member.name, archive.extractfile(member)) for member in archive if member.isreg())
            return sorted((name, file.read()) for name, file in files if file is not None)
    except (tarfile.TarError, lzma.LZMAError, zlib.error, EOFError, OSError) as error:
        raise DataError(f"{path}: not a whole archive ({error}); get it again") from error


def _set(parts: list[tuple[np.ndarray, list[int]]], name: str) -> ImageSet:
    images = torch.from_numpy(np.concatenate([pixels for pixels, _ in parts]))
    labels = torch.tensor([label for _, some in parts for label in some])
    return ImageSet(images, labels, CLASSES, name)
