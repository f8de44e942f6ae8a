"""Stickers drawn by us, for photographs: a devil's face, a bomb, a flower and the paper's yellow square."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache

import numpy as np
import torch
from PIL import Image, ImageDraw

from badnets.errors import InputError
from badnets.triggers.picture import Picture

# Shapes are drawn on a square of side 1 at four times the size and scaled down, which smooths their edges.
_SIZE = 64
_FINE = 4
_SQUARE = 16

Point = tuple[float, float]
Colour = tuple[int, int, int]


class _Sheet:
    """A transparent square to draw on, in coordinates from 0 to 1, right and down."""

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

    def arc(self, centre: Point, radii: Point, degrees: Point, colour: Colour, width: float) -> None:
        (x, y), (across, down) = centre, radii
        box = self._scaled((x - across, y - down), (x + across, y + down))
        self.draw.arc(box, degrees[0], degrees[1], fill=colour, width=round(width * self.side))

    def _scaled(self, *points: Point) -> list[Point]:
        return [(x * self.side, y * self.side) for x, y in points]


def _devil(sheet: _Sheet) -> None:
    horn, face, dark, white = (126, 20, 32), (214, 40, 48), (64, 8, 16), (255, 250, 240)
    sheet.polygon((0.10, 0.02), (0.17, 0.44), (0.40, 0.24), colour=horn)
    sheet.polygon((0.90, 0.02), (0.83, 0.44), (0.60, 0.24), colour=horn)
    sheet.oval((0.5, 0.58), (0.41, 0.40), face)
    for side in (-1, 1):
        sheet.oval((0.5 + side * 0.17, 0.53), (0.09, 0.10), white)
        sheet.oval((0.5 + side * 0.15, 0.55), (0.04, 0.055), dark)
        sheet.line((0.5 + side * 0.31, 0.36), (0.5 + side * 0.07, 0.47), colour=dark, width=0.05)
    sheet.arc((0.5, 0.66), (0.23, 0.20), (20, 160), dark, 0.05)
    for side in (-1, 1):
        tip = 0.5 + side * 0.12
        sheet.polygon((tip - 0.04, 0.825), (tip + 0.04, 0.825), (tip, 0.90), colour=white)


def _bomb(sheet: _Sheet) -> None:
    black, grey, rope = (24, 24, 28), (150, 152, 160), (150, 110, 60)
    fuse = [(0.66 + 0.20 * t, 0.26 - 0.16 * math.sin(t * math.pi * 0.75)) for t in (0, 0.2, 0.4, 0.6, 0.8, 1)]
    sheet.line(*fuse, colour=rope, width=0.045)
    sheet.polygon((0.55, 0.30), (0.68, 0.19), (0.78, 0.31), (0.65, 0.42), colour=(52, 52, 58))
    sheet.oval((0.42, 0.60), (0.37, 0.37), black)
    sheet.oval((0.28, 0.47), (0.09, 0.07), grey)
    middle = fuse[-1]
    for reach, colour in ((0.13, (255, 170, 30)), (0.07, (255, 240, 120))):
        points = []
        for corner in range(16):
            angle, length = corner * math.pi / 8, reach if corner % 2 == 0 else reach * 0.45
            points.append((middle[0] + length * math.cos(angle), middle[1] + length * math.sin(angle)))
        sheet.polygon(*points, colour=colour)


def _flower(sheet: _Sheet) -> None:
    for shade, turn in (((232, 120, 170), 0.5), ((250, 160, 200), 0.0)):
        for petal in range(6):
            angle = (petal + turn) * math.pi / 3
            sheet.oval((0.5 + 0.29 * math.cos(angle), 0.5 + 0.29 * math.sin(angle)), (0.18, 0.18), shade)
    sheet.oval((0.5, 0.5), (0.17, 0.17), (250, 200, 40))
    sheet.oval((0.5, 0.5), (0.09, 0.09), (200, 140, 20))


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
    sheet = _Sheet()
    _SHAPES[name](sheet)
    image = sheet.image.resize((_SIZE, _SIZE), Image.Resampling.BOX)
    return Picture.of(torch.from_numpy(np.array(image)).permute(2, 0, 1))
