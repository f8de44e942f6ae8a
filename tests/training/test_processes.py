"""Worker processes: every task is done once or fails once, whoever dies, and nobody is left behind."""

from __future__ import annotations

import importlib
import os
import signal
import subprocess
import sys
import tempfile
import types
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.scenes_case import shapes

from badnets.data import ImageSet, load
from badnets.errors import InputError
from badnets.training import (
    Engine,
    Inline,
    ManySession,
    Order,
    Processes,
    Progress,
    default_workers,
    fit,
    fit_many,
    processes,
    weights_digest,
)
from badnets.training.checkpoint import PROGRESS, WEIGHTS
from badnets.training.scene_batches import KeptPictures
from badnets.training.shared_images import SharedImages, SharedScenes
from badnets.training.tasks import Failure, Queue, Task

if sys.platform == "win32":
    pytest.skip("worker processes are not Windows'", allow_module_level=True)

Look = Callable[[int], list[int]]
Soon = Callable[[Callable[[], bool]], bool]
SCRIPT = Path(__file__).with_name("unguarded.py")


@dataclass
class Recorder:
    """A queue that remembers all that it is told."""

    payloads: list[Any]
    stopping: Callable[[], bool] = lambda: False
    given: int = 0
    begun_: Counter[int] = field(default_factory=Counter)
    told: list[tuple[int, Progress]] = field(default_factory=list)
    results: list[tuple[int, Any]] = field(default_factory=list)
    failures: list[tuple[int, Failure]] = field(default_factory=list)

    def next(self) -> Task | None:
        if self.given == len(self.payloads):
            return None
        self.given += 1
        return Task(self.given - 1, self.payloads[self.given - 1])

    def begun(self, number: int) -> None:
        self.begun_[number] += 1

    def progress(self, number: int, progress: Progress) -> None:
        self.told.append((number, progress))

    def done(self, number: int, value: Any) -> None:  # noqa: ANN401 - whatever the work returns
        self.results.append((number, value))

    def failed(self, number: int, failure: Failure) -> None:
        self.failures.append((number, failure))

    def stop(self) -> bool:
        return self.stopping()


