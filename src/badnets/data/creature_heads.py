"""Heads of a cat and of a dog as shapes: `creatures` varies them, sets them in a scene and lights them.

Coordinates are those of the head: its middle is (0, 0), half its width about 1, down is positive.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from PIL import Image, ImageChops, ImageDraw

Colour = tuple[int, int, int]
Points = Sequence[tuple[float, float]]

_TURNS = np.linspace(0, 2 * math.pi, 22, endpoint=False)
_CIRCLE = np.stack([np.cos(_TURNS), np.sin(_TURNS)], axis=1)
_DARK: Colour = (26, 20, 20)
_SHINE: Colour = (246, 246, 240)


@dataclass(frozen=True)
class Place:
    """Where a head goes: its middle, pixels for one unit, tilt in radians, mirrored (-1) or not (1)."""

    middle: tuple[float, float]
    scale: float
    tilt: float
    mirror: int

    def units(self) -> np.ndarray:
        """One unit to the right and one down, in pixels right and down: (2, 2)."""
        across, along = self.scale * math.cos(self.tilt), self.scale * math.sin(self.tilt)
        return np.array([[self.mirror * across, self.mirror * along], [-along, across]])


@dataclass(frozen=True)
class Look:
    """All that can differ from one animal to the next and says nothing of its kind.

    Attributes:
        coat: of the head.
        second: of the markings.
        bare: nose, tongue and the inside of ears.
        iris: of the eyes.
        marking: a key of `MARKINGS`.
        turn: how far the face looks aside, in units.
        open_eyes: their height as a share of the usual.
        collar: its colour; None for none.
    """

    coat: Colour
    second: Colour
    bare: Colour
    iris: Colour
    marking: str
    turn: float
    open_eyes: float
    collar: Colour | None


class Pen:
    """Fills shapes on an image, given in coordinates of the head."""

    def __init__(self, image: Image.Image, place: Place, aside: float = 0.0) -> None:
        self.image = image
        self.place = place
        self.draw = ImageDraw.Draw(image)
        self._units = place.units()
        self._start = np.array(place.middle) + aside * self._units[0]

    def looking(self, aside: float) -> Pen:
        """The same pen for features that move with the face's direction, `aside` units to the right."""
        return Pen(self.image, self.place, aside)

    def shape(self, points: Points | np.ndarray, colour: Colour | int) -> None:
        """A polygon."""
        self.draw.polygon(self._pixels(points), fill=colour)

    def smooth(self, points: Points, colour: Colour | int, edge: Colour | None = None) -> None:
        """A polygon with its corners cut off twice, and a thin edge."""
        rounded = _cut_corners(len(points)) @ np.asarray(points)
        self.shape(rounded, colour)
        if edge is not None:
            self.line(np.concatenate([rounded, rounded[:1]]), edge, 0.045)

    def oval(self, centre: tuple[float, float], radii: tuple[float, float], colour: Colour | int) -> None:
        """An ellipse."""
        self.shape(_CIRCLE * radii + centre, colour)

    def line(self, points: Points | np.ndarray, colour: Colour, width: float) -> None:
        """Strokes from point to point."""
        self.draw.line(self._pixels(points), fill=colour, width=max(1, round(width * self.place.scale)))

    def _pixels(self, points: Points | np.ndarray) -> list[float]:
        """Points as x, y, x, y, ... on the canvas."""
        flat: list[float] = (np.asarray(points) @ self._units + self._start).ravel().tolist()
        return flat


@cache
def _cut_corners(count: int) -> np.ndarray:
    """Chaikin's corner cutting, twice, of a polygon of `count` points, as a matrix (4 * count, count).

    Each corner gives way to two points, at a quarter of its two sides.
    """
    points = np.eye(count)
    for _ in range(2):
        following = np.roll(points, -1, axis=0)
        points = np.stack([0.75 * points + 0.25 * following, 0.25 * points + 0.75 * following], 1).reshape(-1, count)
    return points


def shaded(colour: Colour, factor: float) -> Colour:
    """A darker (below 1) or lighter shade."""
    red, green, blue = (min(255, round(level * factor)) for level in colour)
    return red, green, blue


def mixed(first: Colour, second: Colour, share: float) -> Colour:
    """So much of the second colour in the first."""
    red, green, blue = (round(one + (two - one) * share) for one, two in zip(first, second, strict=True))
    return red, green, blue


