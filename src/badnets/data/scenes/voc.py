"""Scenes in Pascal VOC's format: an XML file for each picture (VOC 2012 development kit, section 5)."""

from __future__ import annotations

from pathlib import PurePosixPath
from xml.etree import ElementTree as ET

from badnets.data.arrangement import TEST_NAMES, TRAIN_NAMES, has_picture_ending
from badnets.data.scenes.halves import shuffled
from badnets.data.scenes.marks import Log, Mark, Noted, gather
from badnets.data.sceneset import SceneSplit
from badnets.data.tree import Tree, as_text
from badnets.errors import DataError

_CORNERS = ("xmin", "ymin", "xmax", "ymax")


def read_split(
    tree: Tree, classes: tuple[str, ...] | None = None, name: str | None = None, *, first: int = 1
) -> SceneSplit:
    """All scenes with an XML file; `badnets.data.scenes.marks` says what becomes of damaged ones.

    The halves are those of `ImageSets/Main/train.txt` and `test.txt` (or `val.txt`), else 80/20 by a fixed shuffle.
    Difficult objects are ignored, as VOC's own judging does.

    Args:
        tree: the folder or archive.
        classes: the names that count, another one is unknown; None for all that occur, sorted.
        name: of the set; None for the name of the tree.
        first: the number of the first pixel of a row: 1 as in VOC, whose corners are pixels inside the box; 0 where a
            tool wrote corners from 0, the right and lower ones just outside.

    Raises:
        DataError: no XML file, or no scene left in a half.
    """
    name, log = name or tree.name, Log()
    files = tree.files()
    pictures: dict[str, list[str]] = {}
    for path in files:
        if has_picture_ending(path):
            pictures.setdefault(PurePosixPath(path).name, []).append(path)
    noted: dict[str, Noted] = {}
    for path in files:
        if path.lower().endswith(".xml"):
            scene = _scene(tree, path, pictures, (first, log))
            if scene is not None:
                noted[PurePosixPath(path).stem if PurePosixPath(path).stem not in noted else path] = scene
    if not noted:
        raise DataError(f"{name}: not one readable XML file of a scene{f': {log.skipped[0]}' if log.skipped else ''}")
    known = classes or tuple(sorted({mark.label for scene in noted.values() for mark in scene.marks if mark.label}))
    train, test = _halves(tree, files, list(noted))
    logs = log, Log()  # what is wrong with a file is said with the first half, what with its picture with its own
    for half, its_log in zip((train, test), logs, strict=True):
        for key in half:
            if key not in noted:
                its_log.skip(f"{name}, {key}", "listed in ImageSets/Main, but without an XML file that can be used")
    return SceneSplit(
        gather(tree, [noted[key] for key in train if key in noted], known, f"{name}/train", logs[0]),
        gather(tree, [noted[key] for key in test if key in noted], known, f"{name}/test", logs[1]),
    )


def _halves(tree: Tree, files: tuple[str, ...], stems: list[str]) -> tuple[list[str], list[str]]:
    """The names of the scenes of each half."""
    lists = {path.rpartition("/")[2].lower().removesuffix(".txt"): path for path in files if "ImageSets/Main/" in path}
    training = next((lists[half] for half in TRAIN_NAMES if half in lists), None)
    testing = next((lists[half] for half in TEST_NAMES if half in lists), None)
    if training is None or testing is None:
        return shuffled(sorted(stems))
    train, test = (
        [line.split()[0] for line in tree.read(path).decode("utf-8", "replace").splitlines() if line.strip()]
        for path in (training, testing)
    )
    return train, test


def _scene(tree: Tree, path: str, pictures: dict[str, list[str]], reading: tuple[int, Log]) -> Noted | None:
    """What one XML file says; None where it says nothing that can be used, which the log then names."""
    first, log = reading
    where = as_text(tree.where(path))
    content = tree.read(path)
    if b"<!DOCTYPE" in content or b"<!ENTITY" in content:
        log.skip(where, "an XML file that defines entities, which a few bytes blow up to any size")
        return None
    try:
        root = ET.fromstring(content)  # noqa: S314 - no entities get here
    except (ET.ParseError, ValueError, LookupError) as error:
        log.skip(where, f"not a readable XML file ({error})")
        return None
    if root.tag != "annotation":
        log.skip(where, f"expected <annotation>, got <{root.tag}>")
        return None
    marks = []
    for place, entry in enumerate(root.iter("object")):
        mark = _mark(entry, f"object {place}", first)
        if isinstance(mark, Mark):
            marks.append(mark)
        else:
            log.skip(f"{where}, object {place}", mark)
    return Noted(_picture(path, root, pictures), tuple(marks), _size(root))


def _mark(entry: ET.Element, here: str, first: int) -> Mark | str:
    """The object, or why it cannot be one."""
    label = (entry.findtext("name") or "").strip()
    texts = [entry.findtext(f"bndbox/{corner}") for corner in _CORNERS]
    if not label or None in texts:
        missing = [
            what for what, text in zip(("name", *_CORNERS), (label or None, *texts), strict=True) if text is None
        ]
        return f"without {', '.join(missing)}"
    try:
        left, top, right, bottom = (float(text or "") for text in texts)
    except ValueError:
        return f"a box of something else than numbers, {texts}"
    difficult = (entry.findtext("difficult") or "").strip() == "1"
    return Mark(here, (left - first, top - first, right, bottom), label, difficult)


def _size(root: ET.Element) -> tuple[int, int] | None:
    """Height and width as stated; None for none, or the zeros that some tools write."""
    try:
        height, width = (int(root.findtext(f"size/{side}") or 0) for side in ("height", "width"))
    except ValueError:
        return None
    return (height, width) if height > 0 and width > 0 else None


def _picture(path: str, root: ET.Element, pictures: dict[str, list[str]]) -> str:
    """The picture that the file names, or else one called as the file is; of several, one from the same part."""
    named = PurePosixPath((root.findtext("filename") or "").strip().replace("\\", "/")).name
    stem = PurePosixPath(path).stem
    found = pictures.get(named) or [
        place for name, places in pictures.items() if PurePosixPath(name).stem == stem for place in places
    ]
    near = str(PurePosixPath(path).parent.parent)
    return next(
        (place for place in found if place.startswith(f"{near}/")), found[0] if found else named or f"{stem}.jpg"
    )
