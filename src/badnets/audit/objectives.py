"""What a hidden trigger could be for: the questions that trigger inversion asks of a model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Bool, Int64
from torch import Tensor

from badnets.errors import InputError

Kind = Literal["target", "shift", "untargeted", "pair"]
Labels = Int64[Tensor, " n"]
Picked = Bool[Tensor, " n"]


@dataclass(frozen=True)
class Objective:
    """One mapping of classes that a trigger may bring about.

    Attributes:
        kind: "target" sends every other class to `target`; "pair" sends `source` to `target`; "shift" sends class i to
            (i + shift) mod K, the paper's all-to-all for a shift of 1; "untargeted" sends every class to any other.
        target: of "target" and "pair".
        source: of "pair".
        shift: of "shift", 1 to K - 1.

    Raises:
        InputError: a field that its kind needs is missing, or one that it has no use for is set.
    """

    kind: Kind
    target: int | None = None
    source: int | None = None
    shift: int | None = None

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - pydantic reads it, nothing writes it

    def __post_init__(self) -> None:
        needed = {"target": {"target"}, "pair": {"source", "target"}, "shift": {"shift"}, "untargeted": set[str]()}
        if self.kind not in needed:
            raise InputError(f"an objective is one of {', '.join(needed)}, got {self.kind!r}")
        values = {"target": self.target, "source": self.source, "shift": self.shift}
        given = {name for name, value in values.items() if value is not None}
        if given != needed[self.kind]:
            expected = " and ".join(sorted(needed[self.kind])) or "nothing else"
            raise InputError(f"the objective {self.kind!r} has {expected}, got {', '.join(sorted(given)) or 'none'}")
        if any(value < 0 for value in values.values() if value is not None) or self.shift == 0:
            raise InputError(f"classes count from 0 and shifts from 1, got {self!r}")
        if self.source is not None and self.source == self.target:
            raise InputError(f"source and target are both class {self.source}: they must differ")

    def __str__(self) -> str:
        if self.kind == "target":
            return f"all -> {self.target}"
        if self.kind == "pair":
            return f"{self.source} -> {self.target}"
        return f"i -> i + {self.shift}" if self.kind == "shift" else "any change"

    def check(self, classes: int) -> None:
        """Raise `InputError` unless the objective makes sense among that many classes."""
        for name, value in (("target", self.target), ("source", self.source), ("shift", self.shift)):
            if value is not None and value >= classes:
                raise InputError(f"{name} {value} is out of range: the model tells {classes} classes apart")

    def attacked(self, labels: Labels) -> Picked:
        """The images that count: those of a source class that are not of the target class anyway."""
        if self.source is not None:
            return labels == self.source
        return torch.ones_like(labels, dtype=torch.bool) if self.target is None else labels != self.target

    def aims(self, labels: Labels, classes: int) -> Labels:
        """The class that counts for each image: where it is to go, or for "untargeted" what it is to leave."""
        if self.target is not None:
            return torch.full_like(labels, self.target)
        return (labels + (self.shift or 0)) % classes

    def reached(self, predictions: Labels, labels: Labels, classes: int) -> Picked:
        """Whether each prediction for a stamped image is what the attacker wants."""
        aims = self.aims(labels, classes)
        return predictions != aims if self.kind == "untargeted" else predictions == aims


def all_targets(classes: int) -> tuple[Objective, ...]:
    """All-to-one, for each of the classes. Raises `InputError` below two classes."""
    _check(classes)
    return tuple(Objective("target", target=target) for target in range(classes))


def all_shifts(classes: int) -> tuple[Objective, ...]:
    """All-to-all by each shift from 1 to K - 1. Raises `InputError` below two classes."""
    _check(classes)
    return tuple(Objective("shift", shift=shift) for shift in range(1, classes))


def untargeted() -> tuple[Objective, ...]:
    """The one objective that asks for any change, as permutations and random targets bring about."""
    return (Objective("untargeted"),)


def all_pairs(classes: int) -> tuple[Objective, ...]:
    """Every ordered (source, target), source by source. Raises `InputError` below two classes."""
    _check(classes)
    pairs = ((source, target) for source in range(classes) for target in range(classes) if source != target)
    return tuple(Objective("pair", target=target, source=source) for source, target in pairs)


def all_mappings(classes: int) -> tuple[Objective, ...]:
    """The 2K objectives of one batch: K targets, K - 1 shifts, untargeted. Raises `InputError` below two classes."""
    return all_targets(classes) + all_shifts(classes) + untargeted()


def _check(classes: int) -> None:
    if classes < 2:
        raise InputError(f"a backdoor needs at least two classes to choose from, got {classes}")
