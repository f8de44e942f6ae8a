"""Random changes of a whole batch at once."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float, UInt8
from torch import Tensor
from torch.nn import functional

from badnets.training.spec import Augment


def augment(
    images: UInt8[Tensor, "n c h w"], how: Augment, generator: torch.Generator
) -> UInt8[Tensor, "n c h w"] | Float[Tensor, "n c h w"]:
    """Changed copies of `images`.

    Args:
        images: pixels in 0..255.
        how: the ranges to draw from.
        generator: a CPU generator; it draws for each image on its own.

    Returns:
        uint8 in 0..255 where pixels only move as a whole, float32 in [0, 1] where they are interpolated.
    """
    if how.flip:
        flipped = torch.rand(len(images), generator=generator) < 0.5
        images = torch.where(flipped.to(images.device)[:, None, None, None], images.flip(3), images)
    if how.rotate or how.scale:
        return _warp(images, how, generator)
    if how.shift:
        return _shift(images, how.shift, generator)
    return images


def _shift(images: UInt8[Tensor, "n c h w"], reach: int, generator: torch.Generator) -> UInt8[Tensor, "n c h w"]:
    n, channels, height, width = images.shape
    padded = functional.pad(images, (reach, reach, reach, reach))
    down, right = torch.randint(0, 2 * reach + 1, (2, n, 1), generator=generator).to(images.device)
    rows = (down + torch.arange(height, device=images.device))[:, None, :, None]
    columns = (right + torch.arange(width, device=images.device))[:, None, None, :]
    image = torch.arange(n, device=images.device)[:, None, None, None]
    channel = torch.arange(channels, device=images.device)[None, :, None, None]
    return padded[image, channel, rows, columns]


def _warp(images: UInt8[Tensor, "n c h w"], how: Augment, generator: torch.Generator) -> Float[Tensor, "n c h w"]:
    """A shift, then rotation about the centre and scaling, in one bilinear interpolation."""
    n, _, height, width = images.shape
    angle, scale, down, right = torch.rand(4, n, generator=generator).mul_(2).sub_(1).to(images.device)
    angle = angle * (how.rotate * math.pi / 180)
    scale = 1 + scale * how.scale
    # Each place of the output is looked up at its source, in units of half the image.
    cosine, sine = torch.cos(angle) / scale, torch.sin(angle) / scale
    moves = (right * (2 * how.shift / width), down * (2 * how.shift / height))
    # Those units differ between the axes of an image that is not square.
    tall = height / width
    theta = torch.stack([cosine, -sine * tall, moves[0], sine / tall, cosine, moves[1]], 1).view(n, 2, 3)
    grid = _places(theta, height, width)
    return functional.grid_sample(images.float().div_(255), grid, align_corners=False).clamp_(0, 1)


def _places(theta: Float[Tensor, "n 2 3"], height: int, width: int) -> Float[Tensor, "n h w 2"]:
    """What `functional.affine_grid` gives without aligned corners, as one product instead of one for each image."""
    down, right = ((2 * torch.arange(size, device=theta.device) + 1) / size - 1 for size in (height, width))
    rows, columns = torch.meshgrid(down, right, indexing="ij")
    here = torch.stack([columns.flatten(), rows.flatten(), torch.ones_like(rows).flatten()])
    return (theta.reshape(-1, 3) @ here).view(-1, 2, height, width).permute(0, 2, 3, 1)