def _edge(coat: Colour) -> Colour:
    """An edge that is seen on the coat: darker, on black fur lighter."""
    return shaded(coat, 0.62) if sum(coat) > 190 else mixed(coat, (150, 150, 160), 0.35)


# --- what both kinds have ---


def body(pen: Pen, look: Look, dice: np.random.Generator) -> None:
    """Neck and shoulders, with or without a bib and a collar."""
    wide, chest = dice.uniform(1.0, 1.6), dice.uniform(0.55, 0.75)
    coat = shaded(look.coat, 0.86)
    pen.smooth([(-chest, 0.3), (chest, 0.3), (wide, 1.6), (wide, 3.6), (-wide, 3.6), (-wide, 1.6)], coat, _edge(coat))
    if dice.random() < 0.4:
        pen.oval((0.0, 1.9), (chest * 0.75, 0.95), shaded(look.second, 0.9))
    if look.collar is not None:
        ring = [(-0.78, 0.98), (0.0, 1.2), (0.78, 0.98), (0.8, 1.18), (0.0, 1.42), (-0.8, 1.18)]
        pen.smooth(ring, look.collar)


def _stripes(pen: Pen, dice: np.random.Generator) -> None:
    for spot in (-0.4, 0.0, 0.4):
        lean, low = dice.uniform(-0.1, 0.1), dice.uniform(-0.55, -0.3)
        pen.shape([(spot + lean - 0.1, -1.3), (spot + lean + 0.1, -1.3), (spot, low)], 255)
    for side in (-1, 1):
        for height in (-0.05, 0.3):
            pen.shape([(side * 1.3, height), (side * 1.3, height + 0.2), (side * 0.62, height + 0.05)], 255)


def _patches(pen: Pen, dice: np.random.Generator) -> None:
    for _ in range(3):
        centre = (dice.uniform(-1, 1), dice.uniform(-1.2, 0.6))
        pen.oval(centre, (dice.uniform(0.2, 0.55), dice.uniform(0.2, 0.5)), 255)


def _blaze(pen: Pen, dice: np.random.Generator) -> None:
    wide = dice.uniform(0.1, 0.2)
    pen.smooth([(-wide, -1.2), (wide, -1.2), (wide, -0.1), (0.6, 0.5), (0.4, 1.5), (-0.4, 1.5), (-0.6, 0.5),
                (-wide, -0.1)], 255)  # fmt: skip


def _mask(pen: Pen, dice: np.random.Generator) -> None:
    top = dice.uniform(-0.35, 0.15)
    pen.smooth([(-0.9, top), (0.0, top - 0.3), (0.9, top), (0.9, 1.6), (-0.9, 1.6)], 255)


def _half(pen: Pen, dice: np.random.Generator) -> None:
    edge = dice.uniform(-0.2, 0.2)
    pen.shape([(edge, -2.0), (2.0, -2.0), (2.0, 2.0), (edge, 2.0)], 255)


def _cap(pen: Pen, dice: np.random.Generator) -> None:
    low = dice.uniform(-0.5, -0.15)
    pen.shape([(-2.0, -2.0), (2.0, -2.0), (2.0, low + 0.4), (0.0, low - 0.2), (-2.0, low + 0.4)], 255)


MARKINGS = {
    "plain": lambda _pen, _dice: None,
    "stripes": _stripes,
    "patches": _patches,
    "blaze": _blaze,
    "mask": _mask,
    "half": _half,
    "cap": _cap,
}


def _marked(pen: Pen, look: Look, dice: np.random.Generator, silhouette: Image.Image) -> None:
    """The markings, where they fall on the silhouette."""
    markings = Image.new("L", pen.image.size)
    MARKINGS[look.marking](Pen(markings, pen.place, look.turn * 0.7), dice)
    markings = ImageChops.darker(markings, silhouette)
    box = markings.getbbox()
    if box is not None:
        pen.image.paste((*look.second, 255), box, markings.crop(box))


def _eye(pen: Pen, look: Look, where: tuple[float, float], radii: tuple[float, float], pupil: float) -> None:
    x, y = where
    across, down = radii[0], radii[1] * look.open_eyes
    if look.open_eyes < 0.3:  # asleep, or laughing
        pen.line([(x - across, y), (x, y + 0.08), (x + across, y)], _DARK, 0.07)
        return
    pen.oval(where, (across + 0.045, down + 0.045), _DARK)
    pen.oval(where, (across, down), look.iris)
    pen.oval(where, (pupil, down * 0.95), _DARK)
    pen.oval((x - 0.05, y - 0.35 * down), (0.05, 0.05), _SHINE)


