"""Image sets that several processes look at without a copy: pixels in a file that each of them maps."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from badnets.artifacts import storage
from badnets.data import ImageSet, ImageSource, SceneSet


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
        with storage(path):
            # Written with its length known: a full disk says so here, not as a crash of whoever maps the file.
            path.write_bytes(images.images.contiguous().numpy().data)
        return cls(path, tuple(images.images.shape), tuple(images.labels.tolist()), images.classes, images.name)

    def open(self) -> ImageSet:
        """The image set, its pixels read from the file when they are looked at."""
        count = torch.Size(self.shape).numel()
        # Private mapping: pages are shared by all processes as long as nobody writes, and nobody can write to the file.
        pixels = torch.from_file(str(self.path), shared=False, size=count, dtype=torch.uint8)
        return ImageSet(pixels.view(self.shape), torch.tensor(self.labels), self.classes, self.name)


# What a worker is handed: images that are held in memory by way of a file, others as they are.
Handed = SharedImages | ImageSource | SceneSet


def opened(handed: Handed) -> ImageSource | SceneSet:
    """The images or scenes on the other side."""
    return handed.open() if isinstance(handed, SharedImages) else handed
