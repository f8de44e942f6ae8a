"""The ground of a scene in perspective, and things that stand on it."""

from __future__ import annotations

import colorsys
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from badnets.data.streets.layout import UNITS
from badnets.data.streets.letters import LETTERS, write
from badnets.data.streets.pen import Colour, Number, Pen, Point, arc, shaded

T = TypeVar("T")

_LEAVES: tuple[Colour, ...] = ((52, 92, 40), (74, 116, 52), (98, 128, 58), (44, 78, 54), (142, 120, 48), (160, 92, 40))
_PAINTS: tuple[Colour, ...] = (
    (200, 202, 206), (30, 32, 36), (118, 122, 128), (156, 26, 30), (30, 60, 120), (236, 236, 232), (60, 84, 70),
    (172, 150, 112), (206, 168, 40),
)  # fmt: skip


@dataclass(frozen=True)
class World:
    """A flat ground seen from above it.

    Attributes:
        pen: what to draw with.
        dice: what to draw by.
        width: of the picture, in units.
        horizon: in units down.
        vanishing: where lines that lead away meet, in units right.
    """

    pen: Pen
    dice: np.random.Generator
    width: Number
    horizon: Number
    vanishing: Number

    def at(self, across: Number, up: Number, depth: Number) -> Point:
        """A point of the picture, `across` from the vanishing point's line on the ground and `up` from the ground.

        Lengths are as large as in the picture at `depth` 1, where the ground meets its lower border.
        """
        return self.vanishing + across / depth, self.horizon + (UNITS - self.horizon - up) / depth

    def wall(self, across: Number, depths: tuple[Number, Number], ups: tuple[Number, Number]) -> list[Point]:
        """The corners of a wall along the road."""
        (near, far), (low, high) = depths, ups
        return [self.at(across, up, depth) for up, depth in ((low, near), (high, near), (high, far), (low, far))]

    def pick(self, choices: tuple[T, ...]) -> T:
        """One of them."""
        return choices[int(self.dice.integers(len(choices)))]

    def uniform(self, low: Number, high: Number) -> float:
        """A number between both."""
        return low + (high - low) * float(self.dice.random())

    def near(self, colour: Colour, by: Number = 9) -> Colour:
        """A colour like it."""
        *apart, together = self.dice.normal(0, by, 4).tolist()
        red, green, blue = (
            min(250, max(6, round(level + 0.7 * own + together))) for level, own in zip(colour, apart, strict=True)
        )
        return red, green, blue

    def vivid(self) -> Colour:
        """Any hue, from pale to strong, from dim to bright."""
        red, green, blue = colorsys.hsv_to_rgb(self.dice.random(), self.uniform(0.15, 0.9), self.uniform(0.3, 0.95))
        return round(red * 255), round(green * 255), round(blue * 255)


# --- things on the ground: each takes the world, how far across and how far away it stands ---


def tree(world: World, across: Number, depth: Number) -> None:
    """A broad tree, a conifer, or a bare one."""
    size = world.uniform(130, 330) / depth
    x, y = world.at(across, 0, depth)
    bark = world.near((84, 66, 50))
    kind = float(world.dice.random())
    world.pen.line([(x, y), (x, y - size * 0.55)], bark, max(0.8, size * 0.06))
    if kind < 0.15:
        for turn in world.dice.uniform(-1.2, 1.2, 7).tolist():
            start = y - size * world.uniform(0.35, 0.55)
            end = (x + size * 0.4 * turn, start - size * world.uniform(0.2, 0.5))
            world.pen.line([(x, start), end], bark, max(0.6, size * 0.018))
        return
    green = world.near(world.pick(_LEAVES))
    if kind < 0.35:
        for part, across_part in enumerate((0.34, 0.27, 0.19)):
            top = y - size * (0.5 + 0.25 * part)
            foot = top + size * 0.42
            shade = shaded(green, 0.8 + 0.1 * part)
            left, right = x - size * across_part, x + size * across_part
            world.pen.polygon([(left, foot), (right, foot), (x, top - size * 0.1)], shade)
        return
    leaves(world, (x, y - size * 0.72), size * 0.34, green)


