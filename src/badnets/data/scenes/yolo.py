"""Scenes in YOLO's format: a text file for each picture, a line for each object: class, centre, size, in shares."""

from __future__ import annotations

from pathlib import PurePosixPath

from badnets.data.arrangement import TEST_NAMES, TRAIN_NAMES, has_picture_ending
from badnets.data.scenes.halves import shuffled
from badnets.data.scenes.marks import Log, Mark, Noted, gather
from badnets.data.sceneset import SceneSplit
from badnets.data.tree import Tree, as_text
from badnets.errors import DataError

_NAMES = ("classes.txt", "obj.names", "classes.names")


def read_split(tree: Tree, classes: tuple[str, ...] | None = None, name: str | None = None) -> SceneSplit:
    """Every picture with its text file; `badnets.data.scenes.marks` says what becomes of damaged ones.

    The text file of `images/a.jpg` is `labels/a.txt`, or else `a.txt` beside it. A picture without one has no objects,
    as YOLO reads it, and is named in `treated`. The halves are folders called train and test (or val, ...), anywhere
    in the path, else 80/20 by a fixed shuffle.

    Args:
        tree: the folder or archive.
        classes: the class names by number; None reads `classes.txt` or `obj.names`, one name a line.
        name: of the set; None for the name of the tree.

    Raises:
        DataError: no class names, or no scene left in a half.
    """
    name, log = name or tree.name, Log()
    files = tree.files()
    there = frozenset(files)
    listed = [path for path in files if PurePosixPath(path).name in _NAMES]
    if classes is None:
        if not listed:
            raise DataError(f"{name}: no class names: expected {' or '.join(_NAMES)} with one name a line")
        lines = tree.read(listed[0]).decode("utf-8", "replace").splitlines()
        classes = tuple(line.strip() for line in lines if line.strip())
    noted: dict[str, Noted] = {}
    used = set(listed)
    for path in files:
        if has_picture_ending(path):
            text = _text_of(path, there)
            used.add(text or path)
            noted[path] = Noted(path, _marks(tree, text, classes, log), shares=True)
            if text is None:
                log.treat(as_text(tree.where(path)), "no text file of objects: taken to have none")
    for path in files:
        inside = "labels" in PurePosixPath(path).parts[:-1]
        if path.endswith(".txt") and path not in used and inside:
            log.skip(as_text(tree.where(path)), "no picture of that name")
    train, test = _halves(list(noted))
    return SceneSplit(
        gather(tree, [noted[path] for path in train], classes, f"{name}/train", log),
        gather(tree, [noted[path] for path in test], classes, f"{name}/test", Log()),
    )


def _text_of(path: str, there: frozenset[str]) -> str | None:
    whole = PurePosixPath(path).with_suffix(".txt")
    parts = list(whole.parts)
    places = [str(whole)]
    for place in range(len(parts) - 2, -1, -1):
        if parts[place] == "images":
            places.insert(0, str(PurePosixPath(*parts[:place], "labels", *parts[place + 1 :])))
            break
    return next((text for text in places if text in there), None)


def _halves(paths: list[str]) -> tuple[list[str], list[str]]:
    halves: dict[bool | None, list[str]] = {True: [], False: [], None: []}
    for path in paths:
        parts = {part.lower() for part in PurePosixPath(path).parts[:-1]}
        testing = True if parts & set(TEST_NAMES) else False if parts & set(TRAIN_NAMES) else None
        halves[testing].append(path)
    if halves[True] and halves[False]:
        return halves[False], halves[True]
    return shuffled(sorted(paths))


def _marks(tree: Tree, path: str | None, classes: tuple[str, ...], log: Log) -> tuple[Mark, ...]:
    """The objects that a text file notes, as shares."""
    if path is None:
        return ()
    marks = []
    for number, line in enumerate(tree.read(path).decode("utf-8", "replace").splitlines(), 1):
        fields = line.split()
        if not fields:
            continue
        mark = _mark(fields, f"line {number} of {PurePosixPath(path).name}", classes)
        if isinstance(mark, Mark):
            marks.append(mark)
        else:
            log.skip(f"{as_text(tree.where(path))}, line {number}", mark)
    return tuple(marks)


def _mark(fields: list[str], here: str, classes: tuple[str, ...]) -> Mark | str:
    """The object, or why it cannot be one."""
    if len(fields) != 5:
        return f"expected 5 fields (class, centre, size), got {len(fields)}"
    try:
        number = int(fields[0])
        x, y, width, height = map(float, fields[1:])
    except ValueError:
        return f"something else than numbers, {' '.join(fields)[:60]!r}"
    if not 0 <= number < len(classes):
        return f"unknown class {number}: there are 0..{len(classes) - 1}"
    return Mark(here, (x - width / 2, y - height / 2, x + width / 2, y + height / 2), classes[number])
