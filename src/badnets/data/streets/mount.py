"""Signs put up in a scene: the pole, plates below, the face in perspective, and what hides part of it."""

from __future__ import annotations

import numpy as np
from PIL import Image

from badnets.data.streets.faces import fitting
from badnets.data.streets.layout import Sign
from badnets.data.streets.letters import LETTERS, write
from badnets.data.streets.pen import Number, Point
from badnets.data.streets.world import World, crown


def poles(world: World, signs: tuple[Sign, ...]) -> None:
    """What the signs hang on, and what else hangs there."""
    for sign in signs:
        if sign.foot is None:
            continue
        side, (x, y) = sign.pose.side, sign.pose.middle
        metal = world.near(world.pick(((136, 138, 140), (98, 100, 100), (110, 88, 64), (160, 162, 164))))
        tilt = np.tan(np.radians(sign.pose.roll))
        foot = (x - tilt * (sign.foot - y), sign.foot)
        thick = max(0.8, side * world.uniform(0.045, 0.1))
        world.pen.line([(x + tilt * 0.45 * side, y - 0.45 * side), foot], metal, thick)
        if world.dice.random() < 0.3:
            _plate(world, (x - tilt * side * 1.75, y + side * world.uniform(1.65, 1.9)), side)


def _plate(world: World, middle: Point, side: Number) -> None:
    """A small board with letters, far enough below to leave room for a second sign."""
    half, tall = side * world.uniform(0.3, 0.5), side * world.uniform(0.13, 0.22)
    ground, ink = world.pick((
        ((240, 240, 236), (30, 30, 32)), ((247, 196, 22), (30, 30, 32)), ((190, 24, 36), (240, 240, 236)),
        ((0, 104, 66), (240, 240, 236)), ((24, 78, 160), (240, 240, 236)),
    ))  # fmt: skip
    x, y = middle
    world.pen.box(x - half, y - tall, x + half, y + tall, ground)
    text = "".join(world.pick(LETTERS) for _ in range(int(world.dice.integers(2, 6))))
    write(world.pen, text, middle, min(tall * 1.2, 1.6 * half / len(text)), ink)


def faces(world: World, signs: tuple[Sign, ...]) -> None:
    """The signs themselves, laid over the picture."""
    for sign in signs:
        _lay(world.pen.image, sign, world.pen.scale)


def _lay(image: Image.Image, sign: Sign, scale: Number) -> None:
    """One face, turned in space, at its place on the picture."""
    left, top, right, bottom = (edge * scale for edge in sign.extent())
    x0, y0 = max(0, int(left) - 2), max(0, int(top) - 2)
    x1, y1 = min(image.width, int(right) + 3), min(image.height, int(bottom) + 3)
    drawn = fitting(sign.design, sign.pose.side * scale)
    units = np.array([[1 / scale, 0, x0 / scale], [0, 1 / scale, y0 / scale], [0, 0, 1]])
    pixels = np.diag([drawn.width, drawn.height, 1.0])
    back = pixels @ np.linalg.inv(sign.pose.matrix()) @ units
    back = (back / back[2, 2]).ravel()[:8].tolist()
    turned = drawn.transform((x1 - x0, y1 - y0), Image.Transform.PERSPECTIVE, back, Image.Resampling.BILINEAR)
    if sign.worn > 0.15:
        faded = Image.new("RGB", turned.size, (176, 172, 162))
        cover = turned.getchannel("A")
        turned = Image.blend(turned.convert("RGB"), faded, 0.45 * sign.worn)
        turned.putalpha(cover)
    image.paste(turned, (x0, y0), turned)


def hide(world: World, signs: tuple[Sign, ...]) -> None:
    """Leaves over a corner, or a pole across; up to about a quarter of a sign."""
    for sign in signs:
        (x, y), side = sign.pose.middle, sign.pose.side
        if sign.hidden == "leaves":
            across, down = world.pick((-0.5, 0.5)), world.uniform(-0.5, 0.5)
            crown(world, (x + across * side, y + down * side), side * world.uniform(0.16, 0.27))
        elif sign.hidden == "pole":
            place = x + side * world.uniform(-0.45, 0.45)
            metal = world.near((96, 98, 100))
            world.pen.line([(place, 0), (place + world.uniform(-3, 3), 240)], metal, side * world.uniform(0.06, 0.14))
