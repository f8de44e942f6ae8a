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
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from badnets.data import ImageSet, SceneSet
from badnets.data.sceneset import Pictures
from badnets.errors import InputError, Stopped
from badnets.training.scene_batches import KeptPictures
from badnets.training.shared_images import Handed, Shared, SharedImages, SharedScenes
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
        with _shared(images) as (shared, files), _Crew(self, pickle.dumps((self.threads, work, shared)), files) as crew:
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
def _shared(images: Images) -> Iterator[tuple[tuple[Handed, ...], list[int]]]:
    """The images in files that have no name any more: they go with the last process that reads them, however it ends.

    Yields:
        What workers are handed, and the handles that a child needs to open it.
    """
    handed: list[Handed] = list(images)
    handles = []
    with ExitStack() as held:
        with tempfile.TemporaryDirectory(prefix="badnets-") as folder:
            for number, one in enumerate(images):
                path = Path(folder) / f"{number}.pixels"
                if isinstance(one, ImageSet):
                    there: Shared = SharedImages.write(one, path)
                elif isinstance(one, SceneSet) and _in_memory(one.pictures):
                    there = SharedScenes.write(one, path)
                else:
                    continue
                handles.append(held.enter_context(path.open("rb")).fileno())
                handed[number] = replace(there, path=Path(f"/dev/fd/{handles[-1]}"))
        yield tuple(handed), handles


def _in_memory(pictures: Pictures) -> bool:
    return isinstance(pictures, tuple) or (isinstance(pictures, KeptPictures) and pictures.complete)


@dataclass
class _Worker:
    process: subprocess.Popen[bytes]
    line: Connection
    task: Task | None = None
    unsent: list[bytes] = field(default_factory=list)

    def send(self) -> None:
        """Tell it what is to be told. One that died is noticed as all deaths are: its line ends."""
        with suppress(OSError):
            while self.unsent:
                self.line.send_bytes(self.unsent.pop(0))


@dataclass
class _Crew:
    """The workers of one run; started when first needed, replaced when they die."""

    engine: Processes
    setting: bytes
    files: list[int]
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
        given = []
        while len(self.busy) < self.engine.workers:
            task = self.waiting.pop() if self.waiting else queue.next()
            if task is None:
                break
            try:
                content = pickle.dumps(task.payload)
            except Exception as error:  # noqa: BLE001 - it depends on what is inside
                queue.failed(task.number, Failure(f"it cannot be handed to another process: {error}"))
                continue
            worker = next((worker for worker in self.workers if worker.task is None), None) or self._start()
            worker.task = task
            worker.unsent.append(content)
            given.append((worker, task.number))
        # Only now, when all are on their way: a worker listens once it has loaded torch.
        for worker, number in given:
            queue.begun(number)
            worker.send()

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
        until = time.monotonic() + _PATIENCE
        while self.busy and time.monotonic() < until:
            self.listen(queue)
        raise Stopped("stopped; what is finished and what was under way is kept; the same command goes on")

    def _start(self) -> _Worker:
        ours, theirs = socket.socketpair()
        with theirs:
            # Not what lies in the folder where we happen to be (-P): only what we ourselves would import.
            command = [sys.executable, "-P", "-m", "badnets.training.worker", str(theirs.fileno())]
            threads = str(self.engine.threads)
            surroundings = {**os.environ, "OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads}
            # The work is found by its name: where we found it, the child does too.
            surroundings["PYTHONPATH"] = os.pathsep.join(path or str(Path.cwd()) for path in sys.path)
            with _interrupts_held():
                process = subprocess.Popen(  # noqa: S603 - ourselves
                    command, pass_fds=[theirs.fileno(), *self.files], env=surroundings, stdin=subprocess.DEVNULL
                )
        worker = _Worker(process, Connection(ours.detach()), unsent=[self.setting])
        self.workers.append(worker)
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


@contextmanager
def _interrupts_held() -> Iterator[None]:
    """Ctrl-C reaches the whole group: a child born in here is deaf to it from its first moment, we decide for it."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
