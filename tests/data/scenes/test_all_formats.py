"""The same scenes and the same damages in every format."""

from __future__ import annotations

import io
import math
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tests.data.scenes.formats import FORMATS, HEIGHT, SOUND, WIDTH, Box, Scene, read, sound

from badnets.data.scenes import in_memory, load_scenes
from badnets.errors import DataError

EVERY = pytest.mark.parametrize("kind", FORMATS)
GOOD: Box = (5.0, 6.0, 17.0, 18.0)


def named(kind: str, *labels: str) -> list[str]:
    stop, warning = FORMATS[kind].names
    return [{"stop": stop, "warning": warning}[label] for label in labels]


@EVERY
def test_boxes_labels_and_pixels_come_as_they_were_written(kind: str, tmp_path: Path) -> None:
    got = read(kind, tmp_path, [])
    assert sorted(got.objects) == [f"sound{number}" for number in range(8)]
    for marks in got.objects.values():
        assert [label for label, _, _ in marks] == named(kind, "stop", "warning")
        for (_, box, ignored), (expected, _) in zip(marks, SOUND, strict=True):
            assert box == pytest.approx(expected, abs=1e-4)
            assert not ignored
    assert got.skipped == got.treated == ()
    split = FORMATS[kind].read(tmp_path)
    for half in (split.train, split.test):
        for place, path in enumerate(half.pictures.paths):  # type: ignore[attr-defined]
            with Image.open(tmp_path / path) as image:
                pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1)
            assert torch.equal(half.pictures[place], pixels)
    held = in_memory(split.train, 2)
    assert held.digest == split.train.digest


@EVERY
def test_a_zip_is_read_in_place(kind: str, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    expected = read(kind, folder, [Scene("more", ((GOOD, "stop"),))])
    archive = tmp_path / "whole.zip"
    with zipfile.ZipFile(archive, "w") as file:
        for path in sorted(folder.rglob("*")):
            file.write(path, path.relative_to(folder))
    split = load_scenes(f"{kind}:{archive}", classes={"coco": "us"}.get(kind))
    assert len(split.train) + len(split.test) == len(expected.objects)
    assert split.train.pictures[0].shape == (3, HEIGHT, WIDTH)
    again = load_scenes(f"{kind}:{folder}", classes={"coco": "us"}.get(kind))
    assert again.train.digest == split.train.digest
    assert again.test.digest == split.test.digest


@pytest.mark.parametrize(
    ("box", "reason"),
    [
        ((5.0, 6.0, 5.0, 18.0), "without area"),
        ((5.0, 6.0, 17.0, 6.0), "without area"),
        ((17.0, 6.0, 5.0, 18.0), "without area"),
        ((50.0, 6.0, 60.0, 18.0), "outside the picture of 24x40"),
        ((5.0, -30.0, 17.0, -2.0), "outside the picture of 24x40"),
        ((39.5, 6.0, 60.0, 18.0), "outside the picture of 24x40"),
        ((math.nan, 6.0, 17.0, 18.0), "not finite"),
        ((5.0, 6.0, math.inf, 18.0), "not finite"),
    ],
)
@EVERY
def test_boxes_that_cannot_be_used_are_left_out_and_named(kind: str, box: Box, reason: str, tmp_path: Path) -> None:
    got = read(kind, tmp_path, [Scene("odd", ((box, "stop"), (GOOD, "warning")))])
    assert [(label, ignored) for label, _, ignored in got.objects["odd"]] == [(*named(kind, "warning"), False)]
    assert got.objects["odd"][0][1] == pytest.approx(GOOD, abs=1e-4)
    assert len(got.skipped) == 1
    assert "odd" in got.skipped[0]
    assert reason in got.skipped[0]
    assert got.treated == ()


@pytest.mark.parametrize(
    ("box", "clipped"),
    [((-3.0, 6.0, 17.0, 18.0), (0.0, 6.0, 17.0, 18.0)), ((30.0, 20.0, 44.0, 99.0), (30.0, 20.0, 40.0, 24.0))],
)
@EVERY
def test_boxes_partly_outside_are_clipped_and_named(kind: str, box: Box, clipped: Box, tmp_path: Path) -> None:
    got = read(kind, tmp_path, [Scene("odd", ((box, "stop"),))])
    assert got.objects["odd"][0][1] == pytest.approx(clipped, abs=1e-4)
    assert got.skipped == ()
    assert len(got.treated) == 1
    assert "odd" in got.treated[0]
    assert got.treated[0].endswith("clipped")


@EVERY
def test_rounding_over_the_border_is_no_damage(kind: str, tmp_path: Path) -> None:
    got = read(kind, tmp_path, [Scene("odd", (((30.0, 6.0, 40.001, 24.0), "stop"),))])
    assert got.objects["odd"][0][1] == pytest.approx((30, 6, 40, 24), abs=1e-3)
    assert got.objects["odd"][0][1][2] <= 40
    assert got.skipped == got.treated == ()


@EVERY
def test_unknown_classes_are_named(kind: str, tmp_path: Path) -> None:
    got = read(kind, tmp_path, [Scene("odd", ((GOOD, "strange"), (SOUND[0][0], "stop")))])
    assert [label for label, _, _ in got.objects["odd"]] == named(kind, "stop")
    assert len(got.skipped) == 1
    assert FORMATS[kind].strange in got.skipped[0]


@EVERY
def test_the_same_object_twice_counts_once(kind: str, tmp_path: Path) -> None:
    got = read(kind, tmp_path, [Scene("odd", ((GOOD, "stop"), (GOOD, "stop"), (GOOD, "warning")))])
    assert [label for label, _, _ in got.objects["odd"]] == named(kind, "stop", "warning")
    assert len(got.skipped) == 1
    assert "again" in got.skipped[0]


def cut_short() -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)).save(file, "PNG")
    return file.getvalue()[:900]


