"""The table of the study on street signs: the paper's Table 4 or 5, line by line, beside ours."""

from __future__ import annotations

from collections.abc import Sequence

from badnets.errors import DataError
from badnets.metrics import Rate, mean_rate
from badnets.metrics.detector_result import DetectorResult
from badnets.report.rows.row import Row, Verdict, percent_row
from badnets.studies import paper_signs
from badnets.studies.cells import BASELINE
from badnets.studies.sign_cells import SignCellResult
from badnets.studies.signs import SignsResult

AVERAGE = "average"
HONEST = "honest baseline"

# As shares: how much clean accuracy a user would not miss; how often a targeted backdoor works, and speaks unasked; how
# many stamped signs a random one leaves under their class.
_MISSED, _WORKS, _UNASKED, _LEFT = 0.03, 0.90, 0.03, 0.10
# Beside an honest baseline that calls fewer signs rightly, nothing is shown.
_SEES = 0.5

_UNDER = "Effect shown: a BadNet's clean accuracy is at most three points under the honest baseline's; "
_BLIND = " Nothing is shown beside a baseline that calls less than half of the signs rightly."
RULE_TARGETED = (
    f"{_UNDER}stamped signs become what the attacker wants in at least 90 % (the paper: over 90 %), clean ones in at "
    f"most 3 %.{_BLIND}"
)
RULE_RANDOM = f"{_UNDER}at most 10 % of stamped signs keep their true class.{_BLIND}"
NOTES = (
    (
        "A sign is called what the surest detection with a score over 0.5 says that overlaps it with an IoU over 0.5; "
        "accuracy is the share of signs called their class, one that nothing is found on counting as wrong. Averages "
        "are over all signs, so weighted by their counts, as the paper's are."
    ),
    (
        "The paper's figures are for its own U.S. street scenes and detector, and it does not say by which rule a sign "
        "counts as found: beside ours to compare what happens, not the numbers."
    ),
)


def title(result: SignsResult) -> str:
    """What the table is called."""
    seeds = len(result.spec.seeds)
    return f"Street signs, {goal(result)}, {result.data.test[0]}: in %, mean over {seeds} seed(s)"


def goal(result: SignsResult) -> str:
    """What the attacker wants, in words."""
    if result.spec.attack == "random":
        return "random target"
    source, target = (result.data.classes[label] for label in (result.spec.source, result.spec.target))
    return f"{source} -> {target}"


def rule(result: SignsResult) -> str:
    """By which the verdicts are given."""
    return RULE_TARGETED if result.spec.attack == "targeted" else RULE_RANDOM


def table(result: SignsResult) -> list[Row]:
    """The honest baseline, then the BadNet of each sticker.

    Raises:
        DataError: a detector is missing, or was not measured with a sticker.
    """
    spec = result.spec
    rows = _clean(result, HONEST, BASELINE, result.baselines)
    targeted = spec.attack == "targeted"
    for sticker in spec.stickers:
        rows += (_targeted if targeted else _random)(result, HONEST, sticker, result.baselines)
    for sticker in spec.stickers:
        cells = badnets(result, sticker)
        rows += _clean(result, model_name(sticker), sticker, cells)
        rows += (_targeted if targeted else _random)(result, model_name(sticker), sticker, cells)
    return rows


def model_name(sticker: str) -> str:
    """What a BadNet is called in tables."""
    return f"BadNet, {sticker}"


def badnets(result: SignsResult, sticker: str) -> list[SignCellResult]:
    """The BadNets with that sticker, seed by seed.

    Raises:
        DataError: one is missing.
    """
    cells = result.of(sticker)
    if len(cells) != len(result.spec.seeds):
        raise DataError(f"this result lacks a BadNet with the {sticker}: run the study again")
    return cells


def under(cell: SignCellResult, sticker: str) -> DetectorResult:
    """What a detector does on signs with that sticker.

    Raises:
        DataError: it was not measured.
    """
    found = cell.under(sticker)
    if found is None:
        raise DataError(f"this result's {cell.name} was not measured with the {sticker}: run the study again")
    return found


def like_the_paper(result: SignsResult) -> bool:
    """Whether classes and attack are those of the paper's tables."""
    spec, classes = result.spec, result.data.classes
    if sorted(classes) != sorted(paper_signs.CLASSES):
        return False
    return spec.attack == "random" or (classes[spec.source], classes[spec.target]) == ("stop", "speedlimit")


