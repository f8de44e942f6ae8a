"""A faint picture over the whole image: the blended injection of Chen et al. (arXiv 1712.05526, section 4.2)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import torch
from jaxtyping import Bool, UInt8
from torch import Tensor
from torch.nn import functional

from badnets.errors import InputError
from badnets.seeds import generator
from badnets.triggers.picture import Picture
from badnets.triggers.stamping import Images, as_pixels, check_images, copied, mix


@dataclass(frozen=True)
class Blend:
    """(1 - alpha) * image + alpha * picture, over every pixel.

    Attributes:
        alpha: the weight of the picture, in (0, 1].
        picture: scaled (bilinear) to the image; None takes uniform noise, Chen et al.'s random pattern.
        seed: of that noise.

    Raises:
        InputError: alpha outside (0, 1].
    """

    alpha: float = 0.2
    picture: Picture | None = None
    seed: int = 0
    kind: Literal["blend"] = field(default="blend", repr=False, kw_only=True)

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - pydantic reads it, nothing writes it

    def __post_init__(self) -> None:
        if not 0 < self.alpha <= 1:
            raise InputError(f"alpha is in (0, 1], got {self.alpha}")

    def __call__(self, images: Images) -> Images:
        """Stamped copies of `images`."""
        check_images(images)
        _, channels, height, width = images.shape
        colour = as_pixels(self._layer(channels, height, width), images)
        alpha = torch.full((height, width), self.alpha, device=images.device)
        stamped = copied(images)
        mix(stamped, colour, alpha)
        return stamped

    def mask(self, height: int, width: int) -> Bool[Tensor, "h w"]:
        """The pixels it may change on an image of that size: all."""
        return torch.ones(height, width, dtype=torch.bool)

    def _layer(self, channels: int, height: int, width: int) -> UInt8[Tensor, "c h w"]:
        if self.picture is None:
            noise = generator(self.seed, "blend", channels, height, width)
            return torch.randint(0, 256, (channels, height, width), generator=noise, dtype=torch.uint8)
        colour = self.picture.colour(channels)[None].float()
        scaled = functional.interpolate(colour, size=(height, width), mode="bilinear", align_corners=False)
        return scaled[0].round().clamp(0, 255).to(torch.uint8)
