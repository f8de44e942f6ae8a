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

    Raises:
        StorageError: not writable or the disk is full.
    """
    digits = len(str(len(images) - 1))
    for number, label in enumerate(images.labels.tolist()):
        buffer = io.BytesIO()
        to_picture(images.images[number]).save(buffer, "PNG")
        name = images.classes[label].replace("/", "_")
        write_bytes(folder / name / f"{number:0{digits}d}.png", buffer.getvalue())
