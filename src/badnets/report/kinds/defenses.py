"""The study of defenses: its result and how it is shown."""

from __future__ import annotations

from badnets.report.kinds.kind import Kind
from badnets.report.pages.defenses import defenses_page
from badnets.report.rows import defenses as defenses_rows
from badnets.report.rows.row import Row
from badnets.report.shown import Shown, interval
from badnets.studies.defending import DefensesResult


def _show(result: DefensesResult) -> Shown:
    rows = defenses_rows.table(result)
    lines = tuple(_line(row) for row in rows)
    page = defenses_page(result)
    return Shown(defenses_rows.title(result), defenses_rows.COLUMNS, lines, tuple(rows), defenses_rows.NOTES, page)


def _line(row: Row) -> tuple[str, ...]:
    return row.model, row.what, f"{row.measured:.2f}", interval(row), f"{row.images:,}" if row.images else "-"


KIND = Kind(DefensesResult, defenses_rows.table, _show)
