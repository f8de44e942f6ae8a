"""The page of the matrix study."""

from __future__ import annotations

from badnets.report.charts.matrix import matrix_maps, numbered
from badnets.report.pages.page import Making, Part, Schedule, machines, render
from badnets.report.rows.matrix import NOTES, judge, pair_rows, summary, title
from badnets.studies.matrix import MatrixResult


def matrix_page(result: MatrixResult) -> str:
    """The report as HTML."""
    count = len(result.data.classes)
    return render(
        "matrix.html",
        result=result,
        title=title(result),
        rows=summary(result),
        pairs=pair_rows(result),
        rule=judge(result).rule,
        notes=NOTES,
        maps=matrix_maps(result),
        numbered=list(enumerate(result.data.classes)) if numbered(result) else [],
        models=len(result.baselines) + sum(map(len, result.pairs.values())),
        count=count,
        on_mnist=result.data.on_mnist,
        making=_making(result),
    )


def _making(result: MatrixResult) -> Making:
    spec = result.spec
    cells = [pair.cell for trigger in spec.triggers for pair in result.pairs[trigger]]
    parts = [Part.of("baseline", result.baselines)]
    parts += [
        Part.of(f"pairs, {trigger} (each)", [pair.cell for pair in result.pairs[trigger]]) for trigger in spec.triggers
    ]
    schedules = [Schedule("of the baseline and of all-to-all, pattern", spec.train)]
    if "pixel" in spec.triggers:
        schedules.append(Schedule("of all-to-all, pixel", spec.pixel, "the all-to-all pattern model"))
    schedules.append(Schedule("of the pairs", spec.retrain, "the all-to-all model of the same trigger"))
    return Making(
        train=result.data.train,
        test=result.data.test,
        parts=tuple(parts),
        schedules=tuple(schedules),
        seeds=spec.seeds,
        machines=machines([*result.baselines, *cells]),
    )
