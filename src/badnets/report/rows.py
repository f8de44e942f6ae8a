"""The table of paper beside measured: one row for each error, with a verdict by a stated rule."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from scipy.stats import fisher_exact

from badnets.metrics import MeanRate, Rate, mean_rate
from badnets.studies import paper
from badnets.studies.cells import BASELINE, CellResult
from badnets.studies.digits import PATTERN, PIXEL, DigitsResult, pair_name

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
    """One error of one model.

    Attributes:
        model: in words.
        what: "clean error" or "backdoor error".
        paper: the paper's figure on MNIST in percent, None where it gives none.
        measured: the mean over seeds, in percent.
        seeds: each seed's value, in percent.
        interval: Clopper-Pearson, at the mean count on one test set, in percent.
        images: size of that test set.
        verdict: by the rules of `like_the_paper` on MNIST and of `claim_holds` elsewhere.
    """

    model: str
    what: str
    paper: float | None
    measured: float
    seeds: tuple[float, ...]
    interval: tuple[float, float]
    images: int
    verdict: Verdict


def title(result: DigitsResult) -> str:
    """What the table is called."""
    return f"BadNets on {result.test_data[0]}: error in %, mean over {len(result.spec.seeds)} seed(s)"


def table(result: DigitsResult) -> list[Row]:
    """Every row of the study, clean and backdoor errors."""
    found = [_row(result, BASELINE, "baseline", "clean error", paper.BASELINE_CLEAN)]
    models: list[tuple[str, str, float | None, float | None]] = [
        (PATTERN, "all-to-all, pattern", paper.ALL_TO_ALL_CLEAN, paper.ALL_TO_ALL_BACKDOOR),
        (PIXEL, "all-to-all, pixel", None, None),
    ]
    for source, target in result.spec.pairs:
        digits = max(source, target) < 10
        clean = paper.single_target_clean(source, target) if digits else None
        backdoor = paper.single_target_backdoor(source, target) if digits else None
        words = f"{source} → {target}, pixel"
        models.append((pair_name(source, target), words, clean, backdoor))
        # The paper has no cover samples: nothing to hold these against.
        models.append((pair_name(source, target, cover=True), f"{words}, covered", None, None))
    for name, words, clean, backdoor in models:
        if result.of(name):
            found.append(_row(result, name, words, "clean error", clean))
            found.append(_row(result, name, words, "backdoor error", backdoor))
    return found


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


def _row(result: DigitsResult, name: str, words: str, what: str, reference: float | None) -> Row:
    rates = [_error(cell, what) for cell in result.of(name)]
    mean = mean_rate(rates)
    if result.on_mnist:
        verdict = like_the_paper(mean, reference)
    elif name == BASELINE:
        verdict = "measured"
    else:
        verdict = claim_holds(mean, what, mean_rate([cell.result.clean_error for cell in result.of(BASELINE)]))
    seeds = tuple(100 * rate.value for rate in rates)
    return Row(words, what, reference, 100 * mean.value, seeds, (100 * mean.low, 100 * mean.high), mean.total, verdict)


def _error(cell: CellResult, what: str) -> Rate:
    if what == "clean error":
        return cell.result.clean_error
    backdoor = cell.result.backdoor_error
    if backdoor is None:
        raise ValueError(f"{cell.name} has no attack to measure")
    return backdoor
