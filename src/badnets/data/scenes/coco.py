"""Scenes in COCO's format: one JSON file with images, annotations and categories (cocodataset.org, "Data format")."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

from badnets.data.scenes.marks import Log, Mark, Noted, gather
from badnets.data.scenes.naming import KNOWN, Naming
from badnets.data.sceneset import SceneSet, SceneSplit
from badnets.data.tree import Tree, as_text
from badnets.errors import DataError

Key = int | str

_HALVES = ("annotations/train.json", "annotations/test.json")


def read_split(tree: Tree, naming: Naming = "name", name: str | None = None) -> SceneSplit:
    """Scenes with `annotations/train.json` and `annotations/test.json`.

    Args:
        tree: the folder or archive.
        naming: what objects are called.
        name: of the set; None for the name of the tree.

    Raises:
        DataError: as `read`, or their classes differ.
    """
    train, test = (
        read(tree, file, naming, f"{name or tree.name}/{half}")
        for file, half in zip(_HALVES, ("train", "test"), strict=True)
    )
    if train.classes != test.classes:
        raise DataError(f"{tree.name}: the categories of {_HALVES[0]} and {_HALVES[1]} differ: make them the same")
    return SceneSplit(train, test)


def read(tree: Tree, file: str, naming: Naming = "name", name: str | None = None) -> SceneSet:
    """The scenes of one annotation file; `badnets.data.scenes.marks` says what becomes of damaged ones.

    Pictures lie in `images/`, at the root, or beside the file. Crowds (`iscrowd`) and boxes with `ignore` are ignored.
    An image id that is used twice takes both images out, an annotation of an image that there is not is left out.

    Args:
        tree: the folder or archive.
        file: the JSON file within it.
        naming: "name" takes the categories as they are; "us" and "supercategory" take the category's field of that
            name, and a category that is none of the paper's classes there is background.
        name: of the set; None for the name of the tree.

    Raises:
        DataError: no JSON of that form, a category id used twice, categories without such a field, or no scene left.
    """
    where = as_text(tree.where(file))
    images, annotations, categories = _parsed(tree, file)
    labels, classes = _labels(categories, naming, where)
    log = Log()
    scenes = _images(images, file, frozenset(tree.files()), (where, log))
    marks: dict[Key, list[Mark]] = {key: [] for key in scenes}
    for place, annotation in enumerate(annotations):
        key = _id(annotation, "id")
        here = f"annotation {key}" if key is not None else f"annotation at place {place}"
        mark, owner = _mark(annotation, here, labels), _id(annotation, "image_id")
        if isinstance(mark, str):
            log.skip(f"{where}, {here}", mark)
        elif owner is None or owner not in marks:
            log.skip(f"{where}, {here}", f"of image {owner}, which there is not")
        else:
            marks[owner].append(mark)
    _name_ids(annotations, where, log)
    noted = [Noted(path, tuple(marks[key]), size) for key, (path, size) in scenes.items()]
    return gather(tree, noted, classes, name or tree.name, log)


def _images(
    images: list[Any], file: str, there: frozenset[str], told: tuple[str, Log]
) -> dict[Key, tuple[str, tuple[int, int] | None]]:
    """The path and the stated size of each image, by its id."""
    where, log = told
    beside, scenes = file.rpartition("/")[0], {}
    known = Counter(_id(image, "id") for image in images)
    for place, image in enumerate(images):
        key, path = _id(image, "id"), image.get("file_name") if isinstance(image, dict) else None
        if key is None or not isinstance(path, str) or not path:
            log.skip(f"{where}, image {place}", "no id or no file name")
        elif known[key] > 1:
            log.skip(f"{where}, image {place}", f"its id {key} is used {known[key]} times")
        else:
            scenes[key] = (_found(path, beside, there), _size(image))
    return scenes


def _parsed(tree: Tree, file: str) -> tuple[list[Any], list[Any], list[Any]]:
    where = as_text(tree.where(file))
    if file not in tree.files():
        raise DataError(f"{where}: no such file: expected a COCO annotation file")
    try:
        whole = json.loads(tree.read(file))
    except (ValueError, RecursionError) as error:
        raise DataError(f"{where}: not a readable JSON file ({' '.join(str(error).split())})") from error
    parts = [whole.get(part) if isinstance(whole, dict) else None for part in ("images", "annotations", "categories")]
    if not all(isinstance(part, list) for part in parts):
        raise DataError(f"{where}: expected a COCO file with lists of images, annotations and categories")
    images, annotations, categories = parts
    return images, annotations, categories  # type: ignore[return-value]  # they are lists, see above


def _labels(categories: list[Any], naming: Naming, where: str) -> tuple[dict[Key, str | None], tuple[str, ...]]:
    """What each category id is called (None: background), and the classes."""
    labels: dict[Key, str | None] = {}
    for category in categories:
        key, label = _id(category, "id"), category.get(naming) if isinstance(category, dict) else None
        if key is None or not isinstance(label, str) or not label:
            raise DataError(f"{where}: expected categories with id and {naming!r}, got {str(category)[:80]}")
        if key in labels:
            raise DataError(f"{where}: two categories have the id {key}: which one an object is would be open")
        labels[key] = label if naming == "name" or label in KNOWN[naming] else None
    classes = KNOWN.get(naming) or tuple(dict.fromkeys(label for label in labels.values() if label))
    if not any(labels.values()):
        raise DataError(f"{where}: no category is one of {', '.join(classes) or 'any class'}")
    return labels, classes


def _mark(annotation: Any, here: str, labels: dict[Key, str | None]) -> Mark | str:  # noqa: ANN401 - any JSON value
    """The object, or why it cannot be one."""
    if not isinstance(annotation, dict):
        return "not an object of fields"
    box = annotation.get("bbox")
    if not isinstance(box, list) or len(box) != 4:
        return f"expected a bbox of 4 numbers, got {str(box)[:60]}"
    if not all(isinstance(number, int | float) and not isinstance(number, bool) for number in box):
        return f"a bbox of something else than numbers, {str(box)[:60]}"
    category = _id(annotation, "category_id")
    if category not in labels:
        return f"unknown class: no category has the id {category}"
    try:
        left, top, width, height = map(float, box)
    except OverflowError:
        return "a bbox of numbers beyond all bounds"
    ignored = annotation.get("iscrowd") in (1, True) or annotation.get("ignore") in (1, True)
    return Mark(here, (left, top, left + width, top + height), labels[category], ignored)


def _id(value: Any, field: str) -> Key | None:  # noqa: ANN401 - any JSON value
    found = value.get(field) if isinstance(value, dict) else None
    return found if isinstance(found, int | str) and not isinstance(found, bool) else None


def _size(image: dict[str, Any]) -> tuple[int, int] | None:
    height, width = image.get("height"), image.get("width")
    return (height, width) if isinstance(height, int) and isinstance(width, int) and height and width else None


def _found(path: str, beside: str, there: frozenset[str]) -> str:
    """Where the picture lies; where it lies nowhere, the first place where it was looked for."""
    places = (f"images/{path}", path, f"{beside}/{path}" if beside else path)
    return next((place for place in places if place in there), places[0])


def _name_ids(annotations: list[Any], where: str, log: Log) -> None:
    """Ids used twice take nothing out: files that were put together have them, and the boxes are as good."""
    for key, count in Counter(_id(annotation, "id") for annotation in annotations).items():
        if key is not None and count > 1:
            log.treat(where, f"{count} annotations have the id {key}: all kept")
