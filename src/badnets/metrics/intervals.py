"""A rate that never travels without its count and its interval."""

from __future__ import annotations

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
        return cls(count, total, *clopper_pearson(count, total))

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


def clopper_pearson(count: int, total: int) -> tuple[float, float]:
    """Exact two-sided 95 % interval of a binomial share: quantiles of the beta distribution."""
    from scipy.special import betaincinv  # noqa: PLC0415 - slow to import

    tail = (1 - LEVEL) / 2
    low = float(betaincinv(count, total - count + 1, tail)) if count else 0.0
    high = float(betaincinv(count + 1, total - count, 1 - tail)) if count < total else 1.0
    return low, high
