"""Photographs that are read and decoded as they are asked for, for sets that do not fit in memory."""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Bool, Int64, UInt8
from PIL import Image
from torch import Tensor

from badnets.data.imageset import ImageSet, PixelsDigest
from badnets.data.pictures import Mode, read_picture, to_array
from badnets.data.tree import Tree
from badnets.errors import DataError, InputError

_CHUNK = 256


@runtime_checkable
class Stamp(Protocol):
    """What is put on a picture before it is scaled; its `repr` says all about it."""

    def __call__(self, images: UInt8[Tensor, "n c h w"], /) -> UInt8[Tensor, "n c h w"]:
        """Stamped copies."""
        ...


@dataclass(frozen=True, eq=False)
class PhotoStream:
    """An `ImageSource` of picture files; nothing but their names stays in memory.

    Pillow decodes outside Python's lock, so threads decode at once. Each file must be readable: `folder.streamed`
    leaves out those that are not, and one that breaks later raises `DataError`.

    Attributes:
        tree: where the files are.
        paths: of the files, within the tree.
        labels: the class of each.
        classes: the class names.
        name: of the set.
        size: (height, width) that all are brought to.
        mode: grey or colour.
        threads: that decode; 0 takes one for each core.
        skipped: files that were left out, each as "path: reason".
        treated: files that are in it but were odd, each as "path: what was found: what was done".
        known: the digest, where it is known already; "" where it is not.
        stamp: put on some pictures at their own size, before they are scaled; see `stamped_at`.
        stamped: which ones.

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
    skipped: tuple[str, ...] = ()
    treated: tuple[str, ...] = ()
    known: str = ""
    stamp: Stamp | None = None
    stamped: Bool[Tensor, " n"] | None = None
    _pool: ThreadPoolExecutor = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if not len(self.paths) == len(self.labels) > 0:
            raise DataError(f"{self.name}: {len(self.paths)} files but {len(self.labels)} labels")
        object.__setattr__(self, "_pool", ThreadPoolExecutor(self._threads, "photographs"))

    @property
    def _threads(self) -> int:
        return self.threads or os.cpu_count() or 1

    def __reduce__(self) -> tuple[Callable[..., PhotoStream], tuple[Any, ...]]:
        """Threads stay behind: another process starts its own. The digest is computed once for all of them."""
        given = (self.tree, self.paths, self.labels, self.classes, self.name, self.size, self.mode, self.threads)
        return PhotoStream, (*given, self.skipped, self.treated, self.digest, self.stamp, self.stamped)

    def __len__(self) -> int:
        return len(self.paths)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height and width of one picture."""
        return 1 if self.mode == "L" else 3, *self.size

    @cached_property
    def digest(self) -> str:
        """As an `ImageSet` of the same pictures has it: every file is read and decoded once, unless it is known."""
        if self.known:
            return self.known
        digest = PixelsDigest((len(self), *self.shape), self.classes, self.labels)
        for rows in torch.arange(len(self)).split(_CHUNK):
            digest.update(self.take(rows))
        return digest.hex

    def stamped_at(
        self,
        rows: Int64[Tensor, " m"],
        labels: Int64[Tensor, " m"],
        stamped: Bool[Tensor, " m"],
        stamp: Stamp,
    ) -> PhotoStream:
        """The pictures in these rows under these labels, some of them stamped at their own size, before scaling.

        Raises:
            InputError: some of this set are stamped already.
        """
        if self.stamp is not None:
            raise InputError(f"{self.name} is stamped already: stamp the clean one")
        hasher = hashlib.sha256(f"{self.digest}/{stamp!r} before scaling".encode())
        for values in (rows, labels, stamped):
            hasher.update(values.contiguous().numpy().data)
        paths = tuple(self.paths[row] for row in rows.tolist())
        return replace(
            self, paths=paths, labels=labels, stamp=stamp, stamped=stamped, known=hasher.hexdigest(),
            name=f"{self.name} (stamped)", skipped=(), treated=(),
        )  # fmt: skip

    def take(self, rows: Int64[Tensor, " m"], /) -> UInt8[Tensor, "m c h w"]:
        """The pictures in these rows, decoded now.

        Raises:
            DataError: a file cannot be read any more.
            InputError: the stamp does not fit on a picture.
        """
        pixels = np.empty((len(rows), *self.shape), np.uint8)
        chosen = rows.tolist()
        waiting = iter(range(len(chosen)))

        def read() -> None:  # a task of its own for each picture would cost nearly as much as a small picture
            for place in waiting:  # all threads draw from this one, so that none waits for another's large picture
                pixels[place] = self._read(chosen[place]).transpose(2, 0, 1)

        for task in [self._pool.submit(read) for _ in range(min(self._threads, len(rows)))]:
            task.result()  # an error comes out here
        return torch.from_numpy(pixels)

    def _read(self, row: int) -> np.ndarray:
        path = self.paths[row]
        where = self.tree.where(path)
        content = io.BytesIO(self.tree.read(path))
        if self.stamp is None or self.stamped is None or not bool(self.stamped[row]):
            return read_picture(content, self.size, self.mode, where=where)
        whole = torch.from_numpy(read_picture(content, None, self.mode, where=where)).permute(2, 0, 1)
        try:
            array = self.stamp(whole[None].contiguous())[0].permute(1, 2, 0).numpy()
        except InputError as error:
            raise InputError(f"{where}: {error}") from error
        return to_array(Image.fromarray(array[:, :, 0] if self.mode == "L" else array), self.size)


# What a study on photographs takes.
Photographs = ImageSet | PhotoStream
