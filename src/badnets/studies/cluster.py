"""Cells carried out by a Ray cluster (`pip install 'badnets[ray]'`): the same results, on as many machines as it has.

The nodes need no common disk: the images go into Ray's object store once, the start's files travel with a cell, and
the files of the finished model come back to the run folder. What is lost with a node is the work on its cells since
they began; Ray gives them to another node.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import tempfile
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from badnets.artifacts import write_bytes
from badnets.data import ImageSet, ImageSource, SceneSet
from badnets.errors import InputError, MissingPart, Stopped
from badnets.studies.queue import Assignment
from badnets.training.processes import LIVES
from badnets.training.tasks import Failure, Hooks, Images, Queue, Work

_PATIENCE = 5.0
# Written last: with it a cell counts as finished.
_LAST = ("model.json", "result.json")


@dataclass(frozen=True)
class Ray:
    """Carries out cells on a Ray cluster.

    Attributes:
        address: of a running cluster, such as "10.0.0.1:6379" or "auto"; None starts one on this machine, for the time
            of the study.
        threads: CPU cores that a cell asks for.

    Raises:
        InputError: no thread.
    """

    address: str | None = None
    threads: int = 1

    def __post_init__(self) -> None:
        if self.threads < 1:
            raise InputError(f"threads are at least 1, got {self.threads}")

    def carry_out(self, work: Work, images: Images, queue: Queue) -> None:
        """As in `Engine`; payloads are `Assignment`s, and progress is not reported within a cell.

        Raises:
            Stopped: the queue said so; cells under way begin again next time.
            InputError: no cluster at the address.
            MissingPart: Ray is not installed.
        """
        with self._connected() as ray:
            carry_out = ray.remote(num_cpus=self.threads, max_retries=LIVES - 1)(_carry_out)
            shared = [ray.put(_plain(one)) for one in images]
            running: dict[Any, tuple[int, Assignment]] = {}
            while True:
                cores = int(ray.cluster_resources().get("CPU", 0))
                while len(running) < max(1, cores // self.threads) and (task := queue.next()) is not None:
                    queue.begun(task.number)
                    running[carry_out.remote(work, task.payload, _start_files(task.payload), *shared)] = (
                        task.number,
                        task.payload,
                    )
                if not running:
                    return
                ready, _ = ray.wait(list(running), timeout=0.2)
                for one in ready:
                    _collect(ray, one, *running.pop(one), queue)
                if queue.stop():
                    for one in running:
                        ray.cancel(one, force=True)
                    raise Stopped("stopped; finished models are kept, those under way begin again; run it again")

    @contextmanager
    def _connected(self) -> Iterator[Any]:
        try:
            import ray  # noqa: PLC0415 - an optional part
        except ModuleNotFoundError as error:
            raise MissingPart("the ray engine needs ray: pip install 'badnets[ray]'") from error
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        ours = not ray.is_initialized()
        if ours:
            _check_address(self.address)
            try:
                with _termination_kept():
                    ray.init(
                        self.address,
                        log_to_driver=False,
                        logging_level=logging.ERROR,
                        include_dashboard=None if self.address else False,
                    )
            except (ConnectionError, ValueError, RuntimeError, OSError) as error:
                reason = str(error).strip().splitlines()[0]
                raise InputError(
                    f"no Ray cluster took us in at {self.address or 'this machine'}: {reason}; one that asks for a "
                    "token needs RAY_AUTH_MODE=token and RAY_AUTH_TOKEN in the environment"
                ) from error
        try:
            yield ray
        finally:
            if ours:
                with _termination_kept():
                    ray.shutdown()


@contextmanager
def _termination_kept() -> Iterator[None]:
    """Ray takes over what SIGTERM does; whoever saves their work on it is to hear of it still."""
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        if callable(before) and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, before)


def _check_address(address: str | None) -> None:
    """Raise `InputError` where nobody answers: Ray itself asks for more than ten minutes."""
    host, colon, port = (address or "").removeprefix("ray://").rpartition(":")
    if not address or (not colon and address in ("auto", "local")):
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), _PATIENCE).close()
    except (OSError, ValueError, OverflowError) as error:
        raise InputError(f"no Ray cluster at {address} ({error}): expected HOST:PORT of its head, or auto") from error


def _plain(images: ImageSource | SceneSet) -> ImageSource | SceneSet | dict[str, Any]:
    """As Ray keeps images in memory without a copy for each worker: arrays. Others go as they are."""
    if not isinstance(images, ImageSet):
        return images
    return {
        "images": images.images.numpy(),
        "labels": images.labels.numpy(),
        "classes": images.classes,
        "name": images.name,
    }


def _start_files(assignment: Assignment) -> dict[str, bytes]:
    if assignment.start is None:
        return {}
    return {path.name: path.read_bytes() for path in sorted(assignment.start.iterdir()) if path.suffix != ".part"}


def _carry_out(
    work: Work, assignment: Assignment, start: dict[str, bytes], *shared: ImageSource | SceneSet | dict[str, Any]
) -> tuple[Any, dict[str, bytes]] | Failure:
    """On a node: the work in a folder of its own; returns its value and the files it left."""
    images = tuple(_opened(one) for one in shared)
    with tempfile.TemporaryDirectory(prefix="badnets-") as place:
        home, begin = Path(place) / assignment.home.name, Path(place) / "start"
        for name, content in start.items():
            write_bytes(begin / name, content, flush=False)
        local = replace(assignment, home=home, start=begin if start else None)
        try:
            value = work(images, local, Hooks(lambda _: None, lambda: False))
        except Exception as error:  # noqa: BLE001 - told to the driver, who keeps the others going
            return Failure.of(error)
        return value, {path.name: path.read_bytes() for path in sorted(home.iterdir()) if path.is_file()}


def _opened(plain: ImageSource | SceneSet | dict[str, Any]) -> ImageSource | SceneSet:
    if not isinstance(plain, dict):
        return plain
    with warnings.catch_warnings():
        # The object store's memory is read-only, and so is all that we do with images.
        warnings.filterwarnings("ignore", "The given NumPy array is not writable", UserWarning)
        pixels, labels = torch.from_numpy(plain["images"]), torch.from_numpy(plain["labels"])
    return ImageSet(pixels, labels, plain["classes"], plain["name"])


def _collect(ray: Any, one: Any, number: int, assignment: Assignment, queue: Queue) -> None:  # noqa: ANN401 - Ray's
    try:
        outcome = ray.get(one)
    except ray.exceptions.RayTaskError as error:  # ours is caught on the node: this one is of the cluster
        queue.failed(number, Failure(f"a node cannot do it: {str(error).strip().splitlines()[-1]}", str(error)))
        return
    except ray.exceptions.RayError as error:
        queue.failed(number, Failure(f"its node or worker died {LIVES} times: {type(error).__name__}", str(error)))
        return
    if isinstance(outcome, Failure):
        queue.failed(number, outcome)
        return
    value, files = outcome
    for name in sorted(files, key=lambda name: (name in _LAST, name)):
        write_bytes(assignment.home / name, files[name])
    queue.done(number, value)
