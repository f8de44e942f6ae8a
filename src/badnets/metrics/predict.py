"""What a model says about images, and how sure it is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor, nn

from badnets.data import ImageSource
from badnets.models import evaluating
from badnets.triggers import Trigger


@dataclass(frozen=True, eq=False)
class Predictions:
    """For each image the likeliest class, and its softmax probability in [0, 1]."""

    classes: Int64[Tensor, " n"]
    confidence: Float[Tensor, " n"]

    @classmethod
    def of(cls, logits: Float[Tensor, "n k"]) -> Predictions:
        """What these logits say."""
        confidence, classes = torch.softmax(logits.float(), 1).cpu().max(1)
        return cls(classes, confidence)


@torch.no_grad()
def predict(
    model: nn.Module,
    images: UInt8[Tensor, "n c h w"] | ImageSource,
    *,
    trigger: Trigger | None = None,
    batch_size: int = 512,
) -> Predictions:
    """Run `model` in evaluation mode over uint8 images, in float32, batch by batch, on the model's device.

    The model is handed pixels in [0, 1] and gives logits; its mode is put back afterwards.

    Args:
        model: takes (n, c, h, w) float32 in [0, 1] and gives logits.
        images: a tensor, or a set that hands them out.
        trigger: stamped on every image first.
        batch_size: images at a time.
    """
    with evaluating(model) as device:
        batches = (trigger(part) if trigger else part for part in _parts(images, batch_size))
        parts = (model(part.to(device).float().div_(255)) for part in batches)
        return Predictions.of(torch.cat([logits.float().cpu() for logits in parts]))


def _parts(images: Tensor | ImageSource, size: int) -> Iterator[UInt8[Tensor, "m c h w"]]:
    if isinstance(images, Tensor):
        yield from images.split(size)
    else:
        for rows in torch.arange(len(images)).split(size):
            yield images.take(rows)
