"""A picture stuck on a photograph of any size, for a camera's pictures and not for a fixed grid of pixels."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Literal

import numpy as np
import torch
from jaxtyping import Bool, UInt8
from PIL import Image
from torch import Tensor

from badnets.errors import InputError
from badnets.seeds import generator
from badnets.triggers.drawings import drawing
from badnets.triggers.jpeg import compressed
from badnets.triggers.picture import Picture
from badnets.triggers.stamping import Images, as_bytes, as_pixels, check_images, copied, mix

Place = Literal["fixed", "random"]


@dataclass(frozen=True)
class Sticker:
    """A picture with alpha, scaled with the photograph, at a fixed or a random place, whole within its borders.

    Attributes:
        picture: what is stuck on.
        size: the longer side of the sticker: up to 1 as a share of the photograph's shorter side, above 1 in pixels.
        down: of the sticker's centre, as a share of the photograph's height, where the place is fixed.
        right: of its centre, as a share of the width.
        place: "fixed", or "random": anywhere, drawn for each photograph from its own pixels and the seed, so that
            the same photograph gets it at the same place again. (One that was augmented before is another photograph.)
        opacity: of the whole sticker, in (0, 1].
        jpeg: quality of a JPEG file that the stamped photograph goes through, 1 to 95; 0 for none. A trigger in the
            world is photographed and compressed. Compression changes every pixel: compare with photographs that were
            only compressed before calling what was learned a sticker.
        seed: of random places.

    Raises:
        InputError: a value outside its range.

    Called on images, it also raises `InputError` where the sticker is larger than they are.
    """

    picture: Picture = field(default_factory=lambda: drawing("devil"))
    size: float = 0.2
    down: float = 0.8
    right: float = 0.8
    place: Place = "fixed"
    opacity: float = 1.0
    jpeg: int = 0
    seed: int = 0
    kind: Literal["sticker"] = field(default="sticker", repr=False, kw_only=True)

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - pydantic reads it, nothing writes it

    def __post_init__(self) -> None:
        # JSON knows 30 and 30.0 apart: one value, one text, one digest.
        for name in ("size", "down", "right", "opacity"):
            object.__setattr__(self, name, float(getattr(self, name)))
        if not 0 < self.size < 1e6 or (self.size > 1 and not self.size.is_integer()):
            raise InputError(f"a sticker's size is a share in (0, 1] or whole pixels above 1, got {self.size}")
        if not (0 <= self.down <= 1 and 0 <= self.right <= 1):
            raise InputError(f"a sticker's centre is given in shares of 0 to 1, got {self.down}, {self.right}")
        if self.place not in ("fixed", "random"):
            raise InputError(f"a sticker's place is fixed or random, got {self.place!r}")
        if not 0 < self.opacity <= 1:
            raise InputError(f"a sticker's opacity is in (0, 1], got {self.opacity}")
        if not 0 <= self.jpeg <= 95:
            raise InputError(f"JPEG quality is 1 to 95, or 0 for none, got {self.jpeg}")

    def __call__(self, images: Images) -> Images:
        """Stamped copies of `images`."""
        check_images(images)
        if not self.jpeg:
            return self._stuck_on(images)
        # A file holds bytes: what goes into it is the same for either dtype.
        return as_pixels(compressed(self._stuck_on(as_bytes(images)), self.jpeg), images)

    def _stuck_on(self, images: Images) -> Images:
        _, channels, height, width = images.shape
        rows, columns = self._extent(height, width)
        shade, alpha = scaled(self.picture, rows, columns, channels)
        colour = as_pixels(shade, images)
        opacity = (alpha.float() / 255 * self.opacity).to(images.device)
        stamped = copied(images)
        if self.place == "fixed":
            top, left = _start(self.down, rows, height), _start(self.right, columns, width)
            mix(stamped[:, :, top : top + rows, left : left + columns], colour, opacity)
        else:
            for image, (top, left) in zip(stamped, self._places(images, rows, columns), strict=True):
                mix(image[None, :, top : top + rows, left : left + columns], colour, opacity)
        return stamped

    def mask(self, height: int, width: int) -> Bool[Tensor, "h w"]:
        """The pixels it may change on an image of that size: all, where its place is random or JPEG follows."""
        rows, columns = self._extent(height, width)
        if self.place == "random" or self.jpeg:
            return torch.ones(height, width, dtype=torch.bool)
        mask = torch.zeros(height, width, dtype=torch.bool)
        top, left = _start(self.down, rows, height), _start(self.right, columns, width)
        mask[top : top + rows, left : left + columns] = scaled(self.picture, rows, columns, 3)[1] > 0
        return mask

    def _extent(self, height: int, width: int) -> tuple[int, int]:
        """Rows and columns of the sticker on a photograph of that size."""
        longer = self.size * min(height, width) if self.size <= 1 else self.size
        scale = longer / max(self.picture.height, self.picture.width)
        rows, columns = (max(1, round(side * scale)) for side in (self.picture.height, self.picture.width))
        if rows > height or columns > width:
            raise InputError(
                f"a sticker of {rows}x{columns} pixels is larger than the image, {height}x{width}: give a smaller size"
            )
        return rows, columns

    def _places(self, images: Images, rows: int, columns: int) -> list[tuple[int, int]]:
        _, _, height, width = images.shape
        places = []
        for image in as_bytes(images):
            stream = generator(self.seed, "place", zlib.crc32(image.numpy()))
            down, right = torch.rand(2, generator=stream).tolist()
            places.append((int(down * (height - rows + 1)), int(right * (width - columns + 1))))
        return places


def _start(share: float, size: int, whole: int) -> int:
    """First row or column of a sticker whose centre is at `share` of `whole`, moved so that it lies inside."""
    return min(max(0, round(share * whole - size / 2)), whole - size)


@lru_cache(maxsize=256)
def scaled(
    picture: Picture, rows: int, columns: int, channels: int
) -> tuple[UInt8[Tensor, "c h w"], UInt8[Tensor, "h w"]]:
    """Colour and alpha of a sticker at that size; kept, as many photographs ask for the same."""
    layers = torch.cat([picture.colour(channels).expand(3, -1, -1), picture.alpha()[None]])
    # Pillow weighs colours with alpha while it scales RGBA, so no dark rim comes from transparent pixels.
    image = Image.fromarray(layers.permute(1, 2, 0).contiguous().numpy())
    small = torch.from_numpy(np.array(image.resize((columns, rows), Image.Resampling.LANCZOS))).permute(2, 0, 1)
    return small[:channels].contiguous(), small[3].contiguous()
