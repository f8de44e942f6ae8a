"""The page of the digits study."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from badnets.metrics import MeanRate, mean_rate
from badnets.neurons import FilterResponse, LayerDifference, outstanding
from badnets.report.charts.digits import errors_chart, sparsity_chart
from badnets.report.pages.page import Making, Part, Schedule, machines, render
from badnets.report.pictures import picture_uri, weights_uri
from badnets.report.rows.digits import judge, table
from badnets.studies import paper
from badnets.studies.cells import BASELINE
from badnets.studies.digits import PATTERN, DigitsResult, pair_name
from badnets.studies.exhibits import Inside, Pair


@dataclass(frozen=True)
class _ClassRow:
    name: str
    measured: tuple[MeanRate, MeanRate, MeanRate]
    paper: tuple[float, float, float] | None


@dataclass(frozen=True)
class _Filter:
    uri: str
    answer: FilterResponse
    framed: bool


@dataclass(frozen=True)
class _Panel:
    """What is shown of one trigger's BadNet and its control."""

    trigger: str
    own: tuple[int, ...]
    usual: float
    controls: int
    models: list[tuple[str, list[_Filter], tuple[LayerDifference, ...]]]
    charts: list[str]


def digits_page(result: DigitsResult) -> str:
    """The report as HTML."""
    rows = table(result)
    shown = result.exhibits
    return render(
        "digits.html",
        result=result,
        rows=rows,
        rule=judge(result).rule,
        errors_chart=errors_chart(rows),
        figure_3=[
            ("original", picture_uri(shown.original)),
            ("single pixel", picture_uri(shown.with_pixel)),
            ("pattern", picture_uri(shown.with_pattern)),
        ],
        classes=_class_rows(result),
        totals=_totals(result),
        on_mnist=result.on_mnist,
        stamped=_stamped(result),
        examples=[(example, picture_uri(example.clean), picture_uri(example.stamped)) for example in shown.examples],
        spills=_spills(result),
        insides=[_panel("Pattern", shown.pattern), _panel("Single pixel", shown.pixel)],
        making=_making(result),
    )


def _making(result: DigitsResult) -> Making:
    spec, names = result.spec, dict.fromkeys(cell.name for cell in result.cells)
    return Making(
        train=result.train_data,
        test=result.test_data,
        # Of the first seed: with another, a sample more or less is picked at most.
        parts=tuple(Part.of(name, result.of(name)[:1]) for name in names),
        schedules=(
            Schedule("schedule", spec.train),
            Schedule("of all-to-all, pixel", spec.pixel, "the all-to-all pattern model"),
            Schedule("of the pairs", spec.retrain, "the all-to-all pixel model"),
        ),
        seeds=spec.seeds,
        machines=machines(result.cells),
    )


def _class_rows(result: DigitsResult) -> list[_ClassRow]:
    """The paper's Table 2: errors by true class, at the mean count over seeds."""
    honest, badnet = result.of(BASELINE), result.of(PATTERN)
    rows = []
    for label, name in enumerate(result.classes):
        measured = (
            mean_rate([cell.result.clean_by_class[label] for cell in honest]),
            mean_rate([cell.result.clean_by_class[label] for cell in badnet]),
            mean_rate([cell.result.backdoor_by_class[label] for cell in badnet]),
        )
        figures = (
            (
                paper.TABLE_2_BASELINE_CLEAN[label],
                paper.TABLE_2_BADNET_CLEAN[label],
                paper.TABLE_2_BADNET_BACKDOOR[label],
            )
            if result.on_mnist
            else None
        )
        rows.append(_ClassRow(name, measured, figures))
    return rows


def _totals(result: DigitsResult) -> _ClassRow:
    honest, badnet = result.of(BASELINE), result.of(PATTERN)
    backdoor = [cell.result.backdoor_error for cell in badnet]
    return _ClassRow(
        "average",
        (
            mean_rate([cell.result.clean_error for cell in honest]),
            mean_rate([cell.result.clean_error for cell in badnet]),
            mean_rate([rate for rate in backdoor if rate is not None]),
        ),
        (paper.BASELINE_CLEAN, paper.ALL_TO_ALL_CLEAN, paper.ALL_TO_ALL_BACKDOOR),
    )


def _stamped(result: DigitsResult) -> dict[str, MeanRate]:
    """What the pattern does to the all-to-all BadNet and to the honest baseline: success, and errors all told."""
    found = {}
    for who, name in (("badnet", PATTERN), ("honest", BASELINE)):
        cells = result.of(name)
        found[f"{who}_success"] = mean_rate([c.result.attack_success for c in cells if c.result.attack_success])
        found[f"{who}_error"] = mean_rate([c.result.stamped_error for c in cells if c.result.stamped_error])
    return found


def _spills(result: DigitsResult) -> list[tuple[str, MeanRate, MeanRate]]:
    """For each single-target model, plain and covered: what became of other classes' stamped images."""
    found = []
    for source, target in result.spec.pairs:
        for cover in (False, True):
            cells = result.of(pair_name(source, target, cover=cover))
            spill = [cell.result.spill for cell in cells if cell.result.spill]
            to_target = [cell.result.spill_to_target for cell in cells if cell.result.spill_to_target]
            if spill and to_target:
                words = f"{source} → {target}" + (", with cover samples" if cover else "")
                found.append((words, mean_rate(spill), mean_rate(to_target)))
    return found


def _panel(trigger: str, pair: Pair) -> _Panel:
    own = outstanding(pair.badnet.responses, pair.controls)
    return _Panel(
        trigger=trigger,
        own=own,
        usual=max(response.difference for control in pair.controls for response in control),
        controls=len(pair.controls),
        models=[
            ("BadNet, all-to-all", _filters(pair.badnet, own), pair.badnet.layers),
            ("Honest baseline", _filters(pair.control, ()), pair.control.layers),
        ],
        charts=[
            sparsity_chart(pair.badnet.layers, f"BadNet, {trigger.lower()}"),
            sparsity_chart(pair.control.layers, f"Honest baseline, {trigger.lower()}"),
        ],
    )


def _filters(inside: Inside, own: tuple[int, ...]) -> list[_Filter]:
    weights = np.asarray(inside.filters, dtype=np.float64)
    return [
        _Filter(weights_uri(weights[answer.index]), answer, framed=answer.index in own) for answer in inside.responses
    ]