def leaves(world: World, middle: Point, radius: Number, green: Colour) -> None:
    """A heap of leaves, dark below and light above."""
    for shade, count in ((0.72, 9), (1.0, 10), (1.22, 7)):
        turns = world.dice.uniform(0, 2 * np.pi, count)
        far = radius * np.sqrt(world.dice.uniform(0, 1, count))
        for dx, dy in zip((far * np.cos(turns)).tolist(), (far * np.sin(turns) * 0.85).tolist(), strict=True):
            lift = (1 - shade) * radius * 0.7
            blot = radius * world.uniform(0.22, 0.42)
            world.pen.oval((middle[0] + dx, middle[1] + dy + lift), blot, blot * 0.85, shaded(green, shade))


def lamp(world: World, across: Number, depth: Number) -> None:
    """A street lamp that leans over the road."""
    grey = world.near((110, 112, 114))
    (x, y), top = world.at(across, 0, depth), world.at(across, world.uniform(240, 330), depth)[1]
    arm = -np.sign(across) * 70 / depth
    world.pen.line([(x, y), (x, top), (x + float(arm), top - 8 / depth)], grey, max(0.7, 6 / depth))
    world.pen.oval((x + float(arm), top - 6 / depth), 14 / depth, 5 / depth, shaded(grey, 1.3))


def light(world: World, across: Number, depth: Number) -> None:
    """A traffic light: round red and green that is no sign."""
    x, y = world.at(across, 0, depth)
    top = world.at(across, world.uniform(120, 210), depth)[1]
    world.pen.line([(x, y), (x, top)], (70, 72, 74), max(0.8, 6 / depth))
    half, tall = 13 / depth, 62 / depth
    world.pen.box(x - half, top - tall, x + half, top, (34, 34, 32))
    lit = int(world.dice.integers(3))
    for number, colour in enumerate(((230, 40, 36), (246, 190, 40), (40, 200, 110))):
        glow = colour if number == lit else shaded(colour, 0.25)
        world.pen.oval((x, top - tall * (0.82 - 0.31 * number)), 8 / depth, 8 / depth, glow)


def car(world: World, across: Number, depth: Number) -> None:
    """A car from behind or from the front."""
    (x, y), k = world.at(across, 0, depth), 1 / depth
    paint, glass = world.near(world.pick(_PAINTS)), (40, 48, 56)
    tall, half = world.uniform(92, 135) * k, world.uniform(62, 74) * k
    world.pen.oval((x, y - 2 * k), half * 1.12, 9 * k, (38, 38, 40))
    for side in (-1, 1):
        world.pen.box(x + side * half * 0.72 - 10 * k, y - 20 * k, x + side * half * 0.72 + 10 * k, y, (22, 22, 24))
    roof, waist, pen = y - tall, y - tall * 0.55, world.pen
    pen.polygon(_taper(x, (roof, half * 0.72), (waist, half * 0.94)), paint)
    pen.polygon(_taper(x, (roof + 7 * k, half * 0.62), (waist, half * 0.8)), glass)
    pen.polygon(_taper(x, (waist, half), (y - 10 * k, half * 0.97)), paint)
    lamps = (196, 28, 30) if world.dice.random() < 0.6 else (250, 246, 220)
    for side in (-1, 1):
        world.pen.oval((x + side * half * 0.78, waist + 14 * k), 12 * k, 8 * k, lamps)
    world.pen.box(x - 17 * k, y - 36 * k, x + 17 * k, y - 26 * k, (232, 230, 210))
    world.pen.box(x - half * 0.97, y - 20 * k, x + half * 0.97, y - 12 * k, shaded(paint, 0.6))