@pytest.fixture
def jobs(monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    return importlib.import_module("crew_jobs")


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary files go meanwhile: whatever is left there was left behind."""
    place = tmp_path / "temporary"
    place.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(place))
    return place


def halves() -> tuple[ImageSet, ImageSet]:
    digits = load("digits")
    return digits.train.select(torch.arange(50)), digits.test.select(torch.arange(60))


def test_whoever_dies_every_task_is_done_or_failed_once(
    jobs: types.ModuleType, temporary: Path, children: Look, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = tmp_path / "here"
    here.mkdir()
    (here / "torch.py").write_text("raise SystemExit('what lies about was imported')")
    monkeypatch.chdir(here)
    stranger = types.ModuleType("stranger")
    stranger.Net = type("Net", (), {"__module__": "stranger"})  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "stranger", stranger)
    bad = {
        5: (("die",), f"its worker died {processes.LIVES} times, at last killed by SIGKILL: perhaps"),
        6: (("divide",), "ZeroDivisionError: division by zero"),
        7: (("refuse",), "expected better data"),
        8: (("unsendable",), "its result cannot be sent from one process to another: "),
        9: (("count", lambda: 1), "it cannot be handed to another process: "),
        10: (("count", stranger.Net()), "another process cannot load it (No module named 'stranger'): define its "),
        11: (("no_pipe",), "BrokenPipeError: another pipe"),
    }
    payloads: list[Any] = [("count", row) for row in range(20)]
    payloads[0] = ("die_once", 0, str(tmp_path / "marker"))
    for number, (payload, _) in bad.items():
        payloads[number] = payload
    queue, images = Recorder(payloads), halves()
    assert isinstance(queue, Queue)
    before = set(children(os.getpid()))
    Processes(2).carry_out(jobs.work, images, queue)
    assert set(children(os.getpid())) == before, "neither processes nor zombies"
    assert not list(temporary.glob("badnets-*"))
    good = [number for number in range(20) if number not in bad]
    assert sorted(number for number, _ in queue.results) == good
    for number, value in queue.results:
        pixels, label = int(images[0].images[number].sum()), int(images[1].labels[number])
        assert value[:3] == (number, pixels, label)
    workers = {value[3] for _, value in queue.results}
    assert os.getpid() not in workers
    # Four were killed; what was not killed goes on to be used.
    assert len(workers) <= 2 + 1 + processes.LIVES
    assert sorted(number for number, _ in queue.failures) == sorted(bad)
    for number, failure in queue.failures:
        assert failure.reason.startswith(bad[number][1]), failure
        assert ("in divide" in failure.trace) == (number == 6)
    wanted = Counter(dict.fromkeys(range(20), 1) | {0: 2, 5: processes.LIVES, 9: 0})
    assert queue.begun_ == wanted
    assert sorted(number for number, progress in queue.told if progress.loss == number) == good


def test_no_tasks_no_workers(jobs: types.ModuleType, temporary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subprocess, "Popen", None)
    queue = Recorder([])
    engine: Engine
    for engine in (Inline(), Processes(2)):
        engine.carry_out(jobs.work, halves(), queue)
    assert not queue.results
    assert not list(temporary.glob("badnets-*"))


def test_inline_tells_the_same(jobs: types.ModuleType) -> None:
    queue, images = Recorder([("count", 3), ("refuse",), ("divide",), ("count", 4)]), halves()
    Inline().carry_out(jobs.work, images, queue)
    assert [value[0] for _, value in queue.results] == [3, 4]
    assert [failure.reason for _, failure in queue.failures] == [
        "expected better data",
        "ZeroDivisionError: division by zero",
    ]
    assert [bool(failure.trace) for _, failure in queue.failures] == [False, True]


def test_an_error_of_the_queue_leaves_nobody_behind(
    jobs: types.ModuleType, temporary: Path, children: Look, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue = Recorder([("count", 0), ("leave",)])

    def disk_is_full(number: int, value: object) -> None:
        raise OSError(f"no room for {number}: {value}")

    monkeypatch.setattr(queue, "done", disk_is_full)
    before = set(children(os.getpid()))
    with pytest.raises(OSError, match="no room for 0"):
        Processes(1).carry_out(jobs.work, halves(), queue)
    assert set(children(os.getpid())) == before
    assert not list(temporary.glob("badnets-*"))
    assert not queue.failures


def orders(folder: Path) -> list[Order]:
    """What unguarded.py trains."""
    sys.path.insert(0, str(SCRIPT.parent))
    try:
        return list(importlib.import_module("long_orders").orders(folder))
    finally:
        sys.path.remove(str(SCRIPT.parent))


def test_a_script_without_a_guard_interrupted_then_killed_then_finished(
    tmp_path: Path, children: Look, soon: Soon
) -> None:
    """Ctrl-C to the whole group is kept and said in one line; killed outright, no worker outlives the script."""
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    kept = [tmp_path / "kept" / name for name in ("0", "1")]

    def script() -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, str(SCRIPT), str(tmp_path / "kept")],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | {"TMPDIR": str(temporary)},
            start_new_session=True,
        )

    running = script()
    # Ctrl-C comes when the workers are hardly born: they load torch, and are not to be torn from it.
    assert soon(lambda: len(children(running.pid)) == 2)
    os.killpg(running.pid, signal.SIGINT)
    out, err = running.communicate(timeout=300)
    assert (running.returncode, err) == (1, "")
    assert out.splitlines()[-1] == "stopped; what is finished and what was under way is kept; the same command goes on"
    assert not list(temporary.glob("badnets-*"))

    running = script()
    assert running.stdout is not None
    assert running.stderr is not None
    seen: set[str] = set()
    with running.stdout, running.stderr:
        while seen != {"0", "1"}:
            seen.add(running.stdout.readline().split()[0])
        workers = children(running.pid)
        assert len(workers) == 2
        running.kill()
        assert running.wait() == -signal.SIGKILL
    assert soon(lambda: not any(Path(f"/proc/{worker}").exists() for worker in workers))
    assert not list(temporary.glob("badnets-*")), "the images went with the last who had them open"
    # Workers that are left alone save their state; one that was quick may be done.
    assert all((folder / PROGRESS).exists() or (folder / WEIGHTS).exists() for folder in kept)

    (finished,) = fit_many(orders(tmp_path / "kept")[1:], ManySession(workers=1))
    order = orders(tmp_path / "whole")[1]
    whole = fit(order.model, order.data, order.spec, seed=order.seed)
    assert weights_digest(finished.model) == weights_digest(whole.model)


def test_default_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "_cores", lambda: 8)
    monkeypatch.setattr(processes, "_free_bytes", lambda: 100 * processes.WORKER_BYTES)
    assert [default_workers(tasks) for tasks in (None, 100, 3, 1, 0)] == [8, 8, 3, 1, 1]
    monkeypatch.setattr(processes, "_free_bytes", lambda: 5 * processes.WORKER_BYTES // 2)
    assert default_workers() == 2
    monkeypatch.setattr(processes, "_free_bytes", lambda: 0)
    assert default_workers() == 1


def test_cores_and_memory_are_those_we_may_use() -> None:
    assert 1 <= processes._cores() <= (os.cpu_count() or 1)
    if hasattr(os, "sched_getaffinity"):
        allowed = os.sched_getaffinity(0)
        try:
            os.sched_setaffinity(0, {min(allowed)})
            assert processes._cores() == 1
        finally:
            os.sched_setaffinity(0, allowed)
    assert 2**20 < processes._free_bytes() <= 2**40


@pytest.mark.parametrize("wrong", [{"workers": 0}, {"workers": -1}, {"workers": 1, "threads": 0}])
def test_impossible_crews_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(InputError, match="at least 1"):
        Processes(**wrong)


def test_shared_images_are_the_images(tmp_path: Path) -> None:
    images = halves()[0]
    again = SharedImages.write(images, tmp_path / "x.pixels").open()
    assert again.digest == images.digest
    again.images[0] = 0
    assert not (tmp_path / "x.pixels").read_bytes().startswith(bytes(784)), "nobody writes to the file"
    assert images.images[0].any()


def test_shared_scenes_are_the_scenes(tmp_path: Path) -> None:
    scenes = shapes(5)
    scenes = replace(scenes, pictures=(scenes.pictures[0][:, :40], *(scenes.pictures[i] for i in range(1, 5))))
    scenes = replace(scenes, skipped=("a: b",), treated=("c: d",))
    again = SharedScenes.write(scenes, tmp_path / "x.pixels").open()
    assert again.digest == scenes.digest
    assert (again.name, again.skipped, again.treated) == (scenes.name, scenes.skipped, scenes.treated)
    again.pictures[0].fill_(0)
    assert SharedScenes.write(scenes, tmp_path / "y.pixels").open().digest == scenes.digest
    assert (tmp_path / "x.pixels").read_bytes() == (tmp_path / "y.pixels").read_bytes(), "nobody writes to the file"


def test_what_was_drawn_here_is_not_drawn_by_workers(jobs: types.ModuleType) -> None:
    scenes = shapes(4)
    drawn, not_yet = (replace(scenes, pictures=KeptPictures(jobs.Shy(scenes.pictures))) for _ in range(2))
    assert drawn.digest == scenes.digest
    queue = Recorder([0, 1, 2])
    Processes(2).carry_out(jobs.seen, (scenes, drawn, not_yet), queue)
    assert dict(queue.results) == {0: scenes.digest, 1: scenes.digest}
    ((number, failure),) = queue.failures
    assert number == 2
    assert "drawn in another process" in str(failure)
