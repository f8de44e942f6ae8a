"""One p-value from many statistics: conformal among clean reference models, or within the model alone.

The guarantee (Vovk, Gammerman and Shafer, *Algorithmic Learning in a Random World*, 2005, section 2.2): if the suspect
is clean and exchangeable with the m reference models - trained as they were on the same kind of data, and treated by
the same tests with the same settings - then P(p <= a) <= a for every a, whatever the distribution of the statistics and
however they depend on each other. With p = (1 + #{reference scores >= suspect's}) / (m + 1), the least is 1 / (m + 1).

It holds exactly because every model's score is computed in the same way from the bag of all m + 1 models: each is
compared with the *other* m (leave one out), the suspect being among the others of a reference model.

Scores have two floors. A statistic is standardised against that of the other models; the largest in a family (all
targets, all pairs, ...) is the family's score. Families' scores are standardised once more, since the largest of ninety
is larger than the largest of ten, and the largest of them is the model's score. Each pair of classes so has its own
calibration: a pair that is close in every network is no evidence.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from badnets.errors import InputError

# By family, then by name: finite, and larger where it is more suspicious. Sizes and margins are given as logarithms.
Statistics = Mapping[str, Mapping[str, float]]

# Deviations below these are taken as these: what is all but equal in all models decides nothing by a hair. Most clean
# networks have no trigger at all for a shift of labels, so its size is the same in all of them; by a floor of next to
# nothing, one that has a huge one lies farther off than any backdoor.
# Of sizes, as logarithms: two searches for a trigger differ by about a tenth.
_LEAST = 0.1
# Of the largest deviation in a family: that of ninety Gaussian ones varies by 0.43, of fewer ones by more.
_LEAST_OF_LARGEST = 0.4
# Within one model, where nothing is guaranteed.
_LEAST_WITHIN = 0.02
# How much of the sample the median absolute deviation is worth, on Gaussian data.
_EFFICIENCY = 0.37


@dataclass(frozen=True)
class Score:
    """How far one model lies off the others.

    Attributes:
        value: the largest of its families' scores.
        families: the score of each family.
        statistics: each statistic's deviations from the others, by family and name.
    """

    value: float
    families: dict[str, float]
    statistics: dict[str, dict[str, float]]

    @property
    def family(self) -> str:
        """The family with the largest score."""
        return max(self.families, key=lambda name: self.families[name])


def conformity(models: Sequence[Statistics]) -> tuple[Score, ...]:
    """The score of each model against all others; they change places as their models do.

    Args:
        models: with the same families and names; at least three.

    Raises:
        InputError: fewer models, different names, or a value that is not finite.
    """
    if len(models) < 3:
        raise InputError(f"models are compared with at least two others, got {len(models)} models in all")
    layout = _layout(models[0])
    if any(_layout(model) != layout for model in models):
        raise InputError("the models' statistics have different names: they were not treated by the same tests")
    deviations = {name: _standardised(_matrix(models, name, columns), _LEAST) for name, columns in layout.items()}
    tops = np.stack([found.max(1) for found in deviations.values()], 1)
    families = _standardised(tops, _LEAST_OF_LARGEST)
    return tuple(
        Score(
            value=float(families[row].max()),
            families={name: float(families[row, place]) for place, name in enumerate(layout)},
            statistics={
                name: dict(zip(columns, deviations[name][row].tolist(), strict=True))
                for name, columns in layout.items()
            },
        )
        for row in range(len(models))
    )


def p_value(references: Sequence[float], score: float, weights: Sequence[float] | None = None) -> float:
    """The share of models, the suspect included, that are at least as far off as the suspect.

    Args:
        references: scores of the m reference models, from one call of `conformity` with the suspect's.
        score: of the suspect.
        weights: likelihood ratios of m references and the suspect (last), where they are exchangeable only after
            weighting (Tibshirani et al., *Conformal Prediction Under Covariate Shift*, 2019, section 2.2); None for
            plain ranks.

    Raises:
        InputError: no references, or weights of another number or not positive in sum.
    """
    if not references:
        raise InputError("a p-value needs reference models")
    share = np.ones(len(references) + 1) if weights is None else np.asarray(weights, float)
    if len(share) != len(references) + 1 or (share < 0).any() or not share[-1] > 0:
        raise InputError(f"weights are {len(references) + 1} numbers from 0, the suspect's above it")
    above = np.append(np.asarray(references, float) >= score, True)
    return float(share[above].sum() / share.sum())


def extrapolated(references: Sequence[float], score: float) -> float | None:
    """A p-value below 1 / (m + 1), from an exponential tail fitted to the upper half of the references.

    No guarantee goes with it: it says what the rank would be among more models if their tail went on as it begins
    (Pickands 1975 with shape 0, which is heavier than a normal tail).

    Returns:
        None with fewer than ten references, or for a score inside them.
    """
    if len(references) < 10 or score <= max(references):
        return None
    ordered = np.sort(np.asarray(references, float))
    middle = float(np.median(ordered))
    excess = float((ordered[ordered > middle] - middle).mean())
    found = 0.5 * math.exp(-(score - middle) / max(excess, 1e-12))
    return min(max(found, 1e-300), 1 / (len(references) + 1))


def within_model(statistics: Statistics) -> tuple[float, str, str] | None:
    """The p-value of a model's most deviating statistic among its own others: uncalibrated.

    The index is (x - median) / (1.4826 median absolute deviation), as in Neural Cleanse (Wang et al., S&P 2019). Its
    tail is Student's with 0.37 (K - 1) degrees of freedom, since the deviation of K values is worth so many, times the
    number of statistics looked at (Bonferroni). Classes of one network are not exchangeable, so that nothing is
    guaranteed.

    Returns:
        p, family and name; None where no family has five statistics.
    """
    from scipy.stats import t as student  # noqa: PLC0415 - slow to import

    large = {family: values for family, values in statistics.items() if len(values) >= 5}
    looked = sum(map(len, large.values()))
    found: tuple[float, str, str] | None = None
    for family, values in large.items():
        index = within_index(values)
        name = max(index, key=lambda one: index[one])
        freedom = max(1.0, _EFFICIENCY * (len(values) - 1))
        p = min(1.0, looked * float(student.sf(index[name], freedom)))
        if found is None or p < found[0]:
            found = p, family, name
    return found


def within_index(values: Mapping[str, float]) -> dict[str, float]:
    """For each value its distance from the median in (Gaussian-scaled) median absolute deviations."""
    array = np.asarray(list(values.values()), float)
    middle = np.median(array)
    spread = max(1.4826 * float(np.median(np.abs(array - middle))), _LEAST_WITHIN)
    return {name: float((value - middle) / spread) for name, value in values.items()}


def least_p(models: int) -> float:
    """The least p-value that `models` references can give."""
    return 1 / (models + 1)


def _layout(model: Statistics) -> dict[str, tuple[str, ...]]:
    return {family: tuple(sorted(model[family])) for family in sorted(model) if model[family]}


def _matrix(models: Sequence[Statistics], family: str, columns: tuple[str, ...]) -> Float[np.ndarray, "m k"]:
    matrix = np.array([[model[family][name] for name in columns] for model in models], float)
    if not np.isfinite(matrix).all():
        raise InputError(f"a statistic of {family} is not finite")
    return matrix


def _standardised(values: Float[np.ndarray, "m k"], least: float) -> Float[np.ndarray, "m k"]:
    """Each row's distance from the mean of the other rows, in their standard deviations, which are `least` or more."""
    n = len(values)
    centred = values - values.mean(0)
    # Leave one out: mean and sum of squares of the others follow from those of all.
    mean = -centred / (n - 1)
    squares = (centred**2).sum(0) - centred**2 - (n - 1) * mean**2
    deviation = np.sqrt(np.maximum(squares, 0) / max(n - 2, 1))
    found: np.ndarray = (centred - mean) / np.maximum(deviation, least)
    return found
