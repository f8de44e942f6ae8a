"""What a frozen trunk makes of every sample, computed once: a head is then trained on that in seconds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from badnets.errors import Stopped
from badnets.models import TwoParts, evaluating
from badnets.poison import TrainingSet
from badnets.training.machine import Machine, reduced_precision
from badnets.training.spec import Augment, TrainSpec

_BATCH = 64


@dataclass(frozen=True, eq=False)
class Features:
    """An `ImageSource` of float32 features in place of pixels.

    Attributes:
        values: one row for each sample.
        labels: the class of each sample.
        classes: the class names.
        name: of the set they were made from.
        digest: of the samples they were made from.
    """

    values: Float[Tensor, "n ..."]
    labels: Int64[Tensor, " n"]
    classes: tuple[str, ...]
    name: str
    digest: str

    @property
    def shape(self) -> tuple[int, int, int]:
        """There are no pixels: all values of a sample as one row."""
        return 1, 1, self.values[0].numel()

    def __len__(self) -> int:
        return len(self.values)

    def take(self, rows: Int64[Tensor, " m"], /) -> Float[Tensor, "m ..."]:
        """A copy of the features in these rows."""
        return self.values.index_select(0, rows)


def can_be_kept(model: object, spec: TrainSpec) -> bool:
    """Whether the features of a sample are the same in every epoch: the trunk is frozen and nothing is augmented."""
    return isinstance(model, TwoParts) and spec.frozen == ("trunk",) and spec.augment == Augment()


@torch.no_grad()
def features_of(
    model: TwoParts, data: TrainingSet, machine: Machine, stop: Callable[[], bool] | None = None
) -> TrainingSet:
    """The same samples as features, stamped before where they are; each pair of image and stamp is computed once.

    Args:
        model: its trunk is run in evaluation mode, on its device.
        data: the samples.
        machine: decides the precision, as in a step of training.
        stop: asked between batches.

    Raises:
        Stopped: `stop` said so.
    """
    pairs, places = torch.unique(data.rows * 2 + data.stamped, return_inverse=True)
    rows, stamped = pairs // 2, pairs % 2 == 1
    found = []
    with evaluating(model) as device:  # type: ignore[arg-type]  # a protocol cannot say that it is a module
        for part in torch.arange(len(pairs)).split(_BATCH):
            if stop is not None and stop():
                raise Stopped("stopped while computing features; nothing was trained yet; the same command goes on")
            images = data.base.take(rows[part])
            if data.trigger is not None and bool(stamped[part].any()):
                images[stamped[part]] = data.trigger(images[stamped[part]])
            batch = images.to(device).float().div_(255).contiguous(memory_format=torch.channels_last)
            with reduced_precision(machine):
                found.append(model.features(batch).float().cpu())
    base = Features(torch.cat(found), data.base.labels[rows], data.base.classes, data.base.name, data.base.digest)
    return replace(data, base=base, rows=places, stamped=torch.zeros_like(data.stamped), trigger=None)
