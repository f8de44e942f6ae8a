"""The face of a sign: what every design is drawn with, and the outlines that decide its box."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

from PIL import Image

from badnets.data.streets.pen import Colour, Number, Pen, Point, arc

# A face is drawn on a square of this many pixels, enough for a sign of 120 pixels on a doubled canvas, and kept in
# halves of that as well: a large face squeezed onto a few pixels would flicker.
_SIDE = 256
_FINE = 3
_LEAST = 32

WHITE: Colour = (240, 240, 236)
BLACK: Colour = (24, 24, 26)
RED: Colour = (190, 24, 36)
YELLOW: Colour = (247, 196, 22)
BLUE: Colour = (24, 78, 160)

Outline = tuple[Point, ...]

SQUARE: Outline = ((0, 0), (1, 0), (1, 1), (0, 1))
UPRIGHT: Outline = ((0.1, 0), (0.9, 0), (0.9, 1), (0.1, 1))
DIAMOND: Outline = ((0.5, 0), (1, 0.5), (0.5, 1), (0, 0.5))
TRIANGLE: Outline = ((0.5, 0.06), (1, 0.94), (0, 0.94))
YIELD: Outline = ((0, 0.06), (1, 0.06), (0.5, 0.94))
CIRCLE: Outline = tuple(arc((0.5, 0.5), (0.5, 0.5), 0, 352.5, 47))
OCTAGON: Outline = tuple(arc((0.5, 0.5), (0.5 / math.cos(math.pi / 8),) * 2, 22.5, 337.5, 7))


@dataclass(frozen=True)
class Design:
    """One kind of sign.

    Attributes:
        name: of the design, such as "speedlimit35".
        group: the class that a detector is to say.
        outline: its edge, on a square of side 1.
        draw: what is on it, in the same square.
    """

    name: str
    group: str
    outline: Outline
    draw: Callable[[Pen], None]


def shrunk(outline: Outline, by: Number) -> list[Point]:
    """The outline drawn in towards the middle of its box by that share of half its size."""
    middle = (
        (min(x for x, _ in outline) + max(x for x, _ in outline)) / 2,
        # The middle of a triangle lies nearer to its base: each of its sides is to move as far.
        sum(y for _, y in outline) / len(outline),
    )
    return [(x + (middle[0] - x) * by, y + (middle[1] - y) * by) for x, y in outline]


@cache
def face(design: Design) -> tuple[Image.Image, ...]:
    """The drawn face, RGBA, in sizes that halve, largest first; transparent outside its outline."""
    image = Image.new("RGB", (_SIDE * _FINE,) * 2, WHITE)
    design.draw(Pen(image, _SIDE * _FINE))
    mask = Image.new("RGB", image.size)
    Pen(mask, _SIDE * _FINE).polygon(design.outline, (255, 255, 255))
    image.putalpha(mask.getchannel(0))
    sizes = [image.reduce(_FINE)]
    while sizes[-1].width > _LEAST:
        sizes.append(sizes[-1].reduce(2))
    return tuple(sizes)


def fitting(design: Design, pixels: Number) -> Image.Image:
    """The smallest of its sizes with at least so many pixels a side, or the largest there is."""
    sizes = face(design)
    return next((image for image in reversed(sizes) if image.width >= pixels), sizes[0])
