"""The page of the positions study."""

from __future__ import annotations

from badnets.report.charts.positions import distance_chart, position_grid
from badnets.report.pages.page import Making, Part, Schedule, machines, render
from badnets.report.rows.positions import localities, notes, number, table, title
from badnets.studies.positions import PositionsResult


def positions_page(result: PositionsResult) -> str:
    """The report as HTML."""
    models = localities(result)
    return render(
        "positions.html",
        result=result,
        title=title(result),
        rows=[(row, number(row)) for row in table(result)],
        notes=notes(result),
        models=models,
        grids=[position_grid(one) for one in models],
        chart=distance_chart(models),
        making=_making(result),
    )


def _making(result: PositionsResult) -> Making:
    spec = result.spec
    return Making(
        train=result.data.train,
        test=result.data.test,
        parts=tuple(Part.of(cell.name, [cell]) for cell in result.cells),
        schedules=(
            Schedule("of the baseline and of all-to-all, pattern", spec.train),
            Schedule("of all-to-all, pixel", spec.pixel, "the all-to-all pattern model"),
        ),
        seeds=(spec.seed,),
        machines=machines(result.cells),
    )
