"""Training on the worst images nearby: one step of the gradient's sign from a random start."""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torch.nn import functional

# The step is longer than the radius by this (Wong et al., section 4): a random start rarely lies opposite.
_STEP = 1.25


def worst_nearby(
    forward: Callable[[Tensor], Tensor], images: Float[Tensor, "n c h w"], labels: Int64[Tensor, " n"], radius: float
) -> Float[Tensor, "n c h w"]:
    """Images within `radius` of the given ones, in every pixel, on which the loss is larger.

    FGSM with a random start (Wong, Rice and Kolter, arXiv 2001.03994, algorithm 3); one more forward and backward pass.
    The start is drawn from torch's own generator, see `seeds.isolated`.

    Args:
        forward: images to logits (n, k).
        images: in [0, 1].
        labels: their classes.
        radius: as a share of white.

    Returns:
        New images in [0, 1].
    """
    moved = torch.empty_like(images).uniform_(-radius, radius).requires_grad_()
    loss = functional.cross_entropy(forward((images + moved).clamp(0, 1)).float(), labels, reduction="sum")
    (slope,) = torch.autograd.grad(loss, moved)
    moved = (moved.detach() + _STEP * radius * slope.sign()).clamp_(-radius, radius)
    return moved.add_(images).clamp_(0, 1)
