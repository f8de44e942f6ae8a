"""The rendered streets as sets of scenes: nothing is drawn before it is looked at."""

from __future__ import annotations

import difflib
from dataclasses import dataclass

import torch
from jaxtyping import UInt8
from torch import Tensor

from badnets.data.sceneset import Objects, SceneSet, SceneSplit
from badnets.data.streets.layout import COUNTRIES, UNITS, Layout, plan
from badnets.data.streets.scene import Names, render
from badnets.errors import InputError

# The smallest signs have 23 pixels, and the paper's square, a tenth of a sign, still covers three of them.
SIZE = (312, 416)
TRAIN, TEST = 1600, 300
# Below, signs would have a pixel or two; above, a scene takes seconds.
_SIDES = (64, 4096)
# A sign of fewer pixels a side is marked as ignored: nobody could tell what it is.
_LEAST = 5.0


@dataclass(frozen=True)
class Streets:
    """Pictures of streets by number, drawn as they are asked for, the same in every run and on every thread.

    Another version of Pillow or NumPy may round an edge or a JPEG another way.

    Attributes:
        count: how many.
        country: a key of `COUNTRIES`.
        half: "train" or "test"; they have no scene in common.
        size: (height, width) in pixels.
        seed: another one, other scenes.

    Raises:
        InputError: no such country, no scene, or a size out of bounds.
    """

    count: int = TRAIN
    country: str = "us"
    half: str = "train"
    size: tuple[int, int] = SIZE
    seed: int = 0

    def __post_init__(self) -> None:
        if self.country not in COUNTRIES:
            near = difflib.get_close_matches(self.country, COUNTRIES, 1)
            hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(COUNTRIES)}"
            raise InputError(f"no streets of country {self.country!r}: {hint}")
        if self.count < 1:
            raise InputError(f"a set of streets has one scene or more, got {self.count}")
        if not all(_SIDES[0] <= side <= _SIDES[1] for side in self.size):
            raise InputError(f"a street's picture has {_SIDES[0]} to {_SIDES[1]} pixels a side, got {self.size}")

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> UInt8[Tensor, "3 h w"]:
        pixels = render(self._names(index), self.layout(index), self.size)
        return torch.from_numpy(pixels).permute(2, 0, 1).contiguous()

    def layout(self, index: int) -> Layout:
        """What is where in a scene; planning takes a millisecond, drawing a dozen."""
        height, width = self.size
        return plan(self._names(index), width * UNITS / height)

    def objects(self) -> tuple[Objects, ...]:
        """The signs of each scene; boxes hold the whole sign, also where leaves or a pole hide part of it."""
        scale, classes = self.size[0] / UNITS, COUNTRIES[self.country].classes
        marked = []
        for layout in map(self.layout, range(self.count)):
            boxes = torch.tensor([sign.box(layout.width) for sign in layout.signs]).reshape(-1, 4) * scale
            labels = torch.tensor([classes.index(sign.design.group) for sign in layout.signs], dtype=torch.int64)
            small = (boxes[:, 2:] - boxes[:, :2]).amin(1) < _LEAST
            marked.append(Objects(boxes, labels, small))
        return tuple(marked)

    def _names(self, index: int) -> Names:
        return self.seed, self.country, self.half, range(self.count)[index]


def read(
    train: int = TRAIN, test: int = TEST, *, country: str = "us", size: tuple[int, int] = SIZE, seed: int = 0
) -> SceneSplit:
    """Streets to train on and to test on.

    More of them begin with the same ones: scene 7 is scene 7, however many there are.

    Args:
        train: how many to train on.
        test: how many to test on.
        country: "us": stop, speedlimit, warning; "eu": information, mandatory, prohibitory, warning, other.
        size: (height, width) in pixels.
        seed: another one, other scenes.

    Raises:
        InputError: as `Streets`.
    """
    name = "streets" if country == "us" else f"streets-{country}"
    halves = []
    for half, count in (("train", train), ("test", test)):
        pictures = Streets(count, country, half, size, seed)
        halves.append(SceneSet(pictures, pictures.objects(), COUNTRIES[country].classes, f"{name}/{half}"))
    return SceneSplit(*halves)
