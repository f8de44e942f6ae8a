"""Every odd kind of picture file has its stated treatment, and says so."""

from __future__ import annotations

import io
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, features
from tests.data.odd_pictures import (
    ODD,
    SIDE,
    animated,
    chunk,
    deep_grey,
    encoded,
    half_clear,
    photograph,
    plain,
    png,
    turned,
)

from badnets.data.pictures import LEAST_SIDE, Decoded, decode, header, read_picture
from badnets.data.remarks import TREATMENTS, Remark
from badnets.errors import DataError


def decoded(content: bytes, name: str = "", **options: object) -> Decoded:
    found = decode(content, name, **options)  # type: ignore[arg-type]
    assert isinstance(found, Decoded), found
    return found


def pixels(content: bytes) -> np.ndarray:
    return np.asarray(decoded(content, mode="RGB").picture)


@pytest.mark.parametrize("name", ODD)
def test_an_odd_file_has_its_stated_treatment(name: str) -> None:
    odd = ODD[name]
    found = decode(odd.content(), f"a{odd.suffix}", mode="RGB", least=LEAST_SIDE)
    treatment = TREATMENTS[odd.kind][0]
    if odd.colour is None:
        assert isinstance(found, Remark)
        assert (found.kind, found.treatment, treatment) == (odd.kind, "left out", "left out")
        assert " at 0x" not in found.found, "no address of an object in memory"
        assert "\n" not in found.found
        if odd.kind != "tiny":  # only folders have a least side
            with pytest.raises(DataError, match=r"^here: (?!here)"):
                read_picture(io.BytesIO(odd.content()), None, "RGB", where="here")
    else:
        assert isinstance(found, Decoded)
        (told,) = [one for one in found.remarks if one.kind == odd.kind]
        assert told.treatment == treatment != "left out"
        assert found.picture.mode == "RGB"
        below = np.asarray(found.picture)[-SIDE // 3 :].astype(int)
        assert np.abs(below - odd.colour).max() <= odd.within


def test_every_kind_is_made_here() -> None:
    assert {odd.kind for odd in ODD.values()} | {"colour"} == set(TREATMENTS)


def test_a_common_picture_is_not_remarked_upon() -> None:
    for form, suffix in (("JPEG", ".jpg"), ("JPEG", ".JPEG"), ("PNG", ".png"), ("WEBP", ".webp"), ("BMP", ".bmp")):
        found = decoded(encoded(photograph(), form), f"a{suffix}", mode="RGB")
        assert found.remarks == ()
        assert found.form == form
        assert not found.grey
    assert decoded(encoded(plain(7, "L"), "PNG"), "a.png").remarks == ()
    assert decoded(encoded(plain(7, "L"), "PNG")).picture.mode == "L"
    assert decoded(encoded(plain((9, 9, 9, 255), "RGBA"), "PNG"), "a.png", mode="RGB").remarks == (), "opaque all over"


# --- turned upright ---


@pytest.mark.parametrize("form", ["PNG", "WEBP", "TIFF", "JPEG", "AVIF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_all_orientations_give_the_same_upright_pixels(form: str, orientation: int) -> None:
    if form == "AVIF" and not features.check("avif"):
        pytest.skip("this Pillow reads no AVIF")
    expected = photograph(3, 20, 30)
    content = turned(orientation, form, expected)
    found = decoded(content, mode="RGB")
    assert found.picture.size == (30, 20)
    # One quantisation of a lossy format moves a pixel by a few levels; any other turn moves most by dozens.
    lossy = form in ("JPEG", "AVIF")
    assert np.abs(np.asarray(found.picture).astype(int) - np.asarray(expected)).max() <= (30 if lossy else 0)
    assert [one.kind for one in found.remarks] == (["rotated"] if orientation > 1 else [])
    assert header(content) == (20, 30, False)


def test_a_turned_deep_picture() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    deep = np.arange(SIDE * 30, dtype=np.uint16).reshape(SIDE, 30) * 80
    content = encoded(Image.fromarray(deep), "PNG", exif=exif)
    found = decoded(content)
    assert np.array_equal(np.asarray(found.picture), np.rot90(np.rint(deep / 257).astype(np.uint8), -1))
    assert {one.kind for one in found.remarks} == {"deep", "rotated"}


def test_exif_that_cannot_be_read_spoils_no_picture() -> None:
    for block in (b"II*\0\xff\xff\xff\xff", b"II", b"nonsense", b"II*\0\x08\0\0\0\xff\xff" + b"\x12\x01\x03\0" * 9):
        found = decoded(encoded(plain(), "JPEG", exif=b"Exif\0\0" + block, quality=95), "a.jpg")
        assert np.abs(np.asarray(found.picture).astype(int) - (200, 30, 30)).max() <= 2
        # Some releases of Pillow pass over such a block as if there were none, others raise.
        assert {one.kind for one in found.remarks} <= {"odd mark"}


# --- colours ---


def test_ink_becomes_light() -> None:
    """Each ink by the formula of the simplest printer: what is not absorbed is seen."""
    inks = [(255, 0, 0, 0), (0, 255, 0, 0), (0, 0, 255, 0), (0, 0, 0, 255), (0, 0, 0, 0), (40, 80, 120, 60)]
    for ink in inks:
        expected = [(255 - channel) * (255 - ink[3]) / 255 for channel in ink[:3]]
        for form in ("JPEG", "TIFF"):
            found = pixels(encoded(plain(ink, "CMYK"), form, **({"quality": 98} if form == "JPEG" else {})))
            assert np.abs(found[5, 5] - expected).max() <= 3, (ink, form)


def test_ycck_as_photoshop_writes_it() -> None:
    """The same four planes, declared as YCCK: the first three are then luminance and chrominance of the ink."""
    ink = (200, 90, 140, 30)
    content = bytearray(encoded(plain(ink, "CMYK"), "JPEG", quality=100, subsampling=0))
    marker = content.index(b"Adobe") + 11
    assert content[marker] == 0
    content[marker] = 2
    stored = [255 - value for value in ink]  # Adobe's files hold ink inverted
    y, blue, red = stored[0], stored[1] - 128, stored[2] - 128
    seen_ink = np.clip([y + 1.402 * red, y - 0.344136 * blue - 0.714136 * red, y + 1.772 * blue], 0, 255)
    expected = (255 - seen_ink) * (255 - ink[3]) / 255
    assert np.abs(pixels(bytes(content))[5, 5] - expected).max() <= 3


def test_cmyk_without_a_marker_is_taken_for_adobes() -> None:
    """As browsers do."""
    content = encoded(plain((0, 255, 255, 0), "CMYK"), "JPEG", quality=95)
    start = content.index(b"\xff\xee")
    bare = content[:start] + content[start + 16 :]
    assert b"Adobe" not in bare
    assert np.abs(pixels(bare).astype(int) - (255, 0, 0)).max() <= 2


@pytest.mark.parametrize("value", [0, 1, 128, 129, 257, 0x7FFF, 0x8000, 0xFFFF])
def test_deep_grey_is_rounded(value: int) -> None:
    for form in ("PNG", "TIFF", "PPM"):
        assert (pixels(deep_grey(value, form)) == round(value / 257)).all()


def test_deep_grey_of_other_ends_and_ranges() -> None:
    big = Image.fromarray(np.full((SIDE, SIDE), 0x8000, ">u2"))
    assert (pixels(encoded(big, "TIFF")) == 128).all()
    pgm = b"P5 24 24 1023\n" + b"\x02\x00" * 576
    assert (pixels(pgm) == 128).all()
    signed = encoded(Image.fromarray(np.full((SIDE, SIDE), -5, np.int32)), "TIFF")
    found = decode(signed)
    assert isinstance(found, Remark)
    assert found.kind == "depth"


def test_a_transparent_colour_of_16_bits_is_not_guessed_at() -> None:
    row = b"\x80\x01\x80\x02\x80\x03" * SIDE * SIDE
    content = png(row, SIDE, SIDE, 16, 2, chunk(b"tRNS", b"\x80\x01\x80\x02\x80\x03"))
    found = decoded(content, "a.png", mode="RGB")
    assert {one.kind for one in found.remarks} == {"deep", "odd mark"}
    assert (np.asarray(found.picture) == 0x80).all()


@settings(max_examples=60, deadline=None)
@given(colour=st.tuples(*[st.integers(0, 255)] * 3), alpha=st.integers(0, 255))
def test_transparent_is_laid_on_white(colour: tuple[int, int, int], alpha: int) -> None:
    found = pixels(encoded(plain((*colour, alpha), "RGBA"), "PNG"))
    expected = np.array(colour) * alpha / 255 + 255 * (1 - alpha / 255)
    assert np.abs(found - expected).max() <= 1


def test_what_lies_beneath_transparency_is_not_seen() -> None:
    hidden = plain((10, 200, 30, 0), "RGBA")
    assert (pixels(encoded(hidden, "PNG")) == 255).all()
    grey = decoded(encoded(hidden, "PNG"), mode="L")
    assert (np.asarray(grey.picture) == 255).all()
    kept = read_picture(io.BytesIO(encoded(hidden, "PNG")), None, "RGBA", where="a sticker")
    assert kept[3, 3].tolist() == [10, 200, 30, 0], "where opacity is asked for, nothing is laid on anything"


def test_colour_among_grey() -> None:
    found = decoded(encoded(plain((255, 0, 0)), "PNG"), "a.png", mode="L")
    assert [one.kind for one in found.remarks] == ["colour"]
    assert np.asarray(found.picture)[0, 0] == 76, "ITU-R 601: 0.299 of red"


@pytest.mark.parametrize("form", ["GIF", "PNG", "WEBP", "TIFF"])
def test_the_first_frame_is_taken_whole(form: str) -> None:
    assert (pixels(animated(form)) == (255, 0, 0)).all()


def test_several_remarks_on_one_file() -> None:
    found = decoded(half_clear(), "a.jpg", mode="RGB")
    assert [one.kind for one in found.remarks] == ["misnamed", "transparent"]
    assert str(found.remarks[0]) == "named .jpg, but its content is PNG: read by its content"
    assert str(found.remarks[1]) == "transparent parts: laid on white"


# --- the least side ---


@pytest.mark.parametrize(("size", "kept"), [((7, 8), False), ((8, 7), False), ((8, 8), True), ((1, 1), False)])
def test_the_least_side(size: tuple[int, int], kept: bool) -> None:  # noqa: FBT001 - a table of cases
    content = encoded(Image.new("RGB", size), "PNG")
    assert isinstance(decode(content, least=LEAST_SIDE), Decoded) is kept
    assert read_picture(io.BytesIO(content), None, "RGB").shape == (size[1], size[0], 3)


# --- threads ---


def test_threads_decode_what_one_does_and_leave_the_warning_filters() -> None:
    contents = [odd.content() for name, odd in ODD.items() if name != "eps"] * 4
    before = list(warnings.filters)
    alone = [decode(content, mode="RGB") for content in contents]
    start = threading.Barrier(4)

    def work(part: int) -> list[Decoded | Remark]:
        start.wait()
        return [decode(content, mode="RGB") for content in contents[part::4]]

    with ThreadPoolExecutor(4) as pool:
        parts = list(pool.map(work, range(4)))
    assert list(warnings.filters) == before
    for part, found in enumerate(parts):
        for one, expected in zip(found, alone[part::4], strict=True):
            if isinstance(expected, Remark):
                assert isinstance(one, Remark)
                assert one.kind == expected.kind
            else:
                assert isinstance(one, Decoded)
                assert one.picture.tobytes() == expected.picture.tobytes()


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nowhere\.png: not a readable picture"):
        read_picture(tmp_path / "nowhere.png", None, "RGB")
