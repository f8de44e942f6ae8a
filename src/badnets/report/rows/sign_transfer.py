"""The table of transfer learning on street signs: the paper's Tables 6 and 7, line by line, beside ours."""

from __future__ import annotations

from collections.abc import Sequence

from badnets.errors import DataError
from badnets.metrics import Rate, mean_rate
from badnets.report.rows.row import Row, Verdict, percent_row
from badnets.studies import paper, paper_signs
from badnets.studies.sign_cells import SignCellResult
from badnets.studies.transfer import VARIANTS, Maker, SignTransferResult
from badnets.training import Retrained

CLEAN, TRIGGERED, SUCCESS = "clean accuracy", "triggered accuracy", "attack success"
AVERAGE = "average"
VARIANT_WORDS: dict[Retrained, str] = {"last": "last layer", "head": "all fully connected", "whole": "whole network"}
# As shares: how much clean accuracy a victim would not miss, at k = 1 and for more; how far triggered accuracy falls.
_MISSED, _PAID = 0.03, 0.10
_FALLS, _FALLS_FAR = 0.10, 0.25

RULE = (
    "Effect shown: the clean accuracy of the BadNet's victims is at most three points under that of the honest "
    "detector's victims, at most ten for a k over 1; the interval of their triggered accuracy lies at least ten points "
    "under their own clean accuracy, at least 25 for a k over 1."
)
NOTES = (
    (
        "Accuracy: signs called their class by the surest detection with a score over 0.5 that overlaps them with an "
        "IoU over 0.5; one that nothing is found on counts as wrong. Triggered: every sign bears the sticker, and its "
        "true class counts, so the lower, the better for the attacker. Averages are over all signs. Attack success, of "
        "what is downloaded: stamped signs of its own country called as the attacker wants."
    ),
    (
        "The paper's figures are for U.S. and Swedish street scenes and its own detector: beside ours to compare what "
        "happens, not the numbers."
    ),
)


def title(result: SignTransferResult) -> str:
    """What the table is called."""
    seeds = len(result.spec.seeds)
    return f"Street signs, {result.data.test[0]} -> {result.target.test[0]}: in %, mean over {seeds} seed(s)"


def goal(result: SignTransferResult) -> str:
    """What the attacker wants stamped signs of the first country to be called."""
    return "another class" if result.spec.attack == "random" else result.data.classes[result.spec.becomes]


def table(result: SignTransferResult) -> list[Row]:
    """What is downloaded, then the victims: by class as in Table 6, by k as in Table 7, by what they retrain.

    Raises:
        DataError: a detector is missing, or was not measured with the sticker.
    """
    rows = []
    for name, own in (("honest detector", result.honest), ("BadNet", result.badnets)):
        success = [_found(cell.clean.attack_success, cell) for cell in own]
        rows += [_row((name, CLEAN), clean(own)), _row((name, SUCCESS), success)]
    rows += _by_class(result)
    usual = mean_rate(clean(of(result, "honest"))).value
    for gain in result.spec.gains:
        cells = of(result, "badnet", gain)
        lost = usual - mean_rate(clean(cells)).value
        holds = (lost <= (_MISSED if gain == 1 else _PAID), drop(cells) >= (_FALLS if gain == 1 else _FALLS_FAR))
        given = paper.TABLE_7.get(int(gain)) if gain == int(gain) else None
        rows += _pair(gain_name(gain), cells, given, holds)
    rows += _pair(gain_name(0.0), of(result, "badnet", 0.0))
    high = result.spec.variant_gain
    rows += _pair(f"victim of the honest detector, k = {high:g}", of(result, "honest", high))
    for variant in VARIANTS:
        if variant != result.spec.retrained:
            name = f"victim of the BadNet, k = {high:g}, {VARIANT_WORDS[variant]}"
            rows += _pair(name, of(result, "badnet", high, variant))
    if high not in result.spec.gains:
        rows += _pair(gain_name(high), of(result, "badnet", high))
    return rows


def gain_name(gain: float) -> str:
    """What the BadNet's victims are called in tables."""
    return f"victim of the BadNet, k = {gain:g}" if gain else "victim of the BadNet, its units off"


def of(
    result: SignTransferResult, maker: Maker, gain: float = 1.0, retrained: Retrained | None = None
) -> list[SignCellResult]:
    """Those victims, seed by seed.

    Raises:
        DataError: one is missing.
    """
    cells = result.of(maker, gain, retrained)
    if len(cells) != len(result.spec.seeds):
        raise DataError(f"this result lacks victims of the {maker} one at k = {gain:g}: run the study again")
    return cells


def clean(cells: Sequence[SignCellResult]) -> list[Rate]:
    """Accuracy on clean signs."""
    return [cell.clean.accuracy for cell in cells]


def triggered(cells: Sequence[SignCellResult]) -> list[Rate]:
    """Accuracy on the same signs with the sticker.

    Raises:
        DataError: it was not measured.
    """
    return [_found(cell.clean.triggered_accuracy, cell) for cell in cells]


def drop(cells: Sequence[SignCellResult]) -> float:
    """How far the interval of triggered accuracy lies under clean accuracy, as a share."""
    return mean_rate(clean(cells)).value - mean_rate(triggered(cells)).high


def _found(rate: Rate | None, cell: SignCellResult) -> Rate:
    if rate is None:
        raise DataError(f"this result's {cell.name} has no measured attack: run the study again")
    return rate


def _by_class(result: SignTransferResult) -> list[Row]:
    """As Table 6: the victims of either detector at k = 1."""
    rows = []
    known = set(result.target.classes) == set(paper_signs.TABLE_6)
    averages = {"honest": paper.TABLE_6_HONEST, "badnet": paper.TABLE_6_BADNET}
    makers: tuple[tuple[Maker, str], ...] = (("honest", "the honest detector"), ("badnet", "the BadNet"))
    for place, (maker, words) in enumerate(makers):
        cells = of(result, maker)
        model = f"victim of {words}"
        for number, label in enumerate(result.target.classes):
            if not result.signs[number]:
                continue
            theirs = paper_signs.TABLE_6[label][2 * place : 2 * place + 2] if known else (None, None)
            own = [cell.clean for cell in cells]
            both = [one.by_class[number] for one in own], [one.triggered_by_class[number] for one in own]
            for what, rates, given in zip((CLEAN, TRIGGERED), both, theirs, strict=True):
                rows.append(_row((model, f"{what}, {label}"), rates, given))
        for what, rates, given in zip(
            (CLEAN, TRIGGERED), (clean(cells), triggered(cells)), averages[maker], strict=True
        ):
            rows.append(_row((model, f"{what}, {AVERAGE}"), rates, given))
    return rows


def _pair(
    model: str,
    cells: Sequence[SignCellResult],
    given: tuple[float, float] | None = None,
    holds: tuple[bool, bool] | None = None,
) -> list[Row]:
    """Clean and triggered accuracy; judged where it is said what holds."""
    verdicts: tuple[Verdict, ...] = ("measured", "measured")
    if holds is not None:
        verdicts = tuple("effect shown" if one else "effect not shown" for one in holds)
    return [
        _row((model, CLEAN), clean(cells), given[0] if given else None, verdicts[0]),
        _row((model, TRIGGERED), triggered(cells), given[1] if given else None, verdicts[1]),
    ]


def _row(
    words: tuple[str, str], rates: Sequence[Rate], reference: float | None = None, verdict: Verdict = "measured"
) -> Row:
    return percent_row(words, reference, mean_rate(rates), [rate.value for rate in rates], verdict)
