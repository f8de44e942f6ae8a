"""An image set as files for other tools: one npz, or a tree of PNG pictures."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np

from badnets.artifacts import open_atomic, write_bytes
from badnets.data.imageset import ImageSet
from badnets.data.sheet import to_picture


def write_npz(path: Path, images: ImageSet) -> None:
    """Write arrays `images` (uint8 NCHW), `labels` (int64) and `classes` (text), compressed.

    Raises:
        StorageError: not writable or the disk is full.
    """
    with open_atomic(path) as file:
        np.savez_compressed(
            file, images=images.images.numpy(), labels=images.labels.numpy(), classes=np.array(images.classes)
        )


def write_pictures(folder: Path, images: ImageSet) -> None:
    """Write `<folder>/<class>/<number>.png`, numbered as in the set; `folder` data sets read it back.

    Where a class name cannot be that of a folder, or two would be one, all get their label in front: `003_<class>`.

    Raises:
        StorageError: not writable or the disk is full.
    """
    names = _folder_names(images.classes)
    digits = len(str(len(images) - 1))
    for number, label in enumerate(images.labels.tolist()):
        buffer = io.BytesIO()
        to_picture(images.images[number]).save(buffer, "PNG")
        write_bytes(folder / names[label] / f"{number:0{digits}d}.png", buffer.getvalue())


def _folder_names(classes: tuple[str, ...]) -> list[str]:
    plain = ["".join("_" if letter in "/\\\0" else letter for letter in name) for name in classes]
    apart = len({name.casefold() for name in plain}) == len(plain)
    if apart and not any(name == "" or name.startswith(".") for name in plain):
        return plain
    return [f"{label:03d}_{name}" for label, name in enumerate(plain)]
