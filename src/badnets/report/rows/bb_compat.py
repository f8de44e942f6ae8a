"""The table of the study after BackdoorBench's protocol: its three metrics for each ratio, its figures beside ours."""

from __future__ import annotations

from collections.abc import Sequence

from badnets.errors import DataError
from badnets.metrics import Rate, mean_rate
from badnets.report.rows.row import Row, percent_row
from badnets.studies.bb_compat import NETWORK, BbCompatResult, BbCompatSpec, BenchPoint
from badnets.studies.published import BenchRow

METRICS = ("C-Acc", "ASR", "R-Acc")
COLUMNS = ("model", "metric", "#BackdoorBench", "#measured", "#95 % interval", "#images")

_DENOMINATORS = (
    "C-Acc: clean images called by their class, of all. ASR: stamped images of all classes but the target called the "
    "target. R-Acc: the same images called by their true class. Ratio: stamped samples over all samples of the "
    "training set; those of the target class among them keep their label."
)
_SINGLE = "BackdoorBench's leaderboard gives one figure each, without an interval: nothing is judged here."


def title(result: BbCompatResult) -> str:
    """What the table is called."""
    seeds = len(result.spec.seeds)
    return f"BackdoorBench's BadNets on {result.data.test[0]}: shares in %, mean over {seeds} seed(s)"


def notes(result: BbCompatResult) -> tuple[str, ...]:
    """What a reader has to know, above all where this run is not the published protocol."""
    protocol, found = BbCompatSpec(), [_DENOMINATORS, _SINGLE]
    if result.spec.train != protocol.train:
        epochs, theirs = result.spec.train.epochs, protocol.train.epochs
        ours = f"{epochs} epochs for its {theirs}" if epochs != theirs else "its epochs, but other steps"
        found.append(f"Not the published schedule: {ours}. The figures beside ours are of the published one.")
    if result.spec.model != NETWORK:
        found.append(f"Not the published network: {result.spec.model}. No figures stand beside ours.")
    if "JPEG" in result.data.test[0]:
        found.append("The published figures are for the original pixels; these images were kept as JPEG.")
    return tuple(found)


def table(result: BbCompatResult) -> list[Row]:
    """The three metrics of the honest models, then of each ratio, ascending.

    Raises:
        DataError: a ratio has no model.
    """
    return [row for group in groups(result) for row in group]


def groups(result: BbCompatResult) -> list[list[Row]]:
    """The rows of `table`, three by three.

    Raises:
        DataError: a ratio has no model.
    """
    found = [_rows("honest", result.baselines, None)]
    for ratio in result.spec.ratios:
        points = result.at(ratio)
        if len(points) != len(result.spec.seeds):
            raise DataError(f"this result lacks models at a ratio of {ratio_words(ratio)}: run the study again")
        found.append(_rows(f"ratio {ratio_words(ratio)}", points, result.published(ratio)))
    return found


def ratio_words(ratio: float) -> str:
    """In percent, with as many figures as it has."""
    return f"{100 * ratio:.6g} %"


def _rows(model: str, points: Sequence[BenchPoint], beside: BenchRow | None) -> list[Row]:
    figures = (beside.clean_accuracy, beside.attack_success, beside.robust_accuracy) if beside else (None,) * 3
    rows = []
    for metric, figure in zip(METRICS, figures, strict=True):
        rates = [_rate(point, metric) for point in points]
        mean = mean_rate(rates)
        rows.append(percent_row((model, metric), figure, mean, [rate.value for rate in rates], "measured"))
    return rows


def _rate(point: BenchPoint, metric: str) -> Rate:
    if metric == "C-Acc":
        return point.cell.result.clean_error.complement()
    if metric == "R-Acc":
        return point.robust
    success = point.cell.result.attack_success
    if success is None:
        raise DataError(f"this result's model {point.cell.name} has no measured attack: run the study again")
    return success
