"""Runs long jobs in children that it kills: `nursery.py <job> <folder> <seed> <kills>`, see `JOBS` and `main`.

A program of its own, started by test_kill.py: it imports torch once and forks a child for each life of a job.
It prints one JSON line for each life.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import torch

from badnets.artifacts import RunFolder
from badnets.data import Split, load
from badnets.models import ModelSpec, build
from badnets.studies.cells import CellResult
from badnets.studies.digits import DigitsSpec, run
from badnets.studies.progress import Standing
from badnets.studies.runner import Place
from badnets.training import Inline, Progress, Session, TrainSpec, fit
from badnets.training.checkpoint import load_progress

Beat = Callable[[], bool]
WHOLE = load("digits")
FEW = Split(WHOLE.train.select(torch.arange(256)), WHOLE.test.select(torch.arange(100)))


def train(folder: Path, beat: Beat, *, images: int, epochs: int) -> None:
    """Train, with the state saved after every step: most of the time something is being written."""
    data = FEW.train.select(torch.arange(images))
    session = Session(folder, save_seconds=0, stop=beat)
    fit(build(ModelSpec.fitting(data)), data, TrainSpec(epochs=epochs, batch_size=32), seed=3, session=session)


def train_long(folder: Path, beat: Beat) -> None:
    """48 steps."""
    train(folder, beat, images=256, epochs=6)


def train_short(folder: Path, beat: Beat) -> None:
    """Three steps."""
    train(folder, beat, images=32, epochs=3)


class Quiet:
    """Watches a study without a word."""

    def __init__(self, beat: Beat) -> None:
        self.stop = beat

    def begun(self, name: str, standing: Standing) -> None:
        """Somebody works on a model."""

    def progress(self, name: str, progress: Progress, standing: Standing) -> None:
        """A few times a second."""

    def done(self, name: str, cell: CellResult, standing: Standing) -> None:
        """A model is finished."""

    def failed(self, name: str, reason: str, standing: Standing) -> None:
        """A model has no result."""


def study(folder: Path, beat: Beat) -> None:
    """The digits study, very small: five models."""
    short = TrainSpec(epochs=2, batch_size=32)
    spec = DigitsSpec(pairs=((7, 3),), train=short, pixel=short, retrain=short)
    run(spec, FEW, RunFolder(folder), Place(Inline()), Quiet(beat))


JOBS: dict[str, Callable[[Path, Beat], None]] = {"long": train_long, "short": train_short, "study": study}


def born(job: str, folder: Path, beat: Beat, prepare: Callable[[], None] = lambda: None) -> int:
    """Start a life of the job and return its process number."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            prepare()
            JOBS[job](folder, beat)
            code = 0
        finally:
            os._exit(code)
    return child


def ended(child: int) -> int:
    """How it went: 0 done, -9 killed."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def live_to_the_end(job: str, folder: Path) -> int:
    """A life that nobody cuts short."""
    return ended(born(job, folder, lambda: False))


def live_for_some_steps(job: str, folder: Path, random: Random, most: int) -> dict[str, object]:
    """A life that is killed at a random moment after some steps, in the midst of whatever it does then."""
    reading, writing = os.pipe()
    child = born(job, folder, lambda: os.write(writing, b".") == 0)
    os.close(writing)
    steps = 0
    wanted = random.randint(1, most)
    while steps < wanted and os.read(reading, 1):
        steps += 1
    time.sleep(random.random() * 0.03)
    os.kill(child, signal.SIGKILL)
    code = ended(child)
    # what it did between our last look and its end
    while os.read(reading, 1):
        steps += 1
    os.close(reading)
    return {"code": code, "steps": steps, **standing(folder)}


def live_until_touching_the_disk(job: str, folder: Path, touch: int) -> dict[str, object]:
    """A life that is killed just before it touches the disk for the `touch`-th time."""
    touched = 0

    def prepare() -> None:
        owners: tuple[tuple[Any, str], ...] = (
            (os, "open"), (os, "fsync"), (Path, "replace"), (Path, "unlink"),
        )  # fmt: skip
        for owner, name in owners:
            setattr(owner, name, counted(getattr(owner, name)))

    def counted(call: Callable[..., object]) -> Callable[..., object]:
        def counting(*arguments: object, **named: object) -> object:
            nonlocal touched
            touched += 1
            if touched == touch:
                os.kill(os.getpid(), signal.SIGKILL)
            return call(*arguments, **named)

        return counting

    return {"code": ended(born(job, folder, lambda: False, prepare)), **standing(folder)}


def standing(folder: Path) -> dict[str, object]:
    """What a resumed run would start from; raises where the state cannot be read."""
    found = load_progress(folder)
    return {"saved": None if found is None else found[0].step, "finished": (folder / "model.json").exists()}


def main(job: str, folder: Path, seed: int, kills: int) -> None:
    """Run a job undisturbed in `<folder>/unbroken`, and again in `<folder>/killed` with `kills` at random moments.

    With kills 0 the second in `<folder>/1`, `<folder>/2`, ... with one kill each, before that touch of the disk.
    """
    torch.set_num_threads(1)  # a fork takes no threads along
    torch.optim.SGD([torch.zeros(1)])  # the first optimiser imports half of torch: here, not in every child
    random = Random(seed)  # noqa: S311 - moments, not secrets
    if live_to_the_end(job, folder / "unbroken"):
        sys.exit("the undisturbed run failed")
    if kills:
        most = 6 if job == "long" else 40
        for _ in range(kills):
            print(json.dumps(live_for_some_steps(job, folder / "killed", random, most)), flush=True)  # noqa: T201
        print(json.dumps({"code": live_to_the_end(job, folder / "killed")}), flush=True)  # noqa: T201
        return
    touch = 1
    while True:
        life = live_until_touching_the_disk(job, folder / str(touch), touch)
        second = {"second": live_to_the_end(job, folder / str(touch))}
        print(json.dumps({**life, **second}), flush=True)  # noqa: T201
        if life["code"] == 0:
            return
        touch += 1


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
