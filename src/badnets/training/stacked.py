"""Many models of one architecture trained as one: their weights stacked, each step taken for all at once.

On a GPU a small network is bound by the launching of its kernels, not by arithmetic; stacked, one launch serves all
models. `torch.func` turns the stacked convolutions into grouped ones. On a CPU this was measured slower than one
process for each model.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad_and_value, stack_module_state, vmap
from torch.nn import functional

from badnets.errors import InputError, Stopped
from badnets.models import mark_plans
from badnets.poison import TrainingSet
from badnets.seeds import generator
from badnets.training import checkpoint
from badnets.training.batches import epoch_order, make_batch, steps_per_epoch
from badnets.training.loop import Fit, fit, frozen, job_of
from badnets.training.machine import Machine, this_machine
from badnets.training.optimizer import learning_rate
from badnets.training.session import Progress, Session
from badnets.training.spec import TrainSpec

if TYPE_CHECKING:
    from badnets.training.many import ManySession, Order

Weights = dict[str, Tensor]
_BETAS, _EPSILON, _MOMENTUM = (0.9, 0.999), 1e-8, 0.9


def fit_stacked(orders: Sequence[Order], session: ManySession) -> tuple[Fit, ...]:
    """Train all orders on `session.device`, those alike as one stack.

    Orders are alike when their networks have the same layers and their specs agree but for the number of epochs.
    Networks with dropout or with statistics that change in training (batch normalisation) are trained by `fit`, one
    after the other, and so is whatever is trained adversarially. Results agree with `fit` up to rounding, not bit by
    bit. A finished model in its folder is kept
    at the end; a stack that is stopped before begins again.

    Raises:
        InputError: a loss became infinite or undefined.
        Stopped: `session.stop` said so.
    """
    finished: dict[int, Fit] = {}
    stacks: dict[tuple[str, TrainSpec], list[int]] = {}
    for number, order in enumerate(orders):
        kept = order.folder is not None and checkpoint.read_card(order.folder) is not None
        if kept or order.spec.adversarial or not _stackable(order.model):
            finished[number] = _alone(number, order, session)
        else:
            stacks.setdefault((_layers(order.model), replace(order.spec, epochs=1)), []).append(number)
    for (_, spec), numbers in stacks.items():
        stack = _Stack([orders[number] for number in numbers], this_machine(session.device, 1, spec.precision))
        stack.train(numbers, session)
        for place, number in enumerate(numbers):
            finished[number] = stack.finish(place)
            if session.on_done is not None:
                session.on_done(number)
    return tuple(finished[number] for number in range(len(orders)))


def _alone(number: int, order: Order, session: ManySession) -> Fit:
    report = session.on_progress
    single = Session(
        order.folder,
        session.save_seconds,
        session.device,
        on_progress=None if report is None else lambda progress: report(number, progress),
        stop=session.stop,
    )
    done = fit(copy.deepcopy(order.model), order.data, order.spec, seed=order.seed, session=single)
    if session.on_done is not None:
        session.on_done(number)
    return done


def _stackable(model: nn.Module) -> bool:
    # What is tied or not saved has no place of its own among the stacked weights.
    own = {name for name, _ in (*model.named_parameters(), *model.named_buffers())}
    if own != model.state_dict().keys():
        return False
    changing = (nn.modules.batchnorm._BatchNorm, nn.modules.instancenorm._InstanceNorm, nn.modules.dropout._DropoutNd)  # noqa: SLF001 - torch names the families only so
    return not any(isinstance(module, changing) for module in model.modules())


def _layers(model: nn.Module) -> str:
    shapes = [(name, tuple(value.shape)) for name, value in model.state_dict().items()]
    held = [name for name, value in model.named_parameters() if not value.requires_grad]
    return f"{type(model)} {model!r} {shapes} {held}"


@dataclass(eq=False)
class _Run:
    """One model of a stack: its samples on the device, and how many steps it has."""

    order: Order
    job: checkpoint.Job
    samples: TrainingSet
    per_epoch: int
    indices: Tensor | None = None
    loss_sum: float = 0.0
    counted: int = 0

    @property
    def steps(self) -> int:
        return self.order.spec.epochs * self.per_epoch

    def batch(self, step: int, size: int) -> tuple[Tensor, Tensor, int]:
        """Images and labels of that step, filled up with repetitions to `size`, and how many are real.

        After its last step a model is given that step's again, and rests.
        """
        resting = step >= self.steps
        epoch, position = divmod(min(step, self.steps - 1), self.per_epoch)
        if self.indices is None or (position == 0 and not resting):
            self.indices = epoch_order(len(self.samples), self.order.seed, epoch)
            self.loss_sum, self.counted = 0.0, 0
        index = self.indices[position * size : (position + 1) * size]
        real = len(index)
        stream = generator(self.order.seed, "augment", min(step, self.steps - 1))
        images, labels = make_batch(self.samples, index.to(self.samples.rows.device), self.order.spec.augment, stream)
        if real < size:
            again = torch.arange(size, device=images.device) % real
            images, labels = images[again], labels[again]
        return images, labels, real


class _Stack:
    """The models of one call that are alike, on one device."""

    def __init__(self, orders: list[Order], machine: Machine) -> None:
        self.machine, self.spec = machine, orders[0].spec
        device = torch.device(machine.device)
        models = [copy.deepcopy(order.model).to(device).train() for order in orders]
        self.skeleton = copy.deepcopy(models[0]).to("meta")
        moved: dict[str, TrainingSet] = {}
        self.runs = []
        for order, model in zip(orders, models, strict=True):
            job = job_of(model, order.data, order.spec, seed=order.seed, machine=machine)
            # The images are on the device once, whatever the number of models.
            digest = order.data.base.digest
            moved[digest] = moved.get(digest) or order.data.to(machine.device)
            samples = replace(order.data.to(machine.device, images=False), base=moved[digest].base)
            self.runs.append(_Run(order, job, samples, steps_per_epoch(len(samples), order.spec.batch_size)))
        with frozen(models[0], self.spec.frozen):
            trainable = {name for name, value in models[0].named_parameters() if value.requires_grad}
        every, self.buffers = stack_module_state(models)
        self.weights: Weights = {name: value.detach() for name, value in every.items() if name in trainable}
        self.fixed: Weights = {name: value.detach() for name, value in every.items() if name not in trainable}
        self.first = {name: torch.zeros_like(value) for name, value in self.weights.items()}
        self.second = {name: torch.zeros_like(value) for name, value in self.weights.items()}

    def train(self, numbers: list[int], session: ManySession) -> None:
        """All steps of all models; those with fewer steps rest at the end."""
        step_for_all = vmap(grad_and_value(self._loss), in_dims=(0, 0, 0, 0, 0, 0))
        last = max(run.steps for run in self.runs)
        with torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True):
            for step in range(last):
                if session.stop is not None and session.stop():
                    raise Stopped(f"stopped after step {step} of {last}; models trained as a stack begin again")
                batches = [run.batch(step, self.spec.batch_size) for run in self.runs]
                images, labels = (
                    torch.stack([batch[0] for batch in batches]),
                    torch.stack([batch[1] for batch in batches]),
                )
                real = torch.tensor([batch[2] for batch in batches], device=images.device)
                gradients, losses = step_for_all(self.weights, self.fixed, self.buffers, images, labels, real)
                self._update(gradients, step)
                self._count(losses.tolist(), [batch[2] for batch in batches], step)
                if session.on_progress is not None:
                    for number, run in zip(numbers, self.runs, strict=True):
                        if step < run.steps:
                            ended = (step + 1) % run.per_epoch == 0
                            loss = run.loss_sum / run.counted
                            epoch = step // run.per_epoch
                            session.on_progress(number, Progress(step + 1, run.steps, epoch, ended, loss, 0.0))

    def _loss(
        self, weights: Weights, fixed: Weights, buffers: Weights, images: Tensor, labels: Tensor, real: Tensor
    ) -> Tensor:
        """Mean cross-entropy over the real samples of one model's batch."""
        reduced = self.machine.precision == "bfloat16"
        with torch.autocast(torch.device(self.machine.device).type, torch.bfloat16, enabled=reduced):
            logits = functional_call(self.skeleton, {**weights, **fixed, **buffers}, (images,))
        each = functional.cross_entropy(
            logits.float(), labels, label_smoothing=self.spec.label_smoothing, reduction="none"
        )
        counts = torch.arange(len(each), device=each.device) < real
        return torch.where(counts, each, 0.0).sum() / real

    def _update(self, gradients: Weights, step: int) -> None:
        """One step of every model's optimiser, with its own learning rate; formulas as in `torch.optim`."""
        rates = [learning_rate(run.order.spec, step, run.steps) if step < run.steps else 0.0 for run in self.runs]
        resting = [step >= run.steps for run in self.runs]
        for name, weight in self.weights.items():
            column = (-1,) + (1,) * (weight.ndim - 1)
            rate = torch.tensor(rates, device=weight.device).view(column)
            gradient = gradients[name]
            if any(resting):
                gradient = torch.where(torch.tensor(resting, device=weight.device).view(column), 0.0, gradient)
            first = self.first[name]
            if self.spec.optimizer == "adam":
                second = self.second[name]
                first.lerp_(gradient, 1 - _BETAS[0])
                second.mul_(_BETAS[1]).addcmul_(gradient, gradient, value=1 - _BETAS[1])
                size = (second / (1 - _BETAS[1] ** (step + 1))).sqrt_().add_(_EPSILON)
                weight.mul_(1 - rate * self.spec.weight_decay)
                weight.sub_(rate * (first / (1 - _BETAS[0] ** (step + 1))) / size)
            else:
                gradient = gradient + self.spec.weight_decay * weight
                first.mul_(_MOMENTUM).add_(gradient)
                ahead = gradient + _MOMENTUM * first if self.spec.optimizer == "sgd" else first
                weight.sub_(rate * ahead)

    def _count(self, losses: list[float], real: list[int], step: int) -> None:
        for run, loss, count in zip(self.runs, losses, real, strict=True):
            if step >= run.steps:
                continue
            if not math.isfinite(loss):
                raise InputError(f"the loss is {loss} at step {step + 1}: lower the learning rate")
            run.loss_sum += loss * count
            run.counted += count

    def finish(self, place: int) -> Fit:
        """The model at that place, with its card; kept where its order wants it."""
        run = self.runs[place]
        model = copy.deepcopy(run.order.model).to(self.machine.device)
        state = {name: value[place] for name, value in {**self.weights, **self.fixed, **self.buffers}.items()}
        model.load_state_dict(state)
        card = checkpoint.Card(run.job, run.order.data.base.classes, "", run.loss_sum / run.counted, 0.0)
        mark_plans(model, checkpoint.plans_on(card))
        if run.order.folder is not None:
            if run.order.data.plan is not None:
                checkpoint.save_plan(run.order.folder, run.order.data.plan)
            card = checkpoint.save_model(run.order.folder, model, card)
        return Fit(model.eval(), card)
