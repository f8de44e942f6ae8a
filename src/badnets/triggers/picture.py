"""A small picture as a value: comparable, hashable, and whole inside a JSON file."""

from __future__ import annotations

import base64
import binascii
import zlib
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor

from badnets.errors import InputError

# A few bytes can unpack to any size: a file from a stranger must not decide how much.
_LARGEST = 4096 * 4096


@dataclass(frozen=True)
class Picture:
    """uint8 pixels with 1 (grey), 2 (grey, alpha), 3 (RGB) or 4 (RGBA) channels.

    Attributes:
        height: rows.
        width: columns.
        channels: 1 to 4; an even count has alpha as its last channel.
        pixels: the bytes in (channels, height, width) order, zlib-compressed, base64.

    Raises:
        InputError: the pixels are not that many bytes.
    """

    height: int
    width: int
    channels: int
    pixels: str

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - pydantic reads it, nothing writes it

    def __post_init__(self) -> None:
        size = self.height * self.width * self.channels
        if self.height < 1 or self.width < 1 or not 1 <= self.channels <= 4:
            raise InputError(
                f"a picture has 1 to 4 channels and some pixels, got {self.channels}x{self.height}x{self.width}"
            )
        if self.height * self.width > _LARGEST:
            raise InputError(f"a picture has at most {_LARGEST:,} pixels, got {self.height}x{self.width}")
        # One byte more than expected is enough to see that there are too many, however well they pack.
        try:
            count = len(zlib.decompressobj().decompress(base64.b64decode(self.pixels, validate=True), size + 1))
        except (binascii.Error, zlib.error, ValueError) as error:
            raise InputError(f"the pixels of a picture cannot be unpacked ({error})") from error
        if count != size:
            raise InputError(f"a picture of {self.channels}x{self.height}x{self.width} needs {size} bytes, got {count}")

    @classmethod
    def of(cls, image: UInt8[Tensor, "c h w"]) -> Picture:
        """The picture with the pixels of `image`."""
        channels, height, width = image.shape
        packed = zlib.compress(image.contiguous().numpy().tobytes(), 9)
        return cls(height, width, channels, base64.b64encode(packed).decode())

    def tensor(self) -> UInt8[Tensor, "c h w"]:
        """All channels, alpha included."""
        content = zlib.decompress(base64.b64decode(self.pixels))
        array = np.frombuffer(content, np.uint8).reshape(self.channels, self.height, self.width)
        return torch.from_numpy(array.copy())

    def colour(self, channels: int) -> UInt8[Tensor, "c h w"]:
        """The pixels without alpha, with 1 or 3 channels: grey is repeated, colour goes to luma (ITU-R 601).

        Raises:
            InputError: `channels` is neither 1 nor 3, nor what the picture has.
        """
        plain = self.tensor()[: self.channels - (self.channels % 2 == 0)]
        if len(plain) == channels:
            return plain
        if len(plain) == 1:
            return plain.expand(channels, -1, -1).contiguous()
        if channels == 1:
            weights = torch.tensor([0.299, 0.587, 0.114])[:, None, None]
            return (plain.float() * weights).sum(0, keepdim=True).round().to(torch.uint8)
        raise InputError(f"a picture of {len(plain)} channels does not fit images of {channels}")

    def alpha(self) -> UInt8[Tensor, "h w"]:
        """Opacity, 255 where the picture has none of its own."""
        if self.channels % 2:
            return torch.full((self.height, self.width), 255, dtype=torch.uint8)
        return self.tensor()[-1]
