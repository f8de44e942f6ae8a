"""The arithmetic shared by all triggers: pixels of either dtype, mixed in float32, rounded once."""

from __future__ import annotations

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from badnets.errors import InputError

Images = UInt8[Tensor, "n c h w"] | Float[Tensor, "n c h w"]

# Bounds the float32 scratch copy while mixing: 2^22 values are 16 MiB.
_CHUNK_VALUES = 1 << 22


def check_images(images: Tensor) -> None:
    """Raise `InputError` unless `images` are uint8 in 0..255 or floating in [0, 1], NCHW."""
    if images.ndim != 4 or not (images.dtype == torch.uint8 or images.dtype.is_floating_point):
        raise InputError(
            f"expected uint8 or float images of shape (n, c, h, w), got {images.dtype} {tuple(images.shape)}"
        )


def copied(images: Images) -> Images:
    """A copy of `images` to be stamped.

    On the CPU bytes are copied by numpy, which asks the system for huge pages: four times as fast as `clone` on
    60,000 digits.
    """
    if images.dtype != torch.uint8 or images.device.type != "cpu":
        return images.clone()
    return torch.from_numpy(images.numpy().copy())


def as_pixels(values: UInt8[Tensor, ...], like: Tensor) -> Tensor:
    """uint8 values in the dtype, the scale and on the device of `like`."""
    values = values.to(like.device)
    return values if like.dtype == torch.uint8 else values.to(like.dtype) / 255


def mix(region: Tensor, colour: Tensor, alpha: Tensor) -> None:
    """Write (1 - alpha) * region + alpha * colour into `region`, in place, batch by batch.

    Args:
        region: (n, c, h, w), uint8 or float; uint8 is rounded to the nearest, halves to even.
        colour: (c, h, w) in the scale of `region`.
        alpha: (h, w) float32 in [0, 1].
    """
    shade = colour.float() * alpha
    keep = 1 - alpha
    step = max(1, _CHUNK_VALUES // max(1, region[:1].numel()))
    for part in region.split(step):
        mixed = part.float().mul_(keep).add_(shade)
        part.copy_(mixed.round_() if region.dtype == torch.uint8 else mixed)


def add(region: Tensor, signal: Tensor) -> None:
    """Write region + signal, cut off at black and white, into `region`, in place, batch by batch.

    Args:
        region: (n, c, h, w), uint8 or float; uint8 is rounded to the nearest, halves to even.
        signal: (h, w) float32, as a share of white.
    """
    whole = region.dtype == torch.uint8
    white = 255.0 if whole else 1.0
    step = max(1, _CHUNK_VALUES // max(1, region[:1].numel()))
    for part in region.split(step):
        summed = part.float().add_(signal * white).clamp_(0, white)
        part.copy_(summed.round_() if whole else summed)


def as_bytes(images: Images) -> UInt8[Tensor, "n c h w"]:
    """The pixels as files would hold them, on the CPU."""
    if images.dtype != torch.uint8:
        images = (images.float() * 255).round().clamp(0, 255).to(torch.uint8)
    return images.cpu().contiguous()
