"""The worker process: `python -m badnets.training.worker FD`, started by `processes` and by nobody else."""

from __future__ import annotations

import os
import pickle
import signal
import sys
import time
from multiprocessing.connection import Connection
from typing import Any

import torch

from badnets.errors import Stopped
from badnets.training.loop import Progress
from badnets.training.tasks import Failure, Hooks, Images, Work

_OFTEN = 0.2


class _Line:
    """The worker's end of the line to the process that started it."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.told = 0.0

    def say(self, kind: str, value: Any = None) -> None:  # noqa: ANN401 - whatever the work returns
        """Send news."""
        self.connection.send_bytes(pickle.dumps((kind, value)))

    def hear(self) -> Any:  # noqa: ANN401 - a payload
        """Wait for the next task."""
        while (content := self.connection.recv_bytes()) == b"stop":
            pass  # it came after our last task was done
        return pickle.loads(content)  # noqa: S301 - our own parent speaks

    def progress(self, progress: Progress) -> None:
        """Say how far we are, a few times a second and at the end of every epoch."""
        now = time.monotonic()
        if progress.ended or now - self.told > _OFTEN:
            self.told = now
            self.say("progress", progress)

    def stop(self) -> bool:
        """Whether we are to save our state: told so, or left alone."""
        if not self.connection.poll():
            return False
        try:
            return self.connection.recv_bytes() == b"stop"
        except (EOFError, OSError):
            return True


def main(handle: int) -> None:
    """Carry out tasks until the line ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group: our parent decides
    line = _Line(Connection(handle))
    threads, work, shared = line.hear()
    torch.set_num_threads(threads)
    images: Images = tuple(one.open() for one in shared)
    while True:
        _one(line, work, images, line.hear())


def _one(line: _Line, work: Work, images: Images, payload: Any) -> None:  # noqa: ANN401 - whatever the work takes
    try:
        value = work(images, payload, Hooks(line.progress, line.stop))
    except Stopped:
        line.say("stopped")
    except OSError as error:
        if isinstance(error, BrokenPipeError):
            raise
        line.say("failed", Failure.of(error))
    except Exception as error:  # noqa: BLE001 - told to our parent, who keeps the others going
        line.say("failed", Failure.of(error))
    else:
        line.say("done", value)


if __name__ == "__main__":
    try:
        main(int(sys.argv[1]))
    except (EOFError, OSError):  # our parent is gone, and with it whoever would want to know more
        os._exit(0)
