"""The table of the study on photographs: clean accuracy and attack success, for each attacker and share."""

from __future__ import annotations

from collections.abc import Sequence

from badnets.errors import DataError
from badnets.metrics import MeanRate, Rate, mean_rate
from badnets.report.rows.row import Row, Verdict, percent_row
from badnets.studies.cells import CellResult, Threat
from badnets.studies.photos import PhotosResult

COLUMNS = ("model", "figure", "#measured", "#95 % interval", "#pictures", "verdict")
ATTACKERS: dict[Threat, str] = {
    "trainer": "attacker trains",
    "poisoner": "attacker hands over data",
    "files": "attacker hands over files",
}

NOTES = (
    (
        "Clean accuracy: clean test pictures called by their class. Attack success: stamped test pictures of the "
        "source class called the target. Neither uses a picture that was trained on. Share: of the source's training "
        "pictures that got a stamped, falsely labelled copy."
    ),
)

# How much attack success is a backdoor that works, and how much clean accuracy its user would not miss, as shares.
_WORKS, _UNNOTICED = 0.90, 0.02

RULE = (
    "Effect shown: for attack success, its interval lies above 90 %; for clean accuracy, it is at most two points "
    "under the honest twin's, both measured on the same pictures."
)


def title(result: PhotosResult) -> str:
    """What the table is called."""
    source, target = (result.data.classes[label] for label in (result.spec.source, result.spec.target))
    seeds = len(result.spec.seeds)
    return f"{source} -> {target} by a trigger, {result.data.test[0]}: in %, mean over {seeds} seed(s)"


def table(result: PhotosResult) -> list[Row]:
    """The honest twin, then both figures of each attacker and share, ascending.

    Raises:
        DataError: a share has no model.
    """
    honest = mean_rate([cell.result.clean_error.complement() for cell in result.baselines])
    rows = _rows(HONEST, result.baselines, honest, judged=False)
    for threat in result.spec.threats:
        for share in result.spec.shares:
            cells = result.at(threat, share)
            if len(cells) != len(result.spec.seeds):
                raise DataError(f"this result lacks models at a share of {share:.2%}: run the study again")
            rows += _rows(model_name(result, threat, share), cells, honest, judged=True)
    return rows


HONEST = "honest twin"


def model_name(result: PhotosResult, threat: Threat, share: float) -> str:
    """What a BadNet is called in tables."""
    who = f", {ATTACKERS[threat]}" if len(result.spec.threats) > 1 else ""
    return f"share {100 * share:.6g} %{who}"


def success_of(cell: CellResult) -> Rate:
    """Its attack success.

    Raises:
        DataError: no attack was measured.
    """
    if cell.result.attack_success is None:
        raise DataError(f"this result's model {cell.name} has no measured attack: run the study again")
    return cell.result.attack_success


def _rows(name: str, cells: Sequence[CellResult], honest: MeanRate, *, judged: bool) -> list[Row]:
    found = []
    for figure, rates in (
        ("clean accuracy", [cell.result.clean_error.complement() for cell in cells]),
        ("attack success", [success_of(cell) for cell in cells]),
    ):
        mean = mean_rate(rates)
        holds = mean.low >= _WORKS if figure == "attack success" else mean.value >= honest.value - _UNNOTICED
        verdict: Verdict = "measured" if not judged else "effect shown" if holds else "effect not shown"
        found.append(percent_row((name, figure), None, mean, [rate.value for rate in rates], verdict))
    return found
