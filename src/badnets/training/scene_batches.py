"""From scenes to the batches of one training: order, flips, light."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from jaxtyping import UInt8
from torch import Tensor

from badnets.data.sceneset import Objects, Pictures, SceneSet
from badnets.seeds import generator
from badnets.training.batches import epoch_order, run, steps_per_epoch
from badnets.training.detect_spec import DetectTrainSpec, SceneAugment

# A scene as a detector is shown it: its number, and whether left and right are swapped.
View = tuple[int, bool]


@dataclass(frozen=True, eq=False)
class SceneBatch:
    """Some scenes: pictures as detectors take them, what is in each, and which views of which scenes they are."""

    pictures: tuple[Tensor, ...]
    objects: tuple[Objects, ...]
    views: tuple[View, ...]


class KeptPictures:
    """Pictures of others, each read, decoded or drawn once as long as there is room; then anew each time.

    Threads may ask at once.

    Pickled, it is empty: whoever gets it reads anew. Worker processes are handed the pixels in a file once it is
    complete, see `shared_images`.

    Args:
        base: the others.
        room: bytes.
    """

    def __init__(self, base: Pictures, room: int = 1 << 30) -> None:
        self.base, self.room = base, room
        self._all = room
        self._kept: dict[int, Tensor] = {}
        self._keeping = threading.Lock()

    def __reduce__(self) -> tuple[type[KeptPictures], tuple[Pictures, int]]:
        return KeptPictures, (self.base, self._all)

    def __len__(self) -> int:
        return len(self.base)

    @property
    def complete(self) -> bool:
        """Whether every picture was asked for, and there was room for all."""
        return len(self._kept) == len(self.base)

    def __getitem__(self, index: int) -> UInt8[Tensor, "3 h w"]:
        if index in self._kept:
            return self._kept[index]
        picture = self.base[index]
        with self._keeping:
            if picture.nbytes <= self.room and index not in self._kept:
                self.room -= picture.nbytes
                self._kept[index] = picture
        return picture


class SceneBatches:
    """The batches of one training, by step.

    Args:
        scenes: what is trained on.
        spec: batch size and augmentation.
        seed: of order and augmentation.
    """

    def __init__(self, scenes: SceneSet, spec: DetectTrainSpec, seed: int) -> None:
        self.scenes, self.spec, self.seed = scenes, spec, seed
        self.per_epoch = steps_per_epoch(len(scenes), spec.batch_size)

    def make(self, step: int) -> SceneBatch:
        """The batch of that step, the same whichever steps were asked for before."""
        epoch, position = divmod(step, self.per_epoch)
        order = epoch_order(len(self.scenes), self.seed, epoch)
        rows = order[position * self.spec.batch_size : (position + 1) * self.spec.batch_size].tolist()
        stream = generator(self.seed, "augment", step)
        made, views = [], []
        for row in rows:
            flipped, light = _drawn(self.spec.augment, stream)
            made.append(_changed(self.scenes.pictures[row], self.scenes.objects[row], flipped=flipped, light=light))
            views.append((row, flipped))
        pictures, objects = zip(*made, strict=True)
        return SceneBatch(pictures, objects, tuple(views))

    def run(self, first: int, end: int) -> Iterator[tuple[int, SceneBatch]]:
        """Steps `first` to `end` - 1; pictures that must be read, decoded or drawn are, in good time."""
        return run(self.make, first, end, ahead=not isinstance(self.scenes.pictures, tuple))


def augment_scene(
    picture: Tensor, objects: Objects, how: SceneAugment, stream: torch.Generator
) -> tuple[Tensor, Objects]:
    """A changed copy of a scene, its boxes moved along.

    Args:
        picture: uint8 (3, h, w).
        objects: what is in it.
        how: the ranges to draw from.
        stream: a CPU generator; as much is drawn from it whatever `how` says.

    Returns:
        Pixels of uint8 in 0..255, and the objects.
    """
    flipped, light = _drawn(how, stream)
    return _changed(picture, objects, flipped=flipped, light=light)


def _drawn(how: SceneAugment, stream: torch.Generator) -> tuple[bool, float]:
    """Whether to swap left and right, and the factor of brightness."""
    side, brightness = torch.rand(2, generator=stream).tolist()
    return how.flip and side < 0.5, 1 + how.light * (2 * brightness - 1)


def _changed(picture: Tensor, objects: Objects, *, flipped: bool, light: float) -> tuple[Tensor, Objects]:
    if flipped:
        width = picture.shape[2]
        left, top, right, bottom = objects.boxes.unbind(1)
        picture, objects = (
            picture.flip(2),
            replace(objects, boxes=torch.stack([width - right, top, width - left, bottom], 1)),
        )
    if light != 1:
        picture = picture.float().mul_(light).clamp_(0, 255).to(torch.uint8)
    return picture, objects
