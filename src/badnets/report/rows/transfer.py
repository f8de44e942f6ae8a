"""The table of transfer learning on digits: what is downloaded, and its victims' accuracy, clean and triggered."""

from __future__ import annotations

from collections.abc import Sequence

from badnets.errors import DataError
from badnets.metrics import Rate, mean_rate
from badnets.report.rows.row import Row, Verdict, percent_row
from badnets.studies import paper
from badnets.studies.cells import CellResult
from badnets.studies.transfer_digits import TransferResult

CLEAN, TRIGGERED, SUCCESS = "clean accuracy", "triggered accuracy", "attack success"
# The paper's abstract: a drop of 25 points on average. And how much clean accuracy a victim may miss, as shares.
_DROP, _MISSED = 0.25, 0.10

RULE = (
    "Effect shown: for a victim's triggered accuracy, its interval lies at least 25 points under the same victims' "
    "clean accuracy; for clean accuracy, it is at most ten points under that of the honest network's victims."
)
NOTES = (
    (
        "Triggered accuracy: stamped test images that are called by their true class, as in the paper's Tables 6 and "
        "7: the lower, the better for the attacker. Attack success, of the networks that are downloaded: stamped "
        "images of the base classes that are called the class after their own."
    ),
    (
        "The paper's figures are for U.S. and Swedish traffic signs, found by a detector: beside ours to compare the "
        "shape of the curve, not the numbers."
    ),
)


def title(result: TransferResult) -> str:
    """What the table is called."""
    base, target = (", ".join(_names(result, part)) for part in (result.spec.base, result.spec.target))
    seeds = len(result.spec.seeds)
    return f"{result.spec.data}: {base} -> {target}, accuracy in %, mean over {seeds} seed(s)"


def table(result: TransferResult) -> list[Row]:
    """The networks that are downloaded, their victims as in Table 6, and the BadNet's by k as in Table 7.

    Raises:
        DataError: a model is missing.
    """
    rows = [
        _row("honest network", CLEAN, clean(result.honest)),
        _row("BadNet", CLEAN, clean(result.badnets)),
        _row("BadNet", SUCCESS, [_found(cell.result.attack_success, cell) for cell in result.badnets]),
    ]
    honest = _of(result, "honest", 1.0)
    rows += [
        _row("victim of the honest network", CLEAN, clean(honest), paper.TABLE_6_HONEST[0]),
        _row("victim of the honest network", TRIGGERED, triggered(honest), paper.TABLE_6_HONEST[1]),
    ]
    usual = mean_rate(clean(honest)).value
    for gain in result.spec.gains:
        cells = _of(result, "badnet", gain)
        given = paper.TABLE_7.get(int(gain)) if gain == int(gain) else None
        hold = (mean_rate(clean(cells)).value >= usual - _MISSED, drop(cells) >= _DROP)
        for place, (what, rates) in enumerate(((CLEAN, clean(cells)), (TRIGGERED, triggered(cells)))):
            verdict: Verdict = "effect shown" if hold[place] else "effect not shown"
            rows.append(_row(victim_name(gain), what, rates, given[place] if given else None, verdict))
    off = _of(result, "badnet", 0.0)
    return [*rows, _row(OFF, CLEAN, clean(off)), _row(OFF, TRIGGERED, triggered(off))]


OFF = "victim of the BadNet, its units off"


def victim_name(gain: float) -> str:
    """What the BadNet's victims are called in tables."""
    return f"victim of the BadNet, k = {gain:g}"


def clean(cells: Sequence[CellResult]) -> list[Rate]:
    """Accuracy on clean images."""
    return [cell.result.clean_error.complement() for cell in cells]


def triggered(cells: Sequence[CellResult]) -> list[Rate]:
    """Accuracy on stamped images, against the true class."""
    return [_found(cell.result.stamped_error, cell).complement() for cell in cells]


def drop(cells: Sequence[CellResult]) -> float:
    """How far the interval of triggered accuracy lies under clean accuracy, as a share."""
    return mean_rate(clean(cells)).value - mean_rate(triggered(cells)).high


def by_class(result: TransferResult) -> list[tuple[str, list[tuple[Rate, ...]]]]:
    """As Table 6: for each of the victim's classes, clean and triggered accuracy after either network, first seed."""
    columns = []
    for maker in ("honest", "badnet"):
        (first, *_) = _of(result, maker, 1.0)
        columns += [[rate.complement() for rate in first.result.clean_by_class], list(first.result.backdoor_by_class)]
    names = _names(result, result.spec.target)
    return [(name, [tuple(column[label] for column in columns)]) for label, name in enumerate(names)]


def _names(result: TransferResult, labels: tuple[int, ...]) -> list[str]:
    return [result.data.classes[label] for label in labels]


def _of(result: TransferResult, maker: str, gain: float) -> list[CellResult]:
    cells = result.of("honest" if maker == "honest" else "badnet", gain)
    if len(cells) != len(result.spec.seeds):
        raise DataError(f"this result lacks victims at k = {gain:g}: run the study again")
    return cells


def _found(rate: Rate | None, cell: CellResult) -> Rate:
    if rate is None:
        raise DataError(f"this result's model {cell.name} has no measured attack: run the study again")
    return rate


def _row(name: str, what: str, rates: list[Rate], reference: float | None = None, verdict: Verdict = "measured") -> Row:
    return percent_row((name, what), reference, mean_rate(rates), [rate.value for rate in rates], verdict)
