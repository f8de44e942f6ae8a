"""The page of acceptance."""

from __future__ import annotations

from badnets.report.charts.acceptance import acceptance_chart
from badnets.report.pages.page import Making, Part, Schedule, machines, render
from badnets.report.rows.acceptance import BADNET, HONEST, NOTES, table, title
from badnets.studies.acceptance import FALSE_ALARM, AcceptanceResult


def acceptance_page(result: AcceptanceResult) -> str:
    """The report as HTML."""
    return render(
        "acceptance.html",
        result=result,
        title=title(result),
        rows=table(result)[:3],
        notes=NOTES,
        alarm=FALSE_ALARM,
        chart=acceptance_chart(result),
        making=_making(result),
    )


def _making(result: AcceptanceResult) -> Making:
    return Making(
        train=result.data.train,
        test=result.data.test,
        parts=(Part.of(HONEST, result.honest), Part.of(BADNET, result.badnets)),
        schedules=(Schedule("schedule of every network", result.spec.train, "fresh weights"),),
        seeds=result.spec.seeds,
        machines=machines([*result.honest, *result.badnets]),
    )
