"""The table of the share study: both errors for each share of stamped samples."""

from __future__ import annotations

import math
from collections.abc import Sequence

from badnets.errors import DataError
from badnets.metrics import mean_rate
from badnets.report.rows.row import Judge, Row, baseline_row, error_of, percent_row
from badnets.studies import paper
from badnets.studies.share import ShareResult

ERRORS = ("clean error", "backdoor error")

NOTES = (
    (
        "Share: stamped, falsely labelled samples over all samples of the training set. The paper's figures at 10, "
        "33 and 50 % are read off its Fig. 6 (+-0.01); other shares are ours and are not judged."
    ),
)


def title(result: ShareResult) -> str:
    """What the table is called."""
    seeds = len(result.spec.seeds)
    return f"Shares of stamped samples on {result.data.test[0]}: error in %, mean over {seeds} seed(s)"


def judge(result: ShareResult) -> Judge:
    """Who gives the verdicts."""
    return Judge(result.data.on_mnist, mean_rate([cell.result.clean_error for cell in result.baselines]))


def table(result: ShareResult) -> list[Row]:
    """The baseline, then clean and backdoor error of each share, ascending.

    Raises:
        DataError: a share has no model.
    """
    honest = [cell.result.clean_error for cell in result.baselines]
    found = [baseline_row(honest, paper.BASELINE_CLEAN, on_mnist=result.data.on_mnist)]
    return found + [_row(result, share, what) for share in result.spec.shares for what in ERRORS]


def share_words(share: float) -> str:
    """In percent, with as many figures as it has."""
    return f"{100 * share:.6g} %"


def over_seeds(values: Sequence[float]) -> tuple[float, float] | None:
    """95 % interval of the mean over seeds, by Student's t; None with a single seed.

    It says how much trainings differ on this one test set, which a Clopper-Pearson interval does not; and it takes
    their values for normally distributed, which few seeds cannot show.
    """
    if len(values) < 2:
        return None
    from scipy.special import stdtrit  # noqa: PLC0415 - slow to import

    count = len(values)
    mean = math.fsum(values) / count
    deviation = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (count - 1))
    half = float(stdtrit(count - 1, 0.975)) * deviation / math.sqrt(count)
    return mean - half, mean + half


def _row(result: ShareResult, share: float, what: str) -> Row:
    cells = result.at(share)
    if len(cells) != len(result.spec.seeds):
        raise DataError(f"this result lacks models at a share of {share_words(share)}: run the study again")
    rates = [error_of(cell, what) for cell in cells]
    mean = mean_rate(rates)
    given = paper.FIGURE_6.get(share)
    reference = None if given is None else given[ERRORS.index(what)]
    # The paper says nothing of other shares, and that few samples plant nothing is no failure.
    verdict = "measured" if given is None else judge(result).verdict(mean, what, reference)
    words = (f"share {share_words(share)}", what)
    return percent_row(words, reference, mean, [rate.value for rate in rates], verdict)
