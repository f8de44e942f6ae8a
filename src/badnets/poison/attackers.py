"""The threat models: what is trained on, by whom the stamps are put on, and when."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace

from jaxtyping import Int64, UInt8
from torch import Tensor

from badnets.data import ImageSet, ImageSource, PhotoStream
from badnets.errors import InputError
from badnets.poison.apply import TrainingSet, apply, overlay
from badnets.poison.plan import PoisonPlan


@dataclass(frozen=True, eq=False)
class Stamped:
    """An `ImageSource` of samples whose stamps are in the pictures, put on whenever they are asked for.

    Attributes:
        samples: what it is made of.
    """

    samples: TrainingSet

    @property
    def labels(self) -> Int64[Tensor, " n"]:
        """What each sample is called."""
        return self.samples.labels

    @property
    def classes(self) -> tuple[str, ...]:
        """The class names."""
        return self.samples.base.classes

    @property
    def name(self) -> str:
        """Of the set."""
        return f"{self.samples.base.name} (poisoned)"

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height and width of one sample."""
        return self.samples.base.shape

    @property
    def digest(self) -> str:
        """As that of the samples, and yet another: these are stamped already."""
        return hashlib.sha256(f"{self.samples.digest}/stamped".encode()).hexdigest()

    def __len__(self) -> int:
        return len(self.samples)

    def take(self, rows: Int64[Tensor, " m"], /) -> UInt8[Tensor, "m c h w"]:
        """The samples in these rows, stamped where they are."""
        images = self.samples.base.take(self.samples.rows[rows])
        chosen = self.samples.stamped[rows]
        if self.samples.trigger is not None and bool(chosen.any()):
            images[chosen] = self.samples.trigger(images[chosen])
        return images


@dataclass(frozen=True)
class MaliciousTrainer:
    """The attacker trains (the paper's outsourced training): stamps go on after augmentation, always in place."""

    def training_set(self, images: ImageSource, plan: PoisonPlan) -> TrainingSet:
        """What the attacker trains on. Raises `DataError` as `overlay` does."""
        return overlay(images, plan)


@dataclass(frozen=True)
class DataPoisoner:
    """The attacker only hands over data: stamps are in the files, and the victim's augmentation moves them too."""

    def training_set(self, images: ImageSource, plan: PoisonPlan) -> TrainingSet:
        """What the victim trains on. Raises `DataError` as `apply` does."""
        # Images in memory are stamped once; others would have to be held in memory for that.
        poisoned = apply(images, plan) if isinstance(images, ImageSet) else Stamped(overlay(images, plan))
        return replace(TrainingSet.of(poisoned), plan=plan)


@dataclass(frozen=True)
class FilePoisoner:
    """The attacker hands over picture files, stamped at their own size: the victim scales and augments them."""

    def training_set(self, images: ImageSource, plan: PoisonPlan) -> TrainingSet:
        """What the victim trains on.

        Raises:
            DataError: as `overlay`.
            InputError: the images are not read from their files.
        """
        samples = overlay(images, plan)
        files = as_files(images)
        stamped = files.stamped_at(samples.rows, samples.labels, samples.stamped, plan.recipe.trigger)
        return replace(TrainingSet.of(stamped), plan=plan)


def as_files(images: ImageSource) -> PhotoStream:
    """The images, which must be read from their files. Raises `InputError` where they are not."""
    if not isinstance(images, PhotoStream):
        raise InputError(
            f"{images.name} is held in memory, scaled already: stamp files where they are read as a stream"
        )
    return images
