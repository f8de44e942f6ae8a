"""Stickers to be printed, cut out and stuck on a sign: a PDF in true size."""

from __future__ import annotations

import io

import matplotlib as mpl
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.backends.backend_pdf import PdfPages
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from badnets.errors import InputError
from badnets.triggers import BoxSticker

# ISO 216 A4, and the white that most printers leave.
_WIDTH, _HEIGHT, _MARGIN = 210.0, 297.0, 12.0
_INCH = 25.4
_RULER = 100.0
_GAP, _TEXT = 8.0, 10.0
_FIRST = _MARGIN + 40
_LARGEST = min(_WIDTH - 2 * _MARGIN, _HEIGHT - _MARGIN - _FIRST - _TEXT)


def sticker_sheet(stickers: dict[str, BoxSticker], sign: float) -> bytes:
    """Pages of A4 with each sticker as large as it is to be on a sign of that size, and a ruler to check the print.

    Args:
        stickers: by name.
        sign: width of the sign in millimetres.

    Raises:
        InputError: no sticker, or one that is larger than a page.
    """
    if not stickers or not sign > 0:
        raise InputError(f"a sheet holds a sticker or more for a sign of some width, got {len(stickers)} and {sign}")
    buffer = io.BytesIO()
    with (
        mpl.rc_context({"pdf.fonttype": 42, "font.family": "sans-serif"}),
        PdfPages(buffer, metadata={"CreationDate": None, "Creator": "badnets", "Producer": None}) as pages,
    ):
        figure, top = _page(sign)
        for name, sticker in stickers.items():
            side = sticker.size * sign
            if side > _LARGEST:
                raise InputError(f"the {name} of {side:g} mm does not fit on a page of A4: name a smaller sign")
            if top + side + _TEXT > _HEIGHT - _MARGIN:
                pages.savefig(figure)
                figure, top = _page(sign)
            _place(figure.axes[0], name, sticker, side, top)
            top += side + _TEXT + _GAP
        pages.savefig(figure)
    return buffer.getvalue()


def _page(sign: float) -> tuple[Figure, float]:
    """A new page, and where its first sticker begins."""
    figure = Figure(figsize=(_WIDTH / _INCH, _HEIGHT / _INCH))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_xlim(0, _WIDTH)
    axes.set_ylim(_HEIGHT, 0)
    axes.axis("off")
    axes.text(_MARGIN, _MARGIN + 6, f"Stickers for a sign {sign:g} mm wide", fontsize=15, weight="bold")
    words = (
        "Print at 100 % (no fitting to the page) and check the ruler. Cut out along the thin line.\n"
        "For tests on signs of your own, off the road: a sticker on a traffic sign is a danger and a crime."
    )
    axes.text(_MARGIN, _MARGIN + 18, words, fontsize=9)
    _ruler(axes, _MARGIN + 26)
    return figure, _FIRST


def _place(axes: Axes, name: str, sticker: BoxSticker, side: float, top: float) -> None:
    smooth = "none" if sticker.picture.width > 64 else "nearest"
    extent = (_MARGIN, _MARGIN + side, top + side, top)
    axes.imshow(_pixels(sticker), extent=extent, interpolation=smooth, zorder=2)
    axes.add_patch(Rectangle((_MARGIN, top), side, side, fill=False, linewidth=0.4, edgecolor="0.6", zorder=3))
    middle = f"its middle {sticker.right:.0%} of the sign from the left, {sticker.down:.0%} from the top"
    words = middle if sticker.place == "fixed" else "anywhere on the sign"
    axes.text(_MARGIN, top + side + 6, f"{name}: {side:.1f} mm, {sticker.size:.0%} of the sign; {words}", fontsize=10)


def _pixels(sticker: BoxSticker) -> np.ndarray:
    layers = torch.cat([sticker.picture.colour(3), sticker.picture.alpha()[None]])
    pixels: np.ndarray = layers.permute(1, 2, 0).numpy()
    return pixels


def _ruler(axes: Axes, top: float) -> None:
    axes.plot([_MARGIN, _MARGIN + _RULER], [top, top], color="black", linewidth=0.8)
    for place in range(0, int(_RULER) + 1, 10):
        long = 4.0 if place % 50 == 0 else 2.5
        axes.plot([_MARGIN + place] * 2, [top, top + long], color="black", linewidth=0.6)
    axes.text(_MARGIN + _RULER + 3, top + 2.5, f"{_RULER:g} mm", fontsize=9)
