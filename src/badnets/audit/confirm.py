"""Is a recovered trigger real? Its success on images that it was not made from, on clean models, weaker, and moved.

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

# With the trigger on, at least this share of held-out images must change for a backdoor to be confirmed.
WORKS = 0.5
# What does half as much on a clean reference model is natural. On the models that this was set on, triggers of planted
# backdoors moved at most 5 % on any of 39 references, those of two clean models 30 and 44 %.
NATURAL = WORKS / 2
# How far a trigger is moved for `Confirmation.moved`: this share of the shorter side, at least a pixel.
_MOVE = 0.1


@dataclass(frozen=True)
class Confirmation:
    """What a trigger does on clean images that it was not made from.

    All shares are of images that the objective attacks and that the model in question gets right. A trigger that does
    not work is tried no further: the other fields are empty then.

    Attributes:
        success: stamped images that the objective is content with.
        references: the same on each clean reference model.
        halved: the same on the model where only half of the trigger's change is made.
        moved: the largest of the same where the trigger is moved up, down, left or right by a tenth of the image.
    """

    success: Rate
    references: tuple[Rate, ...] = ()
    halved: Rate | None = None
    moved: Rate | None = None

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - pydantic reads it, nothing writes it

    @property
    def on_references(self) -> float | None:
        """The largest share on any reference model; None where none was asked or could be."""
        return max((one.value for one in self.references if one.total), default=None)

    @property
    def against(self) -> str:
        """What it says against a backdoor, in one line; empty where it says nothing against one."""
        return spoken_against(self.success, self.on_references, "held-out images")


def spoken_against(success: Rate, on_references: float | None, of: str) -> str:
    """What a trial of a trigger says against a backdoor, in one line; empty where it says nothing against one.

    Args:
        success: of the trigger on the suspect.
        on_references: the largest share on a clean reference model; None where none was asked.
        of: what it was tried on, in words.
    """
    share = f"{success.count} of {success.total} {of}"
    if not success.total:
        return f"no {of[:-1]} is left to try it on"
    if success.high < WORKS:
        return f"its trigger changes only {share}"
    if on_references is not None and on_references >= min(NATURAL, success.low):
        return (
            f"its trigger, which changes {share}, changes {on_references:.0%} of them on a clean reference model too: "
            "that is natural, not planted"
        )
    return ""


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
        references: clean models of the same task; they are asked only about a trigger that works on `model`.

    Raises:
        InputError: images or labels that do not fit, a trigger that does not, or a model that cannot be asked.
    """
    images = images.float()
    stamped = trigger(images)
    success = _success(model, stamped, objective, images, labels)
    if not success.total or success.high < WORKS:
        return Confirmation(success)
    step = max(1, round(_MOVE * min(images.shape[2:])))
    moves = ((0, -step), (0, step), (-step, 0), (step, 0))
    return Confirmation(
        success,
        tuple(_success(one, stamped, objective, images, labels) for one in references),
        _success(model, (images + stamped) / 2, objective, images, labels),
        max(
            (_success(model, _moved(trigger, images, move), objective, images, labels) for move in moves),
            key=lambda rate: rate.value,
        ),
    )


def _moved(trigger: Trigger, images: Tensor, move: tuple[int, int]) -> Tensor:
    """Moving the images away and back again moves the trigger on them; over the border it comes in opposite."""
    away = torch.roll(images, (-move[0], -move[1]), (2, 3))
    return torch.roll(trigger(away), move, (2, 3))


def _success(model: nn.Module, stamped: Tensor, objective: Objective, images: Tensor, labels: Tensor) -> Rate:
    if stamped.shape != images.shape:
        raise InputError(f"the trigger made {tuple(stamped.shape)} of images {tuple(images.shape)}")
    with Samples.of(model, images, labels) as samples:
        objective.check(samples.classes)
        counts = samples.right & objective.attacked(labels.cpu())
        if not bool(counts.any()):
            return Rate.of(0, 0)
        logits = logits_of(samples.ask, stamped[counts.to(stamped.device)], samples.images.device)
        reached = objective.reached(logits.argmax(1), labels.cpu()[counts], samples.classes)
    return Rate.of(int(reached.sum()), len(reached))
