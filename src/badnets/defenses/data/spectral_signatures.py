"""Spectral signatures: poison stands out along the first singular vector of its class (Tran et al., NeurIPS 2018)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from badnets.defenses.data.activations import (
    Activations,
    Judged,
    Sifted,
    check_share,
    expected_removals,
    principal,
    sifted,
)

_LEAST = 2


@dataclass(frozen=True)
class SpectralSpec:
    """How spectral signatures look.

    Attributes:
        expected: the largest share of poison in a class that is reckoned with, in (0, 2/3); 1.5 times as much is
            thrown away from every class, poisoned or not.

    Raises:
        InputError: a share outside its range.
    """

    expected: float = 0.1

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - pydantic reads it, nothing writes it

    def __post_init__(self) -> None:
        check_share(self.expected)


def spectral_signatures(found: Activations, spec: SpectralSpec = SpectralSpec(), *, seed: int = 0) -> Sifted:
    """Throw away the samples of every class that lie farthest along its first singular vector (their algorithm 1).

    The score is the squared projection of the centred features. A class is judged by the share of all variance that
    this direction has. As published: 1.5 `expected` of every class goes, so that this much of a set without poison is
    lost.

    Cost: none beyond `activations` but a singular value decomposition for each class.

    Args:
        found: see `activations`; its clean part is not needed.
        spec: see there.
        seed: not needed, nothing is drawn.
    """
    del seed
    judged = []
    for label in range(found.classes):
        values = found.of(label)[1]
        if len(values) < _LEAST:
            judged.append(Judged.nothing(len(values), f"fewer than {_LEAST} samples"))
            continue
        scores = signature(values)
        removed = torch.zeros(len(values), dtype=torch.bool)
        removed[scores.argsort(descending=True, stable=True)[: expected_removals(len(values), spec.expected)]] = True
        total = float((values - values.mean(0)).square().sum())
        judged.append(Judged(scores, removed, float(scores.sum()) / total if total else 0.0))
    return sifted("spectral-signatures", found, judged)


def signature(values: Float[Tensor, "n f"]) -> Float[Tensor, " n"]:
    """The squared projection of each centred row on the first right singular vector; 0 where rows do not differ."""
    return ((values - values.mean(0)) @ principal(values, 1)).square().sum(1)
