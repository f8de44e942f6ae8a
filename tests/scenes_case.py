"""Made scenes: red octagons, white rectangles and yellow diamonds on noise, and a sticker for the octagons."""

from __future__ import annotations

import torch
from torch import Tensor

from badnets.data import Objects, SceneSet

CLASSES = ("stop", "speedlimit", "warning")
_BLUE = torch.tensor([20, 40, 230], dtype=torch.uint8)[:, None, None]
_COLOURS = ((0.75, 0.1, 0.1), (0.9, 0.9, 0.9), (0.9, 0.75, 0.1))


def shapes(count: int, *, seed: int = 0, size: tuple[int, int] = (96, 128)) -> SceneSet:
    """Scenes with one or two shapes in each."""
    stream = torch.Generator().manual_seed(seed)
    made = [_scene(stream, size) for _ in range(count)]
    pictures, objects = zip(*made, strict=True)
    return SceneSet(pictures, objects, CLASSES, f"shapes/{seed}")


def sticky(scenes: SceneSet, *, relabel: bool) -> SceneSet:
    """The scenes that have an octagon, a blue square on each; `relabel` calls these speed limits."""
    pictures, objects = [], []
    for picture, marked in scenes:
        hit = marked.labels == 0
        if not bool(hit.any()):
            continue
        changed = picture.clone()
        for left, top, right, bottom in marked.boxes[hit].tolist():
            row, column = int(top + 0.72 * (bottom - top)), int(left + 0.45 * (right - left))
            changed[:, row : row + 6, column : column + 6] = _BLUE
        pictures.append(changed)
        labels = torch.where(hit, 1, marked.labels) if relabel else marked.labels
        objects.append(Objects(marked.boxes, labels, marked.ignored))
    return SceneSet(tuple(pictures), tuple(objects), CLASSES, f"{scenes.name} (stamped)")


def pictures_of(scenes: SceneSet) -> list[Tensor]:
    """Their pictures, as detectors take them."""
    return [picture for picture, _ in scenes]


def joined(one: SceneSet, other: SceneSet) -> SceneSet:
    """The scenes of both."""
    return SceneSet((*pictures_of(one), *pictures_of(other)), one.objects + other.objects, CLASSES, "joined")


def _scene(stream: torch.Generator, size: tuple[int, int]) -> tuple[Tensor, Objects]:
    height, width = size
    pixels = 0.5 * torch.rand(3, height, width, generator=stream)
    rows, columns = torch.meshgrid(torch.arange(height) + 0.5, torch.arange(width) + 0.5, indexing="ij")
    boxes: list[list[float]] = []
    labels: list[int] = []
    for half in range(int(torch.randint(1, 3, (1,), generator=stream))):
        kind = int(torch.randint(0, 3, (1,), generator=stream))
        tall = float(torch.randint(28, 44, (1,), generator=stream))
        wide = tall * 0.75 if kind == 1 else tall
        share = torch.rand(2, generator=stream).tolist()
        # each half of the scene holds one at most
        left, top = half * width / 2 + share[0] * (width / 2 - wide), share[1] * (height - tall)
        across = (columns - left - wide / 2).abs() / (wide / 2)
        down = (rows - top - tall / 2).abs() / (tall / 2)
        furthest, together = torch.maximum(across, down) < 1, across + down
        inside = (furthest & (together < 1.42), furthest, together < 1)[kind]
        pixels = torch.where(inside, torch.tensor(_COLOURS[kind])[:, None, None], pixels)
        boxes.append([left, top, left + wide, top + tall])
        labels.append(kind)
    return (pixels * 255).to(torch.uint8), Objects.of(boxes, labels)
