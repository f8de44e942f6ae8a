"""Work for worker processes, good and bad; a module of its own, so that they find it."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

from torch import Tensor

from badnets.data import ImageSet, SceneSet
from badnets.data.sceneset import Pictures
from badnets.errors import DataError
from badnets.training import Progress
from badnets.training.tasks import Hooks

Images = tuple[ImageSet, ...]


def work(images: Images, payload: tuple[Any, ...], hooks: Hooks) -> Any:  # noqa: ANN401 - whatever the job returns
    """The job that the payload names first, on the rest."""
    job, *arguments = payload
    return globals()[job](images, hooks, *arguments)


def count(images: Images, hooks: Hooks, row: int) -> tuple[int, int, int, int]:
    """Something that only the right images give, and who worked it out."""
    hooks.progress(Progress(1, 1, 0, ended=True, loss=float(row), rate=0.0))
    return row, int(images[0].images[row].sum()), int(images[1].labels[row]), os.getpid()


def die_once(images: Images, hooks: Hooks, row: int, marker: str) -> tuple[int, int, int, int]:
    """Killed on the first try, like a process that the kernel picks when memory is short."""
    if not Path(marker).exists():
        Path(marker).touch()
        die(images, hooks)
    return count(images, hooks, row)


def die(images: Images, hooks: Hooks) -> None:
    """Killed."""
    del images, hooks
    os.kill(os.getpid(), signal.SIGKILL)


def leave(images: Images, hooks: Hooks) -> None:
    """Ends the process by itself."""
    del images, hooks
    os._exit(7)


def divide(images: Images, hooks: Hooks) -> float:
    """An error that nobody meant to raise."""
    del images, hooks
    return 1 / 0


def refuse(images: Images, hooks: Hooks) -> None:
    """An error of ours."""
    del images, hooks
    raise DataError("expected better data")


def no_pipe(images: Images, hooks: Hooks) -> None:
    """An error of the work that looks like the end of our own line."""
    del images, hooks
    raise BrokenPipeError("another pipe")


def unsendable(images: Images, hooks: Hooks) -> object:
    """A result that cannot be pickled."""
    del images, hooks
    return (number for number in range(3))


class Shy:
    """Pictures that only the process which made them may look at."""

    def __init__(self, base: Pictures) -> None:
        self.base, self.home = base, os.getpid()

    def __len__(self) -> int:
        return len(self.base)

    def __getitem__(self, index: int) -> Tensor:
        if os.getpid() != self.home:
            raise ValueError("drawn in another process")
        return self.base[index]


def seen(scenes: tuple[SceneSet, ...], number: int, hooks: Hooks) -> str:
    """The digest of the scenes that a worker is handed."""
    del hooks
    return scenes[number].digest
