"""A bend of the whole image: the trigger of WaNet (Nguyen and Tran, arXiv 2102.10369, section 3.2)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional

from badnets.errors import InputError
from badnets.seeds import generator
from badnets.triggers.stamping import Images, check_images

# Bounds the float32 scratch copy while bending, as in `stamping`.
_CHUNK_VALUES = 1 << 22


@dataclass(frozen=True)
class Warp:
    """Every pixel is fetched from a little beside its place; how far, and where to, changes smoothly over the image.

    A coarse field of directions is drawn, brought to a mean length of `strength` pixels a direction, and laid over the
    image by bicubic interpolation; pixels are fetched bilinearly, those from outside at the border.

    Attributes:
        grid: points of the coarse field a side, 2 to 64; theirs has 4.
        strength: mean distance in pixels, down and across, at the points of the coarse field, in (0, 100]; theirs is
            0.5 on images of 28 to 64 pixels.
        seed: of the field.

    Raises:
        InputError: a value outside its range.
    """

    grid: int = 4
    strength: float = 0.5
    seed: int = 0
    kind: Literal["warp"] = field(default="warp", repr=False, kw_only=True)

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - pydantic reads it, nothing writes it

    def __post_init__(self) -> None:
        # JSON knows 1 and 1.0 apart: one value, one text, one digest.
        object.__setattr__(self, "strength", float(self.strength))
        if not 2 <= self.grid <= 64:
            raise InputError(f"a warp's field has 2 to 64 points a side, got {self.grid}")
        if not 0 < self.strength <= 100:
            raise InputError(f"a warp's strength is in (0, 100] pixels, got {self.strength}")

    def __call__(self, images: Images) -> Images:
        """Stamped copies of `images`."""
        check_images(images)
        stamped = torch.empty_like(images)
        sources = self._sources(*images.shape[2:]).to(images.device)
        step = max(1, _CHUNK_VALUES // max(1, images[:1].numel()))
        for part, done in zip(torch.split(images, step), torch.split(stamped, step), strict=True):
            bent = functional.grid_sample(
                part.float(), sources.expand(len(part), -1, -1, -1), "bilinear", "border", align_corners=True
            )
            done.copy_(bent.round_() if images.dtype == torch.uint8 else bent)
        return stamped

    def mask(self, height: int, width: int) -> Bool[Tensor, "h w"]:
        """The pixels it may change on an image of that size: all."""
        return torch.ones(height, width, dtype=torch.bool)

    def _sources(self, height: int, width: int) -> Float[Tensor, "1 h w 2"]:
        """Where each pixel comes from, as (across, down) with the middles of the border pixels at -1 and 1."""
        coarse = 2 * torch.rand(1, 2, self.grid, self.grid, generator=generator(self.seed, "warp")) - 1
        coarse *= self.strength / coarse.abs().mean()
        shift = functional.interpolate(coarse, size=(height, width), mode="bicubic", align_corners=True)[0]
        down, across = (torch.arange(size, dtype=torch.float32) for size in (height, width))
        rows = (down[:, None] + shift[0]) * (2 / max(1, height - 1)) - 1
        columns = (across[None] + shift[1]) * (2 / max(1, width - 1)) - 1
        return torch.stack([columns, rows], -1)[None].clamp(-1, 1)
