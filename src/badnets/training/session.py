"""How a training is run: where it keeps its state, what it says while it goes on, and how it is stopped."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from badnets.errors import Stopped
from badnets.training import checkpoint
from badnets.training.features import FeatureCache
from badnets.training.optimizer import State


@dataclass(frozen=True)
class Progress:
    """How far a training is.

    Attributes:
        step: how many are done.
        steps: how many are due.
        epoch: the one under way, from 0.
        ended: whether this step was its last.
        loss: its mean loss so far.
        rate: samples a second, in this session.
        parts: what the loss of the last step was the sum of, by name; empty where it is one thing.
    """

    step: int
    steps: int
    epoch: int
    ended: bool
    loss: float
    rate: float
    parts: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True)
class Session:
    """How a training is run; nothing here has an influence on the weights but the machine.

    Attributes:
        folder: where progress and the finished model are kept; None keeps nothing.
        save_seconds: the longest stretch of work that a kill can cost.
        device: "cpu", "cuda", ...
        threads: of torch on the CPU; see `Machine`.
        on_progress: called a few times a second and at the end of every epoch.
        stop: asked after every step; when it says yes, progress is saved and `Stopped` is raised.
        features: shared by trainings of many heads on one frozen trunk.
    """

    folder: Path | None = None
    save_seconds: float = 20.0
    device: str = "cpu"
    threads: int = 1
    on_progress: Callable[[Progress], None] | None = None
    stop: Callable[[], bool] | None = None
    features: FeatureCache | None = None


class Clock:
    """Counts steps, loss and time; saves, reports and stops when it is time to."""

    def __init__(self, job: checkpoint.Job, state: State, session: Session, per_epoch: int) -> None:
        self.job, self.state, self.session, self.per_epoch = job, state, session, per_epoch
        self.loss_sum, self.epoch_samples, self.samples, self.mean_loss, self.before = 0.0, 0, 0, 0.0, 0.0
        self.begun = self.saved = self.reported = time.monotonic()

    @property
    def seconds(self) -> float:
        """Spent on this job, earlier sessions included."""
        return self.before + time.monotonic() - self.begun

    def resume(self) -> int:
        """The step to go on with, all state restored; 0 for a fresh run."""
        if self.session.folder is None or (found := checkpoint.load_progress(self.session.folder)) is None:
            return 0
        standing, tensors = found
        checkpoint.check_same_job(standing.job, self.job, self.session.folder)
        self.state.restore(tensors, self.session.folder)
        self.loss_sum, self.before = standing.loss_sum, standing.seconds
        self.epoch_samples = standing.step % self.per_epoch * self.job.spec.batch_size
        return standing.step

    def tick(self, step: int, loss: float, samples: int, parts: tuple[tuple[str, float], ...] = ()) -> None:
        """After each step: book-keeping, and whatever is due; `parts` as in `Progress`."""
        if (step - 1) % self.per_epoch == 0:
            self.loss_sum = 0.0
            self.epoch_samples = 0
        self.loss_sum += loss * samples
        self.epoch_samples += samples
        self.mean_loss = self.loss_sum / self.epoch_samples
        self.samples += samples
        now = time.monotonic()
        last = step == self.state.steps
        ended = step % self.per_epoch == 0
        if self.session.on_progress is not None and (ended or now - self.reported > 0.2):
            self.reported = now
            rate = self.samples / max(now - self.begun, 1e-9)
            epoch = (step - 1) // self.per_epoch
            self.session.on_progress(Progress(step, self.state.steps, epoch, ended, self.mean_loss, rate, parts))
        wanted = self.session.stop is not None and self.session.stop()
        if self.session.folder is not None and not last and (wanted or now - self.saved > self.session.save_seconds):
            standing = checkpoint.Standing(self.job, step, self.loss_sum, round(self.seconds, 3))
            checkpoint.save_progress(self.session.folder, standing, self.state.tensors())
            self.saved = time.monotonic()
        if wanted and not last:
            kept = f"kept in {self.session.folder}" if self.session.folder else "nothing was kept: no folder was given"
            raise Stopped(f"stopped after step {step} of {self.state.steps}; {kept}; the same command goes on")
