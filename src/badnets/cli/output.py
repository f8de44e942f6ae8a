"""What people and programs read: tables and progress on stderr, JSON on stdout."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import typer

from badnets.artifacts import printable

if TYPE_CHECKING:
    from rich.console import Console


@cache
def people() -> Console:
    """The one console on stderr: lines and bars must know of each other."""
    from rich.console import Console

    return Console(stderr=True)


def print_json(value: Any) -> None:  # noqa: ANN401 - any value that canonical_json writes
    """One line of JSON on stdout."""
    from badnets.artifacts import canonical_json

    typer.echo(canonical_json(value))


def print_table(title: str, columns: list[str], rows: list[list[str]]) -> None:
    """A table on stdout; a column whose name begins with # holds numbers and is set to the right."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(title=Text(printable(title)), title_justify="left", title_style="bold")
    for column in columns:
        table.add_column(
            column.removeprefix("#"), justify="right" if column.startswith("#") else "left", overflow="fold"
        )
    for row in rows:
        table.add_row(*(Text(printable(cell)) for cell in row))
    # Piped output has no width of its own: give it enough that no cell is folded.
    data = Console()
    (data if data.is_terminal else Console(width=160)).print(table)


def say(message: str) -> None:
    """A line for people."""
    people().print(printable(message), highlight=False, markup=False, soft_wrap=True)
