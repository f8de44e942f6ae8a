"""COCO files: categories, crowds, ids, and what their JSON may get wrong."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.data.scenes.formats import HEIGHT, WIDTH, picture

from badnets.data import SceneSet
from badnets.data.scenes import coco
from badnets.data.scenes.naming import Naming
from badnets.data.tree import Folder
from badnets.errors import DataError

Whole = dict[str, Any]


def made() -> Whole:
    return {
        "images": [
            {"id": number, "file_name": f"{number}.png", "height": HEIGHT, "width": WIDTH} for number in range(2)
        ],
        "annotations": [
            {"id": 1, "image_id": 0, "category_id": 3, "bbox": [1, 2, 10, 12], "iscrowd": 0},
            {"id": 2, "image_id": 0, "category_id": 5, "bbox": [20, 2, 3, 4], "iscrowd": 1},
            {"id": 3, "image_id": 1, "category_id": 8, "bbox": [4, 5, 6, 7], "iscrowd": 0},
        ],
        "categories": [
            {"id": 3, "name": "halt", "us": "stop", "supercategory": "other"},
            {"id": 5, "name": "bend", "us": "warning", "supercategory": "warning"},
            {"id": 8, "name": "bus", "us": "other", "supercategory": "information"},
            {"id": 9, "name": "light", "us": "other", "supercategory": "light"},
        ],
    }


def written(root: Path, whole: object, naming: Naming = "name") -> SceneSet:
    for number in range(2):
        picture(root / "images" / f"{number}.png", number)
    (root / "marks.json").write_text(whole if isinstance(whole, str) else json.dumps(whole))
    return coco.read(Folder(root), "marks.json", naming, "made")


def labels(scenes: SceneSet) -> list[list[str]]:
    return [[scenes.classes[label] for label in marked.labels.tolist()] for marked in scenes.objects]


def test_three_namings_of_one_file(tmp_path: Path) -> None:
    own = written(tmp_path, made())
    assert own.classes == ("halt", "bend", "bus", "light")
    assert labels(own) == [["halt", "bend"], ["bus"]]
    us = written(tmp_path, made(), "us")
    assert us.classes == ("stop", "speedlimit", "warning")
    assert labels(us) == [["stop", "warning"], []]
    assert us.skipped == ("made: 1 objects of classes that are not wanted, which are background: left out",)
    groups = written(tmp_path, made(), "supercategory")
    assert groups.classes == ("information", "mandatory", "prohibitory", "warning", "other")
    assert labels(groups) == [["other", "warning"], ["information"]]
    assert groups.skipped == ()


def test_boxes_are_corner_and_size_and_crowds_are_ignored(tmp_path: Path) -> None:
    scenes = written(tmp_path, made())
    assert scenes.objects[0].boxes.tolist() == [[1, 2, 11, 14], [20, 2, 23, 6]]
    assert scenes.objects[0].ignored.tolist() == [False, True]


def changed(change: Callable[[Whole], object]) -> Whole:
    whole = made()
    change(whole)
    return whole


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda w: w["annotations"][0].update(bbox=[1, 2, 10]), "annotation 1: expected a bbox of 4 numbers"),
        (lambda w: w["annotations"][0].update(bbox=[1, 2, "10", 3]), "annotation 1: a bbox of something else"),
        (lambda w: w["annotations"][0].update(bbox=[1, 2, 10**400, 3]), "beyond all bounds"),
        (lambda w: w["annotations"][0].pop("bbox"), "expected a bbox of 4 numbers, got None"),
        (lambda w: w["annotations"][0].update(image_id=77), "of image 77, which there is not"),
        (lambda w: w["annotations"][0].update(category_id=77), "unknown class: no category has the id 77"),
        (lambda w: w["annotations"].__setitem__(0, 5), "annotation at place 0: not an object of fields"),
    ],
)
def test_an_annotation_that_cannot_be_used(change: Callable[[Whole], object], reason: str, tmp_path: Path) -> None:
    scenes = written(tmp_path, changed(change))
    assert labels(scenes) == [["bend"], ["bus"]]
    assert len(scenes.skipped) == 1
    assert reason in scenes.skipped[0]


def test_an_annotation_id_twice_is_named_and_kept(tmp_path: Path) -> None:
    scenes = written(tmp_path, changed(lambda w: w["annotations"][2].update(id=1)))
    assert labels(scenes) == [["halt", "bend"], ["bus"]]
    assert len(scenes.treated) == 1
    assert scenes.treated[0].endswith("2 annotations have the id 1: all kept")


@pytest.mark.parametrize(
    ("change", "kept", "reason"),
    [
        (lambda w: w["images"].append(dict(w["images"][0])), [["bus"]], "its id 0 is used 2 times"),
        (lambda w: w["images"].append({**w["images"][0], "id": 6}), [["bus"]], "noted 2 times"),
        (lambda w: w["images"][0].pop("id"), [["bus"]], "no id or no file name"),
        (lambda w: w["images"][0].update(file_name=5), [["bus"]], "no id or no file name"),
        (lambda w: w["images"][0].update(width=41), [["bus"]], "24x40 pixels, noted as 24x41"),
        (lambda w: w["images"][0].update(file_name="../marks.json"), [["bus"]], "no such picture"),
    ],
)
def test_an_image_that_cannot_be_used(
    change: Callable[[Whole], object], kept: list[list[str]], reason: str, tmp_path: Path
) -> None:
    scenes = written(tmp_path, changed(change))
    assert labels(scenes) == kept
    assert reason in "\n".join(scenes.skipped)
    lost = [line for line in scenes.skipped if "annotation" in line]
    assert len(lost) in (0, 2), "its boxes are named as well, unless the picture itself is"


def test_a_size_that_is_not_stated_is_not_compared(tmp_path: Path) -> None:
    assert labels(written(tmp_path, changed(lambda w: w["images"][0].pop("width")))) == [["halt", "bend"], ["bus"]]


@pytest.mark.parametrize(
    ("whole", "message"),
    [
        ("{", "not a readable JSON file"),
        ("[" * 100_000, "not a readable JSON file"),
        ([], "expected a COCO file"),
        ({"images": [], "annotations": {}, "categories": []}, "expected a COCO file"),
        (changed(lambda w: w["categories"].append(w["categories"][0])), "two categories have the id 3"),
        (changed(lambda w: w["categories"][0].pop("name")), "expected categories with id and 'name'"),
        (changed(lambda w: w.update(categories=[])), "no category is one of any class"),
        (changed(lambda w: w.update(images=[])), "made: not one scene can be read"),
    ],
    ids=["cut", "deep", "list", "no list", "category twice", "no name", "no category", "no image"],
)
def test_files_that_are_refused_whole(whole: object, message: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=message):
        written(tmp_path, whole)


def test_a_naming_that_the_file_does_not_have(tmp_path: Path) -> None:
    plain = changed(lambda w: [category.pop("us") for category in w["categories"]])
    with pytest.raises(DataError, match="expected categories with id and 'us'"):
        written(tmp_path, plain, "us")
    strange = changed(lambda w: [category.update(us="vehicle") for category in w["categories"]])
    with pytest.raises(DataError, match="no category is one of stop, speedlimit, warning"):
        written(tmp_path, strange, "us")


def test_a_split_needs_both_files_with_the_same_classes(tmp_path: Path) -> None:
    written(tmp_path, made())
    folder = tmp_path / "annotations"
    folder.mkdir()
    (folder / "train.json").write_text(json.dumps(made()))
    with pytest.raises(DataError, match=r"test\.json: no such file"):
        coco.read_split(Folder(tmp_path))
    other = changed(lambda w: w["categories"].pop())
    (folder / "test.json").write_text(json.dumps(other))
    with pytest.raises(DataError, match="differ"):
        coco.read_split(Folder(tmp_path))
    assert coco.read_split(Folder(tmp_path), "us").test.name.endswith("/test")
