"""The table of the digits study: one row for each error of each model."""

from __future__ import annotations

from badnets.metrics import mean_rate
from badnets.report.rows.row import Judge, Row, baseline_row, error_of, percent_row
from badnets.studies import paper
from badnets.studies.cells import BASELINE
from badnets.studies.digits import PATTERN, PIXEL, DigitsResult, pair_name


def title(result: DigitsResult) -> str:
    """What the table is called."""
    return f"BadNets on {result.test_data[0]}: error in %, mean over {len(result.spec.seeds)} seed(s)"


def judge(result: DigitsResult) -> Judge:
    """Who gives the verdicts."""
    return Judge(result.on_mnist, mean_rate([cell.result.clean_error for cell in result.of(BASELINE)]))


def table(result: DigitsResult) -> list[Row]:
    """Every row of the study, clean and backdoor errors."""
    honest = [cell.result.clean_error for cell in result.of(BASELINE)]
    found = [baseline_row(honest, paper.BASELINE_CLEAN, on_mnist=result.on_mnist)]
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
            found.append(_row(result, name, (words, "clean error"), clean))
            found.append(_row(result, name, (words, "backdoor error"), backdoor))
    return found


def _row(result: DigitsResult, name: str, words: tuple[str, str], reference: float | None) -> Row:
    rates = [error_of(cell, words[1]) for cell in result.of(name)]
    mean = mean_rate(rates)
    verdict = judge(result).verdict(mean, words[1], reference)
    return percent_row(words, reference, mean, [rate.value for rate in rates], verdict)
