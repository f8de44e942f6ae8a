"""The positions of the trigger: its result and how it is shown."""

from __future__ import annotations

from badnets.report.kinds.kind import Kind
from badnets.report.pages.positions import positions_page
from badnets.report.rows import positions as positions_rows
from badnets.report.shown import Shown, interval
from badnets.studies.positions import PositionsResult


def _show(result: PositionsResult) -> Shown:
    rows = positions_rows.table(result)
    columns = ("model", "what", "#measured", "#95 % interval", "#images at each place")
    found = tuple((row.model, row.what, positions_rows.number(row), interval(row), f"{row.images:,}") for row in rows)
    notes = positions_rows.notes(result)
    return Shown(positions_rows.title(result), columns, found, tuple(rows), notes, positions_page(result))


KIND = Kind(PositionsResult, positions_rows.table, _show)
