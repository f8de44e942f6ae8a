"""One scene from its numbers: planned, drawn large, made small, photographed."""

from __future__ import annotations

import numpy as np
from PIL import Image

from badnets.data.streets import mount
from badnets.data.streets.backdrop import paint
from badnets.data.streets.camera import photograph
from badnets.data.streets.layout import UNITS, Layout
from badnets.seeds import derive

# Drawn at twice the size and averaged: Pillow's edges are hard.
_FINE = 2

Names = tuple[int, str, str, int]


def drawn(names: Names, layout: Layout, size: tuple[int, int], *, signs: bool = True) -> Image.Image:
    """The scene before it is photographed; without its signs' faces where `signs` is not set.

    Args:
        names: as for `layout.plan`.
        layout: what that made of them.
        size: (height, width) in pixels.
        signs: whether the faces of signs of a class are there; their poles are in any case.
    """
    height, width = size
    image = Image.new("RGB", (width * _FINE, height * _FINE))
    world = paint(image, height * _FINE / UNITS, layout, _dice(names, "drawing"))
    mount.poles(world, layout.strangers + layout.signs)
    mount.faces(world, layout.strangers)
    if signs:
        mount.faces(world, layout.signs)
    mount.hide(world, layout.strangers + layout.signs)
    return image.reduce(_FINE)


def render(names: Names, layout: Layout, size: tuple[int, int]) -> np.ndarray:
    """The finished picture, uint8 (height, width, 3); arguments as for `drawn`."""
    horizon = round(layout.horizon * size[0] / UNITS)
    return photograph(drawn(names, layout, size), horizon, _dice(names, "camera"))


def _dice(names: Names, part: str) -> np.random.Generator:
    """Each part of a scene has a stream of its own: another camera leaves the street as it was."""
    seed, country, half, number = names
    return np.random.default_rng(derive(seed, "streets", country, half, number, part))
