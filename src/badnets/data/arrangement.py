"""Which folders of a tree are classes, and which are halves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from badnets.data.content import SUFFIXES
from badnets.data.tree import Tree
from badnets.errors import DataError
from badnets.seeds import generator

TRAIN_NAMES = ("train", "training")
TEST_NAMES = ("test", "testing", "validation", "valid", "val", "eval", "dev")
TEST_SHARE = 0.2

Files = tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class Arrangement:
    """The files of a tree by class.

    Attributes:
        classes: the names of the class folders, sorted.
        train: path and class number of every file in them, pictures or not.
        test: the same of the test half; None where the tree is not divided.
        aside: paths of files that lie in no class folder.
    """

    classes: tuple[str, ...]
    train: Files
    test: Files | None
    aside: tuple[str, ...]


def arrange(tree: Tree) -> Arrangement:
    """Read `<class>/*`, or `train/<class>/*` with `test/<class>/*`, either within folders that wrap all of it.

    The halves may also be called training, and testing, validation, valid, val, eval or dev, in any case. Sub-folders
    of a class belong to it.

    Raises:
        DataError: fewer than two classes, a class name that is no text, or a test class that nothing is trained on.
    """
    files, folders = tree.files(), tree.folders()
    top = _unwrapped(files, folders)
    halves = {name.lower(): name for name in _within(top, folders)}
    training = next((halves[name] for name in TRAIN_NAMES if name in halves), None)
    testing = next((halves[name] for name in TEST_NAMES if name in halves), None)
    if training is None:
        testing = None
    elif testing is None:
        # "train" may also be a class of vehicles; then there are pictures in it.
        if not _within(_join(top, training), files):
            where = tree.where(top)
            raise DataError(f"{where}: has {training} but no folder for testing: expected both, or classes only")
        training = None
    ground = top if training is None else _join(top, training)
    classes = _classes(tree, ground, folders, least=2)
    train = _in_classes(files, ground, classes)
    test = None
    if testing is not None:
        other = _join(top, testing)
        if missing := set(_classes(tree, other, folders, least=1)) - set(classes):
            raise DataError(f"{tree.where(other)}: classes without training pictures: {', '.join(sorted(missing))}")
        test = _in_classes(files, other, classes)
    taken = {path for path, _ in (*train, *(test or ()))}
    return Arrangement(classes, train, test, tuple(path for path in files if path not in taken))


def divide(labels: Sequence[int], classes: int) -> tuple[list[int], list[int]]:
    """The rows to train on and to test on: every class 80/20 by a shuffle that depends on the labels alone."""
    known = torch.tensor(labels, dtype=torch.int64)
    order = torch.randperm(len(known), generator=generator(0, "folder", "split"))
    train: list[int] = []
    test: list[int] = []
    for label in range(classes):
        rows = order[known[order] == label].tolist()
        cut = round(len(rows) * TEST_SHARE)
        test += rows[:cut]
        train += rows[cut:]
    return sorted(train), sorted(test)


def has_picture_ending(path: str) -> bool:
    """Whether a file is called as pictures are."""
    return "." + path.rpartition(".")[2].lower() in SUFFIXES


def _unwrapped(files: tuple[str, ...], folders: tuple[str, ...]) -> str:
    """The folder that all others lie in: archives often hold one that is called as they are."""
    top = ""
    while True:
        inner = _within(top, folders)
        if len(inner) != 1 or inner[0].lower() in (*TRAIN_NAMES, *TEST_NAMES):
            return top
        below = _join(top, inner[0])
        # A folder with pictures in it, or with nothing, is a class and no wrapping.
        if not _within(below, folders) or any(map(has_picture_ending, _within(below, files))):
            return top
        top = below


def _classes(tree: Tree, ground: str, folders: tuple[str, ...], *, least: int) -> tuple[str, ...]:
    names = _within(ground, folders)
    if len(names) < least:
        expected = f"expected at least {least} class folder(s) with pictures, got {len(names)}"
        raise DataError(f"{tree.where(ground)}: {expected}")
    for name in names:
        if not name.isprintable():  # such as a name from an archive in another encoding
            raise DataError(
                f"{tree.where(ground)}: a class folder is called {name!a}: rename it, class names are plain text"
            )
    return names


def _in_classes(files: tuple[str, ...], ground: str, classes: tuple[str, ...]) -> Files:
    numbers = {name: label for label, name in enumerate(classes)}
    start = len(ground) + 1 if ground else 0
    found = []
    for path in files:
        name, slash, _ = path[start:].partition("/")
        if slash and _lies_in(path, ground):
            found.append((path, numbers[name]))
    return tuple(found)


def _lies_in(path: str, folder: str) -> bool:
    return not folder or path.startswith(f"{folder}/")


def _within(folder: str, paths: tuple[str, ...]) -> tuple[str, ...]:
    """The names of those `paths` that lie directly in `folder`, sorted."""
    start = len(folder) + 1 if folder else 0
    return tuple(path[start:] for path in paths if _lies_in(path, folder) and "/" not in path[start:])


def _join(folder: str, name: str) -> str:
    return f"{folder}/{name}" if folder else name
