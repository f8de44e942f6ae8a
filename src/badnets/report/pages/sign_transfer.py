"""The page of transfer learning on street signs."""

from __future__ import annotations

from badnets.report.charts.sign_transfer import strength_chart
from badnets.report.pages.page import Making, Part, Schedule, machines, render
from badnets.report.pages.sign_schedules import sign_schedules
from badnets.report.pictures import picture_uri
from badnets.report.rows.sign_transfer import NOTES, RULE, VARIANT_WORDS, goal, table, title
from badnets.studies.sign_cells import SignCellResult
from badnets.studies.transfer import SignTransferResult


def sign_transfer_page(result: SignTransferResult) -> str:
    """The report as HTML."""
    return render(
        "sign_transfer.html",
        result=result,
        title=title(result),
        goal=goal(result),
        rows=table(result),
        rule=RULE,
        notes=NOTES,
        chart=strength_chart(result),
        retrained=VARIANT_WORDS[result.spec.retrained],
        sticker=picture_uri(result.spec.stamp().picture),
        making=_making(result),
    )


def _making(result: SignTransferResult) -> Making:
    spec = result.spec
    groups: list[tuple[str, list[SignCellResult]]] = [
        ("honest detector", list(result.honest)),
        ("BadNet", list(result.badnets)),
        *([("BadNet, steps before", list(result.on_the_way))] if result.on_the_way else []),
        ("victims", [point.cell for point in result.victims]),
    ]
    start = f"convolutions with SHA-256 {spec.pretrained[:16]}…" if spec.pretrained else "fresh weights"
    return Making(
        train=result.data.train,
        test=result.data.test,
        parts=tuple(Part.of(name, cells) for name, cells in groups),
        schedules=(
            *sign_schedules("the detectors that are downloaded", spec.train, start, spec.steps),
            Schedule("schedule of the victims", spec.retrain, "a detector that was downloaded"),
        ),
        seeds=spec.seeds,
        machines=machines(cell for _, cells in groups for cell in cells),
        what="scenes",
    )
