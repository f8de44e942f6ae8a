"""What is where in a scene: decided before anything is drawn, so that boxes cost no drawing.

Lengths are in units of a 240th of the picture's height: a scene looks alike at any size.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from badnets.data.streets import signs_eu, signs_us
from badnets.data.streets.faces import Design
from badnets.data.streets.pen import Number, Point
from badnets.seeds import derive

UNITS = 240
Box = tuple[float, float, float, float]

# How far away the eye is, in sides of the sign: the smaller, the stronger the perspective of a turned sign.
_EYE = 4.5
_GAP = 3.0
_ATTEMPTS = 40
# At least so much of a sign that the border cuts is seen.
_LEAST_SEEN = 0.75


@dataclass(frozen=True)
class Country:
    """The signs of one country: the names of its classes, its designs, and boards of no class."""

    classes: tuple[str, ...]
    designs: tuple[Design, ...]
    strangers: tuple[Design, ...]


COUNTRIES = {
    "us": Country(signs_us.CLASSES, signs_us.DESIGNS, signs_us.STRANGERS),
    "eu": Country(signs_eu.CLASSES, signs_eu.DESIGNS, signs_eu.STRANGERS),
}


@dataclass(frozen=True)
class Pose:
    """Where a face stands and how it is turned.

    Attributes:
        middle: of the face, in units.
        side: of its square, in units, were it not turned.
        yaw: degrees about the upright axis.
        pitch: degrees about the level axis.
        roll: degrees in the plane of the picture.
    """

    middle: Point
    side: Number
    yaw: Number
    pitch: Number
    roll: Number

    def matrix(self) -> np.ndarray:
        """The 3x3 map from points of the face's unit square to units of the picture."""
        (cos_y, sin_y), (cos_p, sin_p), (cos_r, sin_r) = (
            (math.cos(turn), math.sin(turn)) for turn in map(math.radians, (self.yaw, self.pitch, self.roll))
        )
        # Where the two sides of the square point once turned: first by yaw, then by pitch, then by roll.
        across = (
            cos_r * cos_y - sin_r * sin_p * sin_y,
            sin_r * cos_y + cos_r * sin_p * sin_y,
            -cos_p * sin_y,
        )
        down = (-sin_r * cos_p, cos_r * cos_p, sin_p)
        corner = [-(one + other) / 2 for one, other in zip(across, down, strict=True)]
        corner[2] += _EYE
        x, y = self.middle
        lens = ((self.side * _EYE, 0, x), (0, self.side * _EYE, y), (0, 0, 1))
        whole: np.ndarray = np.array(lens) @ np.array((across, down, corner)).T
        return whole

    def project(self, points: tuple[Point, ...]) -> np.ndarray:
        """Points of the face's unit square in units of the picture, (n, 2)."""
        matrix = self.matrix()
        there = np.array(points) @ matrix[:, :2].T + matrix[:, 2]
        seen: np.ndarray = there[:, :2] / there[:, 2:]
        return seen


@dataclass(frozen=True)
class Sign:
    """One sign: its design, its pose, the foot of its pole, what hides part of it, and how worn it is.

    Attributes:
        design: what it shows.
        pose: where it stands.
        foot: the lower end of its pole in units down, None where it shares another's.
        hidden: what is before it: nothing, "leaves" or "pole".
        worn: how faded it is, 0 to 1.
    """

    design: Design
    pose: Pose
    foot: Number | None
    hidden: str
    worn: Number

    def extent(self) -> Box:
        """Left, top, right, bottom of its outline in units, outside the picture as well."""
        points = self.pose.project(self.design.outline)
        (left, top), (right, bottom) = points.min(0).tolist(), points.max(0).tolist()
        return left, top, right, bottom

    def box(self, width: Number) -> Box:
        """The same within a picture `width` units wide; whatever hides part of it counts as the sign."""
        return _within(self.extent(), width)


def _within(extent: Box, width: Number) -> Box:
    left, top, right, bottom = extent
    return max(0.0, left), max(0.0, top), min(float(width), right), min(float(UNITS), bottom)


@dataclass(frozen=True)
class Layout:
    """A scene before it is drawn: the signs that count, those of no class, and where the road leads.

    Attributes:
        width: of the picture, in units.
        horizon: in units down.
        vanishing: where the road leads, in units right.
        signs: of the country's classes.
        strangers: of no class.
    """

    width: Number
    horizon: Number
    vanishing: Number
    signs: tuple[Sign, ...]
    strangers: tuple[Sign, ...]


