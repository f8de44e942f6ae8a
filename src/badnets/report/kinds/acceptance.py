"""The user's check: its result and how it is shown."""

from __future__ import annotations

from badnets.report.kinds.kind import Kind
from badnets.report.pages.acceptance import acceptance_page
from badnets.report.rows import acceptance as acceptance_rows
from badnets.report.shown import Shown, lines
from badnets.studies.acceptance import AcceptanceResult


def _show(result: AcceptanceResult) -> Shown:
    rows = acceptance_rows.table(result)
    columns = ("network", "what", "#measured", "#95 % interval", "#images")
    found = tuple(line[:2] + line[3:6] for line in lines(rows))
    return Shown(
        acceptance_rows.title(result), columns, found, tuple(rows), acceptance_rows.NOTES, acceptance_page(result)
    )


KIND = Kind(AcceptanceResult, acceptance_rows.table, _show)
