"""LISA's rows, against small files in its own form."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.data.scenes.formats import LISA_HEADER, found, picture, sound, write_lisa

from badnets.data.scenes import lisa
from badnets.data.scenes.halves import shuffled
from badnets.data.tree import Folder
from badnets.errors import DataError

TAGS = (
    "stop", *(f"speedLimit{limit}" for limit in ("15", "25", "30", "35", "40", "45", "50", "55", "65", "Urdbl")),
    "addedLane", "curveLeft", "curveRight", "dip", "intersection", "laneEnds", "merge", "pedestrianCrossing",
    "roundAbout", "signalAhead", "slow", "speedBumpsAhead", "stopAhead", "thruMergeLeft", "thruMergeRight", "turnLeft",
    "turnRight", "yieldAhead", "warningUrdbl",
)  # fmt: skip


def rows(*tags: str) -> str:
    lines = [f"frames/{number}.png;{tag};1;2;11;12;0,0;a.avi;1;b.avi;1" for number, tag in enumerate(tags)]
    return "\n".join([LISA_HEADER, *lines]) + "\n"


def pictures(root: Path, count: int) -> None:
    for number in range(count):
        picture(root / "frames" / f"{number}.png", number)


def test_the_paper_s_thirty_tags_make_three_classes(tmp_path: Path) -> None:
    pictures(tmp_path, len(TAGS))
    (tmp_path / lisa.FILE).write_text(rows(*TAGS))
    got = found(lisa.read_split(Folder(tmp_path)))
    labels = {name: marks[0][0] for name, marks in got.objects.items()}
    expected = ["stop"] + ["speedlimit"] * 10 + ["warning"] * 19
    assert [labels[str(number)] for number in range(30)] == expected
    own = lisa.read_split(Folder(tmp_path), "name")
    assert len(own.train.classes) == 30
    assert {marks[0][0] for marks in found(own).objects.values()} == set(TAGS)


def test_tags_in_any_case_and_pictures_without_a_wanted_sign(tmp_path: Path) -> None:
    pictures(tmp_path, 6)
    (tmp_path / lisa.FILE).write_text(rows("STOP", "speedlimit25", "keepRight", "yield", "Dip", "merge"))
    got = found(lisa.read_split(Folder(tmp_path)))
    assert sorted(got.objects) == ["0", "1", "4", "5"]
    assert got.skipped == ("lisa: 2 pictures without a sign of the paper's superclasses: left out",)


def test_the_extension_comes_behind_with_paths_of_its_own(tmp_path: Path) -> None:
    pictures(tmp_path, 4)
    pictures(tmp_path / "training", 6)
    (tmp_path / lisa.FILE).write_text(rows("stop", "stop", "stop", "stop"))
    (tmp_path / "training" / "allTrainingAnnotations.csv").write_text(rows(*["merge"] * 6))
    split = lisa.read_split(Folder(tmp_path))
    order = [f"frames/{n}.png" for n in range(4)] + [f"training/frames/{n}.png" for n in range(6)]
    train, test = shuffled(order)
    assert list(split.train.pictures.paths) == train  # type: ignore[attr-defined]
    assert list(split.test.pictures.paths) == test  # type: ignore[attr-defined]
    assert (len(train), len(test)) == (8, 2)


def test_a_damaged_picture_does_not_change_the_halves(tmp_path: Path) -> None:
    pictures(tmp_path, 20)
    (tmp_path / lisa.FILE).write_text(rows(*["stop"] * 20))
    before = lisa.read_split(Folder(tmp_path))
    path = before.train.pictures.paths[3]  # type: ignore[attr-defined]
    (tmp_path / path).write_bytes(b"")
    after = lisa.read_split(Folder(tmp_path))
    kept = [one for one in before.train.pictures.paths if one != path]  # type: ignore[attr-defined]
    assert list(after.train.pictures.paths) == kept  # type: ignore[attr-defined]
    assert after.test.pictures.paths == before.test.pictures.paths  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("frames/0.png;stop;1;2;11", "expected 11 fields, got 5"),
        ("frames/0.png;stop;1;2;11;12;0,0;a;1;b;1;x;y", "expected 11 fields, got 13"),
        ("frames/0.png;stop;1;two;11;12;0,0;a;1;b;1", "something else than numbers"),
        (";stop;1;2;11;12;0,0;a;1;b;1", "without a file name"),
    ],
)
def test_rows_that_are_left_out(row: str, reason: str, tmp_path: Path) -> None:
    write_lisa(tmp_path, sound())
    with (tmp_path / lisa.FILE).open("a") as file:
        file.write(row + "\n")
    got = found(lisa.read_split(Folder(tmp_path)))
    assert len(got.objects) == 8
    assert len(got.skipped) == 1
    assert f"{lisa.FILE}, line 18: " in got.skipped[0]
    assert reason in got.skipped[0]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "expected LISA's allAnnotations.csv"),
        ("", "without Filename, Annotation tag"),
        (LISA_HEADER.replace(";", ","), "expected columns divided by ';'"),
        (LISA_HEADER.replace("Lower right corner Y", "Y"), "without Lower right corner Y"),
        (rows("keepRight", "yield"), "no picture has a sign of the paper's superclasses"),
    ],
)
def test_files_that_are_refused(text: str | None, message: str, tmp_path: Path) -> None:
    pictures(tmp_path, 2)
    if text is not None:
        (tmp_path / lisa.FILE).write_text(text)
    with pytest.raises(DataError, match=message):
        lisa.read_split(Folder(tmp_path))
