"""Photographs that are read and decoded as they are asked for, for sets that do not fit in memory."""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import torch
from jaxtyping import Int64, UInt8
from torch import Tensor

from badnets.data.pictures import Mode, read_picture
from badnets.data.tree import Tree
from badnets.errors import DataError


@dataclass(frozen=True, eq=False)
class PhotoStream:
    """An `ImageSource` of picture files; nothing but their names stays in memory.

    Pillow decodes outside Python's lock, so threads decode at once. Each file must be readable: files that are not are
    found by an inspection before, and one that breaks later raises `DataError`.

    Attributes:
        tree: where the files are.
        paths: of the files, within the tree.
        labels: the class of each.
        classes: the class names.
        name: of the set.
        size: (height, width) that all are brought to.
        mode: grey or colour.
        threads: that decode; 0 takes one for each core.

    Raises:
        DataError: no file, or not a label for each.
    """

    tree: Tree
    paths: tuple[str, ...]
    labels: Int64[Tensor, " n"]
    classes: tuple[str, ...]
    name: str
    size: tuple[int, int]
    mode: Mode = "RGB"
    threads: int = 0
    _pool: ThreadPoolExecutor = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if not len(self.paths) == len(self.labels) > 0:
            raise DataError(f"{self.name}: {len(self.paths)} files but {len(self.labels)} labels")
        object.__setattr__(self, "_pool", ThreadPoolExecutor(self.threads or os.cpu_count() or 1, "photographs"))

    def __reduce__(self) -> tuple[Callable[..., PhotoStream], tuple[Any, ...]]:
        """Threads stay behind: another process starts its own."""
        given = (self.tree, self.paths, self.labels, self.classes, self.name, self.size, self.mode, self.threads)
        return PhotoStream, given

    def __len__(self) -> int:
        return len(self.paths)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height and width of one picture."""
        return 1 if self.mode == "L" else 3, *self.size

    @cached_property
    def digest(self) -> str:
        """SHA-256 over size, mode, classes, labels and the files; it reads every file once."""
        hasher = hashlib.sha256(repr((self.size, self.mode, self.classes, self.labels.tolist())).encode())
        for found in self._pool.map(lambda path: hashlib.sha256(self.tree.read(path)).digest(), self.paths):
            hasher.update(found)
        return hasher.hexdigest()

    def take(self, rows: Int64[Tensor, " m"], /) -> UInt8[Tensor, "m c h w"]:
        """The pictures in these rows, decoded now.

        Raises:
            DataError: a file cannot be read any more.
        """
        channels, height, width = self.shape
        pixels = np.empty((len(rows), height, width, channels), np.uint8)

        def read(place: int, row: int) -> None:
            path = self.paths[row]
            content = io.BytesIO(self.tree.read(path))
            pixels[place] = read_picture(content, self.size, self.mode, where=self.tree.where(path))

        for _ in self._pool.map(read, range(len(rows)), rows.tolist()):
            pass  # an error comes out here
        return torch.from_numpy(pixels).permute(0, 3, 1, 2).contiguous()
