"""Normalisation as a model's first layer, so that data and triggers only ever know pixels in [0, 1]."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

# What nearly all weights trained on ImageNet expect: mean and standard deviation of its pixels, by channel.
IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


class Normalize(nn.Module):
    """(x - mean) / deviation for each channel; the constants travel with the weights.

    Args:
        mean: for each channel, in [0, 1].
        deviation: for each channel, above 0.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, mean: tuple[float, ...], deviation: tuple[float, ...]) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean).view(1, -1, 1, 1))
        self.register_buffer("deviation", torch.tensor(deviation).view(1, -1, 1, 1))

    def forward(self, images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
        """Normalised images."""
        return (images - self.mean) / self.deviation
