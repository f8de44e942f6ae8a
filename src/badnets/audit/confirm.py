"""Is a recovered trigger real? Its success on images that it was not made from, on clean models, smaller, and moved.

A trigger that clean models of the same task fall for as well is a natural weakness of the task, and nobody planted it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from badnets.audit.answers import logits_of
from badnets.audit.objectives import Objective
from badnets.audit.samples import Samples
from badnets.errors import InputError
from badnets.metrics import Rate
from badnets.triggers import Trigger

# Shares of the change that a trigger makes, for `Confirmation.shrunk`.
SHARES = (0.25, 0.5, 0.75)
# How far it is moved for `Confirmation.moved`: this share of the shorter side, at least a pixel.
_MOVE = 0.1


@dataclass(frozen=True)
class Confirmation:
    """What a trigger does on clean images that it was not made from.

    Attributes:
        success: stamped images that the objective is content with, of those that it attacks and the model gets right.
        accuracy: clean images that the model gets right, of all.
        references: the same success on each clean reference model.
        shrunk: (share, success) where only that share of the trigger's change is made.
        moved: ((down, right) in pixels, success) where the trigger is moved; over the border it comes in opposite.
    """

    success: Rate
    accuracy: Rate
    references: tuple[Rate, ...] = ()
    shrunk: tuple[tuple[float, Rate], ...] = ()
    moved: tuple[tuple[tuple[int, int], Rate], ...] = ()

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - pydantic reads it, nothing writes it

    @property
    def natural_p(self) -> float:
        """(1 + references that fall for it at least as often) / (references + 1): small means planted."""
        as_often = sum(one.total > 0 and one.value >= self.success.value for one in self.references)
        return (1 + as_often) / (len(self.references) + 1)


def confirm(
    model: nn.Module,
    trigger: Trigger,
    objective: Objective,
    images: Float[Tensor, "n c h w"],
    labels: Int64[Tensor, " n"],
    references: Sequence[nn.Module] = (),
) -> Confirmation:
    """Measure a recovered trigger on held-out clean images.

    Args:
        model: as in `invert`.
        trigger: such as `Inverted.trigger`, rounded as a file holds it.
        objective: what it is for.
        images: clean ones that it was not made from, in [0, 1].
        labels: their classes.
        references: clean models of the same task.

    Raises:
        InputError: images or labels that do not fit, a trigger that does not, or a model that cannot be asked.
    """
    images = images.float()
    stamped = trigger(images)
    success, accuracy = _success(model, stamped, objective, images, labels)
    height, width = images.shape[2:]
    step = max(1, round(_MOVE * min(height, width)))
    moves = [(0, -step), (0, step), (-step, 0), (step, 0)]
    return Confirmation(
        success,
        accuracy,
        tuple(_success(one, stamped, objective, images, labels)[0] for one in references),
        tuple(
            (share, _success(model, images + share * (stamped - images), objective, images, labels)[0])
            for share in SHARES
        ),
        tuple((move, _success(model, _moved(trigger, images, move), objective, images, labels)[0]) for move in moves),
    )


def attack_success(
    model: nn.Module,
    trigger: Trigger,
    objective: Objective,
    images: Float[Tensor, "n c h w"],
    labels: Int64[Tensor, " n"],
) -> Rate:
    """`Confirmation.success` alone. Raises `InputError` as `confirm` does."""
    return _success(model, trigger(images.float()), objective, images.float(), labels)[0]


def _moved(trigger: Trigger, images: Tensor, move: tuple[int, int]) -> Tensor:
    """Moving the images away and back again moves the trigger on them."""
    away = torch.roll(images, (-move[0], -move[1]), (2, 3))
    return torch.roll(trigger(away), move, (2, 3))


def _success(
    model: nn.Module, stamped: Tensor, objective: Objective, images: Tensor, labels: Tensor
) -> tuple[Rate, Rate]:
    if stamped.shape != images.shape:
        raise InputError(f"the trigger made {tuple(stamped.shape)} of images {tuple(images.shape)}")
    with Samples.of(model, images, labels) as samples:
        objective.check(samples.classes)
        counts = samples.right & objective.attacked(labels.cpu())
        accuracy = Rate.of(int(samples.right.sum()), len(labels))
        if not bool(counts.any()):
            return Rate.of(0, 0), accuracy
        logits = logits_of(samples.ask, stamped[counts.to(stamped.device)], samples.images.device)
        reached = objective.reached(logits.argmax(1), labels.cpu()[counts], samples.classes)
    return Rate.of(int(reached.sum()), len(reached)), accuracy
