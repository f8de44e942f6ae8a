"""From a training set to the batches of one run: order, augmentation, stamps, and the dtype models take."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from badnets.poison import TrainingSet
from badnets.seeds import generator
from badnets.training.augment import augment
from badnets.training.spec import Augment


def steps_per_epoch(samples: int, batch_size: int) -> int:
    """How many batches a pass has, the last and perhaps smaller one included."""
    return -(-samples // batch_size)


def epoch_order(samples: int, seed: int, epoch: int) -> Int64[Tensor, " n"]:
    """The order of the samples in that pass."""
    return torch.randperm(samples, generator=generator(seed, "order", epoch))


def make_batch(
    data: TrainingSet, index: Int64[Tensor, " b"], how: Augment, stream: torch.Generator
) -> tuple[Float[Tensor, "b c h w"], Int64[Tensor, " b"]]:
    """Images in [0, 1] and labels of the samples `index`.

    The stamp goes on after augmentation: a trainer who plants a backdoor keeps the trigger whole and in
    its place.
    """
    images = augment(data.base.take(data.rows[index]), how, stream)
    if data.trigger is not None:
        stamped = data.stamped[index]
        if bool(stamped.any()):
            images[stamped] = data.trigger(images[stamped])
    if images.dtype == torch.uint8:
        images = images.float().div_(255)
    return images, data.labels[index]
