"""Images and scenes that several processes look at without a copy: pixels in a file that each of them maps."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from badnets.artifacts import storage
from badnets.data import ImageSet, ImageSource, Objects, SceneSet


@dataclass(frozen=True)
class SharedImages:
    """Where the pixels of an image set lie, and all else about it.

    Attributes:
        path: the file with the pixels, as they lie in memory.
        shape: of the pixels.
        labels: of the images.
        classes: their names.
        name: of the set.
    """

    path: Path
    shape: tuple[int, ...]
    labels: tuple[int, ...]
    classes: tuple[str, ...]
    name: str

    @classmethod
    def write(cls, images: ImageSet, path: Path) -> SharedImages:
        """Put the pixels into the file `path`. Raises `StorageError`."""
        _write(path, [images.images])
        return cls(path, tuple(images.images.shape), tuple(images.labels.tolist()), images.classes, images.name)

    def open(self) -> ImageSet:
        """The image set, its pixels read from the file when they are looked at."""
        pixels = _mapped(self.path, torch.Size(self.shape).numel())
        return ImageSet(pixels.view(self.shape), torch.tensor(self.labels), self.classes, self.name)


@dataclass(frozen=True)
class SharedScenes:
    """Where the pixels of a set of scenes lie, and all else about it.

    Attributes:
        path: the file with the pixels, picture after picture.
        shapes: of the pictures.
        objects: what is in each.
        classes: their names.
        name: of the set.
        skipped: what was left out while reading.
        treated: what was odd.
    """

    path: Path
    shapes: tuple[tuple[int, ...], ...]
    objects: tuple[Objects, ...]
    classes: tuple[str, ...]
    name: str
    skipped: tuple[str, ...]
    treated: tuple[str, ...]

    @classmethod
    def write(cls, scenes: SceneSet, path: Path) -> SharedScenes:
        """Put the pixels into the file `path`. Raises `StorageError`."""
        pictures = [scenes.pictures[number] for number in range(len(scenes))]
        _write(path, pictures)
        shapes = tuple(tuple(one.shape) for one in pictures)
        return cls(path, shapes, scenes.objects, scenes.classes, scenes.name, scenes.skipped, scenes.treated)

    def open(self) -> SceneSet:
        """The scenes, their pixels read from the file when they are looked at."""
        sizes = [torch.Size(shape).numel() for shape in self.shapes]
        parts = _mapped(self.path, sum(sizes)).split(sizes)
        pictures = tuple(part.view(shape) for part, shape in zip(parts, self.shapes, strict=True))
        return SceneSet(pictures, self.objects, self.classes, self.name, self.skipped, self.treated)


Shared = SharedImages | SharedScenes
# What a worker is handed: images that are held in memory by way of a file, others as they are.
Handed = Shared | ImageSource | SceneSet


def opened(handed: Handed) -> ImageSource | SceneSet:
    """The images or scenes on the other side."""
    return handed.open() if isinstance(handed, Shared) else handed


def _write(path: Path, parts: Iterable[Tensor]) -> None:
    # Written as files are: a full disk says so here, not as a crash of whoever maps the file.
    with storage(path), path.open("wb") as file:
        for part in parts:
            file.write(part.contiguous().numpy().data)


def _mapped(path: Path, count: int) -> Tensor:
    # Private mapping: pages are shared by all processes as long as nobody writes, and nobody can write to the file.
    return torch.from_file(str(path), shared=False, size=count, dtype=torch.uint8)
