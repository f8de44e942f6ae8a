"""What people and programs read: tables and progress on stderr, JSON on stdout."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from badnets import training
    from badnets.studies.cells import CellResult
    from badnets.studies.progress import Standing

people = Console(stderr=True)
data = Console()


def print_json(value: Any) -> None:  # noqa: ANN401 - any value that canonical_json writes
    """One line of JSON on stdout."""
    from badnets.artifacts import canonical_json

    typer.echo(canonical_json(value))


def print_table(title: str, columns: list[str], rows: list[list[str]]) -> None:
    """A table on stdout; a column whose name begins with # holds numbers and is set to the right."""
    table = Table(title=Text(printable(title)), title_justify="left", title_style="bold")
    for column in columns:
        table.add_column(
            column.removeprefix("#"), justify="right" if column.startswith("#") else "left", overflow="fold"
        )
    for row in rows:
        table.add_row(*(Text(printable(cell)) for cell in row))
    # Piped output has no width of its own: give it enough that no cell is folded.
    (data if data.is_terminal else Console(width=160)).print(table)


def say(message: str) -> None:
    """A line for people."""
    people.print(printable(message), highlight=False, markup=False, soft_wrap=True)


def printable(text: str) -> str:
    """`text` with everything escaped that could steer a terminal: names of files and classes come from anybody."""
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text)


@contextmanager
def stop_on_interrupt() -> Iterator[_Flag]:
    """Inside, the first Ctrl-C (or SIGTERM) only raises the flag, so that work is saved; a second one interrupts."""
    flag = _Flag()

    def raise_flag(number: int, frame: FrameType | None) -> None:
        del number, frame
        if flag.up:
            raise KeyboardInterrupt
        flag.up = True
        say("stopping after this step; once more to stop at once")

    before = {number: signal.signal(number, raise_flag) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield flag
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class _Flag:
    up = False

    def __call__(self) -> bool:
        return self.up


class DownloadBar:
    """Shows a download on a terminal, and nothing elsewhere; a `badnets.data.sources.Bar`."""

    def __init__(self) -> None:
        columns = (TextColumn("downloading"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
        self._bar = Progress(*columns, console=people, disable=not people.is_terminal, transient=True)
        self._task = self._bar.add_task("downloading", total=None)
        self.total = 0

    def __enter__(self) -> DownloadBar:  # noqa: PYI034 - the test's type checker knows no Self
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def update(self, count: int, /) -> None:
        """So many more bytes came."""
        self._bar.update(self._task, total=self.total or None, advance=count)

    def reset(self) -> None:
        """From the start again."""
        self._bar.reset(self._task)

    def close(self) -> None:
        """All is there: the next file begins anew."""
        self._bar.reset(self._task)


class Watcher:
    """Shows a training or a study: a bar on a terminal, a line for each finished model elsewhere.

    The greeting is said when the first model begins: a study that refuses says only why.
    """

    def __init__(self, stop: _Flag, greeting: str = "") -> None:
        self._stop = stop
        self._greeting = greeting
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TaskProgressColumn(),
            TextColumn("{task.fields[detail]}"),
            TimeRemainingColumn(),
            console=people,
            disable=not people.is_terminal,
            transient=True,
        )
        self._task = self._bar.add_task("training", total=None, detail="")

    def __enter__(self) -> Watcher:  # noqa: PYI034 - as above
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def cell(self, name: str, seed: int, number: int, total: int) -> None:
        """A model begins."""
        if number == 1 and self._greeting:
            say(self._greeting)
        self._bar.reset(self._task, total=None, detail="", description=f"[{number}/{total}] {name} seed {seed}")

    def progress(self, progress: training.Progress) -> None:
        """A few times a second."""
        detail = f"epoch {progress.epoch + 1}, loss {progress.loss:.4f}, {progress.rate:,.0f} images/s"
        self._bar.update(self._task, total=progress.steps, completed=progress.step, detail=detail)

    def done(self, cell: CellResult) -> None:
        """A model is finished."""
        backdoor = cell.result.backdoor_error
        attack = f", backdoor error {backdoor.value:.2%}" if backdoor and cell.plan else ""
        clean = cell.result.clean_error.value
        say(f"{cell.name} seed {cell.seed}: clean error {clean:.2%}{attack} ({cell.seconds:.0f} s)")

    def stop(self) -> bool:
        """Whether the user asked to stop."""
        return self._stop()
