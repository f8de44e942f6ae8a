"""The table of paper beside measured: one row for each error, with a verdict by a stated rule."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from badnets.metrics import Rate
from badnets.studies import paper
from badnets.studies.digits import BASELINE, PATTERN, PIXEL, CellResult, DigitsResult, pair_name

Verdict = Literal["reproduced", "above the paper", "effect shown", "effect not shown", "measured"]

# Elsewhere than on MNIST the paper's numbers are no target, but its claim is: the attack works, and the user's
# own test does not show it.
_WORKS = 0.9


@dataclass(frozen=True)
class Row:
    """One error of one model.

    Attributes:
        model: in words.
        what: "clean error" or "backdoor error".
        paper: the paper's figure on MNIST in percent, None where it gives none.
        measured: the mean over seeds, in percent.
        seeds: each seed's value, in percent.
        interval: Clopper-Pearson, at the mean count on one test set, as shares.
        images: size of that test set.
        verdict: by the rules of `judge`.
    """

    model: str
    what: str
    paper: float | None
    measured: float
    seeds: tuple[float, ...]
    interval: tuple[float, float]
    images: int
    verdict: Verdict


def table(result: DigitsResult) -> list[Row]:
    """Every row of the study, clean and backdoor errors."""
    on_mnist = result.test_data[0] == "mnist/test"
    found = [_row(result, BASELINE, "baseline", "clean error", paper.BASELINE_CLEAN, on_mnist=on_mnist)]
    models: list[tuple[str, str, float | None, float | None]] = [
        (PATTERN, "all-to-all, pattern", paper.ALL_TO_ALL_CLEAN, paper.ALL_TO_ALL_BACKDOOR),
        (PIXEL, "all-to-all, pixel", None, None),
    ]
    for source, target in result.spec.pairs:
        digits = max(source, target) < 10
        clean = paper.single_target_clean(source, target) if digits else None
        backdoor = paper.single_target_backdoor(source, target) if digits else None
        models.append((pair_name(source, target), f"{source} → {target}, pixel", clean, backdoor))
        if result.of(pair_name(source, target, cover=True)):
            models.append(
                (
                    pair_name(source, target, cover=True),
                    f"{source} → {target}, pixel, covered",
                    clean,
                    backdoor,
                )
            )
    for name, words, clean, backdoor in models:
        found.append(_row(result, name, words, "clean error", clean, on_mnist=on_mnist))
        found.append(_row(result, name, words, "backdoor error", backdoor, on_mnist=on_mnist))
    return found


def judge(rate: Rate, reference: float | None, baseline: Rate, what: str, *, on_mnist: bool) -> Verdict:
    """The verdict on a mean error.

    On MNIST, with a figure of the paper: "reproduced" when the measured error is at most the paper's or its
    interval holds the paper's. Elsewhere the paper's claim is judged: a clean error shows the effect when
    its interval reaches down to the baseline's error, a backdoor error when its interval lies under 10 %.

    Args:
        rate: measured, at the mean count over seeds.
        reference: the paper's, in percent.
        baseline: the honest model's clean error, at its mean count.
        what: "clean error" or "backdoor error".
        on_mnist: whether the paper's figures are for this data.
    """
    if on_mnist:
        if reference is None:
            return "measured"
        return "reproduced" if rate.low * 100 <= reference else "above the paper"
    if what == "backdoor error":
        return "effect shown" if rate.high <= 1 - _WORKS else "effect not shown"
    return "effect shown" if rate.low <= baseline.value else "effect not shown"


def mean_rate(rates: list[Rate]) -> Rate:
    """One test set's worth of rate at the mean count: seeds share their images, so pooling would flatter."""
    return Rate.of(round(sum(rate.count for rate in rates) / len(rates)), rates[0].total)


def _row(result: DigitsResult, name: str, words: str, what: str, reference: float | None, *, on_mnist: bool) -> Row:
    rates = [_error(cell, what) for cell in result.of(name)]
    baseline = mean_rate([_error(cell, "clean error") for cell in result.of(BASELINE)])
    rate = mean_rate(rates)
    verdict = (
        "measured" if name == BASELINE and not on_mnist else judge(rate, reference, baseline, what, on_mnist=on_mnist)
    )
    values = tuple(100 * one.value for one in rates)
    return Row(words, what, reference, sum(values) / len(values), values, (rate.low, rate.high), rate.total, verdict)


def _error(cell: CellResult, what: str) -> Rate:
    if what == "clean error":
        return cell.result.clean_error
    backdoor = cell.result.backdoor_error
    if backdoor is None:
        raise ValueError(f"{cell.name} has no attack to measure")
    return backdoor
