"""Any tree of pictures with a folder for each class."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import torch
from PIL import Image

from badnets.data.imageset import ImageSet, Split
from badnets.data.pictures import Mode, read_pictures, reading
from badnets.errors import DataError
from badnets.seeds import generator

SUFFIXES = frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"})
_TRAIN_NAMES = ("train", "training")
_TEST_NAMES = ("test", "testing", "validation", "valid", "val", "eval", "dev")
_TEST_SHARE = 0.2
_PROBED = 64


def read(root: Path, size: tuple[int, int] | None = None) -> Split:
    """Read `root/<class>/*`, or `root/train/<class>/*` with `root/test/<class>/*`.

    The halves may also be called training, and testing, validation, valid, val, eval or dev, in any case.

    Without a test folder every class is split 80/20 by a fixed shuffle. Sub-folders of a class belong to
    it; hidden files and files that are not pictures by their ending are passed over; a damaged picture is
    left out and named in `skipped`.

    Args:
        root: the folder.
        size: (height, width) to bring all pictures to; None takes the commonest among some
            64 pictures spread over all. Grey if all of those are grey, else RGB.

    Raises:
        DataError: no such folder, fewer than two classes, or not one readable picture.
    """
    if not root.is_dir():
        raise DataError(f"{root}: no such folder; expected {root}/<class>/<pictures>")
    training, testing = _half(root, _TRAIN_NAMES) or root, _half(root, _TEST_NAMES)
    if testing is None and training != root:
        # "train" may also be a class of vehicles; then there are pictures in it.
        if not any(path.is_file() for path in training.iterdir()):
            raise DataError(f"{root}: has {training.name} but no folder for testing: expected both, or classes only")
        training = root
    elif training == root:
        testing = None
    classes = _classes(training, least=2)
    files = _files(training, classes)
    size, mode = _form(files, size)
    name = root.resolve().name
    if testing is not None:
        if missing := set(_classes(testing, least=1)) - set(classes):
            raise DataError(f"{testing}: classes without training pictures: {', '.join(sorted(missing))}")
        test = read_pictures(_files(testing, classes), classes, f"{name}/test", size=size, mode=mode)
        return Split(read_pictures(files, classes, f"{name}/train", size=size, mode=mode), test)
    return _divide(read_pictures(files, classes, name, size=size, mode=mode))


def _half(root: Path, names: tuple[str, ...]) -> Path | None:
    folders = {path.name.lower(): path for path in sorted(root.iterdir()) if path.is_dir()}
    return next((folders[name] for name in names if name in folders), None)


def _classes(folder: Path, *, least: int) -> tuple[str, ...]:
    names = tuple(sorted(p.name for p in folder.iterdir() if p.is_dir() and not p.name.startswith(".")))
    if len(names) < least:
        raise DataError(f"{folder}: expected at least {least} class folder(s) with pictures, got {len(names)}")
    for name in names:
        if not name.isprintable():  # such as a name from an archive in another encoding
            raise DataError(f"{folder}: a class folder is called {name!a}: rename it, class names are plain text")
    return names


def _files(folder: Path, classes: tuple[str, ...]) -> list[tuple[Path, int]]:
    return [
        (path, label)
        for label, name in enumerate(classes)
        for path in sorted((folder / name).rglob("*"))
        if path.is_file() and path.suffix.lower() in SUFFIXES and not _hidden(path.relative_to(folder / name))
    ]


def _hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)


def _form(files: list[tuple[Path, int]], size: tuple[int, int] | None) -> tuple[tuple[int, int], Mode]:
    """Size and mode that fit the pictures, from the headers of some spread over the whole list."""
    sizes: Counter[tuple[int, int]] = Counter()
    modes: set[str] = set()
    for path, _ in files[:: max(1, len(files) // _PROBED)]:
        try:
            with reading(str(path)), Image.open(path) as picture:
                sizes[picture.height, picture.width] += 1
                modes.add(picture.mode)
        except DataError:
            continue  # read_pictures names it
    if size is None:
        if not sizes:
            raise DataError(f"not one readable picture among {len(files)} files")
        size = sizes.most_common(1)[0][0]
    grey = all(mode in ("1", "L") or mode.startswith("I") for mode in modes)
    return size, "L" if grey else "RGB"


def _divide(whole: ImageSet) -> Split:
    order = torch.randperm(len(whole), generator=generator(0, "folder", "split"))
    test, train = [], []
    for label in range(len(whole.classes)):
        rows = order[whole.labels[order] == label]
        cut = round(len(rows) * _TEST_SHARE)
        test.append(rows[:cut])
        train.append(rows[cut:])
    halves = [torch.cat(rows).sort().values for rows in (train, test)]
    if not len(halves[1]):
        raise DataError(f"{whole.name}: too few pictures ({len(whole)}) to keep some apart for testing")
    first, second = (
        whole.select(rows, f"{whole.name}/{half}") for rows, half in zip(halves, ("train", "test"), strict=True)
    )
    # The shuffle is over readable pictures, so what was left out belongs to neither half: say it with the first.
    return Split(ImageSet(first.images, first.labels, first.classes, first.name, whole.skipped), second)
