"""YOLO: shares, lines, files that miss each other, halves."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.data.scenes.formats import Found, found, picture, sound, write_yolo, yolo_line

from badnets.data.scenes import yolo
from badnets.data.tree import Folder
from badnets.errors import DataError


def with_text(root: Path, text: str) -> Found:
    write_yolo(root, sound())
    picture(root / "images" / "train" / "odd.png")
    (root / "labels" / "train" / "odd.txt").write_text(text)
    return found(yolo.read_split(Folder(root)))


def test_centre_and_size_are_shares(tmp_path: Path) -> None:
    got = with_text(tmp_path, "1 0.5 0.5 0.5 0.25\n\n")
    assert got.objects["odd"] == [("warning", (10, 9, 30, 15), False)]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("0 0.5 0.5 0.5", "expected 5 fields (class, centre, size), got 4"),
        ("0 0.5 0.5 0.5 0.2 0.9", "got 6"),
        ("stop 0.5 0.5 0.5 0.2", "something else than numbers"),
        ("0 0.5 half 0.5 0.2", "something else than numbers"),
        ("2 0.5 0.5 0.5 0.2", "unknown class 2: there are 0..1"),
        ("-1 0.5 0.5 0.5 0.2", "unknown class -1"),
    ],
)
def test_lines_that_are_left_out(line: str, reason: str, tmp_path: Path) -> None:
    got = with_text(tmp_path, f"{line}\n{yolo_line((1, 2, 9, 9), 0)}\n")
    assert len(got.objects["odd"]) == 1
    assert len(got.skipped) == 1
    assert "odd.txt, line 1" in got.skipped[0]
    assert reason in got.skipped[0]


def test_a_picture_without_text_has_no_objects_and_is_named(tmp_path: Path) -> None:
    write_yolo(tmp_path, sound())
    (tmp_path / "labels" / "train" / "sound3.txt").unlink()
    got = found(yolo.read_split(Folder(tmp_path)))
    assert got.objects["sound3"] == []
    assert len(got.treated) == 1
    assert "sound3.png: no text file of objects" in got.treated[0]


def test_a_text_without_picture_is_named(tmp_path: Path) -> None:
    write_yolo(tmp_path, sound())
    (tmp_path / "images" / "train" / "sound3.png").unlink()
    got = found(yolo.read_split(Folder(tmp_path)))
    assert "sound3" not in got.objects
    assert len(got.skipped) == 1
    assert "sound3.txt: no picture of that name" in got.skipped[0]


def test_other_layouts(tmp_path: Path) -> None:
    for number in range(10):  # beside each other, without halves
        picture(tmp_path / "one" / f"{number}.png", number)
        (tmp_path / "one" / f"{number}.txt").write_text(yolo_line((1, 2, 9, 9), 0))
    (tmp_path / "one" / "obj.names").write_text("stop\n")
    split = yolo.read_split(Folder(tmp_path / "one"))
    assert (len(split.train), len(split.test)) == (8, 2)
    for half in ("train", "valid"):  # the halves above
        picture(tmp_path / "two" / half / "images" / "a.png")
        (tmp_path / "two" / half / "labels").mkdir()
        (tmp_path / "two" / half / "labels" / "a.txt").write_text(yolo_line((1, 2, 9, 9), 0))
    split = yolo.read_split(Folder(tmp_path / "two"), ("stop",))
    assert (len(split.train), len(split.test)) == (1, 1)
    assert split.test.objects[0].boxes.tolist() == [[1, 2, 9, 9]]


def test_class_names_are_needed(tmp_path: Path) -> None:
    write_yolo(tmp_path, sound())
    (tmp_path / "classes.txt").unlink()
    with pytest.raises(DataError, match=r"no class names: expected classes\.txt"):
        yolo.read_split(Folder(tmp_path))
