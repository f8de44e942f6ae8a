"""A labelled set of images as tensors."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Generic, Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Int64, UInt8
from torch import Tensor
from typing_extensions import TypeVar

from badnets.errors import DataError


@runtime_checkable
class ImageSource(Protocol):
    """Labelled samples that are handed out by row: held in memory (`ImageSet`), or made as they are asked for."""

    @property
    def labels(self) -> Int64[Tensor, " n"]:
        """The class of each sample, in 0..K-1."""
        ...

    @property
    def classes(self) -> tuple[str, ...]:
        """The K class names, in label order."""
        ...

    @property
    def name(self) -> str:
        """What the set is called in cards and reports."""
        ...

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height and width of one sample."""
        ...

    @property
    def digest(self) -> str:
        """Two sources with one digest hand out the same data."""
        ...

    def __len__(self) -> int: ...

    def take(self, rows: Int64[Tensor, " m"], /) -> UInt8[Tensor, "m c h w"]:
        """The samples in these rows, in this order, as a tensor of their own."""
        ...


@dataclass(frozen=True, eq=False)
class ImageSet:
    """Images of one size with a class each.

    Attributes:
        images: uint8 pixels in 0..255, NCHW.
        labels: the class of each image, in 0..K-1.
        classes: the K class names, in label order.
        name: what the set is called in cards and reports, such as "mnist/train".
        skipped: files that were left out while reading, each as "path: reason".
        treated: files that are in it but were odd, each as "path: what was found: what was done".

    Raises:
        DataError: lengths differ, no image, no class, or a label outside 0..K-1.
    """

    images: UInt8[Tensor, "n c h w"]
    labels: Int64[Tensor, " n"]
    classes: tuple[str, ...]
    name: str
    skipped: tuple[str, ...] = ()
    treated: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.images.dtype != torch.uint8 or self.images.ndim != 4:
            got = f"{self.images.dtype} {tuple(self.images.shape)}"
            raise DataError(f"{self.name}: expected uint8 images of shape (n, c, h, w), got {got}")
        if self.labels.dtype != torch.int64 or self.labels.ndim != 1:
            got = f"{self.labels.dtype} {tuple(self.labels.shape)}"
            raise DataError(f"{self.name}: expected int64 labels of shape (n,), got {got}")
        if len(self.images) != len(self.labels):
            raise DataError(f"{self.name}: {len(self.images)} images but {len(self.labels)} labels")
        if not len(self.labels):
            raise DataError(f"{self.name}: no images")
        low, high = int(self.labels.min()), int(self.labels.max())
        if low < 0 or high >= len(self.classes):
            raise DataError(f"{self.name}: labels {low}..{high} do not fit {len(self.classes)} classes")

    def __len__(self) -> int:
        return len(self.labels)

    def __repr__(self) -> str:
        shape = "x".join(str(size) for size in self.images.shape)
        return f"ImageSet({self.name!r}, {shape} uint8, {len(self.classes)} classes)"

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height and width of one image."""
        _, channels, height, width = self.images.shape
        return channels, height, width

    def take(self, rows: Int64[Tensor, " m"], /) -> UInt8[Tensor, "m c h w"]:
        """A copy of the images in these rows, in this order."""
        return self.images.index_select(0, rows)

    def select(self, index: Int64[Tensor, " m"] | Bool[Tensor, " n"], name: str | None = None) -> ImageSet:
        """The images that `index` picks, in its order."""
        return replace(
            self, images=self.images[index], labels=self.labels[index], name=name or self.name, skipped=(), treated=()
        )

    def only(self, classes: tuple[int, ...]) -> ImageSet:
        """The images of these classes, numbered anew in this order.

        Raises:
            DataError: there is no such class, it is named twice, or none of them has an image.
        """
        if len(set(classes)) != len(classes) or any(not 0 <= label < len(self.classes) for label in classes):
            raise DataError(f"{self.name}: expected different classes of 0..{len(self.classes) - 1}, got {classes}")
        numbers = torch.full((len(self.classes),), -1)
        numbers[list(classes)] = torch.arange(len(classes))
        new = numbers[self.labels]
        rows = torch.nonzero(new >= 0)[:, 0]
        names = tuple(self.classes[label] for label in classes)
        name = f"{self.name} ({', '.join(names)})"
        return ImageSet(self.images[rows], new[rows], names, name)

    @cached_property
    def digest(self) -> str:
        """SHA-256 over shape, class names, labels and pixels: two sets with one digest are the same data."""
        digest = PixelsDigest(tuple(self.images.shape), self.classes, self.labels)
        digest.update(self.images)
        return digest.hex


class PixelsDigest:
    """The digest of a set of images whose pixels come one part after the other.

    Args:
        shape: of all pixels, NCHW.
        classes: the class names.
        labels: of all images.
    """

    def __init__(self, shape: tuple[int, ...], classes: tuple[str, ...], labels: Int64[Tensor, " n"]) -> None:
        self._hasher = hashlib.sha256(repr((shape, classes)).encode())
        self._hasher.update(labels.contiguous().numpy().data)

    def update(self, pixels: UInt8[Tensor, ...]) -> None:
        """The next ones, in the order of the images, CHW."""
        self._hasher.update(pixels.contiguous().numpy().data)

    @property
    def hex(self) -> str:
        """SHA-256 of all that came so far."""
        return self._hasher.hexdigest()


Source_co = TypeVar("Source_co", bound=ImageSource, default=ImageSet, covariant=True)


@dataclass(frozen=True)
class Split(Generic[Source_co]):
    """The two halves of a data set: what a model is trained on and what it is judged on."""

    train: Source_co
    test: Source_co
