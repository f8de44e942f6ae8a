"""The page of the study after BackdoorBench's protocol."""

from __future__ import annotations

from badnets.report.pages.page import Making, Part, Schedule, machines, render
from badnets.report.rows.bb_compat import METRICS, groups, notes, ratio_words, title
from badnets.studies.bb_compat import BbCompatResult


def bb_compat_page(result: BbCompatResult) -> str:
    """The report as HTML."""
    return render(
        "bb_compat.html",
        result=result,
        title=title(result),
        metrics=METRICS,
        groups=groups(result),
        notes=notes(result),
        making=_making(result),
    )


def _making(result: BbCompatResult) -> Making:
    parts = [Part.of("honest", [point.cell for point in result.baselines])]
    parts += [
        Part.of(f"ratio {ratio_words(ratio)}", [point.cell for point in result.at(ratio)])
        for ratio in result.spec.ratios
    ]
    return Making(
        train=result.data.train,
        test=result.data.test,
        parts=tuple(parts),
        schedules=(Schedule(f"schedule of every {result.spec.model}", result.spec.train, "fresh weights"),),
        seeds=result.spec.seeds,
        machines=machines([point.cell for point in (*result.baselines, *result.points)]),
    )