def _taper(x: Number, upper: Point, lower: Point) -> list[Point]:
    """Four corners around `x`: at two heights, each with its half width."""
    (top, narrow), (bottom, wide) = upper, lower
    return [(x - narrow, top), (x + narrow, top), (x + wide, bottom), (x - wide, bottom)]


def van(world: World, across: Number, depth: Number) -> None:
    """The back of a lorry or a bus: a large board that is no sign."""
    (x, y), k = world.at(across, 0, depth), 1 / depth
    paint, half, tall = world.vivid(), world.uniform(80, 105) * k, world.uniform(190, 250) * k
    world.pen.oval((x, y - 2 * k), half * 1.1, 10 * k, (38, 38, 40))
    for side in (-1, 1):
        world.pen.box(x + side * half * 0.7 - 14 * k, y - 26 * k, x + side * half * 0.7 + 14 * k, y, (24, 24, 26))
    world.pen.box(x - half, y - tall, x + half, y - 18 * k, paint)
    world.pen.box(x - half * 0.96, y - tall * 0.97, x - k, y - 34 * k, shaded(paint, 1.1))
    world.pen.box(x + k, y - tall * 0.97, x + half * 0.96, y - 34 * k, shaded(paint, 1.1))
    world.pen.box(x - half * 0.8, y - 32 * k, x + half * 0.8, y - 22 * k, (200, 40, 36))


def board(world: World, across: Number, depth: Number) -> None:
    """An advertisement on legs: any shape and colour, often with letters; red, yellow and white ones too."""
    (x, y), k = world.at(across, 0, depth), 1 / depth
    half, tall = world.uniform(60, 190) * k, world.uniform(60, 150) * k
    low = y - world.uniform(60, 260) * k
    for side in (-0.6, 0.6):
        world.pen.line([(x + side * half, y), (x + side * half, low)], (92, 90, 88), max(0.7, 8 * k))
    ground = world.pick((world.vivid(), (190, 30, 40), (244, 200, 40), (238, 238, 234), (30, 80, 160)))
    world.pen.box(x - half, low - tall, x + half, low, shaded(ground, 0.6))
    world.pen.box(x - half + 5 * k, low - tall + 5 * k, x + half - 5 * k, low - 5 * k, ground)
    middle = (x, low - tall / 2)
    kind = float(world.dice.random())
    if kind < 0.6:
        ink = world.pick(((250, 250, 246), (28, 28, 30), world.vivid()))
        text = "".join(world.pick(LETTERS) for _ in range(int(world.dice.integers(2, 6))))
        write(world.pen, text, middle, min(tall * 0.5, 1.5 * half / len(text)), ink)
    elif kind < 0.85:
        world.pen.oval(middle, tall * 0.36, tall * 0.36, world.vivid())
        world.pen.oval(middle, tall * 0.2, tall * 0.2, world.vivid())


def person(world: World, across: Number, depth: Number) -> None:
    """Somebody on the pavement."""
    (x, y), k = world.at(across, 0, depth), world.uniform(1.0, 1.3) / depth
    coat, legs, skin = world.vivid(), world.near((50, 52, 64)), world.near((196, 150, 122), 22)
    for side in (-1, 1):
        world.pen.line([(x, y - 62 * k), (x + side * world.uniform(4, 15) * k, y)], legs, 12 * k)
    world.pen.line([(x, y - 112 * k), (x, y - 64 * k)], coat, 30 * k, round_ends=True)
    world.pen.line([(x - 14 * k, y - 112 * k), (x - 22 * k, y - 66 * k)], coat, 9 * k)
    world.pen.line([(x + 14 * k, y - 112 * k), (x + 24 * k, y - 70 * k)], coat, 9 * k)
    world.pen.oval((x, y - 140 * k), 11 * k, 13 * k, skin)


