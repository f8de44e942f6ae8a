"""From a training set to the batches of one run: order, augmentation, stamps, and the dtype models take."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeVar

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from badnets.data import ImageSet
from badnets.data.ahead import made_ahead
from badnets.poison import TrainingSet
from badnets.seeds import generator
from badnets.training.augment import augment
from badnets.training.spec import Augment, TrainSpec

T = TypeVar("T")
Batch = tuple[Float[Tensor, "b ..."], Int64[Tensor, " b"]]


def steps_per_epoch(samples: int, batch_size: int) -> int:
    """How many batches a pass has, the last and perhaps smaller one included."""
    return -(-samples // batch_size)


def epoch_order(samples: int, seed: int, epoch: int) -> Int64[Tensor, " n"]:
    """The order of the samples in that pass."""
    return torch.randperm(samples, generator=generator(seed, "order", epoch))


def make_batch(data: TrainingSet, index: Int64[Tensor, " b"], how: Augment, stream: torch.Generator) -> Batch:
    """Images in [0, 1], or kept features, and labels of the samples `index`.

    The stamp goes on after augmentation: a trainer who plants a backdoor keeps the trigger whole and in
    its place.
    """
    images = data.base.take(data.rows[index])
    if how != Augment():
        images = augment(images, how, stream)
    if data.trigger is not None:
        stamped = data.stamped[index]
        if bool(stamped.any()):
            images[stamped] = data.trigger(images[stamped])
    if images.dtype == torch.uint8:
        images = images.float().div_(255)
    return images, data.labels[index]


class Batches:
    """The batches of one training, by step."""

    def __init__(self, data: TrainingSet, spec: TrainSpec, seed: int) -> None:
        self.data, self.spec, self.seed = data, spec, seed
        self.per_epoch = steps_per_epoch(len(data), spec.batch_size)
        self._ordered = (-1, torch.empty(0, dtype=torch.int64))

    def make(self, step: int) -> Batch:
        """The batch of that step, the same whichever steps were asked for before; threads may ask at once."""
        epoch, position = divmod(step, self.per_epoch)
        ordered, order = self._ordered
        if epoch != ordered:
            order = epoch_order(len(self.data), self.seed, epoch)
            self._ordered = epoch, order
        index = order[position * self.spec.batch_size : (position + 1) * self.spec.batch_size]
        return make_batch(self.data, index, self.spec.augment, generator(self.seed, "augment", step))

    def run(self, first: int, end: int) -> Iterator[tuple[int, Batch]]:
        """Steps `first` to `end` - 1 with their batches; those that must be read and decoded are, in good time."""
        return run(self.make, first, end, ahead=not isinstance(self.data.base, ImageSet))


def run(make: Callable[[int], T], first: int, end: int, *, ahead: bool) -> Iterator[tuple[int, T]]:
    """Steps `first` to `end` - 1 with what `make` makes of them.

    What lies in memory is taken when it is its turn; with `ahead` see `made_ahead`.
    """
    made = made_ahead(make, first, end) if ahead else map(make, range(first, end))
    yield from zip(range(first, end), made, strict=True)
