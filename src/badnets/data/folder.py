"""Any tree of pictures with a folder for each class, in a folder or in a zip archive."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import torch

from badnets.data.arrangement import Files, arrange, divide, has_picture_ending
from badnets.data.imageset import ImageSet, Split
from badnets.data.pictures import LEAST_SIDE, Mode, header, read_pictures
from badnets.data.tree import Tree, open_tree
from badnets.errors import DataError

_PROBED = 64


def read(root: Path, size: tuple[int, int] | None = None) -> Split:
    """Read the folder or zip archive at `root`, see `read_tree`.

    Raises:
        DataError: as `read_tree`, or neither a folder nor a zip archive.
    """
    return read_tree(open_tree(root), size)


def read_tree(
    tree: Tree, size: tuple[int, int] | None = None, *, mode: Mode | None = None, name: str | None = None
) -> Split:
    """Read `<class>/*`, or `train/<class>/*` with `test/<class>/*`; all of it may lie in one more folder.

    The halves may also be called training, and testing, validation, valid, val, eval or dev, in any case.

    Without a test folder every class is split 80/20 by a fixed shuffle. Sub-folders of a class belong to
    it; hidden files and files that are pictures neither by their ending nor by their content are passed over; a
    damaged picture, or one of fewer than 8 pixels a side, is left out and named in `skipped`; one that is odd but
    can be used (see `badnets.data.remarks`) is named in `treated`.

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
    classes, name = found.classes, name or tree.name
    files = pictures_among(tree, found.train)
    form = _form(tree, files, size, mode)
    if found.test is not None:
        testing = pictures_among(tree, found.test)
        train = read_pictures(tree, files, classes, f"{name}/train", form=form, least=LEAST_SIDE)
        return Split(train, read_pictures(tree, testing, classes, f"{name}/test", form=form, least=LEAST_SIDE))
    return _divided(read_pictures(tree, files, classes, name, form=form, least=LEAST_SIDE))


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
