"""What people and programs read: tables and progress on stderr, JSON on stdout."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING, Any

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TaskID,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)
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
    """Shows one training: a bar on a terminal, nothing elsewhere."""

    def __init__(self) -> None:
        columns = (TextColumn("training"), BarColumn(), TaskProgressColumn(), TextColumn("{task.fields[detail]}"))
        self._bar = Progress(
            *columns, TimeRemainingColumn(), console=people, disable=not people.is_terminal, transient=True
        )
        self._task = self._bar.add_task("training", total=None, detail="")

    def __enter__(self) -> Watcher:  # noqa: PYI034 - as above
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def progress(self, progress: training.Progress) -> None:
        """A few times a second."""
        self._bar.update(self._task, total=progress.steps, completed=progress.step, detail=_detail(progress))


class StudyWatcher:
    """Shows a study; a `badnets.studies.runner.Observer`.

    On a terminal there is a bar for all of it and one for each model under way, elsewhere a line for each finished
    model. The greeting is said when the first model begins: a study that refuses says only why.
    """

    def __init__(self, stop: _Flag, greeting: str) -> None:
        self._stop = stop
        self._greeting = greeting
        columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn())
        detail = TextColumn("{task.fields[detail]}")
        self._bar = Progress(*columns, detail, console=people, disable=not people.is_terminal, transient=True)
        self._whole = self._bar.add_task("models", total=None, detail="")
        self._running: dict[str, TaskID] = {}

    def __enter__(self) -> StudyWatcher:  # noqa: PYI034 - as above
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def begun(self, name: str, standing: Standing) -> None:
        """Somebody works on a model."""
        if self._greeting:
            say(self._greeting)
            self._greeting = ""
        if name not in self._running:
            self._running[name] = self._bar.add_task(f"  {printable(name)}", total=None, detail="")
        self._update(standing)

    def progress(self, name: str, progress: training.Progress, standing: Standing) -> None:
        """A few times a second for each model under way."""
        task = self._running[name]
        self._bar.update(task, total=progress.steps, completed=progress.step, detail=_detail(progress))
        self._update(standing)

    def done(self, name: str, cell: CellResult, standing: Standing) -> None:
        """A model is finished, now or in an earlier run."""
        now = self._end(name, standing)
        backdoor = cell.result.backdoor_error
        attack = f", backdoor error {backdoor.value:.2%}" if backdoor and cell.plan else ""
        rest = f"; {_left(standing)}" if _left(standing) else ""
        when = f"{cell.seconds:.0f} s{rest}" if now else "kept from an earlier run"
        clean = cell.result.clean_error.value
        count = f"[{standing.done}/{standing.total}]"
        say(f"{count} {name}: clean error {clean:.2%}{attack} ({when})")

    def failed(self, name: str, reason: str, standing: Standing) -> None:
        """A model has no result."""
        self._end(name, standing)
        say(f"failed: {name}: {reason}")

    def stop(self) -> bool:
        """Whether the user asked to stop."""
        return self._stop()

    def _end(self, name: str, standing: Standing) -> bool:
        task = self._running.pop(name, None)
        if task is not None:
            self._bar.remove_task(task)
        self._update(standing)
        return task is not None

    def _update(self, standing: Standing) -> None:
        failed = f", {standing.failed} failed" if standing.failed else ""
        detail = f"{standing.running} running{failed}" + (f", {_left(standing)}" if _left(standing) else "")
        self._bar.update(self._whole, total=standing.total, completed=standing.done, detail=detail)


def _detail(progress: training.Progress) -> str:
    return f"epoch {progress.epoch + 1}, loss {progress.loss:.4f}, {progress.rate:,.0f} images/s"


def _left(standing: Standing) -> str:
    """How long it will still take, in words; nothing while that cannot be told or is over."""
    seconds = standing.seconds_left
    if not seconds:
        return ""
    return f"about {seconds / 60:.0f} min left" if seconds >= 90 else f"about {seconds:.0f} s left"
