"""BackdoorBench's protocol: its result and how it is shown."""

from __future__ import annotations

from badnets.report.kinds.kind import Kind
from badnets.report.pages.bb_compat import bb_compat_page
from badnets.report.rows import bb_compat as bb_compat_rows
from badnets.report.shown import Shown, lines
from badnets.studies.bb_compat import BbCompatResult


def _show(result: BbCompatResult) -> Shown:
    rows, columns = bb_compat_rows.table(result), bb_compat_rows.COLUMNS
    found = tuple(line[: len(columns)] for line in lines(rows))  # no verdict: see its notes
    notes = bb_compat_rows.notes(result)
    return Shown(bb_compat_rows.title(result), columns, found, tuple(rows), notes, bb_compat_page(result))


KIND = Kind(BbCompatResult, bb_compat_rows.table, _show)
