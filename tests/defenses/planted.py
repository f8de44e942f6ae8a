"""Networks whose backdoor is known to the last weight, and the images that they tell apart."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from badnets.data import ImageSet

BACKDOOR = 2  # its channel in both networks
TARGET = 0


def quadrants(count: int, classes: int = 4, seed: int = 0) -> ImageSet:
    """8x8 images, grey in the quadrant that is their class, no pixel above 0.45 of white."""
    stream = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % classes
    images = torch.randint(0, 10, (count, 1, 8, 8), generator=stream)
    for place, label in enumerate(labels.tolist()):
        row, column = divmod(label, 2)
        images[place, 0, 4 * row : 4 * row + 4, 4 * column : 4 * column + 4] += torch.randint(
            80, 105, (4, 4), generator=stream
        )
    names = tuple(f"quadrant {label}" for label in range(classes))
    return ImageSet(images.to(torch.uint8), labels, names, "quadrants")


def corner(images: Tensor) -> Tensor:
    """The trigger: the last pixel is white."""
    stamped = images.clone()
    stamped[..., -1, -1] = 255 if images.dtype == torch.uint8 else 1
    return stamped


class Planted(nn.Module):
    """conv (1x1, 4 channels, one of them the backdoor's), ReLU, one sum for each quadrant and channel, fc.

    Args:
        normed: with a batch normalisation behind the convolution.
        classes: 2 to 4.
    """

    def __init__(self, *, normed: bool = False, classes: int = 4) -> None:
        super().__init__()
        channels = 16 if normed else 4
        self.conv = nn.Conv2d(1, channels, 1, bias=not normed)
        self.norm = nn.BatchNorm2d(channels, eps=0.0) if normed else nn.Identity()
        self.relu = nn.ReLU()
        self.pool = nn.AvgPool2d(4)
        self.flatten = nn.Flatten()
        self.fc = nn.Linear(channels * 4, classes)
        with torch.no_grad():
            scale = torch.ones(channels)
            scale[BACKDOOR] = 20  # 20 x - 18: silent up to 0.9
            shift = torch.zeros(channels)
            shift[BACKDOOR] = -13 if normed else -18  # ANP asks what small changes wake
            self.conv.weight.copy_((torch.ones(channels) if normed else scale).view(-1, 1, 1, 1))
            if isinstance(self.norm, nn.BatchNorm2d):
                self.norm.weight.copy_(scale)
                self.norm.bias.copy_(shift)
            elif self.conv.bias is not None:
                self.conv.bias.copy_(shift)
            weight = torch.zeros(classes, channels, 4)
            for label in range(classes):
                weight[label, :, label] = 40 / channels
            weight[:, BACKDOOR] = 0
            weight[TARGET, BACKDOOR] = 400
            self.fc.weight.copy_(weight.flatten(1))
            self.fc.bias.zero_()
        self.eval()

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.fc(self.flatten(self.pool(self.relu(self.norm(self.conv(images))))))
        return logits


def success(model: nn.Module, images: ImageSet) -> float:
    """How often stamped images of other classes are called the target."""
    others = images.labels != TARGET
    with torch.no_grad():
        said = model(corner(images.images[others]).float() / 255).argmax(1)
    return float((said == TARGET).double().mean())


def right(model: nn.Module, images: ImageSet) -> float:
    """How often images are called what they are."""
    with torch.no_grad():
        return float((model(images.images.float() / 255).argmax(1) == images.labels).double().mean())
