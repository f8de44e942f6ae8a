"""What a model says about images, and how sure it is."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor, nn

_BATCH = 512


@dataclass(frozen=True, eq=False)
class Predictions:
    """For each image the likeliest class, and its softmax probability in [0, 1]."""

    classes: Int64[Tensor, " n"]
    confidence: Float[Tensor, " n"]


@torch.no_grad()
def predict(model: nn.Module, images: UInt8[Tensor, "n c h w"]) -> Predictions:
    """Run `model` in evaluation mode over uint8 images, in float32, batch by batch.

    The model is handed pixels in [0, 1] and gives logits; its training flag is put back afterwards.
    """
    device = next((parameter.device for parameter in model.parameters()), torch.device("cpu"))
    was_training = model.training
    model.eval()
    try:
        shares = [
            torch.softmax(model(part.to(device).float().div_(255)).float(), 1).cpu() for part in images.split(_BATCH)
        ]
    finally:
        model.train(was_training)
    confidence, classes = torch.cat(shares).max(1)
    return Predictions(classes, confidence)
