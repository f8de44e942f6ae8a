"""Any tree of pictures with a folder for each class, in a folder or in a zip archive."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from badnets.data.arrangement import Files, arrange, divide, has_picture_ending
from badnets.data.imageset import ImageSet, Split
from badnets.data.pictures import LEAST_SIDE, Mode, header, read_pictures
from badnets.data.tree import Tree, open_tree
from badnets.errors import DataError

_PROBED = 64


@dataclass(frozen=True)
class Album:
    """A tree of pictures that was looked at and not read yet.

    Attributes:
        tree: the folder or archive.
        name: what the set is called.
        classes: the class names.
        train: path and class number of each picture, readable or not; all of them where the tree is not divided.
        test: the same of the test half; None where the tree is not divided.
        size: (height, width) that all are brought to.
        mode: grey or colour.
    """

    tree: Tree
    name: str
    classes: tuple[str, ...]
    train: Files
    test: Files | None
    size: tuple[int, int]
    mode: Mode

    @property
    def pixels(self) -> int:
        """Bytes that all of them take in memory."""
        return (len(self.train) + len(self.test or ())) * self.size[0] * self.size[1] * (1 if self.mode == "L" else 3)


def look(
    tree: Tree, size: tuple[int, int] | None = None, *, mode: Mode | None = None, name: str | None = None
) -> Album:
    """Find the pictures of `<class>/*`, or of `train/<class>/*` with `test/<class>/*`; see `arrange` for other names.

    Args:
        tree: the folder or archive.
        size: (height, width) to bring all pictures to; None takes the commonest among some
            64 pictures spread over all.
        mode: "L" or "RGB"; None for grey if all of those 64 are grey, else RGB.
        name: what the set is called; None for the name of the tree.

    Raises:
        DataError: fewer than two classes, or not one readable picture.
    """
    found = arrange(tree)
    train = pictures_among(tree, found.train)
    test = None if found.test is None else pictures_among(tree, found.test)
    return Album(tree, name or tree.name, found.classes, train, test, *_form(tree, train, size, mode))


def held(album: Album) -> Split:
    """All pictures in memory.

    Without a test half every class is split 80/20 by a fixed shuffle. Hidden files and files that are pictures
    neither by their ending nor by their content were passed over; a damaged picture, or one of fewer than 8 pixels a
    side, is left out and named in `skipped`; one that is odd but can be used (see `badnets.data.remarks`) is named in
    `treated`.

    Raises:
        DataError: not one readable picture in a half, or too few to divide.
    """

    def read(files: Files, name: str) -> ImageSet:
        form = album.size, album.mode
        return read_pictures(album.tree, files, album.classes, name, form=form, least=LEAST_SIDE)

    if album.test is not None:
        return Split(read(album.train, f"{album.name}/train"), read(album.test, f"{album.name}/test"))
    return _divided(read(album.train, album.name))


def read(root: Path, size: tuple[int, int] | None = None) -> Split:
    """Hold the pictures of the folder or zip archive at `root` in memory, see `look` and `held`.

    Raises:
        DataError: as they do, or neither a folder nor a zip archive.
    """
    return held(look(open_tree(root), size))


def pictures_among(tree: Tree, files: Files) -> Files:
    """Those that are pictures by their ending, readable or not, or else by their content."""
    return tuple((path, label) for path, label in files if has_picture_ending(path) or _is_picture(tree, path))


def _is_picture(tree: Tree, path: str) -> bool:
    try:
        return header(tree.read(path)) is not None
    except DataError:
        return False


def _form(tree: Tree, files: Files, size: tuple[int, int] | None, mode: Mode | None) -> tuple[tuple[int, int], Mode]:
    """Size and mode that fit the pictures, from the headers of some spread over the whole list."""
    if size is not None and mode is not None:
        return size, mode
    sizes: Counter[tuple[int, int]] = Counter()
    all_grey = True
    for path, _ in files[:: max(1, len(files) // _PROBED)]:
        try:
            found = header(tree.read(path))
        except DataError:
            continue  # read_pictures names it
        if found is not None:
            height, width, grey = found
            sizes[height, width] += min(height, width) >= LEAST_SIDE
            all_grey &= grey
    if size is None:
        if not sizes.total():
            raise DataError(f"not one readable picture among {len(files)} files")
        size = sizes.most_common(1)[0][0]
    return size, mode or ("L" if all_grey else "RGB")


def _divided(whole: ImageSet) -> Split:
    train, test = divide(whole.labels.tolist(), len(whole.classes))
    if not test:
        raise DataError(f"{whole.name}: too few pictures ({len(whole)}) to keep some apart for testing")
    first, second = (
        whole.select(torch.tensor(rows), f"{whole.name}/{half}") for rows, half in ((train, "train"), (test, "test"))
    )
    # The shuffle is over readable pictures, so what was left out belongs to neither half: say it with the first.
    return Split(replace(first, skipped=whole.skipped, treated=whole.treated), second)