def plan(names: tuple[int, str, str, int], width: Number) -> Layout:
    """The layout of one scene.

    Args:
        names: the seed, the country, the half ("train" or "test") and the number of the scene, which also decides the
            class of its first sign, so that all classes are as frequent.
        width: of the picture, in units.
    """
    seed, country, half, number = names
    width = float(width)
    dice = np.random.default_rng(derive(seed, "streets", country, half, number, "layout"))
    known = COUNTRIES[country]
    horizon = float(dice.uniform(112, 158))
    vanishing = float(dice.normal(0.5, 0.12)) * width
    wanted = int(dice.choice(4, p=(0.42, 0.3, 0.18, 0.1))) + 1
    classes = [known.classes[number % len(known.classes)]]
    classes += [known.classes[int(dice.integers(len(known.classes)))] for _ in range(wanted - 1)]
    room = _Room(dice, horizon, width, [])
    signs: list[Sign] = []
    for name in classes:
        designs = [design for design in known.designs if design.group == name]
        above = signs[-1] if signs and dice.random() < 0.22 else None
        signs += room.put(designs[int(dice.integers(len(designs)))], above)
    strangers: list[Sign] = []
    for _ in range(int(dice.choice(3, p=(0.5, 0.35, 0.15)))):
        strangers += room.put(known.strangers[int(dice.integers(len(known.strangers)))])
    return Layout(width, horizon, vanishing, tuple(signs), tuple(strangers))


@dataclass(frozen=True)
class _Room:
    """Where signs can still stand: the boxes in it are taken."""

    dice: np.random.Generator
    horizon: Number
    width: Number
    taken: list[Box]

    def put(self, design: Design, above: Sign | None = None) -> list[Sign]:
        """A sign that covers no other, below another one if there is room; none where there is nowhere any.

        In an empty picture most attempts succeed, so the first sign of a scene is always there.
        """
        for _ in range(_ATTEMPTS):
            sign = self._drawn_up(design) if above is None else self._below(design, above)
            above = None
            left, top, right, bottom = extent = sign.extent()
            box = _within(extent, self.width)
            fits = box[2] - box[0] >= _LEAST_SEEN * (right - left) and top > 0 and bottom < UNITS - 4
            if fits and not any(_touch(box, other) for other in self.taken):
                self.taken.append(box)
                return [sign]
        return []

    def _drawn_up(self, design: Design) -> Sign:
        """A sign by chance: larger ones are nearer, so they stand higher above the horizon and their foot lower."""
        dice, side = self.dice, _side(self.dice)
        x = float(dice.uniform(0.3 * side, self.width - 0.3 * side))
        y = max(0.56 * side + 2, self.horizon - side * float(dice.uniform(0.35, 1.5)))
        roll = float(dice.normal(0, 3 if dice.random() < 0.85 else 9))
        yaw = min(52.0, max(-52.0, float(dice.normal(0, 20))))
        pose = Pose((x, y), side, yaw, float(dice.normal(0, 4)), roll)
        return Sign(design, pose, y + side * float(dice.uniform(2.3, 3.4)), *self._state())

    def _below(self, design: Design, above: Sign) -> Sign:
        """A sign on the same pole."""
        (x, y), side = above.pose.middle, above.pose.side
        middle = (x + float(self.dice.normal(0, 0.5)), y + 1.06 * side)
        return Sign(design, replace(above.pose, middle=middle), None, *self._state())

    def _state(self) -> tuple[str, float]:
        """What hides part of a sign, and how worn it is."""
        chance = float(self.dice.random())
        return "leaves" if chance < 0.13 else "pole" if chance < 0.18 else "", float(self.dice.beta(1.2, 3))


def _side(dice: np.random.Generator) -> float:
    """Of the face's square: one in six is far off, one in six near, the others from 30 to 70 units."""
    part = float(dice.random())
    if part < 1 / 6:
        return float(dice.uniform(18, 30))
    if part < 1 / 3:
        return float(dice.uniform(70, 92))
    return float(dice.uniform(30, 70))


def _touch(one: Box, other: Box) -> bool:
    apart = one[0] > other[2] + _GAP or other[0] > one[2] + _GAP or one[1] > other[3] + _GAP or other[1] > one[3] + _GAP
    return not apart
