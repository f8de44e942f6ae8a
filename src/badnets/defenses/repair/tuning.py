"""The loop of all repairs that train: batches and schedule are those of `training`, what a step computes is theirs."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from badnets.data import ImageSet
from badnets.defenses.repair.repaired import Watch
from badnets.errors import InputError
from badnets.models import evaluating
from badnets.poison import TrainingSet
from badnets.seeds import isolated
from badnets.training.batches import Batches
from badnets.training.memory import keep_freed_memory
from badnets.training.optimizer import State, make_optimizer
from badnets.training.spec import Augment, TrainSpec

# One recipe for every repair that trains on a thousand images: ten passes, slightly moved.
TUNING = TrainSpec(epochs=10, batch_size=32, learning_rate=1e-3, augment=Augment(shift=1))

# From images in [0, 1], labels and the number of the step to the loss; it leaves gradients in the parameters.
Step = Callable[[Tensor, Tensor, int], Tensor]


def descend(loss: Tensor) -> Tensor:
    """The loss, after its gradients are in the parameters."""
    loss.backward()
    return loss


def clean_step(model: nn.Module) -> Step:
    """The step of plain training: cross-entropy on the batch as it is."""

    def step(pixels: Tensor, labels: Tensor, _number: int) -> Tensor:
        return descend(functional.cross_entropy(model(pixels), labels))

    return step


def batch_of(images: ImageSet, rows: Tensor, model: nn.Module) -> tuple[Tensor, Tensor]:
    """These images in [0, 1] and their labels, where the model is."""
    device = next(model.parameters()).device
    return images.take(rows).to(device).float().div_(255), images.labels[rows].to(device)


def tune(model: nn.Module, images: ImageSet, spec: TrainSpec, step: Step, *, seed: int, watch: Watch) -> str:
    """Train `model` in place, in float32; returns in words what was done.

    Args:
        model: in evaluation mode afterwards.
        images: clean ones.
        spec: schedule; its precision and compiling are not heeded.
        step: computes loss and gradients.
        seed: of order and augmentation.
        watch: progress and stop.

    Raises:
        InputError: the loss became infinite or undefined.
        Stopped: `watch.stop` said so.
    """
    keep_freed_memory()
    batches = Batches(TrainingSet.of(images), spec, seed)
    state = State(model, make_optimizer(model, spec), spec, spec.epochs * batches.per_epoch)
    device = next(model.parameters()).device
    model.train()
    for number, (pixels, labels) in batches.run(0, state.steps):
        state.optimizer.zero_grad(set_to_none=True)
        with isolated(seed, "repair", number):
            loss = float(step(pixels.to(device), labels.to(device), number).detach())
        if not math.isfinite(loss):
            raise InputError(f"the loss is {loss} at step {number + 1}: lower the learning rate ({spec.learning_rate})")
        state.set_rate(number)
        state.optimizer.step()
        watch.tick((number + 1) / state.steps)
    model.eval()
    return f"{state.steps} steps on {len(images)} clean images"


@torch.no_grad()
def accuracy(model: nn.Module, images: ImageSet) -> float:
    """The share of images that the model gets right."""
    with evaluating(model) as device:
        hits = sum(
            int((model(pixels.to(device).float().div_(255)).argmax(1).cpu() == labels).sum())
            for pixels, labels in zip(images.images.split(512), images.labels.split(512), strict=True)
        )
    return hits / len(images)
