"""One line of a table: an error of a model beside the paper's, with a verdict by a stated rule."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from scipy.stats import fisher_exact

from badnets.errors import DataError
from badnets.metrics import MeanRate, Rate, mean_rate
from badnets.studies.cells import CellResult

Verdict = Literal["reproduced", "above the paper", "effect shown", "effect not shown", "measured"]

# Elsewhere than on MNIST the paper's numbers are no target, but its claim is: the attack works, and the user's
# own test does not show it. In shares: how much a backdoor error may be, and how much clean error may be lost.
_WORKS, _UNNOTICED = 0.10, 0.02
_LEVEL = 0.05

RULE_ON_MNIST = (
    "Reproduced: the measured error is at most the paper's, or cannot be told from it (the paper's figure is a count "
    "of images too; Fisher's exact test between the two counts gives p >= 0.05)."
)
RULE_ELSEWHERE = (
    "The paper's figures are for MNIST; here its claim is judged. A BadNet's clean error shows the effect (the user "
    "does not notice) when its interval ends at most two percentage points above the baseline's error; a backdoor "
    "error (the attack works) when its interval lies under 10 %."
)


@dataclass(frozen=True)
class Row:
    """One number of one model, or of many.

    Attributes:
        model: in words.
        what: "clean error", "backdoor error", ...; it names the unit where that is not percent.
        paper: the paper's figure on MNIST in percent, None where it gives none.
        measured: the mean over seeds, in percent.
        seeds: each seed's value, in percent.
        interval: Clopper-Pearson, at the mean count on one test set, in percent; None where no such interval is
            honest.
        images: size of that test set.
        verdict: by the rules of `like_the_paper` on MNIST and of `claim_holds` elsewhere.
    """

    model: str
    what: str
    paper: float | None
    measured: float
    seeds: tuple[float, ...]
    interval: tuple[float, float] | None
    images: int
    verdict: Verdict


@dataclass(frozen=True)
class Judge:
    """Who gives verdicts in a study.

    Attributes:
        on_mnist: whether the test set is the paper's.
        baseline: the honest models' clean error.
    """

    on_mnist: bool
    baseline: MeanRate

    @property
    def rule(self) -> str:
        """What is said beside the verdicts."""
        return RULE_ON_MNIST if self.on_mnist else RULE_ELSEWHERE

    def verdict(self, mean: MeanRate, what: str, reference: float | None) -> Verdict:
        """On MNIST beside the paper's figure, elsewhere by its claim about clean and backdoor errors."""
        if self.on_mnist:
            return like_the_paper(mean, reference)
        return claim_holds(mean, what, self.baseline)


def error_of(cell: CellResult, what: str) -> Rate:
    """Its "clean error" or "backdoor error".

    Raises:
        DataError: no attack was measured.
    """
    if what == "clean error":
        return cell.result.clean_error
    backdoor = cell.result.backdoor_error
    if backdoor is None:
        raise DataError(f"this result's model {cell.name} has no measured attack: run the study again")
    return backdoor


def percent_row(
    words: tuple[str, str], reference: float | None, mean: MeanRate, seeds: Sequence[float], verdict: Verdict
) -> Row:
    """A row in percent from shares.

    Args:
        words: model, and what was measured of it.
        reference: the paper's figure, in percent.
        mean: over seeds.
        seeds: each seed's share.
        verdict: on it.
    """
    interval = (100 * mean.low, 100 * mean.high)
    values = tuple(100 * value for value in seeds)
    return Row(*words, reference, 100 * mean.value, values, interval, mean.total, verdict)


def baseline_row(rates: Sequence[Rate], reference: float, *, on_mnist: bool) -> Row:
    """The honest models' clean error, which is judged on MNIST only."""
    mean = mean_rate(rates)
    verdict = like_the_paper(mean, reference) if on_mnist else "measured"
    return percent_row(("baseline", "clean error"), reference, mean, [rate.value for rate in rates], verdict)


def like_the_paper(mean: MeanRate, reference: float | None) -> Verdict:
    """The verdict on MNIST.

    "reproduced" when the measured error is at most the paper's, or cannot be told from it: the paper's figure is a
    count of images too, and Fisher's exact test between the two counts gives p >= 0.05.

    Args:
        mean: measured, over as many images as the paper's figure.
        reference: the paper's, in percent; None where it gives none.
    """
    if reference is None:
        return "measured"
    ours, theirs = round(mean.value * mean.total), round(reference / 100 * mean.total)
    if ours <= theirs:
        return "reproduced"
    p_value = fisher_exact([[ours, mean.total - ours], [theirs, mean.total - theirs]]).pvalue
    return "reproduced" if p_value >= _LEVEL else "above the paper"


def claim_holds(mean: MeanRate, what: str, baseline: MeanRate) -> Verdict:
    """The verdict on other data.

    A backdoor error shows the effect when its interval lies under 10 %, a clean error when its interval ends at most
    two percentage points above the honest baseline's error.
    """
    if what == "backdoor error":
        return "effect shown" if mean.high <= _WORKS else "effect not shown"
    return "effect shown" if mean.high <= baseline.value + _UNNOTICED else "effect not shown"
