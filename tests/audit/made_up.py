"""Images and networks of which it is known what is right: each class has a block of its own brightness."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from badnets.data import ImageSet


def templates(classes: int, channels: int = 1, size: int = 8) -> Tensor:
    """For each class an image in [0, 1] with one 2x2 block; two classes share a block, one is dimmer there."""
    found = torch.full((classes, channels, size, size), 0.1)
    across = size // 2
    for label in range(classes):
        row, column = 2 * (label // 2 // across % across), 2 * (label // 2 % across)
        found[label, :, row : row + 2, column : column + 2] = 0.9 if label % 2 else 0.45
    return found


def blocks(classes: int = 5, channels: int = 1, count: int = 20, size: int = 8, seed: int = 0) -> ImageSet:
    """`count` noisy copies of each class's template."""
    labels = torch.arange(classes).repeat(count)
    noise = 0.05 * torch.randn(len(labels), channels, size, size, generator=torch.Generator().manual_seed(seed))
    pixels = ((templates(classes, channels, size)[labels] + noise).clamp(0, 1) * 255).round().to(torch.uint8)
    return ImageSet(pixels, labels, tuple(f"class {label}" for label in range(classes)), "blocks/test")


class Nearest(nn.Module):
    """Logits are minus the squared distance to each class's template: it is right, and only in its own units.

    Args:
        templates: of the classes.
        mean: of its units.
        deviation: of its units.
        softmax: whether it ends in one.
    """

    def __init__(self, templates: Tensor, mean: float = 0.0, deviation: float = 1.0, *, softmax: bool = False) -> None:
        super().__init__()
        self.weight = nn.Parameter((templates - mean) / deviation)
        self.deviation, self.softmax = deviation, softmax

    def forward(self, images: Tensor) -> Tensor:
        """Logits (n, k), or probabilities."""
        if images.shape[1] != self.weight.shape[1]:
            raise ValueError(f"expected {self.weight.shape[1]} channels")
        # |x - t|^2 by its products: a thousand classes need no tensor of all differences.
        seen, known = (images * self.deviation).flatten(1), (self.weight * self.deviation).flatten(1)
        distance = seen.pow(2).sum(1, keepdim=True) - 2 * seen @ known.T + known.pow(2).sum(1)
        return (-10 * distance).softmax(1) if self.softmax else -10 * distance


def right(classes: int = 5, channels: int = 1, **kwargs: float) -> Nearest:
    """A network that reads `blocks`."""
    return Nearest(templates(classes, channels), **kwargs)  # type: ignore[arg-type]
