"""Drawing in the coordinates of what is drawn, whatever the size of the picture under it."""

from __future__ import annotations

import math
from collections.abc import Sequence

from PIL import Image, ImageDraw

# Whole numbers are as good as others wherever lengths are given.
Number = float | int
Point = tuple[Number, Number]
Colour = tuple[int, int, int]


class Pen:
    """Filled shapes on a picture, in units of `scale` pixels, right and down from its corner."""

    def __init__(self, image: Image.Image, scale: Number) -> None:
        self.image = image
        self.scale = scale
        self._draw = ImageDraw.Draw(image)

    def polygon(self, points: Sequence[Point], colour: Colour) -> None:
        """A filled polygon."""
        self._draw.polygon([(x * self.scale, y * self.scale) for x, y in points], fill=colour)

    def box(self, left: Number, top: Number, right: Number, bottom: Number, colour: Colour) -> None:
        """A filled rectangle; nothing where it has no area."""
        if right > left and bottom > top:
            self.polygon([(left, top), (right, top), (right, bottom), (left, bottom)], colour)

    def oval(self, centre: Point, across: Number, down: Number, colour: Colour) -> None:
        """A filled ellipse of those half axes."""
        (x, y), k = centre, self.scale
        self._draw.ellipse(((x - across) * k, (y - down) * k, (x + across) * k, (y + down) * k), fill=colour)

    def line(self, points: Sequence[Point], colour: Colour, width: Number, *, round_ends: bool = False) -> None:
        """A line through `points`, its corners rounded."""
        scaled = [(x * self.scale, y * self.scale) for x, y in points]
        self._draw.line(scaled, fill=colour, width=max(1, round(width * self.scale)), joint="curve")
        if round_ends:
            for end in (points[0], points[-1]):
                self.oval(end, width / 2, width / 2, colour)


def arc(centre: Point, radii: Point, start: Number, end: Number, steps: int = 14) -> list[Point]:
    """Points along an ellipse from `start` to `end` degrees: 0 is to the right, 90 below."""
    (x, y), (across, down) = centre, radii
    turns = [math.radians(start + (end - start) * step / steps) for step in range(steps + 1)]
    return [(x + across * math.cos(turn), y + down * math.sin(turn)) for turn in turns]


def shaded(colour: Colour, factor: Number) -> Colour:
    """The colour made darker (below 1) or lighter."""
    red, green, blue = (min(255, max(0, round(level * factor))) for level in colour)
    return red, green, blue
