"""SCAn: is a class one group or two, given how every class spreads?

Tang et al., USENIX Security 2021, section 5.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from badnets.defenses.data.activations import Activations, Judged, Sifted, principal, sifted
from badnets.errors import InputError

_LEAST = 4
_ROUNDS = 30
_MAD = 1.4826
# Of few classes the median deviation may be next to nothing by chance: it is taken as this share of the median at
# least.
_LEAST_DEVIATION = 0.05
# The paper's: an index above e^2.
_ABNORMAL = math.e**2


@dataclass(frozen=True)
class ScanSpec:
    """How SCAn looks.

    Attributes:
        directions: principal components of all features that are kept, so that the common covariance of few clean
            images can be inverted.
        abnormal: a class is poisoned if its statistic lies above the median by more than so many deviations (1.4826
            MAD); the paper takes e^2 = 7.39.

    Raises:
        InputError: a value outside its range.
    """

    directions: int = 32
    abnormal: float = _ABNORMAL

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - pydantic reads it, nothing writes it

    def __post_init__(self) -> None:
        if self.directions < 1 or not self.abnormal > 0:
            raise InputError(f"directions are 1 or more and the abnormal index is above 0, got {self!r}")


@dataclass(frozen=True, eq=False)
class _Untangled:
    """A class as two groups: how far each sample leans to the second, and twice the gain in log-likelihood."""

    lean: Float[Tensor, " n"]
    gain: float


def scan(found: Activations, spec: ScanSpec = ScanSpec(), *, seed: int = 0) -> Sifted:
    """Throw away the smaller group of every class that is two groups rather than one, compared with other classes.

    All classes share the covariance of features about their class's mean, taken from the clean images. A class is
    judged by J*, the deviations by which the normalised likelihood ratio of two groups against one lies above the
    other classes' (their eq. 7 to 9); it is 0 for two classes or one. It compares classes, so it is blind where all of
    them are poisoned alike, all-to-all. The score of a sample is its log-likelihood in the smaller group minus that in
    the larger one.

    Cost: none beyond `activations` but a covariance and a few iterations for each class.

    Args:
        found: see `activations`.
        spec: see there.
        seed: not needed, nothing is drawn.

    Raises:
        InputError: no class has two clean images.
    """
    del seed
    directions = principal(torch.cat([found.suspect.values, found.clean.values]).double(), spec.directions)
    whitening = _whitening(found, directions)
    untangled = []
    for label in range(found.classes):
        values = found.of(label)[1] @ directions @ whitening
        untangled.append(_two_groups(values) if len(values) >= _LEAST and values.shape[1] else None)
    indices = _indices(untangled, [len(found.of(label)[0]) for label in range(found.classes)], directions.shape[1])
    judged = []
    for label, one in enumerate(untangled):
        samples = len(found.of(label)[0])
        if one is None:
            reason = f"fewer than {_LEAST} samples" if samples < _LEAST else "its samples do not differ"
            judged.append(Judged.nothing(samples, reason))
            continue
        second = one.lean > 0
        judged.append(Judged(one.lean, second & (indices[label] > spec.abnormal), indices[label]))
    return sifted("scan", found, judged)


def _whitening(found: Activations, directions: Float[Tensor, "f d"]) -> Float[Tensor, "d d"]:
    """The inverse square root of the clean images' covariance about the means of their classes, slightly shrunk."""
    parts = [found.of(label)[2] @ directions for label in range(found.classes)]
    centred = [part - part.mean(0) for part in parts if len(part) >= 2]
    if not centred:
        raise InputError("scan: the spread within a class is told by at least two clean images of one class, got none")
    together = torch.cat(centred)
    covariance = together.T @ together / max(1, len(together) - len(centred))
    if not len(covariance):
        return covariance
    shrunk = 0.99 * covariance + 0.01 * covariance.trace() / len(covariance) * torch.eye(len(covariance)).double()
    values, vectors = torch.linalg.eigh(shrunk)
    whitening: Tensor = vectors / values.clamp_min(torch.finfo(values.dtype).tiny ** 0.5).sqrt()
    return whitening


def _two_groups(values: Float[Tensor, "n d"]) -> _Untangled:
    """Split whitened rows by linear discriminants until nobody moves; the second group is the smaller.

    In whitened features the discriminant of two groups is the difference of their means.
    """
    first = ((values - values.mean(0)) @ principal(values, 1)).sum(1)
    second = first > 0
    for _ in range(_ROUNDS):
        if not 0 < int(second.sum()) < len(values):
            break
        lean = _lean(values, second)
        moved = lean > 0
        if bool((moved == second).all()):
            break
        second = moved
    count = int(second.sum())
    if not 0 < count < len(values):
        return _Untangled(torch.full_like(first, -1.0), 0.0)
    if 2 * count > len(values):
        second = ~second
    means = values[~second].mean(0), values[second].mean(0)
    total = (values - values.mean(0)).square().sum()
    within = (values[~second] - means[0]).square().sum() + (values[second] - means[1]).square().sum()
    return _Untangled(_lean(values, second), float(total - within))


def _lean(values: Tensor, second: Tensor) -> Float[Tensor, " n"]:
    """Log-likelihood in the second group minus that in the first, both with the identity as covariance."""
    means = values[~second].mean(0), values[second].mean(0)
    return ((values - means[0]).square().sum(1) - (values - means[1]).square().sum(1)) / 2


def _indices(untangled: list[_Untangled | None], samples: list[int], dimensions: int) -> list[float]:
    """J* of each class: its gain over the samples, by median and MAD over classes; 0 for fewer than three classes.

    The gain of splitting one normal cloud grows with its samples, so that it is taken for each of them.
    """
    gains = torch.tensor(
        [one.gain / (n * max(1, dimensions)) if one else math.nan for one, n in zip(untangled, samples, strict=True)],
        dtype=torch.float64,
    )
    known = gains[~gains.isnan()]
    if len(known) < 3:
        return [0.0] * len(gains)
    middle = known.median()
    deviation = _MAD * max(float((known - middle).abs().median()), _LEAST_DEVIATION * float(middle))
    if deviation == 0:
        return [math.inf if gain > middle else 0.0 for gain in gains.tolist()]
    return [0.0 if gain.isnan() else float(gain - middle) / deviation for gain in gains]
