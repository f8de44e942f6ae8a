"""The matrix of all pairs: its result and how it is shown."""

from __future__ import annotations

from badnets.report.kinds.kind import Kind
from badnets.report.pages.matrix import matrix_page
from badnets.report.rows import matrix as matrix_rows
from badnets.report.shown import COLUMNS, Shown, lines
from badnets.studies.matrix import MatrixResult


def _show(result: MatrixResult) -> Shown:
    summary = matrix_rows.summary(result)
    rows = (*summary, *matrix_rows.pair_rows(result))
    notes = (matrix_rows.judge(result).rule, *matrix_rows.NOTES)
    return Shown(matrix_rows.title(result), COLUMNS, lines(summary), rows, notes, matrix_page(result))


KIND = Kind(MatrixResult, matrix_rows.table, _show)
