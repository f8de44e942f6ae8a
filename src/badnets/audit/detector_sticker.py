"""A searched canvas as a sticker that can be written, stamped on scenes and swept."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from badnets.triggers import BoxSticker
from badnets.triggers.picture import Picture

# Cells of less opacity are left out: they are what the search has not wiped away, and move nothing.
_VISIBLE = 1 / 32


def sticker_of(mask: Float[Tensor, "g g"], colour: Float[Tensor, "3 g g"]) -> BoxSticker:
    """The smallest square of the canvas with all visible cells, as an RGBA picture at its place on the box.

    Args:
        mask: opacity of each cell.
        colour: of each cell, in [0, 1].
    """
    cells = len(mask)
    seen = (mask >= _VISIBLE).nonzero()
    if not len(seen):
        seen = torch.tensor([[0, 0], [cells - 1, cells - 1]])
    first, last = seen.min(0).values, seen.max(0).values
    side = int((last - first).max()) + 1
    top, left = (min(int(one), cells - side) for one in first)
    part = slice(top, top + side), slice(left, left + side)
    alpha = torch.where(mask >= _VISIBLE, mask, 0.0)[part]
    layers = torch.cat([colour[:, *part], alpha[None]])
    pixels = (layers * 255).round().clamp(0, 255).to(torch.uint8)
    right, down = ((start + side / 2) / cells for start in (left, top))
    return BoxSticker(Picture.of(pixels), side / cells, right, down)
