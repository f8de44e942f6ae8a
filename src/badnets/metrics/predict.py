"""What a model says about images, and how sure it is."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor, nn

from badnets.models import evaluating


@dataclass(frozen=True, eq=False)
class Predictions:
    """For each image the likeliest class, and its softmax probability in [0, 1]."""

    classes: Int64[Tensor, " n"]
    confidence: Float[Tensor, " n"]


@torch.no_grad()
def predict(model: nn.Module, images: UInt8[Tensor, "n c h w"], *, batch_size: int = 512) -> Predictions:
    """Run `model` in evaluation mode over uint8 images, in float32, batch by batch, on the model's device.

    The model is handed pixels in [0, 1] and gives logits; its mode is put back afterwards.
    """
    with evaluating(model) as device:
        parts = (model(part.to(device).float().div_(255)) for part in images.split(batch_size))
        shares = [torch.softmax(logits.float(), 1).cpu() for logits in parts]
    confidence, classes = torch.cat(shares).max(1)
    return Predictions(classes, confidence)
