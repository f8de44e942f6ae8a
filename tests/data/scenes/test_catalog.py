"""Sets of scenes by name, joined ones, and the real ones where they are at hand."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import pytest
import torch
from tests.data.scenes.formats import sound, write_lisa, write_swedish

from badnets.data import Objects, SceneSet, SceneSplit, load_scenes
from badnets.data.scenes import SCENES, is_scenes, joined, scenes_at_hand
from badnets.data.scenes.halves import shuffled, with_objects
from badnets.errors import DataError, InputError

# Boxes by `us`, train/test, as the data's own README counts them. One German stop sign is marked twice.
COUNTS = {
    "italy": ((66, 298, 834), (23, 106, 286)),
    "gtsdb": ((22 - 1, 284, 156), (10, 129, 63)),
    "road": ((67, 525, 0), (22, 169, 0)),
}
SCENE_COUNTS = {"italy": (1400, 484), "gtsdb": (466, 217), "road": (544, 180)}


def counts(scenes: SceneSet) -> tuple[int, ...]:
    return tuple(torch.cat([one.labels for one in scenes.objects]).bincount(minlength=len(scenes.classes)).tolist())


def sizes(split: SceneSplit) -> tuple[int, int]:
    return len(split.train), len(split.test)


@pytest.mark.parametrize("name", ["gtsdb", "road"])
def test_real_scenes(name: str, real_data: Path) -> None:
    split = load_scenes(name, data_dir=real_data)
    assert split.train.classes == ("stop", "speedlimit", "warning")
    assert sizes(split) == SCENE_COUNTS[name]
    assert (counts(split.train), counts(split.test)) == COUNTS[name]
    for half in (split.train, split.test):
        height, width = half.pictures[0].shape[1:]
        boxes = half.objects[0].boxes
        assert bool((boxes[:, 2] <= width).all())
        assert bool((boxes[:, 3] <= height).all())


def test_real_italian_scenes_in_groups(real_data: Path) -> None:
    split = load_scenes("italy", classes="supercategory", data_dir=real_data)
    assert sizes(split) == SCENE_COUNTS["italy"]
    # information, mandatory, prohibitory, warning, other
    assert counts(split.train) == (438, 528, 1096, 834, 232)
    assert counts(split.test) == (150, 170, 398, 286, 84)
    ignored = [sum(int(one.ignored.sum()) for one in half.objects) for half in (split.train, split.test)]
    assert ignored == [247, 52]
    assert split.train.skipped == split.train.treated == ()


def test_real_sets_joined(real_data: Path) -> None:
    split = load_scenes("road+gtsdb", data_dir=real_data)
    assert split.train.name == "road+gtsdb/train"
    assert sizes(split) == (544 + 466, 180 + 217)
    assert counts(split.train) == (67 + 21, 525 + 284, 156)
    assert split.train.pictures[544].shape == (3, 376, 640)


def test_streets_by_name() -> None:
    split = load_scenes("streets")
    assert sizes(split) == (1600, 300)
    assert split.train.classes == ("stop", "speedlimit", "warning")
    assert len(load_scenes("streets-eu").train.classes) == 5


def test_sets_that_are_brought(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"lisa: expected a folder lisa/ \(or lisa\.zip\) with allAnnotations\.csv"):
        load_scenes("lisa", data_dir=tmp_path)
    assert not scenes_at_hand("lisa", tmp_path)
    write_lisa(tmp_path / "lisa", sound())
    assert scenes_at_hand("lisa", tmp_path)
    assert sizes(load_scenes("lisa", data_dir=tmp_path)) == (6, 2)
    write_swedish(tmp_path / "swedish", sound())
    shutil.make_archive(str(tmp_path / "swedish"), "zip", tmp_path / "swedish")
    shutil.rmtree(tmp_path / "swedish")
    assert sizes(load_scenes("swedish", data_dir=tmp_path)) == (7, 1)


def test_names_that_there_are_not(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"unknown set of scenes 'street': did you mean streets"):
        load_scenes("street")
    with pytest.raises(InputError, match="unknown set of scenes 'other'"):
        load_scenes("streets+other")
    with pytest.raises(InputError, match="streets can be called by us, got 'name'"):
        load_scenes("streets", classes="name")
    with pytest.raises(InputError, match="cannot read xml:there"):
        load_scenes("xml:there")
    with pytest.raises(InputError, match="yolo scenes can be called by name"):
        load_scenes(f"yolo:{tmp_path}", classes="us")
    with pytest.raises(DataError, match="no such folder or zip archive"):
        load_scenes(f"coco:{tmp_path / 'nowhere'}")
    with pytest.raises(DataError, match=r"gtsdb: expected signs_gtsdb\.zip in"):
        load_scenes("gtsdb", data_dir=tmp_path)


def test_another_archive_of_that_name_is_refused(tmp_path: Path) -> None:
    (tmp_path / "signs_road.zip").write_bytes(b"PK")
    with pytest.raises(DataError, match="expected SHA-256"):
        load_scenes("road", data_dir=tmp_path)


def test_every_known_set_says_what_it_is() -> None:
    for known in SCENES.values():
        assert known.title
        assert known.licence
        assert known.namings


def test_names_of_scenes_and_of_images() -> None:
    assert all(map(is_scenes, ("streets", "road+gtsdb", "coco:there", "yolo:a.zip", "streets+other")))
    assert not any(map(is_scenes, ("digits", "gtsrb", "folder:there", "a/b.zip", "street")))


def tiny(value: int, classes: tuple[str, ...], label: int) -> SceneSet:
    pictures = tuple(torch.full((3, 6, 6), value + number, dtype=torch.uint8) for number in range(2))
    objects = Objects.of([[0, 0, 3, 3]], [label]), Objects.of([], [])
    return SceneSet(pictures, objects, classes, "tiny", ("a: left out",), ("b: turned",))


def test_joined_sets_match_classes_by_name() -> None:
    both = joined(tiny(0, ("stop", "warning"), 1), tiny(10, ("light", "warning"), 0), "both")
    assert both.classes == ("stop", "warning", "light")
    assert [one.labels.tolist() for one in both.objects] == [[1], [], [2], []]
    assert [int(both.pictures[place][0, 0, 0]) for place in range(4)] == [0, 1, 10, 11]
    assert int(both.pictures[-1][0, 0, 0]) == 11
    assert both.skipped == ("a: left out",) * 2
    with pytest.raises(IndexError):
        _ = both.pictures[4]


def test_scenes_with_objects_only() -> None:
    kept = with_objects(tiny(5, ("stop",), 0))
    assert len(kept) == 1
    assert kept.skipped == ("a: left out",)


def test_the_shuffle_is_python_2_s() -> None:
    """Python 3.11's own shuffle draws other places; the same numbers by the old rule, written another way."""
    order = list(range(8612))
    dice = random.Random(0)  # noqa: S311 - a published split, no secret
    numbers = [dice.random() for _ in range(8611)]
    for place, number in enumerate(numbers):
        last = 8611 - place
        order[last], order[int(number * (last + 1))] = order[int(number * (last + 1))], order[last]
    train, test = shuffled(range(8612))
    assert train + test == order
    assert (len(train), len(test)) == (6889, 1723)
    assert sorted(order) == list(range(8612))
