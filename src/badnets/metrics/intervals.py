"""A rate that never travels without its count and its interval."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from badnets.errors import InputError

LEVEL = 0.95


@dataclass(frozen=True)
class Rate:
    """`count` of `total`, as a share with its exact 95 % interval.

    Attributes:
        count: how many did.
        total: how many could have; 0 gives an undefined rate with the interval [0, 1].
        low: lower bound of the Clopper-Pearson interval.
        high: its upper bound.
    """

    count: int
    total: int
    low: float
    high: float

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - pydantic reads it, nothing writes it

    @classmethod
    def of(cls, count: int, total: int) -> Rate:
        """The rate with its interval (Clopper and Pearson, Biometrika 26, 1934).

        Raises:
            InputError: not 0 <= count <= total.
        """
        if not 0 <= count <= total:
            raise InputError(f"a rate counts 0..total, got {count} of {total}")
        return cls(count, total, *clopper_pearson(float(count), total))

    @property
    def value(self) -> float:
        """Count / total; NaN when total is 0."""
        return self.count / self.total if self.total else float("nan")

    def complement(self) -> Rate:
        """The rate of the others."""
        return Rate(self.total - self.count, self.total, 1 - self.high, 1 - self.low)

    def __str__(self) -> str:
        if not self.total:
            return "undefined (0 of 0)"
        return f"{self.value:.2%} [{self.low:.2%}, {self.high:.2%}] ({self.count:,} of {self.total:,})"


@dataclass(frozen=True)
class MeanRate:
    """A rate averaged over models that were tested on the same images.

    Attributes:
        value: the mean share.
        total: images of the one test set.
        low: lower bound of the Clopper-Pearson interval of one test set at the mean count.
        high: its upper bound.
    """

    value: float
    total: int
    low: float
    high: float


def mean_rate(rates: Sequence[Rate]) -> MeanRate:
    """The mean of `rates` over one test set.

    Models share its images, so pooling their counts would make the interval too narrow: it is that of a single
    test set, and says how sure the test set makes us, not how much the models differ.

    Raises:
        InputError: no rates, or of different totals.
    """
    totals = {rate.total for rate in rates}
    if len(totals) != 1:
        raise InputError(f"a mean is taken over rates of one test set, got totals {sorted(totals)}")
    total = totals.pop()
    count = sum(rate.count for rate in rates) / len(rates)
    return MeanRate(count / total if total else float("nan"), total, *clopper_pearson(count, total))


def clopper_pearson(count: float, total: int) -> tuple[float, float]:
    """Exact two-sided 95 % interval of a binomial share: quantiles of the beta distribution.

    A mean count need not be whole; the quantiles go through the whole ones.
    """
    from scipy.special import betaincinv  # noqa: PLC0415 - slow to import

    tail = (1 - LEVEL) / 2
    low = float(betaincinv(count, total - count + 1, tail)) if count > 0 else 0.0
    high = float(betaincinv(count + 1, total - count, 1 - tail)) if count < total else 1.0
    return low, high
