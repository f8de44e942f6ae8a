"""An image set as files for other tools: one npz, or a tree of PNG pictures."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np

from badnets.artifacts import open_atomic, write_bytes
from badnets.data.imageset import ImageSet
from badnets.data.sheet import to_picture


def write_npz(path: Path, images: ImageSet, rows: np.ndarray, stamped: np.ndarray) -> None:
    """Write arrays `images` (uint8 NCHW), `labels` (int64), `classes` (text), `rows` and `stamped`, compressed.

    Args:
        path: of the file.
        images: the set.
        rows: int64 (n,), which image of its source each one is.
        stamped: bool (n,), whether it carries a trigger.

    Raises:
        StorageError: not writable or the disk is full.
    """
    with open_atomic(path) as file:
        np.savez_compressed(
            file,
            images=images.images.numpy(),
            labels=images.labels.numpy(),
            classes=np.array(images.classes),
            rows=rows,
            stamped=stamped,
        )


def write_pictures(folder: Path, images: ImageSet) -> None:
    """Write `<folder>/<class>/<number>.png`, numbered as in the set; `folder` data sets read it back.

    Where a class name cannot be that of a folder, two would be one, or their order is not that of the labels, all get
    their label in front: `03_<class>`. Readers take the folders in order, so labels come back as they were.

    Raises:
        StorageError: not writable or the disk is full.
    """
    names = _folder_names(images.classes)
    digits = len(str(len(images) - 1))
    for number, label in enumerate(images.labels.tolist()):
        buffer = io.BytesIO()
        to_picture(images.images[number]).save(buffer, "PNG")
        write_bytes(folder / names[label] / f"{number:0{digits}d}.png", buffer.getvalue(), flush=False)


def _folder_names(classes: tuple[str, ...]) -> list[str]:
    plain = ["".join("_" if letter in '/\\\0<>:"|?*' else letter for letter in name).rstrip(". ") for name in classes]
    apart = len({name.casefold() for name in plain}) == len(plain)
    if apart and plain == sorted(plain) and not any(name == "" or name.startswith(".") for name in plain):
        return plain
    return [f"{label:0{len(str(len(plain)))}d}_{name}" for label, name in enumerate(plain)]
