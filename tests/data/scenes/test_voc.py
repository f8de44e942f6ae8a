"""Pascal VOC: corners, halves, difficult objects, and what its XML may get wrong."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.data.scenes.formats import Found, Scene, found, picture, sound, voc_file, voc_object, write_voc

from badnets.data.scenes import voc
from badnets.data.tree import Folder
from badnets.errors import DataError


def with_file(root: Path, text: str, name: str = "odd", **options: int) -> Found:
    write_voc(root, sound())
    picture(root / "JPEGImages" / "odd.png")
    (root / "Annotations" / f"{name}.xml").write_text(text)
    with (root / "ImageSets" / "Main" / "train.txt").open("a") as file:
        file.write(f"{name}\n")
    return found(voc.read_split(Folder(root), **options))  # type: ignore[arg-type]


def test_corners_are_counted_from_one_and_lie_inside(tmp_path: Path) -> None:
    text = voc_file("odd", "<object><name>stop</name><bndbox><xmin>1</xmin><ymin>3</ymin><xmax>40</xmax><ymax>24</ymax>"
                           "</bndbox></object>")  # fmt: skip
    assert with_file(tmp_path / "one", text).objects["odd"] == [("stop", (0, 2, 40, 24), False)]
    assert with_file(tmp_path / "zero", text, first=0).objects["odd"] == [("stop", (1, 3, 40, 24), False)]


def test_difficult_objects_are_ignored(tmp_path: Path) -> None:
    objects = voc_object((1, 2, 9, 9), "stop", "<difficult>1</difficult>") + voc_object(
        (2, 2, 9, 9), "stop", "<difficult>0</difficult>"
    )
    got = with_file(tmp_path, voc_file("odd", objects))
    assert [ignored for _, _, ignored in got.objects["odd"]] == [True, False]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("<annotation>", "not a readable XML file"),
        ("", "not a readable XML file"),
        ("<html></html>", "expected <annotation>, got <html>"),
        (
            '<!DOCTYPE a [<!ENTITY b "bbbb">]><annotation><filename>odd.png</filename></annotation>',
            "defines entities",
        ),
    ],
)
def test_files_that_are_left_out(text: str, reason: str, tmp_path: Path) -> None:
    got = with_file(tmp_path, text)
    assert "odd" not in got.objects
    assert reason in got.skipped[0]
    assert "odd: listed in ImageSets/Main, but without an XML file" in got.skipped[1]


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        ("<object><name>stop</name></object>", "without xmin, ymin, xmax, ymax"),
        ("<object><bndbox><xmin>1</xmin><ymin>1</ymin><xmax>3</xmax></bndbox></object>", "without name, ymax"),
        (
            "<object><name>stop</name><bndbox><xmin>1</xmin><ymin>?</ymin><xmax>3</xmax><ymax>4</ymax></bndbox></object>",
            "something else than numbers",
        ),
    ],
)
def test_objects_that_are_left_out(entry: str, reason: str, tmp_path: Path) -> None:
    got = with_file(tmp_path, voc_file("odd", entry + voc_object((1, 1, 5, 5), "stop")))
    assert len(got.objects["odd"]) == 1
    assert len(got.skipped) == 1
    assert "odd.xml, object 0" in got.skipped[0]
    assert reason in got.skipped[0]


def test_a_stated_size_of_another_picture(tmp_path: Path) -> None:
    got = with_file(tmp_path, voc_file("odd", voc_object((1, 1, 5, 5), "stop"), (48, 80)))
    assert "odd" not in got.objects
    assert "24x40 pixels, noted as 48x80" in got.skipped[0]


def test_zeros_state_no_size(tmp_path: Path) -> None:
    assert "odd" in with_file(tmp_path, voc_file("odd", voc_object((1, 1, 5, 5), "stop"), (0, 0))).objects


def test_a_picture_named_wrongly_is_found_by_the_file_s_own_name(tmp_path: Path) -> None:
    got = with_file(tmp_path, voc_file("elsewhere", voc_object((1, 1, 5, 5), "stop")))
    assert "odd" in got.objects


def test_two_files_for_one_picture(tmp_path: Path) -> None:
    got = with_file(tmp_path, voc_file("sound3", voc_object((1, 1, 5, 5), "stop")))
    assert "sound3" not in got.objects
    assert got.skipped[0].endswith("sound3.png: noted 2 times: left out")


def test_without_lists_it_is_divided_by_a_fixed_shuffle(tmp_path: Path) -> None:
    write_voc(tmp_path, sound(10))
    for half in ("train", "test"):
        (tmp_path / "ImageSets" / "Main" / f"{half}.txt").unlink()
    split = voc.read_split(Folder(tmp_path))
    assert (len(split.train), len(split.test)) == (8, 2)
    assert split.train.digest == voc.read_split(Folder(tmp_path)).train.digest
    assert split.train.classes == ("stop", "warning")


def test_no_xml_at_all(tmp_path: Path) -> None:
    picture(tmp_path / "a.png")
    with pytest.raises(DataError, match="not one readable XML file"):
        voc.read_split(Folder(tmp_path))


def test_scenes_without_objects_stay(tmp_path: Path) -> None:
    write_voc(tmp_path, [*sound(), Scene("bare")])
    assert found(voc.read_split(Folder(tmp_path))).objects["bare"] == []