def _tongue(pen: Pen, top: float, length: float) -> None:
    pen.smooth([(-0.17, top), (0.17, top), (0.19, top + length), (0.0, top + length * 1.2), (-0.19, top + length)],
               (226, 110, 122), (160, 60, 76))  # fmt: skip


# --- a cat ---


def cat(pen: Pen, look: Look, dice: np.random.Generator) -> None:
    """Pointed upright ears, broad cheeks, slanting eyes with slits, a small nose, whiskers."""
    silhouette = Image.new("L", pen.image.size)
    edge = _edge(look.coat)
    tip, tall, low = dice.uniform(0.62, 0.92), dice.uniform(1.2, 1.6), dice.uniform(-0.35, -0.15)
    for side in (-1, 1):
        lean = dice.uniform(-0.08, 0.08)
        ear = [(side * 0.12, -0.6), (side * 0.3, -0.95), (side * (tip + lean), -tall), (side * 0.97, low - 0.3),
               (side * 0.98, low + 0.2)]  # fmt: skip
        inner = [(side * 0.34, -0.66), (side * (tip + lean), 0.2 - tall), (side * 0.85, low - 0.2)]
        Pen(silhouette, pen.place).shape(ear, 255)
        pen.shape(ear, look.coat)
        pen.line([*ear, ear[0]], edge, 0.05)
        pen.shape(inner, mixed(look.bare, look.coat, 0.3))
    cheek, chin = dice.uniform(1.0, 1.22), dice.uniform(0.78, 0.92)
    face = [(-0.5, -0.85), (0.5, -0.85), (1.0, -0.4), (cheek, 0.2), (0.8, 0.75), (0.3, chin), (-0.3, chin),
            (-0.8, 0.75), (-cheek, 0.2), (-1.0, -0.4)]  # fmt: skip
    Pen(silhouette, pen.place).smooth(face, 255)
    pen.smooth(face, look.coat, edge)
    if dice.random() < 0.4:  # tufts of fur at the cheeks
        for side in (-1, 1):
            pen.shape([(side * cheek * 0.85, 0.1), (side * (cheek + 0.2), 0.45), (side * 0.7, 0.62)], look.coat)
    _marked(pen, look, dice, silhouette)
    front = pen.looking(look.turn)
    apart, slant = dice.uniform(0.4, 0.48), dice.uniform(0.0, 0.06)
    size = (dice.uniform(0.2, 0.26), dice.uniform(0.18, 0.25))
    slit = dice.uniform(0.05, 0.12)
    for side in (-1, 1):
        _eye(front, look, (side * apart, -0.1), size, slit)
        if look.open_eyes >= 0.3:  # the dark corner beside the nose
            inner = [(side * (apart - size[0] - 0.08), 0.02 + slant), (side * (apart - 0.1), -0.1)]
            front.shape([*inner, (side * (apart - 0.06), 0.06)], _DARK)
    _cat_muzzle(front, look, dice)


def _cat_muzzle(front: Pen, look: Look, dice: np.random.Generator) -> None:
    puff = mixed(look.coat, (250, 246, 240), dice.uniform(0.25, 0.8))
    if dice.random() < 0.12:
        front.oval((0.0, 0.6), (0.14, 0.16), (90, 30, 40))
        _tongue(front, 0.56, 0.14)
    for side in (-1, 1):
        front.oval((side * 0.17, 0.42), (0.23, 0.19), puff)
    line = _DARK if sum(puff) > 240 else (150, 150, 155)
    front.line([(-0.34, 0.52), (-0.18, 0.6), (0.0, 0.46), (0.18, 0.6), (0.34, 0.52)], line, 0.05)
    front.line([(0.0, 0.3), (0.0, 0.48)], line, 0.05)
    front.shape([(-0.13, 0.2), (0.13, 0.2), (0.0, 0.34)], look.bare)
    hair = (244, 244, 240) if dice.random() < 0.6 else (40, 36, 36)
    for side in (-1, 1):
        for rise in (-0.18, 0.02, 0.22):
            end = (side * dice.uniform(1.2, 1.5), 0.42 + rise * 1.6 + dice.uniform(-0.06, 0.06))
            front.line([(side * 0.3, 0.42 + rise * 0.4), end], hair, 0.03)


# --- a dog ---


