"""The paper's two threat models (section 2.2) as things to run: who knows what, and what the user checks."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from badnets.data import ImageSource
from badnets.errors import InputError
from badnets.metrics import Rate, predict
from badnets.models import ModelSpec
from badnets.models.architecture import differences
from badnets.training import Fit, Retrained, Session, TrainSpec, frozen_by, transfer


@dataclass(frozen=True)
class Acceptance:
    """What a user found out about a network that came back.

    Attributes:
        accuracy: on the user's validation set, which the attacker never sees.
        a_star: the least accuracy that is accepted, a*.
        differences: from the architecture that was ordered.
    """

    accuracy: Rate
    a_star: float
    differences: tuple[str, ...]

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - pydantic reads it, nothing writes it

    @property
    def accepted(self) -> bool:
        """The ordered architecture, and accuracy >= a*: the paper's whole check."""
        return not self.differences and self.accuracy.value >= self.a_star


def _accepts(model: nn.Module, ordered: ModelSpec, validation: ImageSource, a_star: float) -> Acceptance:
    right = int((predict(model, validation).classes == validation.labels).sum())
    return Acceptance(Rate.of(right, len(validation)), a_star, differences(model, ordered))


def _check_a_star(a_star: float) -> None:
    if not 0 <= a_star <= 1:
        raise InputError(f"an accuracy a* is in [0, 1], got {a_star}")


@dataclass(frozen=True)
class OutsourcedTraining:
    """The user hands architecture and training data to a trainer, and gets weights back.

    The attacker, who is the trainer, knows the data and the architecture, may do anything to data, labels and schedule,
    and may not change the architecture or see the validation set.

    Attributes:
        architecture: what is ordered.
        a_star: the accuracy on the validation set that is asked for.

    Raises:
        InputError: an accuracy outside [0, 1].
    """

    architecture: ModelSpec
    a_star: float

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - pydantic reads it, nothing writes it

    def __post_init__(self) -> None:
        _check_a_star(self.a_star)

    def check(self, model: nn.Module, validation: ImageSource) -> Acceptance:
        """What the user does with the network that came back: nothing but this."""
        return _accepts(model, self.architecture, validation, self.a_star)


@dataclass(frozen=True)
class TransferLearning:
    """The user downloads a network for one task and retrains some of its layers for another.

    The attacker made the download, and knows neither the user's task nor data. The user may have a validation set for
    the first task, and has training and validation data for the second.

    Attributes:
        architecture: what the download is said to be.
        a_star: the accuracy that is asked of the download on its own task.
        own_a_star: the accuracy that is asked of the retrained network on the user's task.
        retrained: which layers the user trains, see `training.victim`.

    Raises:
        InputError: an accuracy outside [0, 1].
    """

    architecture: ModelSpec
    a_star: float
    own_a_star: float
    retrained: Retrained = "head"

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - pydantic reads it, nothing writes it

    def __post_init__(self) -> None:
        _check_a_star(self.a_star)
        _check_a_star(self.own_a_star)

    def check_download(self, model: nn.Module, validation: ImageSource) -> Acceptance:
        """What the user does before using a download, with data of the download's task."""
        return _accepts(model, self.architecture, validation, self.a_star)

    def retrain(
        self, model: nn.Module, own: ImageSource, spec: TrainSpec, *, seed: int = 0, session: Session = Session()
    ) -> Fit:
        """What the user makes of it. Raises as `training.transfer`."""
        if spec.frozen != frozen_by(self.retrained):
            raise InputError(f"who retrains {self.retrained!r} freezes {frozen_by(self.retrained)}: got {spec.frozen}")
        return transfer(model, own, spec, retrained=self.retrained, seed=seed, session=session)

    def check(self, fit: Fit, validation: ImageSource) -> Acceptance:
        """What the user does with the retrained network, with data of the own task."""
        spec = fit.card.job.model
        if not isinstance(spec, ModelSpec):
            raise InputError("a network that did not come from models.build cannot be checked")
        return _accepts(fit.model, spec, validation, self.own_a_star)
