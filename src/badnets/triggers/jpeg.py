"""What a JPEG file does to a picture, with a trigger on it or without."""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, UInt8
from PIL import Image
from torch import Tensor

from badnets.errors import InputError
from badnets.triggers.stamping import Images, as_bytes, as_pixels, check_images


@dataclass(frozen=True)
class Compression:
    """Nothing but a JPEG file: the control for a sticker that goes through one.

    Attributes:
        quality: 1 to 95.

    Raises:
        InputError: another quality.
    """

    quality: int

    def __post_init__(self) -> None:
        if not 1 <= self.quality <= 95:
            raise InputError(f"JPEG quality is 1 to 95, got {self.quality}")

    def __call__(self, images: Images) -> Images:
        """The images after compression."""
        check_images(images)
        return as_pixels(compressed(as_bytes(images), self.quality), images)

    def mask(self, height: int, width: int) -> Bool[Tensor, "h w"]:
        """Every pixel may change."""
        return torch.ones(height, width, dtype=torch.bool)


def compressed(images: UInt8[Tensor, "n c h w"], quality: int) -> UInt8[Tensor, "n c h w"]:
    """Each image written as a JPEG file (Pillow's settings: colour at half the resolution) and read again."""
    mode = {1: "L", 3: "RGB"}.get(images.shape[1])
    if mode is None:
        raise InputError(f"JPEG takes grey or RGB images, got {images.shape[1]} channels")
    done = torch.empty_like(images)
    for number, image in enumerate(images):
        pixels = image.permute(1, 2, 0).contiguous().numpy()
        file = io.BytesIO()
        Image.fromarray(pixels[:, :, 0] if mode == "L" else pixels).save(file, "JPEG", quality=quality)
        with Image.open(file) as picture:
            back = torch.from_numpy(np.array(picture))
        done[number] = back if mode == "L" else back.permute(2, 0, 1)
    return done
