"""The worker process: `python -m badnets.training.worker FD`, started by `processes` and by nobody else."""

from __future__ import annotations

import os
import pickle
import signal
import sys
import time
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Any

import torch

from badnets.errors import InputError, Stopped
from badnets.training.session import Progress
from badnets.training.shared_images import opened
from badnets.training.tasks import Failure, Hooks, Images, Work

_OFTEN = 0.2


class _Line:
    """The worker's end of the line to the process that started it."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.told = 0.0
        self.stopping = False

    def say(self, kind: str, value: Any = None) -> None:  # noqa: ANN401 - whatever the work returns
        """Send news."""
        self.connection.send_bytes(pickle.dumps((kind, value)))

    def hear(self) -> bytes:
        """Wait for the next task."""
        while (content := self.connection.recv_bytes()) == b"stop":
            pass  # it came after our last task was done
        return content

    def progress(self, progress: Progress) -> None:
        """Say how far we are, a few times a second and at the end of every epoch."""
        now = time.monotonic()
        if progress.ended or now - self.told > _OFTEN:
            self.told = now
            with suppress(OSError):  # our parent is gone: `stop` will say so, once our state can be saved
                self.say("progress", progress)

    def stop(self) -> bool:
        """Whether we are to save our state: told so, or left alone."""
        if not self.stopping and self.connection.poll():
            try:
                self.stopping = self.connection.recv_bytes() == b"stop"
            except (EOFError, OSError):
                self.stopping = True
        return self.stopping


def main(handle: int) -> None:
    """Carry out tasks until the line ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group: our parent decides
    line = _Line(Connection(handle))
    threads, work, shared = pickle.loads(line.hear())  # noqa: S301 - our own parent speaks
    torch.set_num_threads(threads)
    images: Images = tuple(map(opened, shared))
    while True:
        _one(line, work, images, line.hear())


def _one(line: _Line, work: Work, images: Images, content: bytes) -> None:
    try:
        payload = _unpacked(content)
        value = work(images, payload, Hooks(line.progress, line.stop))
        answer = _packed(value)
    except Stopped:
        answer = pickle.dumps(("stopped", None))
    except Exception as error:  # noqa: BLE001 - told to our parent, who keeps the others going
        answer = pickle.dumps(("failed", Failure.of(error)))
    line.connection.send_bytes(answer)


def _unpacked(content: bytes) -> Any:  # noqa: ANN401 - whatever the work takes
    try:
        return pickle.loads(content)  # noqa: S301 - our own parent speaks
    except Exception as error:
        raise InputError(
            f"another process cannot load it ({error}): define its classes in a module, not a script"
        ) from error


def _packed(value: Any) -> bytes:  # noqa: ANN401 - whatever the work returns
    try:
        return pickle.dumps(("done", value))
    except Exception as error:
        raise InputError(f"its result cannot be sent from one process to another: {error}") from error


if __name__ == "__main__":
    try:
        main(int(sys.argv[1]))
    except (EOFError, OSError):  # our parent is gone, and with it whoever would want to know more
        os._exit(0)
