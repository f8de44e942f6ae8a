"""The table of the study of defenses: each on every model, and over all models what repairs are worth at worst."""

from __future__ import annotations

import math
from collections.abc import Iterable
from statistics import median

from badnets.metrics import Rate
from badnets.report.rows.row import Row
from badnets.studies.defending import DefensesResult, ModelFigures
from badnets.studies.defenses import FilterFigure, RepairFigure

# What is said to be a miss on the page, as shares: attack success left, accuracy lost, poison not found.
LEFT, LOST, FOUND = 0.10, 0.01, 0.5

COLUMNS = ("model", "defense and figure", "#measured", "#95 % interval", "#images")
NOTES = (
    (
        "Input filters: stamped images turned away at 5 % false alarms on the judge's clean images, and at the "
        "filter's own threshold. Filters of training sets: poison found, and clean images lost; without poison all "
        "that is thrown away is lost."
    ),
    (
        "Repairs: on the judge's images, which the defender has not. Attack success on a clean twin is how often the "
        "trigger happens to lead there. Re-learned: after one epoch on clean images and ten stamped ones. A repair "
        "that does not fit the network is said on the page and has no figures."
    ),
    "Time is wall time, and that of unlearning includes its inversion.",
)


def title(result: DefensesResult) -> str:
    """What the table is called."""
    return f"Defenses on {result.data.test[0]}: in %, {len(result.spec.seeds)} seed(s)"


def table(result: DefensesResult) -> list[Row]:
    """The summary of all repairs, then every figure of every model."""
    return [*summary(result), *(row for model in result.models for row in _of(model))]


def summary(result: DefensesResult) -> list[Row]:
    """For each repair over all BadNets the median and the worst of what matters, and its cost on clean twins."""
    rows = []
    for name in result.spec.repairs:
        done = [(model, one) for model in result.models for one in model.repairs if one.defense == name]
        bad = [one for model, one in done if model.backdoored and not one.refused]
        good = [one for model, one in done if not model.backdoored and not one.refused]
        left = [one.after.attack_success.value for one in bad if one.after.attack_success]
        rows += _both(f"all {len(bad)} BadNets", f"{name}: attack success", left)
        rows += _both(f"all {len(bad)} BadNets", f"{name}: clean accuracy lost", [one.damage / 100 for one in bad])
        again = [one.relearned.value for one in bad if one.relearned]
        rows += _both(f"all {len(bad)} BadNets", f"{name}: re-learned", again)
        rows += _both(
            f"all {len(good)} clean twins", f"{name}: clean accuracy lost", [one.damage / 100 for one in good]
        )
    return rows


def missed_filter(one: FilterFigure) -> bool:
    """Whether a filter finds less than half of the poison at 5 % false alarms."""
    return one.at_five is not None and one.at_five.value < FOUND


def missed_repair(one: RepairFigure, *, backdoored: bool) -> bool:
    """Whether a repair leaves more than 10 % attack success, or costs more than a point."""
    success = one.after.attack_success
    left = backdoored and success is not None and success.value > LEFT
    return left or one.damage > 100 * LOST


def _of(model: ModelFigures) -> Iterable[Row]:
    for one in model.inputs:
        if model.backdoored:
            yield from _area(model.name, one)
            if one.at_five is not None:
                yield _row(model.name, f"{one.defense}: found at 5 % false alarms", one.at_five)
            yield _row(model.name, f"{one.defense}: found at its own threshold", one.hits)
        yield _row(model.name, f"{one.defense}: false alarms at its own threshold", one.false_alarms)
        yield _number(model.name, f"{one.defense}: ms an image", one.milliseconds)
    for one in model.data:
        if model.backdoored:
            yield from _area(model.name, one)
            yield _row(model.name, f"{one.defense}: poison found", one.hits)
        yield _row(model.name, f"{one.defense}: clean images lost", one.false_alarms)
    for repair in model.repairs:
        if not repair.refused:
            yield from _repair(model, repair)


def _repair(model: ModelFigures, one: RepairFigure) -> Iterable[Row]:
    if one.before.attack_success is not None:
        yield _row(model.name, f"{one.defense}: attack success before", one.before.attack_success)
    if one.after.attack_success is not None:
        yield _row(model.name, f"{one.defense}: attack success", one.after.attack_success)
    yield _row(model.name, f"{one.defense}: clean accuracy before", one.before.clean_error.complement())
    yield _row(model.name, f"{one.defense}: clean accuracy", one.after.clean_error.complement())
    if one.relearned is not None:
        yield _row(model.name, f"{one.defense}: re-learned", one.relearned)
    yield _number(model.name, f"{one.defense}: seconds", one.seconds)


def _area(name: str, one: FilterFigure) -> Iterable[Row]:
    if one.auroc is not None:
        yield _number(name, f"{one.defense}: area under the curve", 100 * one.auroc)


def _row(model: str, what: str, rate: Rate) -> Row:
    value = 100 * rate.value if rate.total else 0.0
    return Row(model, what, None, value, (value,), (100 * rate.low, 100 * rate.high), rate.total, "measured")


def _number(model: str, what: str, value: float) -> Row:
    return Row(model, what, None, value, (value,), None, 0, "measured")


def _both(model: str, what: str, shares: list[float]) -> list[Row]:
    values = [100 * one for one in shares if math.isfinite(one)]
    if not values:
        return []
    return [
        Row(model, f"{what}, {word}", None, value, tuple(values), None, 0, "measured")
        for word, value in (("median", median(values)), ("worst", max(values)))
    ]
