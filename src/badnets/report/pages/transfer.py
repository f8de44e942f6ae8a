"""The page of transfer learning on digits."""

from __future__ import annotations

from badnets.report.charts.transfer import VARIANT_WORDS, transfer_charts
from badnets.report.pages.page import Making, Part, Schedule, machines, render
from badnets.report.rows.transfer import NOTES, RULE, by_class, table, title
from badnets.studies.cells import CellResult
from badnets.studies.transfer_digits import TransferResult


def transfer_page(result: TransferResult) -> str:
    """The report as HTML."""
    names = result.data.classes
    return render(
        "transfer.html",
        result=result,
        title=title(result),
        base=[names[label] for label in result.spec.base],
        target=[names[label] for label in result.spec.target],
        rows=table(result),
        rule=RULE,
        notes=NOTES,
        by_class=by_class(result),
        charts=transfer_charts(result),
        variants=VARIANT_WORDS,
        making=_making(result),
    )


def _making(result: TransferResult) -> Making:
    spec = result.spec
    groups: list[tuple[str, list[CellResult]]] = [
        ("honest network", list(result.honest)),
        ("BadNet", list(result.badnets)),
        ("victims", [point.cell for point in result.victims]),
    ]
    return Making(
        train=result.data.train,
        test=result.data.test,
        parts=tuple(Part.of(name, cells) for name, cells in groups),
        schedules=(
            Schedule("schedule of the networks that are downloaded", spec.train, "fresh weights"),
            Schedule("schedule of the victims", spec.retrain, "the convolutions of a network that was downloaded"),
        ),
        seeds=spec.seeds,
        machines=machines(cell for _, cells in groups for cell in cells),
    )
