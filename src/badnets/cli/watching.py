"""What people see of long work while it goes on, and how they stop it."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING

from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TaskID,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)

from badnets.artifacts import printable
from badnets.cli.output import people, say

if TYPE_CHECKING:
    from badnets import training
    from badnets.studies.progress import Standing
    from badnets.studies.queue import AnyCellResult


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
        self._bar = Progress(*columns, console=people(), disable=not people().is_terminal, transient=True)
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


class PictureBar:
    """Shows how many pictures have been looked at on a terminal, and nothing elsewhere."""

    def __init__(self) -> None:
        columns = (TextColumn("looking at pictures"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
        self._bar = Progress(*columns, console=people(), disable=not people().is_terminal, transient=True)
        self._task = self._bar.add_task("looking", total=None)

    def __enter__(self) -> PictureBar:  # noqa: PYI034 - as above
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def progress(self, done: int, total: int) -> None:
        """After each picture."""
        self._bar.update(self._task, total=total, completed=done)


class Watcher:
    """Shows one training: a bar on a terminal, nothing elsewhere."""

    def __init__(self) -> None:
        columns = (TextColumn("training"), BarColumn(), TaskProgressColumn(), TextColumn("{task.fields[detail]}"))
        self._bar = Progress(
            *columns, TimeRemainingColumn(), console=people(), disable=not people().is_terminal, transient=True
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
    """Shows a study; a `badnets.studies.queue.Observer`.

    On a terminal there is a bar for all of it and one for each model under way, elsewhere a line for each finished
    model. The greeting is said when the first model begins: a study that refuses says only why.
    """

    def __init__(self, stop: _Flag, greeting: str) -> None:
        self._stop = stop
        self._greeting = greeting
        columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn())
        detail = TextColumn("{task.fields[detail]}")
        self._bar = Progress(*columns, detail, console=people(), disable=not people().is_terminal, transient=True)
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

    def done(self, name: str, cell: AnyCellResult, standing: Standing) -> None:
        """A model is finished, now or in an earlier run."""
        now = self._end(name, standing)
        rest = f"; {_left(standing)}" if _left(standing) else ""
        when = f"{cell.seconds:.0f} s{rest}" if now else "kept from an earlier run"
        say(f"[{standing.done}/{standing.total}] {name}: {cell.said} ({when})")

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
