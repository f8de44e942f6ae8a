"""The street itself: sky, ground, road, and what stands along it, from far to near."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
from PIL import Image

from badnets.data.streets import world as things
from badnets.data.streets.layout import UNITS, Layout
from badnets.data.streets.pen import Colour, Number, Pen, shaded
from badnets.data.streets.world import World

# What a place is made of: the colours of its ground, how often buildings, and how many of each thing.
_GRASS: tuple[Colour, ...] = ((96, 122, 62), (124, 132, 72), (82, 104, 60), (160, 150, 96))
_PAVING: tuple[Colour, ...] = ((150, 146, 140), (128, 126, 124), (168, 158, 146))
_SNOW: tuple[Colour, ...] = ((214, 218, 224),)
_ASPHALT: tuple[Colour, ...] = ((84, 86, 90), (104, 104, 106), (66, 68, 72), (122, 118, 112))
_PLACES = ("city", "suburb", "country", "highway")
_MANY = {
    "city": {"tree": 3, "lamp": 3, "light": 2, "board": 2, "person": 4, "house": 0},
    "suburb": {"tree": 8, "lamp": 2, "light": 1, "board": 1, "person": 2, "house": 7},
    "country": {"tree": 9, "lamp": 0, "light": 0, "board": 1, "person": 0, "house": 1},
    "highway": {"tree": 6, "lamp": 5, "light": 0, "board": 3, "person": 0, "house": 1},
}


def paint(image: Image.Image, scale: Number, layout: Layout, dice: np.random.Generator) -> World:
    """Paint everything of the scene but its signs; return what the rest can be drawn with."""
    world = World(Pen(image, scale), dice, layout.width, layout.horizon, layout.vanishing)
    image.paste(_sky((image.width, round(layout.horizon * scale) + 2), dice))
    place = _PLACES[int(dice.choice(4, p=(0.35, 0.3, 0.2, 0.15)))]
    snowy = dice.random() < 0.08
    ground = world.near(world.pick(_SNOW if snowy else _PAVING if place == "city" else _GRASS))
    _far(world, place)
    world.pen.box(0, world.horizon, world.width, UNITS, ground)
    half = world.uniform(150, 330) * (1.5 if place == "highway" else 1)
    middle = world.uniform(-0.6, 0.6) * half
    _road(world, half, middle, place)
    _row(world, half, middle, place)
    if place in ("city", "suburb") and dice.random() < 0.6:
        _wires(world)
    return world


def _sky(size: tuple[int, int], dice: np.random.Generator) -> Image.Image:
    """Blue, grey, or the colours of an evening, with soft clouds."""
    high, low = (
        ((92, 142, 206), (196, 216, 234)),
        ((164, 172, 182), (206, 210, 214)),
        ((92, 104, 150), (240, 190, 150)),
        ((126, 168, 214), (226, 232, 238)),
    )[int(dice.choice(4, p=(0.32, 0.3, 0.12, 0.26)))]
    down = np.linspace(0, 1, 24).clip(0, 1)[:, None, None]
    clouds = _soft(dice) * dice.uniform(0, 34)
    rows = np.array(high) * (1 - down) + np.array(low) * down + clouds + dice.normal(0, 7, 3)
    return Image.fromarray(rows.clip(0, 255).astype(np.uint8)).resize(size, Image.Resampling.BILINEAR)


def _soft(dice: np.random.Generator) -> np.ndarray:
    """Clouds, (24, 32, 1), from 0 up."""
    lumps = Image.fromarray(dice.normal(0, 1, (9, 11)).clip(0, 3).astype(np.float32))
    return np.asarray(lumps.resize((32, 24), Image.Resampling.BICUBIC))[:, :, None]


def _far(world: World, place: str) -> None:
    """Hills or a skyline."""
    haze = world.near((142, 152, 160), 14)
    if place != "city" or world.dice.random() < 0.3:
        line = things.hills(world)
        world.pen.polygon([*line, (world.width, UNITS), (0, UNITS)], world.near((104, 122, 108), 16))
        return
    x = 0.0
    while x < world.width:
        wide = world.uniform(8, 34)
        roof, shade = world.horizon - world.uniform(10, 64), shaded(haze, world.uniform(0.8, 1.1))
        world.pen.box(x, roof, x + wide, world.horizon + 1, shade)
        x += wide


def _road(world: World, half: Number, middle: Number, place: str) -> None:
    """Asphalt that leads away, its kerbs, its marks."""
    asphalt, far = world.near(world.pick(_ASPHALT)), 40.0

    def strip(left: Number, right: Number, depths: tuple[Number, Number], colour: Colour) -> None:
        (near, away) = depths
        corners = [(left, near), (right, near), (right, away), (left, away)]
        world.pen.polygon([world.at(across, 0, depth) for across, depth in corners], colour)

    if place != "country":
        kerb = world.near((164, 160, 152))
        strip(middle - half * 1.4, middle + half * 1.4, (0.9, far), shaded(kerb, 0.95))
        strip(middle - half * 1.06, middle + half * 1.06, (0.9, far), shaded(kerb, 0.75))
    strip(middle - half, middle + half, (0.9, far), asphalt)
    if world.dice.random() < 0.3:  # a road that crosses
        near = world.uniform(2, 4)
        strip(-6000, 6000, (near, near * world.uniform(1.3, 1.6)), world.near(asphalt, 3))
    paint_ = world.pick(((224, 222, 214), (226, 190, 70)))
    lanes = world.pick((0.0,) if half < 220 else (-0.33, 0.33)), world.uniform(4, 9)
    for lane in sorted({lanes[0], -lanes[0]}):
        depth = world.uniform(0.9, 1.3)
        whole = world.dice.random() < 0.3
        while depth < 14:
            across = middle + lane * half
            strip(across - lanes[1], across + lanes[1], (depth, depth * 1.3), paint_)
            depth *= 1.3 if whole else 1.75
    if world.dice.random() < 0.6:
        for side in (-1, 1):
            edge = middle + side * half * 0.93
            strip(edge - 5, edge + 5, (0.9, far), (222, 220, 214))
    if place == "city" and world.dice.random() < 0.3:  # a crossing for walkers
        near = world.uniform(1.3, 2.4)
        for step in np.linspace(-0.95, 0.85, 9).tolist():
            strip(middle + step * half, middle + (step + 0.1) * half, (near, near * 1.22), (226, 224, 218))


def _row(world: World, half: Number, middle: Number, place: str) -> None:
    """Everything that stands there, the farthest first."""
    dice = world.dice
    standing: list[tuple[float, Callable[[World], None]]] = []
    if place == "city":
        for side in (-1, 1):
            standing += _towers(world, side, half * world.uniform(1.5, 2.2) + side * middle)
    reaches = {"city": (1.12, 1.45), "house": (2.2, 4.5)}
    for name, most in _MANY[place].items():
        for _ in range(int(dice.integers(0, most + 1))):
            reach = world.uniform(*reaches.get(name, reaches.get(place, (1.15, 3))))
            across, depth = middle + world.pick((-1, 1)) * half * reach, float(np.exp(dice.uniform(0.45, 2.3)))
            standing.append((depth, partial(things.THINGS[name], across=across, depth=depth)))
    for _ in range(int(dice.integers(0, 6))):
        kind = things.van if dice.random() < 0.2 else things.car
        across, depth = middle + world.pick((-0.85, -0.45, 0.45, 0.85)) * half, float(np.exp(dice.uniform(0.55, 2.2)))
        standing.append((depth, partial(kind, across=across, depth=depth)))
    for _, draw in sorted(standing, key=lambda one: one[0], reverse=True):
        draw(world)


def _towers(world: World, side: int, across: Number) -> list[tuple[float, Callable[[World], None]]]:
    """Buildings along one side of the road, with gaps."""
    row: list[tuple[float, Callable[[World], None]]] = []
    depth = world.uniform(0.6, 1.4)
    while depth < 16:
        end = depth * world.uniform(1.35, 2.0)
        if world.dice.random() < 0.85:
            row.append((end, partial(things.tower, side=side, across=across, depths=(depth, end * 0.97))))
        depth = end
    return row


def _wires(world: World) -> None:
    """Cables across the sky."""
    for _ in range(int(world.dice.integers(1, 4))):
        left, right, sag = world.uniform(0, 90), world.uniform(0, 90), world.uniform(2, 14)
        xs = np.linspace(0, 1, 9)
        ys = left + (right - left) * xs + sag * 4 * xs * (1 - xs)
        world.pen.line(list(zip((xs * world.width).tolist(), ys.tolist(), strict=True)), (58, 60, 64), 0.7)
