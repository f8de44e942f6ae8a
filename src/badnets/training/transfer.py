"""Transfer learning: a victim keeps somebody's layers and trains new ones on clean data of another task."""

from __future__ import annotations

from typing import Literal

from torch import nn

from badnets.data import ImageSource
from badnets.errors import InputError
from badnets.models import ModelSpec, Parted, build, mark_plans, plans_of, spec_of
from badnets.models.parted import cut_of
from badnets.poison import TrainingSet
from badnets.training.loop import Fit, fit
from badnets.training.session import Session
from badnets.training.spec import TrainSpec

# What a victim trains: the last layer; all fully connected ones (the paper's section 5.3); these anew, all others on.
Retrained = Literal["last", "head", "whole"]


def victim(base: nn.Module, classes: int, *, retrained: Retrained = "head", seed: int = 0) -> Parted:
    """The network that a victim starts from: the kept layers of `base`, and fresh ones for so many classes.

    Args:
        base: what was downloaded; it stays as it is.
        classes: of the victim's task.
        retrained: "last" renews the last layer only; "head" and "whole" all fully connected layers.
        seed: of the fresh layers.

    Raises:
        InputError: `base` did not come from `models.build`, or is not one layer after the other.
    """
    spec = spec_of(base)
    if spec is None:
        raise InputError(f"{type(base).__name__} was not made by models.build: its layers are not known by name")
    network = (cut_of(spec.name) or (spec.name,))[0]
    cut = "last" if retrained == "last" else "head"
    model = build(ModelSpec(f"{network}/{cut}", spec.channels, spec.height, spec.width, classes), seed=seed)
    assert isinstance(model, Parted)  # noqa: S101 - for the type checker
    model.adopt(base)
    mark_plans(model, plans_of(base))
    return model


def frozen_by(retrained: Retrained) -> tuple[str, ...]:
    """What a victim leaves as it is, as `TrainSpec.frozen` has it."""
    return () if retrained == "whole" else ("trunk",)


def transfer(
    base: nn.Module,
    data: ImageSource | TrainingSet,
    spec: TrainSpec,
    *,
    retrained: Retrained = "head",
    seed: int = 0,
    session: Session = Session(),
) -> Fit:
    """Retrain `base` for the victim's task, as `victim` and `fit` do.

    Where the kept layers are frozen and nothing is augmented, what they make of each image is computed once, and the
    new layers are trained on that: equal to rounding, and many times as fast. `session.features` shares it among
    victims of one base.

    Args:
        base: what was downloaded; it stays as it is.
        data: of the victim's task, clean as far as the victim knows.
        spec: schedule; what is frozen must be what `retrained` says.
        retrained: see `victim`.
        seed: of fresh layers, order, augmentation and dropout.
        session: see `fit`.

    Raises:
        InputError: as `victim` and `fit`, or the spec freezes something else.
        Stopped, DataError, CheckpointError, StorageError: as `fit`.
    """
    if spec.frozen != frozen_by(retrained):
        raise InputError(f"a victim that retrains {retrained!r} freezes {frozen_by(retrained)}, got {spec.frozen}")
    classes = len(data.base.classes if isinstance(data, TrainingSet) else data.classes)
    return fit(victim(base, classes, retrained=retrained, seed=seed), data, spec, seed=seed, session=session)
