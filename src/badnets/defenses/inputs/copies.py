"""The engine of filters that ask a model about changed copies of every input: copies lie on the batch axis."""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from badnets.defenses.clean import checked
from badnets.models import evaluating

# From images (n, c, h, w) in [0, 1] to their copies (n, m, c, h, w).
Changed = Callable[[Tensor], Tensor]
_BATCH = 512


@torch.no_grad()
def answers(
    model: nn.Module, images: UInt8[Tensor, "n c h w"], changed: Changed, *, batch_size: int = _BATCH
) -> Float[Tensor, "n m k"]:
    """The logits for every copy of every image, on the CPU.

    Args:
        model: in evaluation mode or not; its mode and weights stay as they are. Only forward passes are made.
        images: what is looked at, in 0..255.
        changed: makes the copies, on the model's device; as many for each image.
        batch_size: copies in one pass, about.

    Raises:
        InputError: the model gives undefined numbers.
    """
    with evaluating(model) as device:
        first = changed(images[:1].to(device).float().div_(255))
        together = max(1, batch_size // max(1, first.shape[1]))
        parts = []
        for part in images.split(together):
            copies = changed(part.to(device).float().div_(255))
            logits = checked(model(copies.flatten(0, 1)))
            parts.append(logits.view(*copies.shape[:2], -1).cpu())
        return torch.cat(parts)
