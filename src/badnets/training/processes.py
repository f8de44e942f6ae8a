"""Tasks carried out by worker processes of this machine, one thread each, that share the images in memory.

On a CPU one model in a process of its own is the fastest way to train many small ones: stacked models and torch's own
threads were measured slower. A worker that dies takes nothing with it but the work since its task last saved its
state: the task is given to another worker, at most `LIVES` times.
"""

from __future__ import annotations

import os
import pickle
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from badnets.errors import InputError, Stopped
from badnets.training.shared_images import SharedImages
from badnets.training.tasks import Failure, Images, Queue, Task, Work

LIVES = 3
# Resident memory of a worker that trains the paper's CNN was measured at about 0.5 GB, torch being most of it.
WORKER_BYTES = 2**30
_PATIENCE = 60.0


@dataclass(frozen=True)
class Processes:
    """Carries out tasks in worker processes.

    Attributes:
        workers: how many; see `default_workers`.
        threads: of torch in each.

    Raises:
        InputError: no worker, or no way to start one here.
    """

    workers: int
    threads: int = 1

    def __post_init__(self) -> None:
        if self.workers < 1 or self.threads < 1:
            raise InputError(f"workers and threads are at least 1, got {self.workers} and {self.threads}")
        if sys.platform == "win32":
            raise InputError("worker processes need Linux or macOS: use one worker, which is this process")

    def carry_out(self, work: Work, images: Images, queue: Queue) -> None:
        """As in `Engine`."""
        with _shared(images) as shared, _Crew(self, (work, shared)) as crew:
            while True:
                crew.hand_out(queue)
                if not crew.busy:
                    return
                crew.listen(queue)
                if queue.stop():
                    crew.send_home(queue)


def default_workers(tasks: int | None = None) -> int:
    """As many workers as there are cores, memory for, and tasks.

    Args:
        tasks: how many there are at once; None for many.
    """
    if sys.platform == "win32":
        return 1
    return max(1, min(_cores(), _free_bytes() // WORKER_BYTES, tasks if tasks is not None else 2**31))


def _cores() -> int:
    """Those that this process may use, by affinity and by the quota of its control group."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    with suppress(OSError, ValueError):
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text(encoding="ascii").split()
        return max(1, min(allowed, int(quota) // int(period)))
    return allowed


def _free_bytes() -> int:
    """Memory that can be had, by the machine and by our control group; plenty where neither tells."""
    found = [2**40]
    with suppress(OSError, ValueError, StopIteration):
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        found.append(next(1024 * int(line.split()[1]) for line in lines if line.startswith("MemAvailable")))
    with suppress(OSError, ValueError):
        group = Path("/sys/fs/cgroup")
        limit, used = ((group / name).read_text(encoding="ascii") for name in ("memory.max", "memory.current"))
        found.append(max(0, int(limit) - int(used)))
    return min(found)


@contextmanager
def _shared(images: Images) -> Iterator[tuple[SharedImages, ...]]:
    with tempfile.TemporaryDirectory(prefix="badnets-") as folder:
        yield tuple(SharedImages.write(one, Path(folder) / f"{number}.pixels") for number, one in enumerate(images))


@dataclass
class _Worker:
    process: subprocess.Popen[bytes]
    line: Connection
    task: Task | None = None


@dataclass
class _Crew:
    """The workers of one run; started when first needed, replaced when they die."""

    engine: Processes
    setting: tuple[Work, tuple[SharedImages, ...]]
    workers: list[_Worker] = field(default_factory=list)
    waiting: list[Task] = field(default_factory=list)
    deaths: dict[int, int] = field(default_factory=dict)

    def __enter__(self) -> _Crew:  # noqa: PYI034 - the test's type checker knows no Self
        return self

    def __exit__(self, *_: object) -> None:
        """Nobody is left behind, whatever happened."""
        for worker in self.workers:
            worker.line.close()
            worker.process.kill()
        for worker in self.workers:
            worker.process.wait()

    @property
    def busy(self) -> list[_Worker]:
        """The workers with a task."""
        return [worker for worker in self.workers if worker.task is not None]

    def hand_out(self, queue: Queue) -> None:
        """Give a task to every idle worker, as long as there are any."""
        while len(self.busy) < self.engine.workers:
            task = self.waiting.pop() if self.waiting else queue.next()
            if task is None:
                return
            idle = next((worker for worker in self.workers if worker.task is None), None)
            worker = idle or self._start()
            worker.task = task
            queue.begun(task.number)
            # One that died while it was idle is noticed as all deaths are: its line ends.
            with suppress(OSError):
                worker.line.send_bytes(pickle.dumps(task.payload))

    def listen(self, queue: Queue, seconds: float = 0.2) -> None:
        """Wait for news, at most so long, and pass them on."""
        lines: dict[Any, _Worker] = {worker.line: worker for worker in self.workers}
        for line in wait(lines, seconds):
            worker = lines[line]
            try:
                kind, value = pickle.loads(worker.line.recv_bytes())  # noqa: S301 - our own child speaks
            except (EOFError, OSError):
                self._bury(worker, queue)
                continue
            if worker.task is None:  # it had been told to stop and was done before it heard
                continue
            number = worker.task.number
            if kind == "progress":
                queue.progress(number, value)
                continue
            worker.task = None
            if kind == "done":
                queue.done(number, value)
            elif kind == "failed":
                queue.failed(number, value)

    def send_home(self, queue: Queue) -> None:
        """Have every worker save its state, and say that we stopped.

        Raises:
            Stopped: always.
        """
        for worker in self.busy:
            with suppress(OSError):
                worker.line.send_bytes(b"stop")
        # A worker answers within one step of its training; one that hangs is not waited for, for ever.
        for _ in range(int(_PATIENCE / 0.2)):
            if not self.busy:
                break
            self.listen(queue)
        raise Stopped("stopped; what is finished and what was under way is kept; the same command goes on")

    def _start(self) -> _Worker:
        ours, theirs = socket.socketpair()
        with theirs:
            command = [sys.executable, "-m", "badnets.training.worker", str(theirs.fileno())]
            threads = str(self.engine.threads)
            surroundings = {**os.environ, "OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads}
            # The work is found by its name: where we found it, the child does too.
            surroundings["PYTHONPATH"] = os.pathsep.join(path or str(Path.cwd()) for path in sys.path)
            process = subprocess.Popen(  # noqa: S603 - ourselves
                command, pass_fds=[theirs.fileno()], env=surroundings, stdin=subprocess.DEVNULL
            )
        worker = _Worker(process, Connection(ours.detach()))
        self.workers.append(worker)
        with suppress(OSError):
            worker.line.send_bytes(pickle.dumps((self.engine.threads, *self.setting)))
        return worker

    def _bury(self, worker: _Worker, queue: Queue) -> None:
        self.workers.remove(worker)
        worker.line.close()
        worker.process.kill()
        code = worker.process.wait()
        task = worker.task
        if task is None:
            return
        self.deaths[task.number] = self.deaths.get(task.number, 0) + 1
        if self.deaths[task.number] < LIVES:
            self.waiting.append(task)
            return
        how = f"killed by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"
        advice = ": perhaps there is too little memory, use fewer workers" if code == -signal.SIGKILL else ""
        queue.failed(task.number, Failure(f"its worker died {LIVES} times, at last {how}{advice}"))
