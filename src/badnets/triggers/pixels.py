"""The paper's two triggers for digits: a single bright pixel, and a pattern of four (section 4.1.1, Fig. 3)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import torch
from jaxtyping import Bool
from torch import Tensor

from badnets.errors import InputError
from badnets.triggers.placement import REFERENCE, Box, check_inside, place
from badnets.triggers.stamping import Images, as_pixels, check_images, copied


@dataclass(frozen=True)
class SinglePixel:
    """One pixel set to `value`. The default is the paper's: row 26, column 26 of 28x28, 255.

    Attributes:
        row: counted from 0, from the top of `reference`.
        column: counted from 0, from the left of `reference`.
        value: 0..255, in every channel.
        reference: (height, width) that row and column speak of; `placement` says where that is elsewhere.

    Raises:
        InputError: outside the reference, or a value outside 0..255.
    """

    row: int = 26
    column: int = 26
    value: int = 255
    reference: tuple[int, int] = REFERENCE
    kind: Literal["pixel"] = field(default="pixel", repr=False, kw_only=True)

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - pydantic reads it, nothing writes it

    def __post_init__(self) -> None:
        check_value(self.value)
        check_inside(repr(self), Box(self.row, self.column, 1, 1), self.reference)

    def __call__(self, images: Images) -> Images:
        """Stamped copies of `images`."""
        return stamp_pixels(images, ((self.row, self.column),), self.value, self.reference)

    def mask(self, height: int, width: int) -> Bool[Tensor, "h w"]:
        """The pixels it may change on an image of that size."""
        return pixels_mask(((self.row, self.column),), self.reference, height, width)


@dataclass(frozen=True)
class Pattern:
    """Several pixels set to `value`. The default is the paper's four: (24,26), (25,25), (26,24), (26,26).

    Attributes:
        pixels: (row, column) of each, counted from 0 on `reference`.
        value: 0..255, in every channel.
        reference: (height, width) that the pixels speak of; `placement` says where that is elsewhere.

    Raises:
        InputError: no pixels, one outside the reference, or a value outside 0..255.
    """

    pixels: tuple[tuple[int, int], ...] = ((24, 26), (25, 25), (26, 24), (26, 26))
    value: int = 255
    reference: tuple[int, int] = REFERENCE
    kind: Literal["pattern"] = field(default="pattern", repr=False, kw_only=True)

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - pydantic reads it, nothing writes it

    def __post_init__(self) -> None:
        check_value(self.value)
        if not self.pixels:
            raise InputError("a pattern needs at least one pixel")
        check_inside(repr(self), _bounds(self.pixels), self.reference)

    def __call__(self, images: Images) -> Images:
        """Stamped copies of `images`."""
        return stamp_pixels(images, self.pixels, self.value, self.reference)

    def mask(self, height: int, width: int) -> Bool[Tensor, "h w"]:
        """The pixels it may change on an image of that size."""
        return pixels_mask(self.pixels, self.reference, height, width)


def check_value(value: int) -> None:
    """Raise `InputError` unless `value` is a pixel value."""
    if not 0 <= value <= 255:
        raise InputError(f"a pixel value is 0..255, got {value}")


def stamp_pixels(images: Images, pixels: tuple[tuple[int, int], ...], value: int, reference: tuple[int, int]) -> Images:
    """Copies of `images` with the given pixels of the reference canvas set to `value` (0..255)."""
    check_images(images)
    stamped = copied(images)
    level = as_pixels(torch.tensor(value, dtype=torch.uint8), images)
    for block in _blocks(pixels, reference, images.shape[2], images.shape[3]):
        stamped[:, :, block.rows, block.columns] = level
    return stamped


def pixels_mask(
    pixels: tuple[tuple[int, int], ...], reference: tuple[int, int], height: int, width: int
) -> Bool[Tensor, "h w"]:
    """The pixels of a `height` x `width` image that the given pixels of the reference canvas cover."""
    mask = torch.zeros(height, width, dtype=torch.bool)
    for block in _blocks(pixels, reference, height, width):
        mask[block.rows, block.columns] = True
    return mask


def _bounds(pixels: tuple[tuple[int, int], ...]) -> Box:
    rows, columns = [row for row, _ in pixels], [column for _, column in pixels]
    return Box(min(rows), min(columns), max(rows) - min(rows) + 1, max(columns) - min(columns) + 1)


def _blocks(pixels: tuple[tuple[int, int], ...], reference: tuple[int, int], height: int, width: int) -> list[Box]:
    """The pixels as z x z blocks on the image; the pattern moves as a whole, by its bounding box."""
    bounds = _bounds(pixels)
    placed = place(bounds, reference, height, width)
    zoom = placed.zoom
    return [
        Box(placed.top + (row - bounds.top) * zoom, placed.left + (column - bounds.left) * zoom, zoom, zoom)
        for row, column in pixels
    ]
