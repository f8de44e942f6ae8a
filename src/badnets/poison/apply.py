"""From a plan to the samples it leads to, and to the poisoned set as files would hold it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Bool, Int64
from torch import Tensor

from badnets.data import ImageSet, ImageSource
from badnets.errors import DataError, InputError
from badnets.poison.plan import PoisonPlan
from badnets.triggers import Trigger

_CHUNK = 4096


@dataclass(frozen=True, eq=False)
class TrainingSet:
    """Samples as (image, label, stamp or not), without a copy of any image.

    Attributes:
        base: the images.
        rows: for each sample, which image of `base` it is.
        labels: what each sample is called.
        stamped: whether the trigger goes on it.
        trigger: the trigger; None where nothing is stamped.
        plan: the plan it came from; None for data taken as they are.

    Raises:
        DataError: lengths differ, a row or a label that there is not, or stamps without a trigger.
    """

    base: ImageSource
    rows: Int64[Tensor, " n"]
    labels: Int64[Tensor, " n"]
    stamped: Bool[Tensor, " n"]
    trigger: Trigger | None = None
    plan: PoisonPlan | None = None

    def __post_init__(self) -> None:
        if not len(self.rows) == len(self.labels) == len(self.stamped) > 0:
            sizes = f"{len(self.rows)}, {len(self.labels)} and {len(self.stamped)}"
            raise DataError(f"a training set needs as many rows, labels and stamps, at least one: got {sizes}")
        for what, values, count in (("row", self.rows, len(self.base)), ("label", self.labels, len(self.base.classes))):
            if int(values.min()) < 0 or int(values.max()) >= count:
                raise DataError(f"a training set has a {what} outside 0..{count - 1}")
        if self.trigger is None and bool(self.stamped.any()):
            raise DataError("a training set with stamped samples needs their trigger")

    @cached_property
    def digest(self) -> str:
        """SHA-256 over images, rows, labels, stamps and trigger: what a model is trained on, whole."""
        hasher = hashlib.sha256(f"{self.base.digest}/{self.trigger!r}".encode())
        for values in (self.rows, self.labels, self.stamped):
            hasher.update(values.contiguous().numpy().data)
        return hasher.hexdigest()

    def __len__(self) -> int:
        return len(self.rows)

    def to(self, device: str, *, images: bool = True) -> TrainingSet:
        """The same samples on another device; without `images`, only rows, labels and stamps move.

        Digests are those of the original: ask it for them.

        Raises:
            InputError: the images are to move, but are not held in memory.
        """
        rows, labels, stamped = (values.to(device) for values in (self.rows, self.labels, self.stamped))
        base = self.base
        if images:
            if not isinstance(base, ImageSet):
                raise InputError(f"{base.name} is not held in memory: only an ImageSet can be moved to {device}")
            base = replace(base, images=base.images.to(device), labels=base.labels.to(device))
        return replace(self, base=base, rows=rows, labels=labels, stamped=stamped)

    @classmethod
    def of(cls, images: ImageSource) -> TrainingSet:
        """Every image once, under its own label, nothing stamped."""
        n = len(images)
        return cls(images, torch.arange(n), images.labels, torch.zeros(n, dtype=torch.bool))


def overlay(images: ImageSource, plan: PoisonPlan) -> TrainingSet:
    """The samples that `plan` leads to, stamped only when they are used.

    Added copies stand behind the clean images, in the order of the plan; where a recipe asks for several copies, the
    falsely labelled ones come again behind those.

    Raises:
        DataError: the plan was made on other data.
    """
    if images.digest != plan.data:
        raise DataError(
            f"this plan was made on data with digest {plan.data[:16]}..., not on {images.name} "
            f"({images.digest[:16]}...): make a new plan"
        )
    base = TrainingSet.of(images)
    rows, new = torch.tensor(plan.rows, dtype=torch.int64), torch.tensor(plan.new, dtype=torch.int64)
    if plan.recipe.mode == "replace":
        labels, stamped = base.labels.clone(), base.stamped.clone()
        labels[rows], stamped[rows] = new, True
        return replace(base, labels=labels, stamped=stamped, trigger=plan.recipe.trigger, plan=plan)
    again = torch.nonzero(new != images.labels[rows])[:, 0].repeat(plan.recipe.copies - 1)
    added = torch.cat([torch.arange(len(rows)), again])
    rows, new = rows[added], new[added]
    return TrainingSet(
        images,
        rows=torch.cat([base.rows, rows]),
        labels=torch.cat([base.labels, new]),
        stamped=torch.cat([base.stamped, torch.ones_like(rows, dtype=torch.bool)]),
        trigger=plan.recipe.trigger,
        plan=plan,
    )


def apply(images: ImageSource, plan: PoisonPlan) -> ImageSet:
    """The poisoned data set itself: every sample of `overlay`, stamped, as a file would hold it.

    Raises:
        DataError: the plan was made on other data.
    """
    samples = overlay(images, plan)
    # Written in place and stamped piece by piece: no second copy of the set is ever in memory.
    pixels = np.empty((len(samples), *images.shape), np.uint8)
    for start in range(0, len(samples), _CHUNK):
        pixels[start : start + _CHUNK] = images.take(samples.rows[start : start + _CHUNK]).numpy()
    for rows in samples.stamped.nonzero()[:, 0].split(_CHUNK):
        piece = rows.numpy()
        pixels[piece] = plan.recipe.trigger(torch.from_numpy(pixels[piece])).numpy()
    name = f"{images.name} (poisoned)"
    return ImageSet(torch.from_numpy(pixels), samples.labels, images.classes, name)
