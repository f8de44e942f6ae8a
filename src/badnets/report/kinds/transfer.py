"""Transfer learning on digits: its result and how it is shown."""

from __future__ import annotations

from badnets.report.kinds.kind import Kind
from badnets.report.pages.transfer import transfer_page
from badnets.report.rows import transfer as transfer_rows
from badnets.report.shown import COLUMNS, Shown, lines
from badnets.studies.transfer_digits import TransferResult


def _show(result: TransferResult) -> Shown:
    rows = transfer_rows.table(result)
    columns = tuple("#paper (signs)" if name.startswith("#paper") else name for name in COLUMNS)
    notes = (transfer_rows.RULE, *transfer_rows.NOTES)
    return Shown(transfer_rows.title(result), columns, lines(rows), tuple(rows), notes, transfer_page(result))


KIND = Kind(TransferResult, transfer_rows.table, _show)
