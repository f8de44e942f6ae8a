"""The street-sign detector: its result and how it is shown."""

from __future__ import annotations

from badnets.report.kinds.kind import Kind
from badnets.report.pages.signs import signs_page
from badnets.report.rows import signs as signs_rows
from badnets.report.shown import SIGN_COLUMNS, Shown, lines
from badnets.studies.signs import SignsResult


def _show(result: SignsResult) -> Shown:
    rows = signs_rows.table(result)
    notes = (signs_rows.rule(result), *signs_rows.NOTES)
    return Shown(signs_rows.title(result), SIGN_COLUMNS, lines(rows), tuple(rows), notes, signs_page(result))


KIND = Kind(SignsResult, signs_rows.table, _show)
