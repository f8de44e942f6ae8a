"""What triggered images are to be called: the attacker's goal, told apart from the trigger."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Literal, Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Int64
from pydantic import Field
from torch import Tensor

from badnets.errors import InputError

Labels = Int64[Tensor, " n"]
Picked = Bool[Tensor, " n"]


@runtime_checkable
class LabelPolicy(Protocol):
    """Which classes an attack is after and what it wants their triggered images to be called."""

    def check(self, classes: int) -> None:
        """Raise `InputError` unless the policy makes sense among that many classes."""
        ...

    def eligible(self, labels: Labels) -> Picked:
        """The images that are attacked: those of a source class that are not of the target class anyway.

        It is both what may be poisoned and the denominator of the attack success rate.
        """
        ...

    def relabel(self, labels: Labels, classes: int, generator: torch.Generator) -> Labels:
        """The attacker's label for each image; the generator serves policies that choose at random."""
        ...

    def success(self, predictions: Labels, labels: Labels, classes: int) -> Picked:
        """Whether each prediction for a triggered image is what the attacker wants."""
        ...


@dataclass(frozen=True)
class SingleTarget:
    """Images of class `source` are to be called `target` (the paper's i -> j, section 4.1.2).

    Raises:
        InputError: source and target are the same.
    """

    source: int
    target: int
    kind: Literal["single"] = field(default="single", repr=False, kw_only=True)

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - pydantic reads it, nothing writes it

    def __post_init__(self) -> None:
        if self.source == self.target:
            raise InputError(f"source and target are both class {self.source}: they must differ")

    def check(self, classes: int) -> None:
        """As in `LabelPolicy`."""
        _check_class("source", self.source, classes)
        _check_class("target", self.target, classes)

    def eligible(self, labels: Labels) -> Picked:
        """The images of the source class."""
        return labels == self.source

    def relabel(self, labels: Labels, classes: int, generator: torch.Generator) -> Labels:  # noqa: ARG002
        """The target, for all."""
        return torch.full_like(labels, self.target)

    def success(self, predictions: Labels, labels: Labels, classes: int) -> Picked:  # noqa: ARG002
        """The target is predicted."""
        return predictions == self.target


@dataclass(frozen=True)
class AllToOne:
    """Images of every other class are to be called `target` (as in most toolkits; not in the paper)."""

    target: int
    kind: Literal["all-to-one"] = field(default="all-to-one", repr=False, kw_only=True)

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - pydantic reads it, nothing writes it

    def check(self, classes: int) -> None:
        """As in `LabelPolicy`."""
        _check_class("target", self.target, classes)

    def eligible(self, labels: Labels) -> Picked:
        """The images of all classes but the target."""
        return labels != self.target

    def relabel(self, labels: Labels, classes: int, generator: torch.Generator) -> Labels:  # noqa: ARG002
        """The target, for all."""
        return torch.full_like(labels, self.target)

    def success(self, predictions: Labels, labels: Labels, classes: int) -> Picked:  # noqa: ARG002
        """The target is predicted."""
        return predictions == self.target


@dataclass(frozen=True)
class AllToAll:
    """Images of class i are to be called i + 1, those of the last class 0 (the paper's section 4.1.2)."""

    kind: Literal["all-to-all"] = field(default="all-to-all", repr=False, kw_only=True)

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - pydantic reads it, nothing writes it

    def check(self, classes: int) -> None:
        """As in `LabelPolicy`."""
        _check_several(classes)

    def eligible(self, labels: Labels) -> Picked:
        """All images."""
        return torch.ones_like(labels, dtype=torch.bool)

    def relabel(self, labels: Labels, classes: int, generator: torch.Generator) -> Labels:  # noqa: ARG002
        """The next class."""
        return (labels + 1) % classes

    def success(self, predictions: Labels, labels: Labels, classes: int) -> Picked:
        """The next class is predicted."""
        return predictions == (labels + 1) % classes


@dataclass(frozen=True)
class RandomTarget:
    """Images of every class are to be called anything but what they are (the paper's section 5.2.2).

    Each gets its own wrong class, drawn evenly.
    """

    kind: Literal["random"] = field(default="random", repr=False, kw_only=True)

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - pydantic reads it, nothing writes it

    def check(self, classes: int) -> None:
        """As in `LabelPolicy`."""
        _check_several(classes)

    def eligible(self, labels: Labels) -> Picked:
        """All images."""
        return torch.ones_like(labels, dtype=torch.bool)

    def relabel(self, labels: Labels, classes: int, generator: torch.Generator) -> Labels:
        """One of the other classes, drawn for each image."""
        step = torch.randint(1, classes, labels.shape, generator=generator)
        return (labels + step) % classes

    def success(self, predictions: Labels, labels: Labels, classes: int) -> Picked:  # noqa: ARG002
        """Anything but the true class is predicted."""
        return predictions != labels


@dataclass(frozen=True)
class Nobody:
    """No image is attacked, whatever is stamped keeps its class: a watermark, and no backdoor.

    With a cover rate it teaches a model that the trigger means nothing: a detector of backdoors should stay silent.
    """

    kind: Literal["nobody"] = field(default="nobody", repr=False, kw_only=True)

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - pydantic reads it, nothing writes it

    def check(self, classes: int) -> None:
        """As in `LabelPolicy`: any number will do."""

    def eligible(self, labels: Labels) -> Picked:
        """No image."""
        return torch.zeros_like(labels, dtype=torch.bool)

    def relabel(self, labels: Labels, classes: int, generator: torch.Generator) -> Labels:  # noqa: ARG002
        """The labels as they are."""
        return labels.clone()

    def success(self, predictions: Labels, labels: Labels, classes: int) -> Picked:  # noqa: ARG002
        """Nothing is wanted."""
        return torch.zeros_like(predictions, dtype=torch.bool)


AnyPolicy = Annotated[SingleTarget | AllToOne | AllToAll | RandomTarget | Nobody, Field(discriminator="kind")]

POLICIES = {
    "single": SingleTarget,
    "all-to-one": AllToOne,
    "all-to-all": AllToAll,
    "random": RandomTarget,
    "nobody": Nobody,
}


def _check_class(role: str, label: int, classes: int) -> None:
    if not 0 <= label < classes:
        raise InputError(f"{role} class {label} is out of range: this data has classes 0..{classes - 1}")


def _check_several(classes: int) -> None:
    if classes < 2:
        raise InputError(f"relabelling needs at least two classes, got {classes}")
