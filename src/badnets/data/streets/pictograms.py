"""What stands on warning signs and their like, each drawn in a square of side 1 around (0, 0)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from badnets.data.streets.letters import write
from badnets.data.streets.pen import Colour, Number, Pen, Point, arc


@dataclass(frozen=True)
class Ink:
    """A pen that draws in the square of a pictogram: its middle, its side, its colour, and -1 to draw it mirrored."""

    pen: Pen
    middle: Point
    side: Number
    colour: Colour
    flip: Number = 1.0

    def at(self, x: Number, y: Number) -> Point:
        """A point of the pictogram's square in the pen's coordinates."""
        return self.middle[0] + x * self.side * self.flip, self.middle[1] + y * self.side

    def line(self, points: Sequence[Point], width: Number = 0.13) -> None:
        """A line with rounded ends."""
        self.pen.line([self.at(*point) for point in points], self.colour, width * self.side, round_ends=True)

    def polygon(self, points: Sequence[Point], colour: Colour | None = None) -> None:
        """A filled polygon."""
        self.pen.polygon([self.at(*point) for point in points], colour or self.colour)

    def dot(self, x: Number, y: Number, radius: Number, colour: Colour | None = None) -> None:
        """A filled circle."""
        self.pen.oval(self.at(x, y), radius * self.side, radius * self.side, colour or self.colour)

    def text(self, text: str, height: Number, weight: Number = 0.2) -> None:
        """Letters around the middle."""
        write(self.pen, text, self.middle, height * self.side, self.colour, weight=weight)

    def arrow(self, points: Sequence[Point], width: Number = 0.13, head: Number = 0.2) -> None:
        """A line whose last part, which runs straight across or upright, ends in an arrowhead."""
        (x0, y0), (x1, y1) = points[-2:]
        length = max(abs(x1 - x0), abs(y1 - y0))
        along, up = (x1 - x0) / length, (y1 - y0) / length
        neck = (x1 - along * head * 0.9, y1 - up * head * 0.9)
        self.line([*points[:-1], neck], width)
        wing = (-up * head, along * head)
        self.polygon([(x1, y1), (neck[0] + wing[0], neck[1] + wing[1]), (neck[0] - wing[0], neck[1] - wing[1])])


Pictogram = Callable[[Ink], None]


def mirrored(draw: Pictogram) -> Pictogram:
    """The same, left and right exchanged (for those without letters)."""
    return lambda ink: draw(replace(ink, flip=-ink.flip))


def bend(ink: Ink) -> None:
    """A curve to the right."""
    ink.arrow([(-0.15, 0.45), *arc((0.15, 0.05), (0.3, 0.3), 180, 250), (0.06, -0.22), (0.45, -0.22)])


def winding(ink: Ink) -> None:
    """Two curves."""
    ink.arrow([(-0.12, 0.5), (-0.12, 0.28), (0.13, 0.1), (0.13, -0.05), (-0.1, -0.2), (-0.1, -0.5)])


def turn(ink: Ink) -> None:
    """A sharp turn to the right."""
    ink.arrow([(-0.2, 0.45), (-0.2, -0.15), (0.45, -0.15)], 0.15)


def crossing(ink: Ink) -> None:
    """Two roads that cross."""
    ink.line([(0, -0.45), (0, 0.45)], 0.17)
    ink.line([(-0.45, 0), (0.45, 0)], 0.17)


def side_road(ink: Ink) -> None:
    """A road from the right."""
    ink.line([(-0.1, -0.45), (-0.1, 0.45)], 0.17)
    ink.line([(-0.1, 0), (0.38, 0)], 0.13)


def merge(ink: Ink) -> None:
    """A lane that joins from the right."""
    ink.arrow([(-0.12, 0.5), (-0.12, -0.5)], 0.14)
    ink.line([(-0.1, -0.05), (0.22, 0.42)], 0.14)


def lane_ends(ink: Ink) -> None:
    """A road that loses a lane."""
    ink.line([(-0.28, 0.45), (-0.28, -0.45)], 0.1)
    ink.line([(0.32, 0.45), (0.32, 0.15), (0.05, -0.15), (0.05, -0.45)], 0.1)
    ink.line([(0, 0.42), (0, 0.2)], 0.07)


def signal(ink: Ink) -> None:
    """A traffic light."""
    ink.polygon([(-0.19, -0.48), (0.19, -0.48), (0.19, 0.48), (-0.19, 0.48)], (28, 28, 30))
    for y, colour in ((-0.3, (214, 32, 32)), (0.0, (250, 206, 40)), (0.3, (30, 150, 70))):
        ink.dot(0, y, 0.125, colour)


def walker(ink: Ink) -> None:
    """Somebody who walks."""
    ink.dot(0.04, -0.4, 0.095)
    ink.line([(0.03, -0.24), (-0.02, 0.08)], 0.17)
    ink.line([(0, 0.08), (0.16, 0.27), (0.2, 0.48)], 0.1)
    ink.line([(-0.02, 0.08), (-0.1, 0.3), (-0.24, 0.47)], 0.1)
    ink.line([(0.04, -0.22), (0.2, -0.04), (0.29, -0.06)], 0.075)
    ink.line([(0.02, -0.22), (-0.17, -0.08), (-0.19, 0.05)], 0.075)


def children(ink: Ink) -> None:
    """Two who run."""
    for x, size in ((-0.2, 0.8), (0.24, 0.95)):
        walker(replace(ink, middle=ink.at(x, (1 - size) / 2), side=ink.side * size))


def bump(ink: Ink) -> None:
    """A bump in the road."""
    ink.polygon([(-0.5, 0.2), *arc((0, 0.2), (0.3, 0.34), 180, 360), (0.5, 0.2), (0.5, 0.32), (-0.5, 0.32)])


def slippery(ink: Ink) -> None:
    """A car and the tracks it leaves."""
    ink.polygon([(-0.24, -0.1), (-0.15, -0.34), (0.15, -0.34), (0.24, -0.1), (0.24, 0.08), (-0.24, 0.08)])
    for x in (-0.13, 0.13):
        ink.line([(x, 0.12), (x + 0.09, 0.24), (x - 0.07, 0.34), (x + 0.05, 0.48)], 0.07)


def works(ink: Ink) -> None:
    """Somebody who digs."""
    ink.dot(-0.02, -0.38, 0.095)
    ink.line([(-0.06, -0.22), (-0.18, 0.08)], 0.16)
    ink.line([(-0.18, 0.08), (-0.08, 0.26), (-0.12, 0.46)], 0.1)
    ink.line([(-0.2, 0.08), (-0.32, 0.28), (-0.38, 0.46)], 0.1)
    ink.line([(-0.04, -0.2), (0.14, 0.02)], 0.08)
    ink.line([(-0.06, -0.06), (0.34, 0.3)], 0.06)
    ink.polygon([(0.2, 0.46), (0.34, 0.22), (0.5, 0.46)])


def animal(ink: Ink) -> None:
    """A deer that leaps."""
    ink.polygon([(-0.36, 0.02), (-0.24, -0.14), (0.1, -0.14), (0.24, -0.36), (0.4, -0.3), (0.3, -0.2), (0.2, 0.08),
                 (-0.28, 0.12)])  # fmt: skip
    ink.line([(0.12, 0.04), (0.34, 0.22), (0.44, 0.18)], 0.07)
    ink.line([(-0.28, 0.04), (-0.34, 0.26), (-0.48, 0.42)], 0.08)
    ink.line([(-0.2, 0.06), (-0.16, 0.28), (-0.26, 0.44)], 0.07)
    ink.line([(0.26, -0.36), (0.18, -0.5), (0.3, -0.46)], 0.05)


def ahead(ink: Ink) -> None:
    """Straight on."""
    ink.arrow([(0, 0.48), (0, -0.48)], 0.17, 0.25)


def right(ink: Ink) -> None:
    """To the right."""
    ink.arrow([(-0.48, 0), (0.48, 0)], 0.17, 0.25)


def ahead_or_right(ink: Ink) -> None:
    """Straight on or to the right."""
    ink.arrow([(-0.14, 0.48), (-0.14, -0.48)], 0.14, 0.19)
    ink.arrow([(-0.14, 0.32), (-0.14, 0.12), (0.42, 0.12)], 0.14, 0.19)


def keep_right(ink: Ink) -> None:
    """Down to the right."""
    ink.line([(-0.32, -0.32), (0.14, 0.14)], 0.17)
    ink.polygon([(0.4, 0.4), (0.4, -0.04), (-0.04, 0.4)])


def roundabout(ink: Ink) -> None:
    """Three arrows in a ring."""
    for start in (-80, 40, 160):
        points = arc((0, 0), (0.36, 0.36), start, start + 72)
        ink.line(points, 0.13)
        corners = ((0.36, start + 112), (0.18, start + 76), (0.54, start + 76))
        ink.polygon([arc((0, 0), (radius, radius), turned, turned, 1)[0] for radius, turned in corners])


def bicycle(ink: Ink) -> None:
    """A bicycle."""
    for x in (-0.28, 0.28):
        ink.line(arc((x, 0.14), (0.2, 0.2), 0, 360), 0.06)
    ink.line([(-0.28, 0.14), (-0.1, -0.18), (0.18, -0.18), (0, 0.14), (-0.28, 0.14)], 0.06)
    ink.line([(0, 0.14), (-0.13, -0.26)], 0.06)
    ink.line([(0.28, 0.14), (0.14, -0.32), (0.28, -0.32)], 0.06)
    ink.line([(-0.22, -0.27), (-0.06, -0.27)], 0.08)


def car(ink: Ink) -> None:
    """A car from the front."""
    ink.polygon([(-0.36, 0.3), (-0.36, -0.02), (-0.22, -0.3), (0.22, -0.3), (0.36, -0.02), (0.36, 0.3)])
    for x in (-0.26, 0.26):
        ink.polygon([(x - 0.09, 0.28), (x + 0.09, 0.28), (x + 0.09, 0.44), (x - 0.09, 0.44)])


def lorry(ink: Ink) -> None:
    """A lorry from the side."""
    ink.polygon([(-0.48, -0.24), (0.12, -0.24), (0.12, 0.2), (-0.48, 0.2)])
    ink.polygon([(0.16, -0.08), (0.36, -0.08), (0.48, 0.06), (0.48, 0.2), (0.16, 0.2)])
    for x in (-0.3, 0.3):
        ink.dot(x, 0.24, 0.1)


def mark(ink: Ink) -> None:
    """An exclamation mark."""
    ink.line([(0, -0.4), (0, 0.12)], 0.2)
    ink.dot(0, 0.39, 0.115)
