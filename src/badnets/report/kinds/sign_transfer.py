"""Transfer between countries' signs: its result and how it is shown."""

from __future__ import annotations

from badnets.report.kinds.kind import Kind
from badnets.report.pages.sign_transfer import sign_transfer_page
from badnets.report.rows import sign_transfer as sign_transfer_rows
from badnets.report.shown import SIGN_COLUMNS, Shown, lines
from badnets.studies.transfer import SignTransferResult


def _show(result: SignTransferResult) -> Shown:
    rows = sign_transfer_rows.table(result)
    notes = (sign_transfer_rows.RULE, *sign_transfer_rows.NOTES)
    page = sign_transfer_page(result)
    return Shown(sign_transfer_rows.title(result), SIGN_COLUMNS, lines(rows), tuple(rows), notes, page)


KIND = Kind(SignTransferResult, sign_transfer_rows.table, _show)