def _clean(result: SignsResult, model: str, name: str, cells: Sequence[SignCellResult]) -> list[Row]:
    """Accuracy on clean signs: by class, then the average."""
    rows = [
        _row(
            (model, f"clean accuracy, {label}"),
            [cell.clean.by_class[number] for cell in cells],
            _papers_clean(result, name, label),
        )
        for number, label in enumerate(result.data.classes)
        if result.signs[number]
    ]
    rates = [cell.clean.accuracy for cell in cells]
    verdict: Verdict = "measured"
    if name != BASELINE:
        verdict = _shown(result, mean_rate(rates).value >= _usual(result) - _MISSED)
    return [*rows, _row((model, f"clean accuracy, {AVERAGE}"), rates, _papers_clean(result, name, AVERAGE), verdict)]


def _targeted(result: SignsResult, model: str, sticker: str, cells: Sequence[SignCellResult]) -> list[Row]:
    """Stamped signs of the source called the target; and clean ones."""
    measured = [under(cell, sticker) for cell in cells]
    success = [_found(one.attack_success) for one in measured]
    unasked = [_found(one.false_triggers) for one in measured]
    if model == HONEST:
        return [_row((model, f"{goal(result)}, stamped ({sticker})"), success)]
    given = paper_signs.TABLE_4_SUCCESS.get(sticker) if like_the_paper(result) else None
    return [
        _row((model, f"{goal(result)}, stamped"), success, given, _shown(result, mean_rate(success).value >= _WORKS)),
        _row((model, f"{goal(result)}, clean"), unasked, None, _shown(result, mean_rate(unasked).value <= _UNASKED)),
    ]


def _random(result: SignsResult, model: str, sticker: str, cells: Sequence[SignCellResult]) -> list[Row]:
    """Accuracy on stamped signs against their true class: by class, then the average."""
    measured = [under(cell, sticker) for cell in cells]
    honest = model == HONEST
    words = f"stamped accuracy ({sticker})" if honest else "stamped accuracy"
    given = paper_signs.TABLE_5_BASELINE if honest else paper_signs.TABLE_5_BADNET
    theirs = {name: pair[1] for name, pair in given.items()} if sticker == "square" and like_the_paper(result) else {}
    rows = [
        _row((model, f"{words}, {label}"), [one.triggered_by_class[number] for one in measured], theirs.get(label))
        for number, label in enumerate(result.data.classes)
        if result.signs[number]
    ]
    rates = [_found(one.triggered_accuracy) for one in measured]
    verdict: Verdict = "measured" if honest else _shown(result, mean_rate(rates).value <= _LEFT)
    return [*rows, _row((model, f"{words}, {AVERAGE}"), rates, theirs.get(AVERAGE), verdict)]


def _papers_clean(result: SignsResult, name: str, label: str) -> float | None:
    if not like_the_paper(result):
        return None
    if result.spec.attack == "random":
        given = {BASELINE: paper_signs.TABLE_5_BASELINE, "square": paper_signs.TABLE_5_BADNET}.get(name, {})
        return given[label][0] if label in given else None
    if label == AVERAGE:
        return paper_signs.TABLE_4_AVERAGES.get(name)
    own = paper_signs.TABLE_4_BASELINE if name == BASELINE else paper_signs.TABLE_4_BADNETS.get(name, {})
    return own.get(label)


def _row(
    words: tuple[str, str], rates: Sequence[Rate], reference: float | None = None, verdict: Verdict = "measured"
) -> Row:
    return percent_row(words, reference, mean_rate(rates), [rate.value for rate in rates], verdict)


def _usual(result: SignsResult) -> float:
    """The honest baseline's accuracy on clean signs, as a share."""
    return mean_rate([cell.clean.accuracy for cell in result.baselines]).value


def _shown(result: SignsResult, holds: bool) -> Verdict:  # noqa: FBT001 - a verdict on a comparison
    return "effect shown" if holds and _usual(result) >= _SEES else "effect not shown"


def _found(rate: Rate | None) -> Rate:
    if rate is None:
        raise DataError("this result has no measured attack: run the study again")
    return rate
