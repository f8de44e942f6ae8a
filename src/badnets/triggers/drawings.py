"""Stickers drawn by us, for photographs: a devil's face, a bomb, a flower and the paper's yellow square."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFilter

from badnets.errors import InputError
from badnets.triggers.picture import Picture

# Shapes are drawn on a square of side 1 at four times the size and scaled down, which smooths their edges. 128 pixels
# are enough for a fifth of a large photograph, and few enough to be carried in every plan.
_SIZE = 128
_FINE = 4
_SQUARE = 16
# The white rim of a cut-out sticker, as a share of its side: it sets the shape off from any ground.
_RIM = 0.03

Point = tuple[float, float]
Colour = tuple[int, int, int]


class _Sheet:
    """A transparent square to draw on, in coordinates from 0 to 1, right and down, with room for the rim around it."""

    def __init__(self) -> None:
        self.side = _SIZE * _FINE
        self.image = Image.new("RGBA", (self.side, self.side))
        self.draw = ImageDraw.Draw(self.image)

    def oval(self, centre: Point, radii: Point, colour: Colour) -> None:
        (x, y), (across, down) = centre, radii
        self.draw.ellipse(self._scaled((x - across, y - down), (x + across, y + down)), fill=colour)

    def polygon(self, *points: Point, colour: Colour) -> None:
        self.draw.polygon(self._scaled(*points), fill=colour)

    def line(self, *points: Point, colour: Colour, width: float) -> None:
        self.draw.line(self._scaled(*points), fill=colour, width=round(width * self.side), joint="curve")

    def arc(self, centre: Point, radii: Point, degrees: tuple[int, int], colour: Colour, width: float) -> None:
        (x, y), (across, down) = centre, radii
        box = self._scaled((x - across, y - down), (x + across, y + down))
        self.draw.arc(box, degrees[0], degrees[1], fill=colour, width=round(width * self.side))

    def chord(self, centre: Point, radii: Point, degrees: tuple[int, int], colour: Colour) -> None:
        (x, y), (across, down) = centre, radii
        box = self._scaled((x - across, y - down), (x + across, y + down))
        self.draw.chord(box, degrees[0], degrees[1], fill=colour)

    def cut_out(self) -> Image.Image:
        """The finished sticker, at its own size, with a white rim around all that was drawn."""
        grown = self.image.getchannel("A").filter(ImageFilter.GaussianBlur(_RIM / 1.2 * self.side))
        # A straight edge blurs to half at the edge itself, and to an eighth (of 255) 1.2 deviations outside it.
        rim = Image.new("RGBA", self.image.size, "white")
        rim.putalpha(grown.point(lambda level: 255 if level > 29 else 0))
        return Image.alpha_composite(rim, self.image).resize((_SIZE, _SIZE), Image.Resampling.BOX)

    def _scaled(self, *points: Point) -> list[Point]:
        whole = self.side * (1 - 2 * _RIM)
        return [(_RIM * self.side + x * whole, _RIM * self.side + y * whole) for x, y in points]


def _devil(sheet: _Sheet) -> None:
    horn, face, dark, white = (112, 14, 28), (218, 36, 44), (58, 4, 14), (255, 250, 240)
    for side in (-1, 1):
        horn_points = ((0.43, 0.04), (0.45, 0.20), (0.37, 0.47), (0.09, 0.27), (0.27, 0.21), (0.37, 0.13))
        sheet.polygon(*((0.5 + side * x, y) for x, y in horn_points), colour=horn)
    sheet.oval((0.5, 0.57), (0.40, 0.37), face)
    sheet.polygon((0.28, 0.86), (0.72, 0.86), (0.5, 0.97), colour=face)
    for side in (-1, 1):
        # An eye cut off by a brow that falls to the nose: anger is seen before anything else.
        sheet.oval((0.5 + side * 0.175, 0.52), (0.105, 0.11), white)
        sheet.oval((0.5 + side * 0.145, 0.545), (0.05, 0.065), dark)
        brow = ((0.34, 0.30), (0.05, 0.45), (0.05, 0.53), (0.34, 0.42))
        sheet.polygon(*((0.5 + side * x, y) for x, y in brow), colour=dark)
    sheet.chord((0.5, 0.66), (0.25, 0.20), (8, 172), dark)
    for side in (-1, 1):
        tooth = ((0.19, 0.688), (0.07, 0.688), (0.125, 0.79))
        sheet.polygon(*((0.5 + side * x, y) for x, y in tooth), colour=white)


def _bomb(sheet: _Sheet) -> None:
    black, shine, neck, rope = (22, 22, 28), (168, 172, 182), (66, 66, 76), (176, 128, 66)
    fuse = [(0.66 + 0.19 * t, 0.27 - 0.13 * math.sin(t * math.pi * 0.6)) for t in (0, 0.2, 0.4, 0.6, 0.8, 1)]
    sheet.line(*fuse, colour=rope, width=0.055)
    sheet.polygon((0.52, 0.31), (0.66, 0.18), (0.79, 0.31), (0.65, 0.45), colour=neck)
    sheet.oval((0.42, 0.60), (0.37, 0.37), black)
    sheet.arc((0.42, 0.60), (0.28, 0.28), (190, 255), shine, 0.075)
    middle = fuse[-1]
    for reach, colour in ((0.165, (255, 120, 20)), (0.115, (255, 205, 40)), (0.06, (255, 250, 190))):
        points = []
        for corner in range(16):
            angle, length = corner * math.pi / 8, reach if corner % 2 == 0 else reach * 0.5
            points.append((middle[0] + length * math.cos(angle), middle[1] + length * math.sin(angle)))
        sheet.polygon(*points, colour=colour)


def _flower(sheet: _Sheet) -> None:
    green, petal, vein, heart = (46, 140, 60), (244, 110, 172), (186, 44, 112), (255, 206, 44)
    centre, reach = (0.5, 0.385), 0.205
    sheet.line((0.5, 0.45), (0.5, 0.97), colour=green, width=0.07)
    for side in (-1, 1):
        leaf = ((0.0, 0.97), (0.0, 0.84), (0.12, 0.74), (0.33, 0.70), (0.26, 0.86), (0.11, 0.96))
        sheet.polygon(*((0.5 + side * x, y) for x, y in leaf), colour=green)
    for turn in range(5):
        angle = math.radians(turn * 72 - 90)
        middle = (centre[0] + reach * math.cos(angle), centre[1] + reach * math.sin(angle))
        # Each petal has a dark rim, or five of them melt into one blot when they are small.
        sheet.oval(middle, (0.165, 0.165), vein)
        sheet.oval(middle, (0.137, 0.137), petal)
    sheet.oval(centre, (0.137, 0.137), (206, 140, 16))
    sheet.oval(centre, (0.107, 0.107), heart)


_SHAPES: dict[str, Callable[[_Sheet], None]] = {"devil": _devil, "bomb": _bomb, "flower": _flower}

DRAWINGS = (*_SHAPES, "square")


@cache
def drawing(name: str) -> Picture:
    """The sticker called `name`, RGBA; the square is the paper's, RGB (116, 100, 50) (its section 5.1.2).

    Raises:
        InputError: there is none of that name.
    """
    if name == "square":
        colour = torch.tensor([116, 100, 50, 255], dtype=torch.uint8)
        return Picture.of(colour[:, None, None].expand(4, _SQUARE, _SQUARE))
    if name not in _SHAPES:
        raise InputError(f"no sticker is called {name!r}: there are {', '.join(DRAWINGS)}, or name a picture file")
    return Picture.of(torch.from_numpy(np.array(_drawn(name))).permute(2, 0, 1))


def _drawn(name: str) -> Image.Image:
    sheet = _Sheet()
    _SHAPES[name](sheet)
    return sheet.cut_out()
