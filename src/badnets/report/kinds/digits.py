"""The paper's first case study: its result and how it is shown."""

from __future__ import annotations

from badnets.report.kinds.kind import Kind
from badnets.report.pages.digits import digits_page
from badnets.report.rows import digits as digits_rows
from badnets.report.shown import COLUMNS, Shown, lines
from badnets.studies.digits import DigitsResult


def _show(result: DigitsResult) -> Shown:
    rows = digits_rows.table(result)
    rule = digits_rows.judge(result).rule
    return Shown(digits_rows.title(result), COLUMNS, lines(rows), tuple(rows), (rule,), digits_page(result))


KIND = Kind(DigitsResult, digits_rows.table, _show)
