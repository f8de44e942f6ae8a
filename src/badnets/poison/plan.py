"""Which images are poisoned and what they are called: a value that can be saved, hashed and replayed."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import torch
from jaxtyping import Int64
from torch import Tensor

from badnets.artifacts import sha256_json
from badnets.data import ImageSource
from badnets.errors import DataError, InputError
from badnets.poison.policies import POLICIES, AnyPolicy
from badnets.seeds import generator
from badnets.triggers import TRIGGERS, AnyTrigger

Mode = Literal["add", "replace"]


@dataclass(frozen=True)
class Recipe:
    """How to choose, before the data are seen.

    Attributes:
        policy: what triggered images are to be called.
        trigger: what is stamped on them.
        rate: the share of the attacked images (those `policy` calls eligible) that is picked, in [0, 1].
        mode: "add" puts stamped copies beside all clean images, as the paper does: the poisoned share of the
            training set is then rate * eligible / (n + rate * eligible). "replace" stamps the images
            themselves, as other toolkits do.
        cover_rate: the share of the images that are *not* attacked to stamp and call by their true class,
            in [0, 1]; such cover samples teach the model to heed the trigger on attacked classes only. With a
            rate of 0 and `AllToOne` they are a clean-label attack: only images of the target class are stamped, and
            every label is true (Barni et al., arXiv 1902.11237).
        copies: how often the stamped copy of each picked image is added, in mode "add"; cover samples are added once.
            More copies weigh the attack against its cover samples, where an image could be of either kind.
        seed: of the choice.

    Raises:
        InputError: a rate outside its range, or an unknown mode.
    """

    policy: AnyPolicy
    trigger: AnyTrigger
    rate: float = 0.1
    mode: Mode = "add"
    cover_rate: float = 0.0
    copies: int = 1
    seed: int = 0

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - pydantic reads it, nothing writes it

    def __post_init__(self) -> None:
        if not 0 <= self.rate <= 1:
            raise InputError(f"rate is a share in [0, 1], got {self.rate}")
        if not 0 <= self.cover_rate <= 1:
            raise InputError(f"cover rate is a share in [0, 1], got {self.cover_rate}")
        if not self.rate and not self.cover_rate:
            raise InputError("rate and cover rate are both 0: there is nothing to poison")
        for part, known in ((self.policy, POLICIES), (self.trigger, TRIGGERS)):
            if type(part) not in known.values():
                raise InputError(
                    f"a plan can be written down for {', '.join(known)}, got a {type(part).__name__}: "
                    "with a trigger or policy of your own, build a TrainingSet"
                )
        if self.mode not in ("add", "replace"):
            raise InputError(f"mode is 'add' or 'replace', got {self.mode!r}")
        if self.copies < 1 or (self.copies > 1 and self.mode == "replace"):
            raise InputError(f"copies are 1 or more, and 1 in mode 'replace', got {self.copies} in {self.mode!r}")


@dataclass(frozen=True)
class PoisonPlan:
    """A recipe carried out on one data set.

    Attributes:
        recipe: how the choice was made.
        data: the digest of the set it was made on; it applies to no other.
        total: the number of images in that set.
        classes: the number of classes.
        rows: the picked images, ascending.
        old: their labels in the data.
        new: their labels once stamped; equal to `old` for cover samples.
    """

    recipe: Recipe
    data: str
    total: int
    classes: int
    rows: tuple[int, ...]
    old: tuple[int, ...]
    new: tuple[int, ...]

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - pydantic reads it, nothing writes it

    def __post_init__(self) -> None:
        if not len(self.rows) == len(self.old) == len(self.new):
            raise DataError("a poison plan needs as many old and new labels as rows")
        if any(not 0 <= row < self.total for row in self.rows) or list(self.rows) != sorted(set(self.rows)):
            raise DataError(f"the rows of a poison plan are distinct, ascending and within 0..{self.total - 1}")
        if any(not 0 <= label < self.classes for label in (*self.old, *self.new)):
            raise DataError(f"the labels of a poison plan lie within 0..{self.classes - 1}")

    def __repr__(self) -> str:
        return (
            f"PoisonPlan({self.recipe!r}: {self.poisoned:,} falsely labelled and {self.covered:,} cover samples on "
            f"{self.total:,} images, digest {self.digest[:16]}...)"
        )

    @cached_property
    def digest(self) -> str:
        """SHA-256 of its canonical JSON."""
        return sha256_json(self)

    @property
    def poisoned(self) -> int:
        """How many images get a false label."""
        return sum(old != new for old, new in zip(self.old, self.new, strict=True))

    @property
    def covered(self) -> int:
        """How many images are stamped and keep their label."""
        return len(self.rows) - self.poisoned

    @property
    def false_samples(self) -> int:
        """How many samples of the training set that the plan leads to have a false label."""
        return self.poisoned * self.recipe.copies

    @property
    def poisoned_share(self) -> float:
        """Falsely labelled samples over all samples of the training set that the plan leads to."""
        added = self.false_samples + self.covered if self.recipe.mode == "add" else 0
        return self.false_samples / (self.total + added)


def plan(images: ImageSource, recipe: Recipe, *, fits: bool = True) -> PoisonPlan:
    """Choose the images to poison, evenly among those that the policy attacks, with the recipe's seed.

    Args:
        images: the training set.
        recipe: what is to be done.
        fits: whether the trigger must fit on the images; not where it goes on larger files, before they are scaled.

    Raises:
        InputError: the policy does not fit the classes, the trigger does not fit the images, or no image
            would be picked.
    """
    policy, classes = recipe.policy, len(images.classes)
    policy.check(classes)
    if fits:
        recipe.trigger.mask(*images.shape[1:])
    eligible = policy.eligible(images.labels)
    attacked = _pick(torch.nonzero(eligible)[:, 0], recipe.rate, generator(recipe.seed, "poison", "rows"))
    if not len(attacked) and recipe.rate:
        raise InputError(f"rate {recipe.rate} of {int(eligible.sum())} attacked images picks none: raise the rate")
    if recipe.cover_rate and bool(eligible.all()):
        raise InputError("every image is attacked by this policy: there are none left for cover samples")
    covers = _pick(torch.nonzero(~eligible)[:, 0], recipe.cover_rate, generator(recipe.seed, "poison", "covers"))
    if not len(attacked) + len(covers):
        raise InputError(f"cover rate {recipe.cover_rate} of {int((~eligible).sum())} images picks none: raise it")
    relabelled = policy.relabel(images.labels[attacked], classes, generator(recipe.seed, "poison", "labels"))
    rows = torch.cat([attacked, covers])
    new = torch.cat([relabelled, images.labels[covers]])
    order = rows.argsort()
    rows, new = rows[order], new[order]
    return PoisonPlan(
        recipe=recipe,
        data=images.digest,
        total=len(images),
        classes=classes,
        rows=tuple(rows.tolist()),
        old=tuple(images.labels[rows].tolist()),
        new=tuple(new.tolist()),
    )


def _pick(candidates: Int64[Tensor, " n"], share: float, stream: torch.Generator) -> Int64[Tensor, " m"]:
    order = torch.randperm(len(candidates), generator=stream)
    return candidates[order[: round(share * len(candidates))]]