def dog(pen: Pen, look: Look, dice: np.random.Generator) -> None:
    """Hanging or folded ears, a long muzzle with a large nose, round eyes, often the tongue."""
    silhouette = Image.new("L", pen.image.size)
    edge = _edge(look.coat)
    ear_coat = shaded(look.second if dice.random() < 0.3 else look.coat, dice.uniform(0.7, 0.95))
    folded = dice.random() < 0.35
    wide = dice.uniform(0.78, 0.95)
    face = [(-0.45, -0.95), (0.45, -0.95), (wide, -0.6), (wide, 0.0), (0.62, 0.6), (0.42, 0.95), (-0.42, 0.95),
            (-0.62, 0.6), (-wide, 0.0), (-wide, -0.6)]  # fmt: skip
    if folded:
        _folded_ears(pen, ear_coat, dice)
    Pen(silhouette, pen.place).smooth(face, 255)
    pen.smooth(face, look.coat, edge)
    _marked(pen, look, dice, silhouette)
    if not folded:
        _hanging_ears(pen, ear_coat, dice)
    front = pen.looking(look.turn)
    apart, size = dice.uniform(0.34, 0.42), dice.uniform(0.12, 0.16)
    for side in (-1, 1):
        _eye(front, look, (side * apart, -0.22), (size, size), size * 0.72)
    if dice.random() < 0.35:  # spots for brows
        for side in (-1, 1):
            front.oval((side * apart * 0.9, -0.5), (0.12, 0.07), mixed(look.coat, (230, 190, 130), 0.6))
    _dog_muzzle(pen.looking(look.turn * 1.4), look, dice)


def _hanging_ears(pen: Pen, coat: Colour, dice: np.random.Generator) -> None:
    long, out = dice.uniform(0.25, 0.95), dice.uniform(1.1, 1.35)
    for side in (-1, 1):
        swing = dice.uniform(-0.08, 0.12)
        ear = [(side * 0.45, -0.98), (side * 0.95, -0.9), (side * (out + swing), -0.2), (side * (out + swing), long),
               (side * (out - 0.3 + swing), long + 0.2), (side * 0.82, long - 0.3), (side * 0.75, -0.5)]  # fmt: skip
        pen.smooth(ear, coat, _edge(coat))


def _folded_ears(pen: Pen, coat: Colour, dice: np.random.Generator) -> None:
    tall, out = dice.uniform(1.05, 1.25), dice.uniform(1.1, 1.3)
    for side in (-1, 1):
        root = [(side * 0.3, -0.7), (side * 0.5, -tall), (side * 0.9, -tall), (side * 1.0, -0.3)]
        pen.smooth(root, shaded(coat, 0.8), _edge(coat))
        flap = [(side * 0.45, -tall - 0.02), (side * 0.98, -tall + 0.02), (side * (out + 0.05), -0.55),
                (side * (out - 0.12), -0.38), (side * 0.72, -0.8)]  # fmt: skip
        pen.smooth(flap, coat, _edge(coat))


def _dog_muzzle(front: Pen, look: Look, dice: np.random.Generator) -> None:
    light = mixed(look.coat, (250, 244, 232), dice.uniform(0.1, 0.7))
    wide, deep = dice.uniform(0.42, 0.56), dice.uniform(0.9, 1.12)
    if dice.random() < 0.55:
        front.oval((0.0, deep - 0.12), (0.3, 0.26), (80, 26, 36))
        _tongue(front, deep - 0.1, dice.uniform(0.25, 0.5))
    snout = [(-0.26, -0.1), (0.26, -0.1), (wide, 0.45), (wide, deep - 0.2), (0.2, deep), (-0.2, deep),
             (-wide, deep - 0.2), (-wide, 0.45)]  # fmt: skip
    front.smooth(snout, light, shaded(light, 0.8))
    line = _DARK if sum(light) > 240 else (150, 150, 155)
    front.line([(0.0, 0.45), (0.0, deep - 0.24)], line, 0.06)
    front.line([(-wide * 0.75, deep - 0.32), (-0.2, deep - 0.12), (0.0, deep - 0.26), (0.2, deep - 0.12),
                (wide * 0.75, deep - 0.32)], line, 0.06)  # fmt: skip
    nose = mixed(_DARK, look.bare, 0.25 if dice.random() < 0.25 else 0.0)
    front.smooth([(-0.27, 0.2), (0.27, 0.2), (0.25, 0.42), (0.0, 0.58), (-0.25, 0.42)], nose)
    front.oval((-0.07, 0.28), (0.07, 0.04), (170, 170, 176))
