"""Train one model: a loop to be read in one sitting, that can be stopped and killed at any time."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn import functional

from badnets.data import ImageSource
from badnets.errors import InputError
from badnets.models import TwoParts, mark_plans, plans_of, spec_of
from badnets.poison import TrainingSet
from badnets.seeds import isolated
from badnets.training import checkpoint
from badnets.training.adversarial import worst_nearby
from badnets.training.batches import Batches
from badnets.training.compiled import compiled_forward, is_compiled
from badnets.training.features import can_be_kept, features_of
from badnets.training.machine import Machine, limited_threads, reduced_precision, this_machine
from badnets.training.memory import keep_freed_memory
from badnets.training.optimizer import State, make_optimizer
from badnets.training.session import Clock, Session
from badnets.training.spec import TrainSpec


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
            return _train(model, samples, job, spec, session)


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


def _train(model: nn.Module, data: TrainingSet, job: checkpoint.Job, spec: TrainSpec, session: Session) -> Fit:
    machine = job.machine
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
    clock = Clock(job, state, session, batches.per_epoch)
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
    if state.spec.adversarial:
        with reduced_precision(machine):
            images = worst_nearby(state.forward, images, labels, state.spec.adversarial)
    with reduced_precision(machine):
        logits = state.forward(images)
    loss = functional.cross_entropy(logits.float(), labels, label_smoothing=state.spec.label_smoothing)
    state.optimizer.zero_grad(set_to_none=True)
    loss.backward()
    state.set_rate(step)
    state.optimizer.step()
    return float(loss.detach())
