"""Clean error and attack success of one model, with every denominator stated."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool
from torch import Tensor, nn

from badnets.data import ImageSource
from badnets.errors import InputError
from badnets.metrics.intervals import Rate
from badnets.metrics.predict import Predictions, predict
from badnets.poison import LabelPolicy
from badnets.triggers import Trigger


@dataclass(frozen=True)
class Result:
    """How a model does on a test set, clean and stamped.

    Attributes:
        clean_error: clean images whose prediction is not their class, of all n.
        clean_by_class: the same for each true class.
        attack_success: stamped images predicted as the attacker wants, of those attacked: images of a source
            class whose class is not the target anyway. For a random target: predicted as anything but
            their class.
        backdoor_by_class: attacked stamped images that are *not* predicted as the attacker wants, by true
            class; total 0 for classes that are not attacked.
        stamped_error: all n stamped images, predicted as anything but their class.
        spill: stamped images of the classes that are neither attacked nor the target, predicted as anything but
            their class, of all such; None where there are none.
        spill_to_target: the same images, predicted as the target; None likewise.
    """

    clean_error: Rate
    clean_by_class: tuple[Rate, ...]
    attack_success: Rate | None = None
    backdoor_by_class: tuple[Rate, ...] = ()
    stamped_error: Rate | None = None
    spill: Rate | None = None
    spill_to_target: Rate | None = None

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - pydantic reads it, nothing writes it

    @property
    def backdoor_error(self) -> Rate | None:
        """The paper's "error on backdoored images": 1 - attack success, over the same images."""
        return self.attack_success.complement() if self.attack_success else None


def evaluate(
    model: nn.Module, test: ImageSource, trigger: Trigger | None = None, policy: LabelPolicy | None = None
) -> Result:
    """Measure `model` on `test`; with a trigger and a policy, the attack too.

    Raises:
        InputError: only one of trigger and policy is given, or the policy does not fit the classes.
    """
    if (trigger is None) != (policy is None):
        raise InputError("an attack is measured with both a trigger and a policy")
    stamped = None if trigger is None else predict(model, test, trigger=trigger)
    return judge(test, predict(model, test), stamped, policy)


def judge(
    test: ImageSource, clean: Predictions, stamped: Predictions | None = None, policy: LabelPolicy | None = None
) -> Result:
    """The same as `evaluate`, from what a model has said already.

    Args:
        test: the true classes.
        clean: said of the images as they are.
        stamped: said of the stamped ones; with the policy.
        policy: what the attacker wants.

    Raises:
        InputError: the policy does not fit the classes.
    """
    classes = len(test.classes)
    wrong = clean.classes != test.labels
    clean_error, clean_by_class = _rate(wrong), _by_class(wrong, test, torch.ones_like(wrong))
    if stamped is None or policy is None:
        return Result(clean_error, clean_by_class)
    policy.check(classes)
    attacked = policy.eligible(test.labels)
    hit = policy.success(stamped.classes, test.labels, classes)
    spill, to_target = _spill(stamped, test, policy, attacked)
    return Result(
        clean_error=clean_error,
        clean_by_class=clean_by_class,
        attack_success=_rate(hit[attacked]),
        backdoor_by_class=_by_class(~hit, test, attacked),
        stamped_error=_rate(stamped.classes != test.labels),
        spill=spill,
        spill_to_target=to_target,
    )


def _rate(flags: Bool[Tensor, " n"]) -> Rate:
    return Rate.of(int(flags.sum()), len(flags))


def _by_class(flags: Bool[Tensor, " n"], test: ImageSource, among: Bool[Tensor, " n"]) -> tuple[Rate, ...]:
    return tuple(_rate(flags[(test.labels == label) & among]) for label in range(len(test.classes)))


def _spill(
    stamped: Predictions, test: ImageSource, policy: LabelPolicy, attacked: Bool[Tensor, " n"]
) -> tuple[Rate | None, Rate | None]:
    # A policy that leaves classes out has one target, and success on an image is being called that; images
    # of the target class are called so rightly, and tell nothing.
    as_target = policy.success(stamped.classes, test.labels, len(test.classes))
    own = policy.success(test.labels, test.labels, len(test.classes))
    others = ~attacked & ~own
    if not bool(others.any()):
        return None, None
    return _rate((stamped.classes != test.labels)[others]), _rate(as_target[others])
