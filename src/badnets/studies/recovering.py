"""What a defender recovers of a backdoor, for repairs that unlearn it: by inversion alone, no attack is told."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Int64
from torch import Tensor, nn

from badnets.audit.inversion import Inverted, invert
from badnets.audit.inversion_budget import Budget, Stage
from badnets.audit.objectives import Objective, all_pairs, all_shifts, all_targets, untargeted
from badnets.audit.verdict import Suspicion
from badnets.data import ImageSet
from badnets.errors import InputError
from badnets.poison import RandomTarget
from badnets.triggers import Trigger

_INVERTED = 200
_STARTS = 3
# A trigger for all classes is no smaller than that for a pair of them; up to so many times its size it explains more.
_GENERAL = 2.0
# More than so many classes have too many pairs to look at each.
_MOST_PAIRS = 20
_PAIRS = (Stage(25, 6), Stage(20, 12, keep=0.1))
# What is found in a repaired copy is a remainder up to so many times the first size; beyond, it is a natural one.
_REMAINDER = 3.0


# A search for `UnlearnSpec`.
Remainders = Callable[[nn.Module, ImageSet, int], list[Inverted]]


@dataclass(frozen=True, eq=False)
class Suspected:
    """A trigger of an audit with what it is for, as unlearning wants it."""

    objective: Objective
    trigger: Trigger


@dataclass(frozen=True)
class AsPolicy:
    """An objective as a policy of labels, so that what an audit recovered can be measured and learned again.

    Attributes:
        objective: of the audit.
    """

    objective: Objective

    def check(self, classes: int) -> None:
        """As in `LabelPolicy`."""
        self.objective.check(classes)

    def eligible(self, labels: Int64[Tensor, " n"]) -> Bool[Tensor, " n"]:
        """The images that it attacks."""
        return self.objective.attacked(labels)

    def relabel(self, labels: Int64[Tensor, " n"], classes: int, generator: torch.Generator) -> Int64[Tensor, " n"]:
        """Where each is to go; anywhere else, drawn evenly, where no class is aimed at."""
        if self.objective.kind == "untargeted":
            return RandomTarget().relabel(labels, classes, generator)
        return self.objective.aims(labels, classes)

    def success(
        self, predictions: Int64[Tensor, " n"], labels: Int64[Tensor, " n"], classes: int
    ) -> Bool[Tensor, " n"]:
        """Whether each prediction is what it wants."""
        return self.objective.reached(predictions, labels, classes)


def objective_of(suspicion: Suspicion) -> Objective | None:
    """What an audit's suspicion says of the mapping; None where it does not say."""
    if suspicion.mapping == "all-to-one" and suspicion.target is not None:
        return Objective("target", target=suspicion.target)
    if suspicion.mapping == "shift" and suspicion.shift is not None:
        return Objective("shift", shift=suspicion.shift)
    if suspicion.mapping == "pairs" and suspicion.target is not None and len(suspicion.sources) == 1:
        return Objective("pair", target=suspicion.target, source=suspicion.sources[0])
    return Objective("untargeted") if suspicion.mapping == "untargeted" else None


def recover(model: nn.Module, clean: ImageSet, objectives: Sequence[Objective], seed: int) -> tuple[Inverted, ...]:
    """The smallest triggers for these objectives, from several starts and in two forms; those that were found.

    Raises:
        InputError: an objective or images that do not fit the model.
    """
    part = clean.select(torch.arange(min(len(clean), _INVERTED)))
    budgets = [
        *(Budget(seed=seed + start) for start in range(_STARTS)),
        Budget(form="additive", seed=seed),
    ]
    return tuple(
        one
        for budget in budgets
        for one in invert(model, part.images.float() / 255, part.labels, objectives, budget)
        if one.found
    )


def guess(model: nn.Module, clean: ImageSet, seed: int) -> Objective:
    """The mapping whose trigger is smallest among all targets, all shifts, any change, and all pairs of classes.

    Without a population of clean models this is a guess, and on a clean model it names the closest two classes.

    Raises:
        InputError: nothing was found at all.
    """
    part = clean.select(torch.arange(min(len(clean), _INVERTED)))
    pixels, classes = part.images.float() / 255, len(clean.classes)

    def smallest(objectives: Sequence[Objective], budget: Budget) -> Inverted | None:
        found = [one for one in invert(model, pixels, part.labels, objectives, budget) if one.found]
        return min(found, key=lambda one: one.size, default=None)

    # What explains more comes first.
    kinds: list[tuple[Sequence[Objective], Budget]] = [
        (all_targets(classes) + all_shifts(classes), Budget(seed=seed)),
        (untargeted(), Budget(seed=seed)),
    ]
    if classes <= _MOST_PAIRS:
        kinds.append((all_pairs(classes), Budget(stages=_PAIRS, seed=seed)))
    found = [one for kind in kinds if (one := smallest(*kind)) is not None]
    if not found:
        raise InputError("inversion found no trigger at all: there is nothing to unlearn")
    least = min(one.size for one in found)
    return next(one for one in found if one.size <= _GENERAL * least).objective


def remainders(objectives: Sequence[Objective], first: Sequence[Inverted], seed: int) -> Remainders:
    """A search of unlearning for what is left of these objectives' triggers in a repaired copy.

    Args:
        objectives: what was unlearned.
        first: the triggers that were found before, which say what is small.
        seed: of the starts.
    """
    usual: dict[str, float] = {}
    for one in first:
        usual[one.form] = min(one.size, usual.get(one.form, one.size))

    def search(model: nn.Module, clean: ImageSet, number: int) -> list[Inverted]:
        found = recover(model, clean, objectives, seed + number * _STARTS)
        return [one for one in found if one.form in usual and one.size <= _REMAINDER * usual[one.form]]

    return search
