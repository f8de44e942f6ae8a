"""The page of the study of defenses."""

from __future__ import annotations

from badnets.report.pages.page import Making, Part, Schedule, machines, render
from badnets.report.rows.defenses import NOTES, missed_filter, missed_repair, summary, title
from badnets.studies.defending import DefensesResult


def defenses_page(result: DefensesResult) -> str:
    """The report as HTML."""
    return render(
        "defenses.html",
        result=result,
        title=title(result),
        rows=summary(result),
        notes=NOTES,
        missed_filter=missed_filter,
        missed_repair=missed_repair,
        making=_making(result),
    )


def _making(result: DefensesResult) -> Making:
    spec = result.spec
    return Making(
        train=result.data.train,
        test=result.data.test,
        parts=tuple(Part.of(model.name, [model.cell]) for model in result.models),
        schedules=(
            Schedule("schedule of the clean twin, all-to-all and all-to-one", spec.train, "fresh weights"),
            Schedule("all-to-all with a pixel, where the single target starts", spec.pixel, "all-to-all"),
            Schedule("schedule of the single target", spec.retrain, "all-to-all with a pixel"),
        ),
        seeds=spec.seeds,
        machines=machines(model.cell for model in result.models),
    )
