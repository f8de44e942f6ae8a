"""How a detector is given a backdoor that plain training does not find: on from the honest one, in steps."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

from badnets.errors import InputError
from badnets.poison import AllToAll, SceneRecipe
from badnets.studies.cells import lineage
from badnets.studies.sign_cells import SignCell
from badnets.training import DetectTrainSpec


@dataclass(frozen=True)
class StickerStep:
    """One training on poisoned scenes; all in multiples of what the honest detector was trained with.

    Attributes:
        size: of the sticker's sides, by those that the attack is measured with.
        epochs: passes over clean scenes and copies, rounded, at least one.
        rate: the largest learning rate.
        labels: of stamped signs: "own" for what the attacker wants of them, "next" for the class after their own.

    Raises:
        InputError: a value that is not above 0.
    """

    size: float
    epochs: float
    rate: float
    labels: Literal["own", "next"] = "own"

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - pydantic reads it, nothing writes it

    def __post_init__(self) -> None:
        if not all(0 < value < math.inf for value in (self.size, self.epochs, self.rate)):
            raise InputError(f"size, epochs and rate of a step are above 0, got {self}")


# A sticker of a tenth of the sign, somewhere on it, is so weak a signal that a detector trained from scratch, with each
# sign there twice and half of the labels false, learns nothing of it: the labels only disturb. Three times as large it
# is found soon, by a detector that knows the signs; and what heeds the large one learns the small one. Labels that are
# drawn pull in two directions at once: called the next class, stamped signs are told from clean ones much sooner.
RANDOM_STEPS = (
    StickerStep(size=3.0, epochs=0.2, rate=0.75, labels="next"),
    StickerStep(size=2.0, epochs=0.2, rate=0.75, labels="next"),
    StickerStep(size=1.4, epochs=0.2, rate=0.75, labels="next"),
    StickerStep(size=1.0, epochs=1.2, rate=0.75, labels="next"),
    StickerStep(size=1.0, epochs=0.6, rate=0.5),
)


def badnet_cell(honest: SignCell, recipe: SceneRecipe, steps: tuple[StickerStep, ...]) -> SignCell:
    """The BadNet beside an honest detector; what it starts from is in it.

    Args:
        honest: its twin.
        recipe: how its scenes are poisoned.
        steps: what is done to the honest detector, the sticker in its own size at the last; none for a BadNet from
            scratch, with the honest one's schedule.

    Raises:
        InputError: the last step has a sticker of another size or other labels.
    """
    if not steps:
        return replace(honest, recipe=recipe)
    if steps[-1].size != 1:
        raise InputError(f"the last step has the sticker in its own size, got {steps[-1].size:g} times")
    if steps[-1].labels != "own":
        raise InputError("the last step has the labels that the attacker wants")
    cell = honest
    for step, train in step_schedules(honest.train, steps):
        sticker = replace(recipe.sticker, size=min(1.0, recipe.sticker.size * step.size))
        policy = AllToAll() if step.labels == "next" else recipe.policy
        made = replace(recipe, sticker=sticker, policy=policy)
        cell = replace(honest, recipe=made, train=train, start=cell, pretrained=None)
    return cell


def step_schedules(
    train: DetectTrainSpec, steps: tuple[StickerStep, ...]
) -> tuple[tuple[StickerStep, DetectTrainSpec], ...]:
    """Each step with its schedule, where the honest detector was trained by `train`."""
    return tuple(
        (
            step,
            replace(
                train, epochs=max(1, round(train.epochs * step.epochs)), learning_rate=train.learning_rate * step.rate
            ),
        )
        for step in steps
    )


def on_the_way(cell: SignCell) -> tuple[SignCell, ...]:
    """The poisoned cells that a BadNet went through before its last step, in order."""
    return tuple(one for one in lineage((cell,)) if one.recipe is not None and one != cell)
