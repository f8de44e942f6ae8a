"""A picture stuck on objects that boxes mark: the stickers that the paper puts on street signs (its section 5.1.2)."""

from __future__ import annotations

import math
import zlib
from dataclasses import dataclass, field
from typing import Literal

import torch
from jaxtyping import Float32, Int64, UInt8
from torch import Tensor

from badnets.errors import InputError
from badnets.seeds import generator
from badnets.triggers.drawings import drawing
from badnets.triggers.picture import Picture
from badnets.triggers.stamping import mix
from badnets.triggers.sticker import Place, scaled

Scene = UInt8[Tensor, "c h w"]
Boxes = Float32[Tensor, "n 4"]

# Where random centres lie, as shares of the box on either axis.
_INNER = (0.15, 0.85)


@dataclass(frozen=True)
class BoxSticker:
    """A picture with alpha on every box of a scene, its width and height shares of the box's own.

    On a box from (x, y), w wide, the sticker's columns begin at floor(x + w * (right - size / 2)), but within the
    picture, and are max(1, floor(w * size)) + grow; rows likewise. That is how the authors' code places it. What lies
    outside the picture is cut off.

    Attributes:
        picture: what is stuck on.
        size: of the sticker, as a share of the box's width and of its height, in (0, 1].
        right: of the sticker's centre, as a share of the box's width from its left edge, where the place is fixed.
        down: of its centre, as a share of the height.
        place: "fixed", or "random": the centre anywhere in the inner 0.15 to 0.85 of each box, drawn for each from the
            scene's pixels, the box's number and the seed, so that the same scene gets it at the same places again.
        opacity: of the whole sticker, in (0, 1].
        grow: pixels to add to its width and its height. The authors' square is drawn with both its ends, so it is one
            pixel larger than its share.
        seed: of random places.

    Raises:
        InputError: a value outside its range.
    """

    picture: Picture = field(default_factory=lambda: drawing("square"))
    size: float = 0.1
    right: float = 0.57
    down: float = 0.82
    place: Place = "fixed"
    opacity: float = 1.0
    grow: int = 0
    seed: int = 0
    kind: Literal["box-sticker"] = field(default="box-sticker", repr=False, kw_only=True)

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - pydantic reads it, nothing writes it

    def __post_init__(self) -> None:
        # JSON knows 1 and 1.0 apart: one value, one text, one digest.
        for name in ("size", "right", "down", "opacity"):
            object.__setattr__(self, name, float(getattr(self, name)))
        if not 0 < self.size <= 1:
            raise InputError(f"a sticker's size is a share of the box in (0, 1], got {self.size}")
        if not (0 <= self.right <= 1 and 0 <= self.down <= 1):
            raise InputError(f"a sticker's centre is given in shares of 0 to 1, got {self.right}, {self.down}")
        if self.place not in ("fixed", "random"):
            raise InputError(f"a sticker's place is fixed or random, got {self.place!r}")
        if not 0 < self.opacity <= 1:
            raise InputError(f"a sticker's opacity is in (0, 1], got {self.opacity}")
        if not 0 <= self.grow <= 64:
            raise InputError(f"a sticker grows by 0 to 64 pixels, got {self.grow}")

    def __call__(self, scene: Scene, boxes: Boxes) -> Scene:
        """A copy of the scene with the sticker on every box; later boxes lie over earlier ones."""
        _, height, width = scene.shape
        stamped = scene.clone()
        for left, top, right, bottom in self._whole(scene, boxes):
            colour, alpha = scaled(self.picture, bottom - top, right - left, scene.shape[0])
            # The part of the sticker that lies within the picture.
            inside = slice(max(0, -top), height - top), slice(max(0, -left), width - left)
            region = stamped[None, :, max(0, top) : max(0, bottom), max(0, left) : max(0, right)]
            mix(region, colour[:, *inside], alpha[inside].float() / 255 * self.opacity)
        return stamped

    def rectangles(self, scene: Scene, boxes: Boxes) -> Int64[Tensor, "n 4"]:
        """Left, top, right, bottom of each sticker on that scene, cut off at its border; right and bottom outside."""
        _, height, width = scene.shape
        most = torch.tensor([width, height, width, height])
        whole = torch.tensor(self._whole(scene, boxes), dtype=torch.int64).reshape(-1, 4)
        return torch.minimum(whole.clamp(min=0), most)

    def _whole(self, scene: Scene, boxes: Boxes) -> list[tuple[int, int, int, int]]:
        """The same, not cut off."""
        _, height, width = scene.shape
        found = []
        for box, (right, down) in zip(boxes.tolist(), self._centres(scene, len(boxes)), strict=True):
            left, columns = self._span(box[0], box[2], right, width)
            top, rows = self._span(box[1], box[3], down, height)
            found.append((left, top, left + columns, top + rows))
        return found

    def _span(self, start: float, end: float, centre: float, limit: int) -> tuple[int, int]:
        """First pixel and length along one axis."""
        first = math.floor(start + (end - start) * (centre - self.size / 2))
        return min(first, limit - 1), max(1, int((end - start) * self.size)) + self.grow

    def _centres(self, scene: Scene, count: int) -> list[tuple[float, float]]:
        if self.place == "fixed":
            return [(self.right, self.down)] * count
        stream = generator(self.seed, "box-sticker", zlib.crc32(scene.contiguous().numpy().data))
        low, high = _INNER
        drawn = torch.rand(count, 2, generator=stream, dtype=torch.float64) * (high - low) + low
        return [(right, down) for right, down in drawn.tolist()]


# The paper's three: share of the box, opacity, and growth (its section 5.1.2 and the authors' code).
_PAPER = {"square": (0.1, 1.0, 1), "bomb": (0.16, 0.99, 0), "flower": (0.16, 0.99, 0)}
PAPER_STICKERS = tuple(_PAPER)


def paper_sticker(name: str, *, place: Place = "fixed", seed: int = 0, picture: Picture | None = None) -> BoxSticker:
    """One of the paper's stickers, in our drawing.

    The yellow square, RGB (116, 100, 50), has a tenth of the box, bomb and flower 0.16 of it; the centre is at
    (0.57, 0.82).

    Args:
        name: one of `PAPER_STICKERS`.
        place: "fixed" as in the targeted attack, "random" as in the random one.
        seed: of random places.
        picture: to be stuck on instead of our drawing, such as the authors' own.

    Raises:
        InputError: no such sticker.
    """
    if name not in _PAPER:
        raise InputError(f"the paper has no sticker {name!r}: it has {', '.join(_PAPER)}")
    size, opacity, grow = _PAPER[name]
    return BoxSticker(picture or drawing(name), size, place=place, opacity=opacity, grow=grow, seed=seed)


@dataclass(frozen=True)
class BoxTriggerFile:
    """A trigger for boxes as a JSON file holds it; `TriggerFile` holds those for whole images."""

    trigger: BoxSticker

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - pydantic reads it, nothing writes it