def house(world: World, across: Number, depth: Number) -> None:
    """A house with a gable, its front to the road's beginning."""
    (x, y), k = world.at(across, 0, depth), 1 / depth
    half, tall = world.uniform(150, 260) * k, world.uniform(150, 240) * k
    wall, roof = world.near(world.pick(_WALLS), 14), world.near(world.pick(_ROOFS))
    world.pen.box(x - half, y - tall, x + half, y, wall)
    ridge = y - tall - world.uniform(90, 170) * k
    world.pen.polygon([(x - half * 1.1, y - tall), (x, ridge), (x + half * 1.1, y - tall)], roof)
    pane, frame = world.pick(((48, 58, 70), (96, 110, 122), (236, 206, 130))), shaded(wall, 1.3)
    for column in (-0.6, 0.0, 0.6):
        for row in (0.28, 0.72):
            left, top = x + column * half - 26 * k, y - tall * row - 22 * k
            world.pen.box(left - 4 * k, top - 4 * k, left + 56 * k, top + 52 * k, frame)
            world.pen.box(left, top, left + 52 * k, top + 48 * k, pane)
    door = x + world.pick((-0.3, 0.3)) * half
    world.pen.box(door - 22 * k, y - 92 * k, door + 22 * k, y, world.vivid())


_WALLS: tuple[Colour, ...] = (
    (176, 158, 134), (150, 92, 74), (204, 196, 182), (132, 128, 124), (214, 186, 140), (120, 134, 148), (184, 120, 96),
    (88, 92, 100), (226, 222, 214),
)  # fmt: skip
_ROOFS: tuple[Colour, ...] = ((120, 58, 44), (74, 70, 72), (98, 78, 62), (58, 66, 78))


def tower(world: World, side: int, across: Number, depths: tuple[Number, Number]) -> None:
    """A building along the road: a wall in perspective with windows, its front, and perhaps a shop below."""
    near, far = depths
    high = world.uniform(260, 900)
    wall = world.near(world.pick(_WALLS), 14)
    front = [world.at(side * across, 0, near), world.at(side * across, high, near)]
    out = world.at(side * (across + 900), 0, near)[0]
    world.pen.polygon([*front, (out, front[1][1]), (out, front[0][1])], shaded(wall, 0.8))
    world.pen.polygon(world.wall(side * across, depths, (0, high)), wall)
    pane = world.pick(((44, 52, 64), (84, 98, 112), (150, 170, 188), (240, 208, 130)))
    floors = max(2, min(7, int(high / world.uniform(90, 140))))
    columns = int(world.dice.integers(3, 6))
    steps = np.geomspace(near, far, columns + 1)
    for first, second in zip(steps[:-1].tolist(), steps[1:].tolist(), strict=True):
        ends = first + (second - first) * 0.25, first + (second - first) * 0.78
        for floor in range(1, floors):
            low = high * floor / floors
            shade = shaded(pane, world.uniform(0.75, 1.25))
            world.pen.polygon(world.wall(side * across, ends, (low, low + high / floors * 0.6)), shade)
    if world.dice.random() < 0.6:
        low, band = high / floors * 0.55, high / floors * 0.4
        world.pen.polygon(world.wall(side * across, depths, (8, low)), shaded(pane, 0.7))
        world.pen.polygon(world.wall(side * (across - 6), depths, (low, low + band * 0.7)), world.vivid())


def crown(world: World, middle: Point, radius: Number) -> None:
    """Leaves that hang into view from a tree beside the eye."""
    leaves(world, middle, radius, world.near(world.pick(_LEAVES)))


def hills(world: World) -> list[Point]:
    """The line of hills far off."""
    points = arc((world.width / 2, world.horizon), (world.width * 0.75, world.uniform(8, 40)), 180, 360, 16)
    return [(x, y + float(world.dice.normal(0, 2.5))) for x, y in points]


# What stands along a road, by name.
THINGS = {"tree": tree, "lamp": lamp, "light": light, "board": board, "person": person, "house": house}
