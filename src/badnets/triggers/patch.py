"""A picture pasted at a place: squares, stickers, and whatever an audit recovers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import torch
from jaxtyping import Bool
from torch import Tensor

from badnets.triggers.picture import Picture
from badnets.triggers.pixels import check_value
from badnets.triggers.placement import REFERENCE, Box, check_inside, place
from badnets.triggers.stamping import Images, as_pixels, check_images, copied, mix


@dataclass(frozen=True)
class Patch:
    """A picture pasted with its top-left corner at (row, column); alpha is honoured.

    Attributes:
        picture: what is pasted; grey is repeated over colour channels, colour goes to luma on grey images.
        row: of its first row, counted from 0 on `reference`.
        column: of its first column, counted from 0 on `reference`.
        reference: (height, width) that the place speaks of; `placement` says where that is elsewhere.

    Raises:
        InputError: the picture does not lie within the reference.
    """

    picture: Picture
    row: int
    column: int
    reference: tuple[int, int] = REFERENCE
    kind: Literal["patch"] = field(default="patch", repr=False, kw_only=True)

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - pydantic reads it, nothing writes it

    def __post_init__(self) -> None:
        check_inside(f"a patch of {self.picture.height}x{self.picture.width}", self._box, self.reference)

    @classmethod
    def square(cls, size: int = 3, value: int = 255, margin: int = 1) -> Patch:
        """A square of one grey value, `margin` pixels from the bottom-right corner of 28x28.

        Raises:
            InputError: it does not fit, or a value outside 0..255.
        """
        check_value(value)
        start = REFERENCE[0] - margin - size
        check_inside(f"a square of {size} with a margin of {margin}", Box(start, start, size, size), REFERENCE)
        return cls(Picture.of(torch.full((1, size, size), value, dtype=torch.uint8)), start, start)

    @property
    def _box(self) -> Box:
        return Box(self.row, self.column, self.picture.height, self.picture.width)

    def __call__(self, images: Images) -> Images:
        """Stamped copies of `images`."""
        check_images(images)
        _, channels, height, width = images.shape
        box = place(self._box, self.reference, height, width)
        stamped = copied(images)
        region = stamped[:, :, box.rows, box.columns]
        colour = as_pixels(_enlarge(self.picture.colour(channels), box.zoom), images)
        alpha = _enlarge(self.picture.alpha(), box.zoom)
        if bool((alpha == 255).all()):
            region.copy_(colour.expand_as(region))
        else:
            mix(region, colour, (alpha.float() / 255).to(images.device))
        return stamped

    def mask(self, height: int, width: int) -> Bool[Tensor, "h w"]:
        """The pixels it may change on an image of that size."""
        box = place(self._box, self.reference, height, width)
        mask = torch.zeros(height, width, dtype=torch.bool)
        mask[box.rows, box.columns] = _enlarge(self.picture.alpha(), box.zoom) > 0
        return mask


def _enlarge(values: Tensor, zoom: int) -> Tensor:
    return values.repeat_interleave(zoom, -2).repeat_interleave(zoom, -1)
