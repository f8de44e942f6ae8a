"""Activation clustering: a poisoned class falls into two groups (Chen et al., SafeAI 2019, arXiv 1811.03728)."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from badnets.defenses.data.activations import Activations, Judged, Sifted, principal, sifted
from badnets.errors import InputError
from badnets.seeds import derive

_LEAST = 10
# A silhouette compares every pair: of larger classes so many samples speak for all.
_SILHOUETTE_SAMPLES = 1000


@dataclass(frozen=True)
class ClusteringSpec:
    """How activation clustering looks.

    Attributes:
        directions: principal components that are kept; the paper's code takes 10.
        largest: a class is poisoned only if its smaller group is at most this share of it, in (0, 0.5]. The paper's
            relative size comparison; 0.5 asks nothing, and catches classes in which as many are poisoned as not.
        silhouette: and only if the groups' silhouette (Rousseeuw, 1987) is at least this, in [-1, 1], and larger than
            that of every class of the clean images, split likewise: the paper's silhouette comparison.

    Raises:
        InputError: a value outside its range.
    """

    directions: int = 10
    largest: float = 0.5
    silhouette: float = 0.15

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - pydantic reads it, nothing writes it

    def __post_init__(self) -> None:
        if self.directions < 1 or not 0 < self.largest <= 0.5 or not -1 <= self.silhouette <= 1:
            raise InputError(
                f"directions are 1 or more, the smaller group is at most 0.5, silhouettes lie in [-1, 1], got {self!r}"
            )


def activation_clustering(found: Activations, spec: ClusteringSpec = ClusteringSpec(), *, seed: int = 0) -> Sifted:
    """Throw away the smaller group of every class that falls into two.

    The score of a sample is its distance from the larger group's middle minus that from the smaller one's. A class is
    judged by its silhouette. On a set without poison it throws away the smaller half of any class that has two manners
    more distinct than every class of the clean images.

    Cost: none beyond `activations` but a singular value decomposition and 2-means for each class.

    Args:
        found: see `activations`.
        spec: see there.
        seed: of the starts of k-means.
    """
    usual = [_groups(part[2], spec, seed)[1] for part in map(found.of, range(found.classes)) if len(part[2]) >= _LEAST]
    least = max([spec.silhouette, *usual])
    judged = []
    for label in range(found.classes):
        values = found.of(label)[1]
        if len(values) < _LEAST:
            judged.append(Judged.nothing(len(values), f"fewer than {_LEAST} samples"))
            continue
        smaller, silhouette, scores = _groups(values, spec, seed)
        poisoned = silhouette > least and float(smaller.double().mean()) <= spec.largest
        judged.append(Judged(scores, smaller & poisoned, silhouette))
    return sifted("activation-clustering", found, judged)


def _groups(
    values: Float[Tensor, "n f"], spec: ClusteringSpec, seed: int
) -> tuple[Bool[Tensor, " n"], float, Float[Tensor, " n"]]:
    """Who is in the smaller group, the silhouette of both, and the scores; -1 where nothing can be split."""
    from sklearn.cluster import KMeans  # noqa: PLC0415 - slow to import
    from sklearn.metrics import silhouette_score  # noqa: PLC0415

    points = (values - values.mean(0)) @ principal(values, spec.directions)
    nobody = torch.zeros(len(values), dtype=torch.bool)
    if not points.shape[1]:
        return nobody, -1.0, nobody.double()
    state = derive(seed, "clustering") % 2**32
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # fewer different points than groups is an answer here
        means = KMeans(2, n_init=10, random_state=state).fit(points.numpy())
    groups = torch.from_numpy(np.asarray(means.labels_)).long()
    small = int(groups.bincount(minlength=2).argmin())
    smaller = groups == small
    if not bool(smaller.any()):
        return nobody, -1.0, nobody.double()
    sample = min(len(points), _SILHOUETTE_SAMPLES)
    picked = np.random.default_rng(state).choice(len(points), sample, replace=False)
    if len(set(groups[picked].tolist())) < 2:  # a group so small that none of it was drawn
        picked = np.union1d(picked, torch.nonzero(smaller)[:, 0].numpy())
    silhouette = float(silhouette_score(points[picked].numpy(), groups[picked].numpy()))
    far = torch.cdist(points, torch.from_numpy(means.cluster_centers_).to(points.dtype))
    return smaller, silhouette, far[:, 1 - small] - far[:, small]
