"""How well a score tells backdoored models from clean ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from badnets.errors import InputError
from badnets.metrics.intervals import Rate

_DRAWS = 2_000
_LEVEL = 0.95


@dataclass(frozen=True)
class Separation:
    """Scores of clean and of backdoored models, larger for more suspicious ones.

    Attributes:
        clean: how many clean models.
        backdoored: how many backdoored ones.
        auc: the probability that a backdoored model has the larger score of a random pair, ties counted half.
        auc_low: lower end of its 95 % interval over models, or over groups where such are given, by bootstrap.
        auc_high: its upper end.
        hits: backdoored models with a score above the threshold at which at most 5 % of the clean ones lie.
        threshold: that score.
    """

    clean: int
    backdoored: int
    auc: float
    auc_low: float
    auc_high: float
    hits: Rate
    threshold: float

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - pydantic reads it, nothing writes it


def separation(
    clean: Sequence[float],
    backdoored: Sequence[float],
    *,
    groups: Sequence[str] = (),
    false_alarms: float = 0.05,
    seed: int = 0,
) -> Separation:
    """Compare the scores of clean models with those of backdoored ones.

    Args:
        clean: one score for each clean model.
        backdoored: one for each backdoored model.
        groups: of the backdoored ones, such as their trigger families: whole groups are drawn then, since models of one
            family are alike, and an interval over models would be too narrow. Empty draws models.
        false_alarms: the share of clean models that may lie above the threshold, rounded down to whole models.
        seed: of the bootstrap.

    Raises:
        InputError: no score on one side, one that is no number, or groups for others than the backdoored ones.
    """
    good, bad = np.asarray(clean, dtype=float), np.asarray(backdoored, dtype=float)
    if not len(good) or not len(bad) or np.isnan(good).any() or np.isnan(bad).any():
        raise InputError(f"scores of clean and of backdoored models are needed, got {len(good)} and {len(bad)}")
    if groups and len(groups) != len(bad):
        raise InputError(f"{len(groups)} groups for {len(bad)} backdoored models")
    allowed = int(false_alarms * len(good))
    threshold = float(np.sort(good)[::-1][allowed])
    low, high = _interval(good, bad, np.asarray(groups or range(len(bad))), np.random.default_rng(seed))
    hits = Rate.of(int((bad > threshold).sum()), len(bad))
    return Separation(len(good), len(bad), auc(good, bad), low, high, hits, threshold)


def auc(clean: np.ndarray, backdoored: np.ndarray) -> float:
    """Area under the ROC curve, as the share of pairs in the right order (Mann and Whitney 1947), ties counted half."""
    order = np.sort(clean)
    below = np.searchsorted(order, backdoored, "left") + np.searchsorted(order, backdoored, "right")
    return float(below.mean() / (2 * len(clean)))


def _interval(good: np.ndarray, bad: np.ndarray, groups: np.ndarray, draw: np.random.Generator) -> tuple[float, float]:
    """By bootstrap over clean models and over the groups of backdoored ones (percentiles)."""
    members = [bad[groups == name] for name in np.unique(groups)]
    found = [
        auc(
            draw.choice(good, len(good)),
            np.concatenate([members[place] for place in draw.integers(0, len(members), len(members))]),
        )
        for _ in range(_DRAWS)
    ]
    low, high = np.quantile(found, [(1 - _LEVEL) / 2, (1 + _LEVEL) / 2])
    return float(low), float(high)
