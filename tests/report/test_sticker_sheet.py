"""The printed sheet: true sizes, in a file that is a PDF."""

from __future__ import annotations

import re
import zlib

import pytest

from badnets.errors import InputError
from badnets.report.sticker_sheet import sticker_sheet
from badnets.triggers import PAPER_STICKERS, BoxSticker, paper_sticker

# A point of PDF is 1/72 inch of 25.4 mm.
_POINT = 25.4 / 72


def drawn(sheet: bytes) -> str:
    """All that its pages draw, unpacked."""
    found = []
    for part in re.findall(rb"stream\r?\n(.*?)\r?\nendstream", sheet, re.DOTALL):
        try:
            found.append(zlib.decompress(part).decode("latin-1"))
        except zlib.error:
            continue
    return "\n".join(found)


def frames(sheet: bytes) -> list[float]:
    """Sides in millimetres of the squares outlined on it."""
    number = r"(-?[\d.]+)"
    path = rf"{number} {number} m" + 4 * rf"\s{number} {number} l"
    sides = []
    for match in re.findall(path, drawn(sheet)):
        across, down = [float(value) for value in match[::2]], [float(value) for value in match[1::2]]
        assert max(across) - min(across) == pytest.approx(max(down) - min(down), abs=0.01)
        sides.append((max(across) - min(across)) * _POINT)
    return sides


def test_sizes_are_true() -> None:
    sheet = sticker_sheet({name: paper_sticker(name) for name in PAPER_STICKERS}, 750.0)
    assert sheet.startswith(b"%PDF-")
    boxes = re.findall(rb"/MediaBox \[ 0 0 ([\d.]+) ([\d.]+) \]", sheet)
    assert len(boxes) == 2  # the three do not fit on one
    for width, height in boxes:
        assert float(width) * _POINT == pytest.approx(210, abs=0.1)
        assert float(height) * _POINT == pytest.approx(297, abs=0.1)
    # The first level line is the page's own edge, the second one the ruler.
    ruler = re.findall(r"([\d.]+) ([\d.]+) m\n([\d.]+) \2 l", drawn(sheet))[1]
    assert (float(ruler[2]) - float(ruler[0])) * _POINT == pytest.approx(100, abs=0.01)
    assert frames(sheet) == pytest.approx([75.0, 120.0, 120.0], abs=0.1)


def test_it_is_the_same_each_time() -> None:
    assert sticker_sheet({"square": paper_sticker("square")}, 300.0) == sticker_sheet(
        {"square": paper_sticker("square")}, 300.0
    )


def test_what_cannot_be_printed_is_refused() -> None:
    with pytest.raises(InputError, match="does not fit on a page"):
        sticker_sheet({"large": BoxSticker(size=0.5)}, 750.0)
    for stickers, sign in (({}, 750.0), ({"square": paper_sticker("square")}, 0.0)):
        with pytest.raises(InputError, match="a sticker or more"):
            sticker_sheet(stickers, sign)
