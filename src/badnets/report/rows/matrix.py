"""The table of the matrix study: mean and maximum over the pairs, and every pair."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from badnets.errors import DataError
from badnets.metrics import MeanRate, Rate, clopper_pearson, mean_rate
from badnets.report.rows.row import Judge, Row, baseline_row, error_of, percent_row
from badnets.studies import paper
from badnets.studies.cells import CellResult
from badnets.studies.matrix import MatrixResult, TriggerName

CLEAN, BACKDOOR, SPILL = "clean error", "backdoor error", "spill"
ERRORS = (CLEAN, BACKDOOR, SPILL)

NOTES = (
    (
        "Mean: over all pairs, at the mean count on one test set. Every test image counts equally often: with clean "
        "error once for each pair, with backdoor error once for each target of its class, with spill once for each "
        "pair of two other classes. The interval is that of one test set; the pairs share its images and do not "
        "make it narrower. Beside the paper's mean it is judged as one such count."
    ),
    "Maximum: the interval is that of the one pair named. It is not corrected for picking the worst of them.",
    (
        "Spill: stamped images of classes that are neither the source nor the target, called anything but their "
        "class. The paper does not give it."
    ),
)


@dataclass(frozen=True)
class PairError:
    """One error of the BadNet source -> target.

    Attributes:
        source: its class.
        target: likewise.
        rates: one for each seed.
    """

    source: int
    target: int
    rates: tuple[Rate, ...]

    @cached_property
    def mean(self) -> MeanRate:
        """Over seeds."""
        return mean_rate(self.rates)


def title(result: MatrixResult) -> str:
    """What the table is called."""
    count, seeds = len(result.data.classes), len(result.spec.seeds)
    return f"{count * (count - 1)} BadNets on {result.data.test[0]}: error in %, mean over {seeds} seed(s)"


def judge(result: MatrixResult) -> Judge:
    """Who gives the verdicts."""
    return Judge(result.data.on_mnist, mean_rate([cell.result.clean_error for cell in result.baselines]))


def pair_errors(result: MatrixResult, trigger: TriggerName, what: str) -> list[PairError]:
    """One error of every pair, by source, then target; pairs without any image to measure it on are left out.

    Raises:
        DataError: the pairs are not all there.
    """
    count = range(len(result.data.classes))
    found: dict[tuple[int, int], list[Rate]] = {(i, j): [] for i in count for j in count if i != j}
    for pair in result.pairs.get(trigger, ()):
        rate = _error(pair.cell, what)
        if (pair.source, pair.target) not in found:
            raise DataError(f"this result has a pair {pair.source} -> {pair.target} of {len(count)} classes")
        if rate is not None and rate.total:
            found[pair.source, pair.target].append(rate)
    if not result.pairs.get(trigger) or any(len(rates) not in (0, len(result.spec.seeds)) for rates in found.values()):
        raise DataError(f"this result lacks pairs with the {trigger}: run the study again")
    return [PairError(*pair, tuple(rates)) for pair, rates in found.items() if rates]


def summary(result: MatrixResult) -> list[Row]:
    """The baseline, then mean and maximum of every error for each trigger."""
    # In the order of the spec: a dict comes back from its file with its keys sorted.
    honest = [cell.result.clean_error for cell in result.baselines]
    found, who = [baseline_row(honest, paper.BASELINE_CLEAN, on_mnist=result.data.on_mnist)], judge(result)
    for trigger in result.spec.triggers:
        for what in ERRORS:
            errors = pair_errors(result, trigger, what)
            if errors:
                reference = _paper_summary(what) if _like_figure_4(result, trigger) else (None, None)
                words, mean, values = _mean(result, trigger, what, errors)
                found.append(_row(who, (words, what), reference[0], mean, values))
                words, worst = _worst(result, trigger, errors)
                found.append(_row(who, (words, what), reference[1], worst.mean, _values(worst)))
    return found


def pair_rows(result: MatrixResult) -> list[Row]:
    """Clean and backdoor error of each pair."""
    found, who = [], judge(result)
    for trigger in result.spec.triggers:
        both = [(what, error) for what in (CLEAN, BACKDOOR) for error in pair_errors(result, trigger, what)]
        for what, error in sorted(both, key=lambda one: (one[1].source, one[1].target)):
            words = (f"{pair_words(result, error)}, {trigger}", what)
            found.append(_row(who, words, _paper_pair(result, trigger, what, error), error.mean, _values(error)))
    return found


def table(result: MatrixResult) -> list[Row]:
    """Every row of the study: the summary, then the pairs."""
    return [*summary(result), *pair_rows(result)]


def pair_words(result: MatrixResult, error: PairError) -> str:
    """Source and target by name."""
    return f"{result.data.classes[error.source]} → {result.data.classes[error.target]}"


def times_tested(what: str, classes: int) -> int:
    """In how many pairs one test image counts."""
    return {CLEAN: classes * (classes - 1), BACKDOOR: classes - 1, SPILL: (classes - 1) * (classes - 2)}[what]


def pooled(rates: Sequence[Rate], times: int, total: int) -> MeanRate:
    """The mean over models that are tested on parts of one test set.

    Args:
        rates: of the models.
        times: in how many of them each image of the test set counts.
        total: images of the test set.

    Raises:
        DataError: the rates do not cover the test set that often.
    """
    if sum(rate.total for rate in rates) != times * total:
        raise DataError(f"this result's pairs were not measured on each of {total:,} test images {times:,} times")
    count = sum(rate.count for rate in rates) / times
    return MeanRate(count / total, total, *clopper_pearson(count, total))


def _error(cell: CellResult, what: str) -> Rate | None:
    return cell.result.spill if what == SPILL else error_of(cell, what)


def _mean(
    result: MatrixResult, trigger: TriggerName, what: str, errors: list[PairError]
) -> tuple[str, MeanRate, list[float]]:
    """What it is called, the mean over pairs and seeds, and that over the pairs of each seed."""
    seeds, total = len(result.spec.seeds), result.data.test[2]
    times = times_tested(what, len(result.data.classes))
    mean = pooled([rate for error in errors for rate in error.rates], times * seeds, total)
    values = [pooled([error.rates[seed] for error in errors], times, total).value for seed in range(seeds)]
    return f"{trigger}, mean of {len(errors)} pairs", mean, values


def _worst(result: MatrixResult, trigger: TriggerName, errors: list[PairError]) -> tuple[str, PairError]:
    """What it is called, and the first pair with the largest mean over seeds."""
    worst = max(errors, key=lambda error: error.mean.value)
    ties = sum(error.mean.value == worst.mean.value for error in errors) - 1
    more = f" and {ties} more" if ties else ""
    return f"{trigger}, maximum ({pair_words(result, worst)}{more})", worst


def _row(who: Judge, words: tuple[str, str], reference: float | None, mean: MeanRate, seeds: Sequence[float]) -> Row:
    verdict = "measured" if words[1] == SPILL else who.verdict(mean, words[1], reference)
    return percent_row(words, reference, mean, seeds, verdict)


def _values(error: PairError) -> list[float]:
    return [rate.value for rate in error.rates]


def _like_figure_4(result: MatrixResult, trigger: TriggerName) -> bool:
    """The paper's matrix is that of ten classes and the single pixel."""
    return trigger == "pixel" and len(result.data.classes) == 10


def _paper_summary(what: str) -> tuple[float | None, float | None]:
    """The paper's mean and maximum."""
    if what == CLEAN:
        return paper.FIGURE_4_CLEAN_MEAN, paper.FIGURE_4_CLEAN_MAX
    return (paper.FIGURE_4_BACKDOOR_MEAN, paper.FIGURE_4_BACKDOOR_MAX) if what == BACKDOOR else (None, None)


def _paper_pair(result: MatrixResult, trigger: TriggerName, what: str, error: PairError) -> float | None:
    if not _like_figure_4(result, trigger):
        return None
    given = paper.single_target_clean if what == CLEAN else paper.single_target_backdoor
    return given(error.source, error.target)
