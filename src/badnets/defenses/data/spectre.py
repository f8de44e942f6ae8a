"""SPECTRE-like: whiten a class by what most of it is like, then look for a direction that is too wide.

After Hayase et al., SPECTRE (ICML 2021, arXiv 2104.11315). Three things are done otherwise: mean and covariance are
the minimum covariance determinant's (Rousseeuw, 1984; scikit-learn's), the number of directions is fixed, and a sample
is thrown away only if its score is above that of the clean images of its class, so that a class without poison keeps
nearly all of its samples.
"""

from __future__ import annotations

import math
import warnings
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
from badnets.errors import InputError
from badnets.seeds import derive, generator

# The paper's alpha: 0 gives the squared norm, infinity the squared projection on the widest direction.
_ALPHA = 4.0
# Samples of a class that mean and covariance are estimated from.
_ESTIMATED = 500
_SMALLEST = 1e-6


@dataclass(frozen=True)
class SpectreSpec:
    """How SPECTRE-like whitening looks.

    Attributes:
        expected: as in `SpectralSpec`; from a class at most 1.5 times as much is thrown away.
        directions: principal components that are kept.
        false_rejections: the share of a class's clean images that may lie above its threshold, in (0, 1); where there
            are too few clean images to tell, none.

    Raises:
        InputError: a value outside its range.
    """

    expected: float = 0.1
    directions: int = 16
    false_rejections: float = 0.02

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - pydantic reads it, nothing writes it

    def __post_init__(self) -> None:
        check_share(self.expected)
        if self.directions < 1 or not 0 < self.false_rejections < 1:
            raise InputError(f"directions are 1 or more, a false rejection rate lies in (0, 1), got {self!r}")


def spectre(found: Activations, spec: SpectreSpec = SpectreSpec(), *, seed: int = 0) -> Sifted:
    """Throw away the samples with the largest quantum-entropy score (SPECTRE's eq. 1) after robust whitening.

    A class is judged by the largest eigenvalue of its whitened covariance: about 1 for one normal cloud.

    Cost: none beyond `activations` but a robust covariance of up to 500 samples for each class.

    Args:
        found: see `activations`.
        spec: see there.
        seed: of the samples and starts of the robust estimate.
    """
    judged = []
    for label in range(found.classes):
        _, values, clean = found.of(label)
        least = max(20, 2 * spec.directions + 2)
        if len(values) < least:
            judged.append(Judged.nothing(len(values), f"fewer than {least} samples"))
            continue
        judged.append(_judge(values, clean, spec, seed))
    return sifted("spectre", found, judged)


def _judge(values: Tensor, clean: Tensor, spec: SpectreSpec, seed: int) -> Judged:
    directions = principal(values, spec.directions)
    if not directions.shape[1]:
        return Judged.nothing(len(values), "its samples do not differ")
    middle = values.mean(0)
    points, known = (values - middle) @ directions, (clean - middle) @ directions
    location, whitening = _robust(points, seed)
    points, known = (points - location) @ whitening, (known - location) @ whitening
    covariance = points.T @ points / len(points)
    weights = entropy_weights(covariance)
    scores, usual = (((part @ weights) * part).sum(1) for part in (points, known))
    removed = torch.zeros(len(values), dtype=torch.bool)
    removed[scores.argsort(descending=True, stable=True)[: expected_removals(len(values), spec.expected)]] = True
    removed &= scores > _threshold(usual, spec.false_rejections)
    return Judged(scores, removed, float(torch.linalg.eigvalsh(covariance)[-1]))


def entropy_weights(covariance: Float[Tensor, "d d"]) -> Float[Tensor, "d d"]:
    """Q / tr Q with Q = exp(alpha (S - I) / (|S| - 1)): too wide directions weigh most."""
    excess = max(float(torch.linalg.eigvalsh(covariance)[-1]) - 1, _SMALLEST)
    identity = torch.eye(len(covariance), dtype=covariance.dtype)
    q: Tensor = torch.linalg.matrix_exp(_ALPHA * (covariance - identity) / excess)
    return q / q.trace()


def _threshold(usual: Tensor, false_rejections: float) -> float:
    """As in split conformal prediction; the largest of all where there are too few, infinite where there is none."""
    if not len(usual):
        return math.inf
    place = min(len(usual), math.ceil((len(usual) + 1) * (1 - false_rejections) - 1e-9))
    return float(usual.sort().values[place - 1])


def _robust(points: Float[Tensor, "n d"], seed: int) -> tuple[Float[Tensor, " d"], Float[Tensor, "d d"]]:
    """Mean, and the inverse square root of the covariance, of what most of the points are like."""
    from sklearn.covariance import MinCovDet  # noqa: PLC0415 - slow to import

    drawn = torch.randperm(len(points), generator=generator(seed, "spectre"))[:_ESTIMATED]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a subset that does not vary in all directions: held up below
        estimate = MinCovDet(random_state=derive(seed, "spectre") % 2**32).fit(points[drawn].numpy())
    values, vectors = torch.linalg.eigh(torch.from_numpy(estimate.covariance_).to(points.dtype))
    least = max(float(values[-1]) * _SMALLEST, torch.finfo(points.dtype).tiny)
    return torch.from_numpy(estimate.location_).to(points.dtype), vectors / values.clamp_min(least).sqrt()
