"""The Swedish set's lines, against small files in its own form."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.data.scenes.formats import Found, found, picture, sound, write_swedish

from badnets.data.scenes import swedish
from badnets.data.tree import Folder
from badnets.errors import DataError

LINE = "VISIBLE, 11.5, 12.25, 1.5, 2.0, PROHIBITORY, 50_SIGN;"


def with_line(root: Path, line: str) -> Found:
    write_swedish(root, sound())
    picture(root / "Set1" / "pictures" / "odd.png")
    with (root / "Set1" / swedish.FILE).open("a") as file:
        file.write(line + "\n")
    return found(swedish.read_split(Folder(root)))


def test_corners_come_lower_right_first(tmp_path: Path) -> None:
    got = with_line(tmp_path, f"odd.png:{LINE} BLURRED, 30, 20, 20, 10, INFORMATION, PEDESTRIAN_CROSSING;")
    assert got.objects["odd"] == [
        ("prohibitory", (1.5, 2.0, 11.5, 12.25), False),
        ("information", (20, 10, 30, 20), False),
    ]


def test_own_names(tmp_path: Path) -> None:
    with_line(tmp_path, f"odd.png:{LINE}")
    split = swedish.read_split(Folder(tmp_path), "name")
    assert split.train.classes == ("50_SIGN", "CURVE", "STOP")


def test_set_1_trains_and_set_2_tests(tmp_path: Path) -> None:
    write_swedish(tmp_path, sound())
    split = swedish.read_split(Folder(tmp_path))
    assert (len(split.train), len(split.test)) == (7, 1)
    assert split.train.classes == ("information", "mandatory", "prohibitory", "warning", "other")
    (tmp_path / "Set2" / swedish.FILE).unlink()
    split = swedish.read_split(Folder(tmp_path))
    assert (len(split.train), len(split.test)) == (5, 2)


def test_pictures_without_marked_signs_are_dropped_and_counted(tmp_path: Path) -> None:
    got = with_line(tmp_path, "odd.png:\nodd2.png:MISC_SIGNS;")
    assert len(got.objects) == 8
    assert got.skipped[0].endswith("2 pictures without a marked sign: left out")
    assert "1 signs without a box (MISC_SIGNS)" in got.skipped[1]
    assert len(got.skipped) == 2


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (f"odd.png:{LINE} VISIBLE, 1, 2, 3;", "line 8, sign 1: expected 7 fields (visibility"),
        (f"odd.png:{LINE} VISIBLE, 1, 2, 3, four, WARNING, CURVE;", "line 8, sign 1: a box of something else"),
        (f"odd.png:{LINE} VISIBLE, 5, 6, 3, 4, WEATHER, RAIN;", "sign 1: unknown class 'weather'"),
    ],
)
def test_signs_that_are_left_out(line: str, reason: str, tmp_path: Path) -> None:
    got = with_line(tmp_path, line)
    assert len(got.objects["odd"]) == 1
    assert len(got.skipped) == 1
    assert reason in got.skipped[0]


@pytest.mark.parametrize("line", ["odd.png", ":" + LINE])
def test_lines_that_are_left_out(line: str, tmp_path: Path) -> None:
    got = with_line(tmp_path, line)
    assert len(got.objects) == 8
    assert len(got.skipped) == 1
    assert "line 8: expected a picture's name and a colon" in got.skipped[0]


def test_files_that_are_refused(tmp_path: Path) -> None:
    picture(tmp_path / "a.png")
    with pytest.raises(DataError, match=r"expected one or two files called annotations\.txt in it, got 0"):
        swedish.read_split(Folder(tmp_path))
    (tmp_path / swedish.FILE).write_text("a.png:\n")
    with pytest.raises(DataError, match=r"not one scene can be read.*without a marked sign"):
        swedish.read_split(Folder(tmp_path))
