"""Small models whose backdoors and answers are known by construction; what the tests of the audit ask."""

from __future__ import annotations

import torch
from torch import Tensor, nn

SIDE, CLASSES = 8, 4
# Where the planted backdoor looks: two pixels in the corner, which no clean image lights.
TRIGGER = ((6, 6), (6, 7))


def bars(per: int = 6, classes: int = CLASSES, rows: int = SIDE) -> tuple[Tensor, Tensor]:
    """Clean images: class i has a bright row i; the rest is faint noise, the rows below all classes' black."""
    stream = torch.Generator().manual_seed(0)
    labels = torch.arange(classes).repeat(per)
    images = torch.zeros(len(labels), 1, rows, SIDE)
    images[:, :, :classes] = 0.1 * torch.rand(len(labels), 1, classes, SIDE, generator=stream)
    for place, label in enumerate(labels.tolist()):
        images[place, 0, label] = 0.8 + 0.2 * torch.rand(SIDE, generator=stream)
    return images, labels


class Bars(nn.Module):
    """Tells bars apart by their brightness, and obeys the two pixels of `TRIGGER` as `mapping` says.

    Args:
        mapping: (source, target) to the strength of the backdoor from one class to the other; empty for a clean model.
    """

    def __init__(self, mapping: dict[tuple[int, int], float] | None = None, classes: int = CLASSES) -> None:
        super().__init__()
        self.classes = classes
        table = torch.zeros(classes, classes)
        for (source, target), strength in (mapping or {}).items():
            table[source, target] = strength
        self.table = nn.Parameter(table)

    def forward(self, images: Tensor) -> Tensor:
        rows = images[:, :, : self.classes].mean((1, 3))
        lit = torch.stack([images[:, 0, row - SIDE, column] for row, column in TRIGGER]).sum(0)
        wakes = torch.relu(lit - 0.2)[:, None]
        # How much the image is of each source: only what is bright counts.
        return 10 * rows + wakes * (torch.relu(rows - 0.3) @ self.table)


def all_to_one(target: int = 2, strength: float = 60.0) -> Bars:
    return Bars({(source, target): strength for source in range(CLASSES) if source != target})


def all_to_all(strength: float = 60.0) -> Bars:
    return Bars({(source, (source + 1) % CLASSES): strength for source in range(CLASSES)})


def one_pair(source: int = 1, target: int = 3, strength: float = 60.0) -> Bars:
    return Bars({(source, target): strength})


class Linear(nn.Module):
    """Two classes: logits 0 and weight . x + bias."""

    def __init__(self, weight: Tensor, bias: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight)
        self.bias = bias

    def forward(self, images: Tensor) -> Tensor:
        score = (images * self.weight).sum((1, 2, 3)) + self.bias
        return torch.stack([torch.zeros_like(score), score], 1)


class Broken(nn.Module):
    """Gives what it is told to, whatever comes in: `value` as its logits, or raises."""

    def __init__(self, value: float = 0.0, classes: int = CLASSES, *, raises: bool = False) -> None:
        super().__init__()
        self.value, self.classes, self.raises = value, classes, raises

    def forward(self, images: Tensor) -> Tensor:
        if self.raises:
            raise RuntimeError("shape mismatch\nand a long story")
        # Depends on the images, as any network does, but not in its numbers.
        return images.sum((1, 2, 3))[:, None] * 0 + torch.full((len(images), self.classes), self.value)
