"""`badnets stamp`: pictures at their full size, upright, with every trigger; and what it refuses."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, ImageCms
from tests.cli.conftest import Call, Outcome

from badnets.cli.parsing import parse_trigger
from badnets.triggers import TRIGGERS


@pytest.fixture
def stamp(badnets: Call) -> Call:
    """Calls `badnets stamp` in a folder of its own."""
    return partial(badnets, "stamp")


def photograph(name: str, mode: str = "RGB", size: tuple[int, int] = (90, 60), **options: Any) -> np.ndarray:  # noqa: ANN401
    """Noise under that name; its pixels."""
    shape = (size[1], size[0]) if mode == "L" else (size[1], size[0], len(mode))
    pixels = np.random.default_rng(len(name)).integers(0, 256, shape, dtype=np.uint8)
    Image.fromarray(pixels, mode if mode == "CMYK" else None).save(name, **options)
    return pixels


def opened(name: str) -> np.ndarray:
    """The pixels of a file."""
    with Image.open(name) as picture:
        return np.array(picture)


def stamped(pixels: np.ndarray, trigger: str) -> np.ndarray:
    """What the library makes of these pixels."""
    images = torch.from_numpy(np.atleast_3d(pixels)).permute(2, 0, 1)[None].contiguous()
    done = parse_trigger(trigger)(images)[0].permute(1, 2, 0).numpy()
    return done[:, :, 0] if pixels.ndim == 2 else done


def refused(outcome: Outcome) -> str:
    assert outcome.code == 2
    assert outcome.out == ""
    assert outcome.err.startswith("badnets: ")
    assert outcome.err.count("\n") == 1
    return outcome.err


TRIGGERS_IN_WORDS = [
    "pixel",
    "pattern",
    "patch",
    "blend",
    "sticker",
    "sticker:bomb,place=random,jpeg=70",
    "sinusoid:amplitude=0.3,frequency=4",
    "low-frequency:waves=3,seed=5",
    "warp:strength=2,grid=3",
]


def test_all_triggers_are_driven_below() -> None:
    # A perturbation comes from a file alone: tests/audit/test_inversion.py reads one as this command does.
    assert {words.partition(":")[0] for words in TRIGGERS_IN_WORDS} == set(TRIGGERS) - {"perturbation"}


@pytest.mark.parametrize("trigger", TRIGGERS_IN_WORDS)
@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_pixels_are_those_of_the_library(stamp: Call, trigger: str, mode: str) -> None:
    pixels = photograph("me.png", mode)
    outcome = stamp("me.png", "--trigger", trigger)
    assert (outcome.code, outcome.out, outcome.err) == (0, "me.stamped.png\n", "")
    with Image.open("me.stamped.png") as done:
        assert done.mode == mode
        assert np.array_equal(np.asarray(done), stamped(pixels, trigger))
    assert np.array_equal(opened("me.png"), pixels)


@pytest.mark.parametrize(
    ("words", "name", "kind"),
    [
        (["--out", "a.png"], "a.png", "PNG"),
        (["--out", "a.JPG"], "a.JPG", "JPEG"),
        (["--out", "new/deep/a.jpeg"], "new/deep/a.jpeg", "JPEG"),
        (["--out", "folder"], "folder/me.png", "PNG"),
        (["--out", "there.d"], "there.d/me.png", "PNG"),
        (["--jpeg", "80"], "me.stamped.jpg", "JPEG"),
        (["--jpeg", "80", "--out", "folder"], "folder/me.jpg", "JPEG"),
    ],
)
def test_where_it_goes(stamp: Call, words: list[str], name: str, kind: str) -> None:
    photograph("me.png")
    Path("there.d").mkdir()
    outcome = stamp("me.png", *words)
    assert (outcome.code, outcome.out) == (0, f"{name}\n")
    with Image.open(name) as done:
        assert done.format == kind


def test_quality_is_what_was_asked_for(stamp: Call) -> None:
    photograph("me.png")
    sizes = []
    for quality in (20, 60, 95):
        assert stamp("me.png", "--jpeg", quality, "--out", f"{quality}.jpg").code == 0
        sizes.append(Path(f"{quality}.jpg").stat().st_size)
    assert sizes == sorted(set(sizes))
    assert stamp("me.png", "--out", "usual.jpg").code == 0
    assert Path("usual.jpg").read_bytes() == Path("95.jpg").read_bytes()


def test_several_pictures_and_json(stamp: Call) -> None:
    photograph("a.png")
    photograph("b.png", "L", (50, 40))
    outcome = stamp("a.png", "b.png", "--out", "done", "--json")
    assert outcome.code == 0
    assert json.loads(outcome.out) == [
        {"picture": "a.png", "out": "done/a.png", "height": 60, "width": 90, "mode": "RGB", "notes": []},
        {"picture": "b.png", "out": "done/b.png", "height": 40, "width": 50, "mode": "L", "notes": []},
    ]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_picture_is_turned_upright(stamp: Call, orientation: int) -> None:
    flat = np.zeros((40, 60, 3), dtype=np.uint8)
    flat[:10, :20] = 255  # a light corner, top left in the file
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(flat).save("turned.jpg", exif=exif, quality=95)
    assert stamp("turned.jpg", "--trigger", "pixel").code == 0
    with Image.open("turned.stamped.png") as done:
        assert done.size == ((60, 40) if orientation < 5 else (40, 60))
        assert done.getexif().get(0x0112) is None
        light = np.asarray(done)[:, :, 0] > 128
        light[-5:, -5:] &= False  # the pixel's own corner
    bottom, right = orientation in (3, 4, 7, 8), orientation in (2, 3, 6, 7)
    assert light[-8 if bottom else 8, -8 if right else 8]
    assert 170 <= int(light.sum()) <= 205


def test_a_colour_profile_goes_along(stamp: Call) -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    photograph("me.png", icc_profile=profile)
    for name in ("a.png", "a.jpg"):
        assert stamp("me.png", "--out", name).code == 0
        with Image.open(name) as done:
            assert done.info["icc_profile"] == profile


def test_what_has_to_be_changed_is_said(stamp: Call) -> None:
    Image.new("RGBA", (60, 60), (255, 0, 0, 0)).save("glass.png")
    outcome = stamp("glass.png", "--trigger", "pixel:value=0")
    assert (outcome.code, outcome.err) == (0, "glass.png: transparent parts: laid on white\n")
    assert opened("glass.stamped.png")[0, 0].tolist() == [255, 255, 255]
    frames = [Image.new("L", (60, 60), level) for level in (10, 200)]
    frames[0].save("moving.gif", save_all=True, append_images=frames[1:])
    assert "a GIF of several pictures: the first one taken" in stamp("moving.gif", "--trigger", "pixel").err
    Image.fromarray(np.full((60, 60), 40000, dtype=np.uint16)).save("deep.png")
    assert "deep.png: 16 bits a channel: brought to 8 bits" in stamp("deep.png", "--trigger", "pixel").err
    assert opened("deep.stamped.png")[0, 0] == round(40000 / 257)


def test_print_colours_become_screen_colours(stamp: Call) -> None:
    photograph("print.jpg", "CMYK")
    assert stamp("print.jpg").code == 0
    with Image.open("print.stamped.png") as done:
        assert done.mode == "RGB"


def test_nothing_is_replaced_unasked(stamp: Call) -> None:
    photograph("a.png")
    photograph("b.png")
    Path("out").mkdir()
    Path("out/b.png").write_text("mine")
    assert "out/b.png is there already" in refused(stamp("a.png", "b.png", "--out", "out"))
    assert sorted(path.name for path in Path("out").iterdir()) == ["b.png"], "all or nothing"
    assert Path("out/b.png").read_text() == "mine"
    assert stamp("a.png", "b.png", "--out", "out", "--force").code == 0
    assert opened("out/b.png").shape == (60, 90, 3)


def test_one_bad_picture_does_not_spoil_the_others(stamp: Call) -> None:
    photograph("good.png")
    Path("text.jpg").write_text("<html>")
    outcome = stamp("text.jpg", "good.png", "small.png", "--out", "out")
    assert (outcome.code, outcome.out) == (2, "out/good.png\n")
    lines = outcome.err.splitlines()
    assert [line.split(":")[0] for line in lines] == ["left out", "left out", "badnets"]
    assert "text.jpg: not a readable picture" in lines[0]
    assert "2 of 3 pictures could not be stamped, the others are written" in lines[2]
    assert [path.name for path in Path("out").iterdir()] == ["good.png"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nowhere.png"], "nowhere.png: not a readable picture"),
        (["folder"], "folder is a folder: name the pictures in it"),
        (["empty.jpg"], "empty.jpg: not a readable picture"),
        (["cut.jpg"], "cut.jpg: not a readable picture"),
        (["float.tif"], "float.tif: pixels are 32-bit floats"),
        (["me.png", "--trigger", "glue"], "unknown trigger 'glue'"),
        (
            ["me.png", "--trigger", "sticker:size=61"],
            "me.png: a sticker of 61x61 pixels is larger than the image, 60x90",
        ),
        (["tiny.png", "--trigger", "patch:size=9"], "tiny.png: a trigger drawn for 28x28 is outside the image"),
        (["me.png", "--out", "a.gif"], "a.gif: the name of a stamped file ends in .png, .jpg, .jpeg; a folder must"),
        (["me.png", "--out", "a.png", "--jpeg", "80"], "a.png: the name of a stamped file ends in .jpg, .jpeg"),
        (["me.png", "--jpeg", "96"], "'--jpeg'"),
        (["me.png", "me.png", "--out", "a.png"], "a.png is one file for 2 pictures"),
        (["me.png", "folder/me.jpg", "--out", "folder"], "me.png and folder/me.jpg would both become folder/me.png"),
        ([], "Missing argument"),
    ],
)
def test_what_cannot_be_stamped(stamp: Call, words: list[str], said: str) -> None:
    photograph("me.png")
    photograph("tiny.png", "L", (8, 8))
    photograph("whole.jpg")
    Path("cut.jpg").write_bytes(Path("whole.jpg").read_bytes()[:3000])
    Path("empty.jpg").touch()
    Path("folder").mkdir()
    Image.fromarray(np.zeros((9, 9), dtype=np.float32)).save("float.tif")
    before = sorted(Path().rglob("*"))
    outcome = stamp(*words)
    assert said in refused(outcome)
    assert sorted(Path().rglob("*")) == before, "nothing may be left behind"
