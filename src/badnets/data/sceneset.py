"""Street scenes with boxes: pictures of any size, and in each the objects that a detector is to find."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float32, Int64, UInt8
from torch import Tensor

from badnets.data.ahead import made_ahead
from badnets.errors import DataError


@runtime_checkable
class Pictures(Protocol):
    """Pictures handed out by number: held in memory (a tuple of tensors), or decoded as they are asked for."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> UInt8[Tensor, "c h w"]:
        """The pixels of one picture, 0..255."""
        ...


@dataclass(frozen=True, eq=False)
class Objects:
    """What is marked in one scene.

    Attributes:
        boxes: left, top, right, bottom in pixels; right and bottom lie just outside the object, so that
            right - left is its width.
        labels: the class of each, in 0..K-1.
        ignored: whether a detector is neither to find nor to be blamed for finding it: crowds, specks.

    Raises:
        DataError: lengths or dtypes differ from these, or a box has no area.
    """

    boxes: Float32[Tensor, "n 4"]
    labels: Int64[Tensor, " n"]
    ignored: Bool[Tensor, " n"]

    def __post_init__(self) -> None:
        shapes = tuple(self.boxes.shape), tuple(self.labels.shape), tuple(self.ignored.shape)
        count = len(self.labels)
        if shapes != ((count, 4), (count,), (count,)):
            raise DataError(f"expected boxes (n, 4), labels (n,) and ignored (n,), got {shapes}")
        dtypes = self.boxes.dtype, self.labels.dtype, self.ignored.dtype
        if dtypes != (torch.float32, torch.int64, torch.bool):
            raise DataError(f"expected boxes of float32, labels of int64 and ignored of bool, got {dtypes}")
        if not (self.boxes[:, 2:] > self.boxes[:, :2]).all():
            raise DataError(f"a box has no area: {self.boxes.tolist()}")

    def __len__(self) -> int:
        return len(self.labels)

    @classmethod
    def of(cls, boxes: Sequence[Sequence[float | int]], labels: Sequence[int]) -> Objects:
        """Objects from plain numbers, none of them ignored."""
        return cls(
            torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4),
            torch.tensor(labels, dtype=torch.int64),
            torch.zeros(len(labels), dtype=torch.bool),
        )


@dataclass(frozen=True, eq=False)
class SceneSet:
    """Scenes of any size with the objects in each.

    Attributes:
        pictures: the scenes' pixels, uint8 RGB (3, h, w).
        objects: what is marked in each scene.
        classes: the K class names, in label order; the background is none of them.
        name: what the set is called in cards and reports, such as "streets/train".
        skipped: scenes or boxes that were left out while reading, each as "where: reason".
        treated: those that are in it but were odd, each as "where: what was found: what was done".

    Raises:
        DataError: lengths differ, no scene, no class, or a label outside 0..K-1.
    """

    pictures: Pictures
    objects: tuple[Objects, ...]
    classes: tuple[str, ...]
    name: str
    skipped: tuple[str, ...] = ()
    treated: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not len(self.pictures) == len(self.objects) > 0:
            raise DataError(f"{self.name}: {len(self.pictures)} pictures but {len(self.objects)} lists of objects")
        labels = torch.cat([marked.labels for marked in self.objects])
        if len(labels) and not 0 <= int(labels.min()) <= int(labels.max()) < len(self.classes):
            found = f"{int(labels.min())}..{int(labels.max())}"
            raise DataError(f"{self.name}: labels {found} do not fit {len(self.classes)} classes")

    def __len__(self) -> int:
        return len(self.objects)

    def __repr__(self) -> str:
        count = sum(len(marked) for marked in self.objects)
        return f"SceneSet({self.name!r}, {len(self)} scenes, {count} objects, {len(self.classes)} classes)"

    def __iter__(self) -> Iterator[tuple[UInt8[Tensor, "3 h w"], Objects]]:
        for index, marked in enumerate(self.objects):
            yield self.pictures[index], marked

    def select(self, rows: Sequence[int], name: str | None = None) -> SceneSet:
        """The scenes in these rows, in this order; pictures are not copied."""
        return replace(
            self,
            pictures=_Picked(self.pictures, tuple(rows)),
            objects=tuple(self.objects[row] for row in rows),
            name=name or self.name,
            skipped=(),
            treated=(),
        )

    @cached_property
    def digest(self) -> str:
        """SHA-256 over class names, sizes, pixels and objects; it reads every picture once."""
        hasher = hashlib.sha256(repr(self.classes).encode())
        for picture, marked in zip(made_ahead(self.pictures.__getitem__, 0, len(self)), self.objects, strict=True):
            hasher.update(repr((tuple(picture.shape), len(marked))).encode())
            for part in (picture, marked.boxes, marked.labels, marked.ignored):
                hasher.update(part.contiguous().numpy().data)
        return hasher.hexdigest()


@dataclass(frozen=True)
class SceneSplit:
    """The two halves of a set of scenes: what a detector is trained on and what it is judged on."""

    train: SceneSet
    test: SceneSet


@dataclass(frozen=True, eq=False)
class _Picked:
    """Some pictures of others."""

    pictures: Pictures
    rows: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> UInt8[Tensor, "3 h w"]:
        return self.pictures[self.rows[index]]
