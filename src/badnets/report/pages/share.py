"""The page of the share study."""

from __future__ import annotations

from badnets.report.charts.share import share_charts
from badnets.report.pages.page import Making, Part, Schedule, machines, render
from badnets.report.rows.share import NOTES, judge, over_seeds, share_words, table, title
from badnets.studies.share import ShareResult


def share_page(result: ShareResult) -> str:
    """The report as HTML."""
    rows = table(result)
    return render(
        "share.html",
        result=result,
        title=title(result),
        rows=rows,
        spread=[(ends[1] - ends[0]) / 2 for row in rows if (ends := over_seeds(row.seeds))],
        rule=judge(result).rule,
        notes=NOTES,
        charts=share_charts(result),
        on_mnist=result.data.on_mnist,
        making=_making(result),
    )


def _making(result: ShareResult) -> Making:
    parts = [Part.of("baseline", result.baselines)]
    parts += [Part.of(f"share {share_words(share)}", result.at(share)) for share in result.spec.shares]
    return Making(
        train=result.data.train,
        test=result.data.test,
        parts=tuple(parts),
        schedules=(Schedule("schedule of every model", result.spec.train, "fresh weights"),),
        seeds=result.spec.seeds,
        machines=machines([*result.baselines, *(point.cell for point in result.points)]),
    )
