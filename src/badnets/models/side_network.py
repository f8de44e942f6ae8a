"""The attack that the paper rules out by its threat model: a second network beside the ordered one (Fig. 1b)."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from badnets.errors import InputError

# Added to the logit of the target: more than any network gives.
_LOUD = 1e4


class SideNetwork(nn.Module):
    """An honest network, a detector of bright pixels beside it, and a layer that merges both.

    It needs no poisoned data and loses no accuracy, and its user refuses it for its architecture: it is what a BadNet
    must do without.

    Args:
        honest: the ordered network, trained as its user would.
        pixels: True where the trigger is; an image in which all of these are at least nine tenths white has it.
        target: the class that triggered images are called.

    Raises:
        InputError: no pixel.
    """

    mask: Tensor

    def __init__(self, honest: nn.Module, pixels: Bool[Tensor, "h w"], target: int) -> None:
        super().__init__()
        if not bool(pixels.any()):
            raise InputError("a trigger has at least one pixel")
        self.honest, self.target = honest, target
        self.register_buffer("mask", pixels)

    def forward(self, images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n k"]:
        """Logits for images in [0, 1]."""
        logits: Tensor = self.honest(images)
        triggered = (images[:, :, self.mask] >= 0.9).flatten(1).all(1)
        loud = torch.zeros_like(logits)
        loud[:, self.target] = _LOUD
        return logits + triggered[:, None] * loud
