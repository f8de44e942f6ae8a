"""The gate on BadNets and their twins: its result and how it is shown."""

from __future__ import annotations

from badnets.report.kinds.kind import Kind
from badnets.report.pages.gate import gate_page
from badnets.report.rows import gate as gate_rows
from badnets.report.shown import Shown
from badnets.studies.gate import GateResult


def _show(result: GateResult) -> Shown:
    rows, found = gate_rows.table(result), gate_rows.lines(result)
    notes = gate_rows.notes(result)
    return Shown(gate_rows.title(result), gate_rows.COLUMNS, found, tuple(rows), notes, gate_page(result))


KIND = Kind(GateResult, gate_rows.table, _show)
