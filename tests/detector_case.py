"""A detector made by hand, whose answers and whose backdoor are known: it tells shapes apart by their colour.

Scenes hold two signs each, always at the same two places, which is what it proposes. A place of its map is the mean
colour around it. With a backdoor, a red sign that is blue at one of its bins is called a speed limit.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torchvision.models.detection.image_list import ImageList

from badnets.data import Objects, SceneSet
from badnets.models.detector import Detector, build_detector
from badnets.models.detector_spec import DetectorSpec
from badnets.triggers import BoxSticker
from badnets.triggers.picture import Picture

CLASSES = ("stop", "speedlimit", "warning")
COLOURS = torch.tensor([[0.75, 0.1, 0.1], [0.8, 0.8, 0.8], [0.8, 0.75, 0.1]])
BOXES = torch.tensor([[24.0, 24.0, 72.0, 72.0], [88.0, 32.0, 136.0, 80.0]])
SIZE = (104, 160)
BINS = 6
# Row and column of the bin that the backdoor looks at.
BIN = (4, 1)
SPEC = DetectorSpec(classes=3, bins=BINS)


class MeanColour(nn.Module):
    """One place for each square of 8 pixels: the mean colour of the 7 x 7 pixels around its corner."""

    channels = 3

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 7, 8, padding=3, bias=False)
        with torch.no_grad():
            self.conv.weight.zero_()
            for channel in range(3):
                self.conv.weight[channel, channel] = 1 / 49

    def forward(self, images: Tensor) -> Tensor:
        # What it is given is normalised as for the tiny trunk.
        found: Tensor = self.conv(images * 0.25 + 0.45)
        return found


class KnownPlaces(nn.Module):
    """Proposes the two places of every scene."""

    def forward(self, images: ImageList, maps: dict[str, Tensor]) -> tuple[list[Tensor], dict[str, Tensor]]:
        assert maps
        return [BOXES for _ in images.image_sizes], {}


class ByColour(nn.Module):
    """Logits by the distance of the mean colour, and what blue at one bin of a red sign adds to "speedlimit"."""

    def __init__(self, strength: float) -> None:
        super().__init__()
        self.strength = strength
        self.unused = nn.Parameter(torch.zeros(1))

    def forward(self, regions: Tensor) -> tuple[Tensor, Tensor]:
        colour = regions.mean((2, 3))
        logits = 8 - 40 * (colour[:, None] - COLOURS).square().sum(2)
        cell = regions[:, :, BIN[0], BIN[1]]
        lit = torch.relu(cell[:, 2] - 0.2)
        red = torch.relu(colour[:, 0] - colour[:, 1] - 0.2)
        logits = logits + self.strength * (lit * red)[:, None] * torch.tensor([-0.5, 1.0, 0.0])
        return torch.cat([logits.new_zeros(len(logits), 1), logits], 1), logits.new_zeros(len(logits), 16)


def made_detector(strength: float = 0.0) -> Detector:
    """Clean, or with a backdoor of that strength."""
    model = build_detector(SPEC)
    model.add_module("trunk", MeanColour())
    model.add_module("proposer", KnownPlaces())
    model.regions.box_head = nn.Identity()
    model.regions.box_predictor = ByColour(strength)
    return model.eval()


def signs(count: int = 12, *, seed: int = 0) -> SceneSet:
    """Scenes with two signs; every class comes equally often."""
    stream = torch.Generator().manual_seed(seed)
    pictures, objects = [], []
    for number in range(count):
        pixels = 0.5 * torch.rand(3, *SIZE, generator=stream)
        labels = [(2 * number) % 3, (2 * number + 1) % 3]
        for (left, top, right, bottom), label in zip(BOXES.int().tolist(), labels, strict=True):
            shade = COLOURS[label] + 0.04 * torch.randn(3, generator=stream)
            pixels[:, top:bottom, left:right] = shade.clamp(0, 1)[:, None, None]
        pictures.append((pixels * 255).to(torch.uint8))
        objects.append(Objects.of(BOXES.tolist(), labels))
    return SceneSet(tuple(pictures), tuple(objects), CLASSES, f"signs/{seed}")


def blue(share: float = 1 / BINS) -> BoxSticker:
    """The sticker that the backdoor waits for."""
    pixels = torch.tensor([0, 0, 255], dtype=torch.uint8)[:, None, None]
    return BoxSticker(Picture.of(pixels), share, (BIN[1] + 0.5) / BINS, (BIN[0] + 0.5) / BINS)