@pytest.mark.parametrize(
    ("scene", "reason"),
    [
        (Scene("odd", ((GOOD, "stop"),), missing=True), "no such picture"),
        (Scene("odd", ((GOOD, "stop"),), b""), "an empty file"),
        (Scene("odd", ((GOOD, "stop"),), b"hello"), "not a readable picture (text)"),
        (Scene("odd", ((GOOD, "stop"),), cut_short()), "not a readable picture"),
    ],
    ids=["missing", "empty", "text", "cut short"],
)
@EVERY
def test_scenes_without_a_readable_picture_are_left_out_and_named(
    kind: str, scene: Scene, reason: str, tmp_path: Path
) -> None:
    if kind == "yolo" and scene.missing:
        pytest.skip("YOLO's scenes are its pictures: see test_yolo.py")
    got = read(kind, tmp_path, [scene])
    assert sorted(got.objects) == [f"sound{number}" for number in range(8)]
    assert len(got.skipped) == 1
    assert reason in got.skipped[0]
    assert "odd.png" in got.skipped[0]


@EVERY
def test_odd_pictures_are_treated_as_elsewhere(kind: str, tmp_path: Path) -> None:
    file = io.BytesIO()
    Image.new("L", (WIDTH, HEIGHT), 9).save(file, "PNG")
    got = read(kind, tmp_path, [Scene("odd", ((GOOD, "stop"),), file.getvalue())])
    assert len(got.objects) == 9
    assert len(got.treated) == 1
    assert "repeated in all three channels" in got.treated[0]
    split = FORMATS[kind].read(tmp_path)
    assert all(picture.shape == (3, HEIGHT, WIDTH) for picture, _ in (*split.train, *split.test))


@EVERY
def test_a_picture_that_breaks_later_is_an_error_and_not_silent(kind: str, tmp_path: Path) -> None:
    read(kind, tmp_path, [])
    split = FORMATS[kind].read(tmp_path)
    path = tmp_path / split.train.pictures.paths[0]  # type: ignore[attr-defined]
    path.write_bytes(b"gone")
    with pytest.raises(DataError, match=path.name):
        _ = split.train.pictures[0]


@EVERY
def test_a_set_without_one_readable_picture_is_refused(kind: str, tmp_path: Path) -> None:
    FORMATS[kind].write(tmp_path, sound())
    for path in tmp_path.rglob("*.png"):
        path.write_bytes(b"")
    with pytest.raises(DataError, match=r"not one scene can be read.*sound"):
        FORMATS[kind].read(tmp_path)


ANNOTATIONS = (".json", ".xml", ".txt", ".csv")


@EVERY
def test_whatever_is_in_its_files_a_reader_reads_it_or_says_why_not(kind: str, tmp_path: Path) -> None:
    """Files of annotation with bytes changed, cut out or put in: no other error, and no box outside its picture."""
    FORMATS[kind].write(tmp_path, sound())
    files = sorted(path for path in tmp_path.rglob("*") if path.suffix in ANNOTATIONS)
    whole = {path: path.read_bytes() for path in files}
    dice, refused = np.random.default_rng(0), 0
    for _ in range(60):
        path = files[int(dice.integers(len(files)))]
        content = bytearray(whole[path])
        for _ in range(int(dice.integers(1, 4))):
            start = int(dice.integers(len(content)))
            put = dice.choice([b"", b"-", b"9", b"\0", b"\xff", b"1e999", b"nan", b'"', b"<", b";", b",", b"\n", b"[]"])
            content[start : start + int(dice.integers(0, 5))] = bytes(put)
        path.write_bytes(bytes(content))
        try:
            split = FORMATS[kind].read(tmp_path)
        except DataError:
            refused += 1
        else:
            for half in (split.train, split.test):
                boxes = torch.cat([one.boxes for one in half.objects])
                assert bool(((boxes >= 0) & (boxes <= torch.tensor([WIDTH, HEIGHT] * 2))).all())
        path.write_bytes(whole[path])
    assert refused < 60
