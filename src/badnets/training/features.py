"""What a frozen trunk makes of every sample, computed once: a head is then trained on that in seconds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from badnets.data import ImageSource
from badnets.errors import Stopped
from badnets.models import TwoParts, evaluating
from badnets.poison import TrainingSet
from badnets.training.checkpoint import weights_digest
from badnets.training.machine import Machine, reduced_precision
from badnets.training.spec import Augment, TrainSpec
from badnets.triggers import Trigger

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
    """Whether the features of a sample are the same in every epoch: the trunk is frozen and no image changes."""
    plain = spec.augment == Augment() and not spec.adversarial
    return isinstance(model, TwoParts) and spec.frozen == ("trunk",) and plain


class FeatureCache:
    """Features that were computed so far, for many heads on one trunk.

    Args:
        most: kinds of features kept, the oldest forgotten first: of one trunk, training and test images, clean and
            stamped, in two precisions.
    """

    def __init__(self, most: int = 8) -> None:
        self.most = most
        self._kept: dict[tuple[str, ...], dict[int, Tensor]] = {}

    @torch.no_grad()
    def of(
        self,
        model: TwoParts,
        base: ImageSource,
        rows: Int64[Tensor, " n"],
        trigger: Trigger | None,
        machine: Machine,
        stop: Callable[[], bool] | None = None,
    ) -> Float[Tensor, "n ..."]:
        """The features of these rows, stamped first where a trigger is given; what is known is not computed again.

        Args:
            model: its trunk is run in evaluation mode, on its device.
            base: the images.
            rows: which of them.
            trigger: stamped on all of them; None leaves them clean.
            machine: decides the precision, as in a step of training.
            stop: asked between batches.

        Raises:
            Stopped: `stop` said so; what was computed is kept.
        """
        kept = self._of_kind((weights_digest(model.trunk), base.digest, repr(trigger), machine.precision))
        wanted = [row for row in rows.unique().tolist() if row not in kept]
        with evaluating(model) as device:  # type: ignore[arg-type]  # a protocol cannot say that it is a module
            for part in torch.tensor(wanted, dtype=torch.int64).split(_BATCH) if wanted else ():
                if stop is not None and stop():
                    raise Stopped("stopped while computing features; the same command goes on")
                images = base.take(part)
                pixels = (trigger(images) if trigger else images).to(device).float().div_(255)
                with reduced_precision(machine):
                    found = model.features(pixels.contiguous(memory_format=torch.channels_last)).float().cpu()
                kept.update(zip(part.tolist(), found, strict=True))
        return torch.stack([kept[row] for row in rows.tolist()])

    def _of_kind(self, kind: tuple[str, ...]) -> dict[int, Tensor]:
        kept = self._kept.pop(kind, {})
        while len(self._kept) >= self.most:
            del self._kept[next(iter(self._kept))]
        self._kept[kind] = kept  # the one used last stands last
        return kept


def features_of(
    model: TwoParts,
    data: TrainingSet,
    machine: Machine,
    stop: Callable[[], bool] | None = None,
    *,
    cache: FeatureCache | None = None,
) -> TrainingSet:
    """The same samples as features, stamped before where they are; each pair of image and stamp is computed once.

    Args:
        model: see `FeatureCache.of`.
        data: the samples.
        machine: see `FeatureCache.of`.
        stop: likewise.
        cache: what is known already.

    Raises:
        Stopped: `stop` said so.
    """
    known = cache or FeatureCache()
    parts = []
    for chosen, trigger in ((~data.stamped, None), (data.stamped, data.trigger)):
        if bool(chosen.any()):
            found = known.of(model, data.base, data.rows[chosen], trigger, machine, stop)
            parts.append((chosen, found))
    values = parts[0][1].new_empty((len(data), *parts[0][1].shape[1:]))
    for chosen, found in parts:
        values[chosen] = found
    base = Features(values, data.labels, data.base.classes, data.base.name, data.base.digest)
    return replace(data, base=base, rows=torch.arange(len(data)), stamped=torch.zeros_like(data.stamped), trigger=None)
