"""Train one model: a loop to be read in one sitting, that can be stopped and killed at any time."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from badnets.data import ImageSource
from badnets.errors import InputError, Stopped
from badnets.models import TwoParts, mark_plans, plans_of, spec_of
from badnets.poison import TrainingSet
from badnets.seeds import isolated
from badnets.training import checkpoint
from badnets.training.batches import Batches
from badnets.training.compiled import compiled_forward, is_compiled
from badnets.training.features import FeatureCache, can_be_kept, features_of
from badnets.training.machine import Machine, limited_threads, reduced_precision, this_machine
from badnets.training.memory import keep_freed_memory
from badnets.training.optimizer import State, make_optimizer
from badnets.training.spec import TrainSpec


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
    """

    step: int
    steps: int
    epoch: int
    ended: bool
    loss: float
    rate: float


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


@dataclass(frozen=True)
class Fit:
    """A trained model and its card."""

    model: nn.Module
    card: checkpoint.Card


def fit(
    model: nn.Module,
    data: ImageSource | TrainingSet,
    spec: TrainSpec = TrainSpec(),
    *,
    seed: int = 0,
    session: Session = Session(),
) -> Fit:
    """Train `model` in place on cross-entropy and return it in evaluation mode.

    The same model, data, spec, seed and machine give the same weights, in one go or resumed after a kill:
    order, augmentation and dropout of each step are drawn from streams named after it. In a folder that
    holds the finished model already, that is loaded and nothing is trained.

    Args:
        model: takes (n, c, h, w) float32 in [0, 1] and gives logits (n, k).
        data: clean or poisoned; a `TrainingSet` is stamped after augmentation.
        spec: schedule and step.
        seed: of order, augmentation and dropout.
        session: folder, device, callbacks.

    Raises:
        Stopped: `session.stop` said so; the same call goes on.
        InputError: the loss became infinite or undefined, or there is no such device or module to freeze.
        DataError: the card in the folder is damaged.
        CheckpointError: the folder holds another training.
        StorageError: progress could not be written.
    """
    samples = data if isinstance(data, TrainingSet) else TrainingSet.of(data)
    machine = this_machine(session.device, session.threads, spec.precision)
    machine = replace(machine, compiled=is_compiled(spec, spec_of(model), len(samples), machine.device))
    job = job_of(model, samples, spec, seed=seed, machine=machine)
    keep_freed_memory()
    with limited_threads(session.threads):
        if session.folder is not None and (card := checkpoint.read_card(session.folder)) is not None:
            checkpoint.check_same_job(card.job, job, session.folder)
            weights = checkpoint.load_weights(session.folder, card)
            checkpoint.put_weights(model, weights, session.folder)
            mark_plans(model, checkpoint.plans_on(card))
            return Fit(model.to(machine.device).eval(), card)
        # Fast convolutions on a GPU may sum in any order; the same seed is to give the same weights.
        with frozen(model, spec.frozen), torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True):
            return _train(model, samples, job, session)


def job_of(model: nn.Module, data: TrainingSet, spec: TrainSpec, *, seed: int, machine: Machine) -> checkpoint.Job:
    """What the card of this training says: all that decides the weights."""
    return checkpoint.Job(
        model=spec_of(model),
        start=checkpoint.weights_digest(model),
        data=data.base.digest,
        data_name=data.base.name,
        samples=len(data),
        training_set=data.digest,
        plan=data.plan.digest if data.plan else None,
        inherited=plans_of(model),
        spec=spec,
        seed=seed,
        machine=machine,
    )


def _train(model: nn.Module, data: TrainingSet, job: checkpoint.Job, session: Session) -> Fit:
    spec, machine = job.spec, job.machine
    model.to(machine.device, memory_format=torch.channels_last).train()  # type: ignore[call-overload]
    for name in spec.frozen:
        model.get_submodule(name).eval()
    trained, samples = model, data
    if isinstance(model, TwoParts) and can_be_kept(model, spec):
        trained, samples = model.head, features_of(model, data, machine, session.stop, cache=session.features)
    batches = Batches(samples, spec, job.seed)
    state = State(trained, make_optimizer(trained, spec), spec, spec.epochs * batches.per_epoch)
    if machine.compiled:
        state.forward = compiled_forward(trained, spec.batch_size)
    clock = _Clock(job, state, session, batches.per_epoch)
    for step, (images, labels) in batches.run(clock.resume(), state.steps):
        with isolated(job.seed, "dropout", step):
            loss = train_step(state, step, images.to(machine.device), labels.to(machine.device), machine)
        if not math.isfinite(loss):
            raise InputError(f"the loss is {loss} at step {step + 1}: lower the learning rate ({spec.learning_rate})")
        clock.tick(step + 1, loss, len(labels))
    card = checkpoint.Card(job, data.base.classes, "", clock.mean_loss, round(clock.seconds, 3))
    model.eval()
    mark_plans(model, checkpoint.plans_on(card))
    if session.folder is not None:
        if data.plan is not None:
            checkpoint.save_plan(session.folder, data.plan)
        card = checkpoint.save_model(session.folder, model, card)
    return Fit(model, card)


@contextmanager
def frozen(model: nn.Module, names: tuple[str, ...]) -> Iterator[None]:
    """Inside, the parameters of the modules `names` get no gradient.

    Raises:
        InputError: the model has no such module, or nothing would be left to train.
    """
    modules = dict(model.named_modules())
    unknown = [name for name in names if not name or name not in modules]
    if unknown:
        raise InputError(f"cannot freeze {unknown[0]!r}: {type(model).__name__} has {', '.join(filter(None, modules))}")
    held = {p: p.requires_grad for name in names for p in modules[name].parameters()}
    for parameter in held:
        parameter.requires_grad_(requires_grad=False)
    try:
        if not any(parameter.requires_grad for parameter in model.parameters()):
            raise InputError(f"nothing is left to train with {', '.join(names)} frozen")
        yield
    finally:
        for parameter, before in held.items():
            parameter.requires_grad_(requires_grad=before)


def train_step(state: State, step: int, images: Tensor, labels: Tensor, machine: Machine) -> float:
    """One step of the optimiser; returns the batch's mean loss."""
    if images.ndim == 4:
        images = images.contiguous(memory_format=torch.channels_last)
    with reduced_precision(machine):
        logits = state.forward(images)
    loss = functional.cross_entropy(logits.float(), labels, label_smoothing=state.spec.label_smoothing)
    state.optimizer.zero_grad(set_to_none=True)
    loss.backward()
    state.set_rate(step)
    state.optimizer.step()
    return float(loss.detach())


class _Clock:
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

    def tick(self, step: int, loss: float, samples: int) -> None:
        """After each step: book-keeping, and whatever is due."""
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
            self.session.on_progress(Progress(step, self.state.steps, epoch, ended, self.mean_loss, rate))
        wanted = self.session.stop is not None and self.session.stop()
        if self.session.folder is not None and not last and (wanted or now - self.saved > self.session.save_seconds):
            standing = checkpoint.Standing(self.job, step, self.loss_sum, round(self.seconds, 3))
            checkpoint.save_progress(self.session.folder, standing, self.state.tensors())
            self.saved = time.monotonic()
        if wanted and not last:
            kept = f"kept in {self.session.folder}" if self.session.folder else "nothing was kept: no folder was given"
            raise Stopped(f"stopped after step {step} of {self.state.steps}; {kept}; the same command goes on")
