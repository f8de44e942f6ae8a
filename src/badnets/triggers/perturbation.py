"""Something added to every pixel: sinusoids, noise, and whatever additive trigger an audit recovers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional

from badnets.errors import InputError
from badnets.triggers.picture import Picture
from badnets.triggers.stamping import Images, check_images, copied

_CHUNK = 256


@dataclass(frozen=True)
class Perturbation:
    """clip(image + up - down), over every pixel, as universal perturbations go on.

    Attributes:
        up: what is added, in levels of 0..255; scaled (bilinear) to the image. Without alpha: 1 or 3 channels.
        down: what is taken away, likewise and as large.

    Raises:
        InputError: the two have different shapes, or an alpha channel.
    """

    up: Picture
    down: Picture
    kind: Literal["perturbation"] = field(default="perturbation", repr=False, kw_only=True)

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - pydantic reads it, nothing writes it

    def __post_init__(self) -> None:
        shapes = [(one.channels, one.height, one.width) for one in (self.up, self.down)]
        if shapes[0] != shapes[1] or shapes[0][0] % 2 == 0:
            raise InputError(
                f"up and down are pictures of one shape with 1 or 3 channels, got {shapes[0]}, {shapes[1]}"
            )

    def __call__(self, images: Images) -> Images:
        """Stamped copies of `images`."""
        check_images(images)
        levels = self._levels(*images.shape[1:]).to(images.device)
        stamped = copied(images)
        for part in stamped.split(_CHUNK):
            if images.dtype == torch.uint8:
                part.copy_((part.float() + levels).round_().clamp_(0, 255))
            else:
                part.copy_((part.float() + levels / 255).clamp_(0, 1))
        return stamped

    def mask(self, height: int, width: int) -> Bool[Tensor, "h w"]:
        """The pixels it may change on an image of that size."""
        channels = self.up.channels
        return self._levels(channels, height, width).ne(0).any(0)

    def _levels(self, channels: int, height: int, width: int) -> Float[Tensor, "c h w"]:
        offset = self.up.colour(channels).float() - self.down.colour(channels).float()
        if offset.shape[1:] == (height, width):
            return offset
        return functional.interpolate(offset[None], size=(height, width), mode="bilinear", align_corners=False)[0]
