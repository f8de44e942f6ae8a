"""The share of poisoned samples: its result and how it is shown."""

from __future__ import annotations

from badnets.report.kinds.kind import Kind
from badnets.report.pages.share import share_page
from badnets.report.rows import share as share_rows
from badnets.report.shown import COLUMNS, Shown, lines
from badnets.studies.share import ShareResult


def _show(result: ShareResult) -> Shown:
    rows = share_rows.table(result)
    columns: tuple[str, ...] = COLUMNS
    found = lines(rows)
    if len(result.spec.seeds) > 1:
        columns = (*COLUMNS[:5], "#by seed", *COLUMNS[5:])
        values = [" ".join(f"{value:.2f}" for value in row.seeds) for row in rows]
        found = tuple((*line[:5], by_seed, *line[5:]) for line, by_seed in zip(found, values, strict=True))
    notes = (share_rows.judge(result).rule, *share_rows.NOTES)
    return Shown(share_rows.title(result), columns, found, tuple(rows), notes, share_page(result))


KIND = Kind(ShareResult, share_rows.table, _show)
