"""Work in pieces: tasks that are handed out one by one, and whoever carries them out.

A `Queue` knows which task is next and is told what becomes of each; an `Engine` carries tasks out, here or in other
processes, and knows nothing of what they are.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol, runtime_checkable

from badnets.data import ImageSource
from badnets.errors import BadnetsError, Stopped
from badnets.training.session import Progress


@dataclass(frozen=True)
class Task:
    """A piece of work.

    Attributes:
        number: unique within its queue.
        payload: what the work is given; it can be pickled.
    """

    number: int
    payload: Any


@dataclass(frozen=True)
class Failure:
    """Why a task has no result.

    Attributes:
        reason: one line for people.
        trace: where in the code, empty for an error that we raise on purpose.
    """

    reason: str
    trace: str = ""

    @classmethod
    def of(cls, error: Exception) -> Failure:
        """What to say about an error that ended a task."""
        if isinstance(error, BadnetsError):
            return cls(str(error))
        return cls(f"{type(error).__name__}: {error}", "".join(traceback.format_exception(error)))


@dataclass(frozen=True)
class Hooks:
    """What a task may call while it is carried out."""

    progress: Callable[[Progress], None]
    stop: Callable[[], bool]


Images = tuple[ImageSource, ...]
Work = Callable[[Images, Any, Hooks], Any]


@runtime_checkable
class Queue(Protocol):
    """Where tasks come from and where results go; all calls come from one thread."""

    def next(self) -> Task | None:
        """A task that can begin now; None while there is none."""
        ...

    def begun(self, number: int) -> None:
        """Somebody works on it; told again where a worker died and another takes over."""
        ...

    def progress(self, number: int, progress: Progress) -> None:
        """How far it is, now and then."""
        ...

    def done(self, number: int, value: Any) -> None:  # noqa: ANN401 - whatever the work returns
        """Its result; told once."""
        ...

    def failed(self, number: int, failure: Failure) -> None:
        """It has no result and will not be tried again; told once."""
        ...

    def stop(self) -> bool:
        """Whether to stop now; asked all the time."""
        ...


@runtime_checkable
class Engine(Protocol):
    """Carries out all tasks of a queue."""

    def carry_out(self, work: Work, images: Images, queue: Queue) -> None:
        """Return when nothing is running and nothing is next.

        Args:
            work: a function of a module, called as work(images, payload, hooks).
            images: what every task may read.
            queue: the tasks.

        Raises:
            Stopped: the queue said so; tasks under way were told to save their state.
        """
        ...


@dataclass(frozen=True)
class Inline:
    """Carries out one task after the other, in this process."""

    def carry_out(self, work: Work, images: Images, queue: Queue) -> None:
        """As in `Engine`."""
        while (task := queue.next()) is not None:
            number = task.number
            queue.begun(number)
            hooks = Hooks(partial(queue.progress, number), queue.stop)
            try:
                value = work(images, task.payload, hooks)
            except Stopped:
                raise
            except Exception as error:  # noqa: BLE001 - whatever it is, the other tasks go on
                queue.failed(number, Failure.of(error))
            else:
                queue.done(number, value)
