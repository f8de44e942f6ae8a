"""A study's result as a person or a program is shown it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from badnets.report.rows import Row

COLUMNS = ("model", "error", "#paper (MNIST)", "#measured", "#95 % interval", "#images", "verdict")
SIGN_COLUMNS = ("model", "figure", "#paper", "#measured", "#95 % interval", "#signs", "verdict")


@dataclass(frozen=True)
class Shown:
    """What the command line prints and keeps of a result.

    Attributes:
        title: of the table.
        columns: of the table; one whose name begins with # holds numbers.
        lines: of the table; with many models only their summary.
        rows: every row, for a program.
        notes: said after the table.
        page: self-contained HTML.
    """

    title: str
    columns: tuple[str, ...]
    lines: tuple[tuple[str, ...], ...]
    rows: tuple[Row, ...]
    notes: tuple[str, ...]
    page: str


def lines(rows: Sequence[Row]) -> tuple[tuple[str, ...], ...]:
    """The rows as text, under `COLUMNS`."""
    return tuple(
        (
            row.model,
            row.what,
            "-" if row.paper is None else f"{row.paper:.2f}",
            f"{row.measured:.2f}",
            interval(row),
            f"{row.images:,}",
            row.verdict,
        )
        for row in rows
    )


def interval(row: Row) -> str:
    """Its interval as text."""
    return "-" if row.interval is None else f"{row.interval[0]:.2f}-{row.interval[1]:.2f}"
