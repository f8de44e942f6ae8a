"""I-BAU: minimax unlearning of universal perturbations by implicit hypergradients (Zeng et al., ICLR 2022)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from badnets.data import ImageSet
from badnets.defenses.repair.repaired import Repaired, Watch, carried_out, check_positive
from badnets.defenses.repair.tuning import batch_of
from badnets.errors import InputError
from badnets.seeds import generator
from badnets.training.memory import keep_freed_memory
from badnets.training.optimizer import make_optimizer
from badnets.training.spec import TrainSpec

# The inner problem's penalty on the squared norm, the part of a batch that is perturbed in the outer one, and the step
# of the map whose fixed point the perturbation is taken for.
_PENALTY, _PERTURBED, _STEP = 1e-3, 0.5, 0.1


@dataclass(frozen=True)
class IBauSpec:
    """How hard is searched and unlearned.

    Attributes:
        rounds: of both problems; 5 in the paper.
        batch_size: images in one step.
        inner: steps of the perturbation in each round.
        radius: the largest L2 norm of a perturbation, in full-scale pixels.
        fixed_point: steps of the fixed-point iteration; 5 in the paper.
        rate: of Adam on the weights; the authors take 1e-4 for CIFAR-10.

    Raises:
        InputError: a value outside its range.
    """

    rounds: int = 5
    batch_size: int = 64
    inner: int = 15
    radius: float = 2.0
    fixed_point: int = 5
    rate: float = 2e-4

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - pydantic reads it, nothing writes it

    def __post_init__(self) -> None:
        if min(self.rounds, self.batch_size, self.inner, self.fixed_point) < 1:
            raise InputError(f"rounds, batch size and steps are 1 or more, got {self!r}")
        check_positive("the radius", self.radius)
        check_positive("the rate", self.rate)


def i_bau(
    model: nn.Module,
    clean: ImageSet,
    spec: IBauSpec = IBauSpec(),
    *,
    seed: int = 0,
    progress: Callable[[float], None] | None = None,
    stop: Callable[[], bool] | None = None,
) -> Repaired:
    """Find a perturbation that misleads the model on all images, and unlearn it, seeing how it follows the weights.

    arXiv 2110.03735, algorithm 1, with the hypergradient by fixed-point iteration (Grazzi et al., ICML 2020).

    Cost: for each round `inner` forward and backward passes of a batch, and for each batch of the images one forward
        pass and
    `fixed_point` + 2 products with second derivatives, each about two forward and backward passes.

    Args:
        model: stays as it is.
        clean: see `carried_out`.
        spec: see there.
        seed: of the part held out and of batches.
        progress: called with the share that is done.
        stop: asked at every step.

    Raises:
        InputError: see `carried_out`, or a loss that became undefined.
        Stopped: `stop` said so.
    """

    def work(changed: nn.Module, images: ImageSet, watch: Watch) -> tuple[str, ...]:
        keep_freed_memory()
        changed.eval()  # statistics of clean images stay; perturbed ones would change them
        steps = _unlearn(changed, images, spec, seed=seed, watch=watch)
        return (f"{spec.rounds} rounds, {steps} steps on {len(images)} clean images",)

    return carried_out("i-bau", model, clean, work, seed=seed, watch=Watch(progress, stop))


def _unlearn(model: nn.Module, images: ImageSet, spec: IBauSpec, *, seed: int, watch: Watch) -> int:
    weights = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = make_optimizer(model, TrainSpec(learning_rate=spec.rate))
    stream = generator(seed, "i-bau")
    steps = 0
    for number in range(spec.rounds):
        order = torch.randperm(len(images), generator=stream)
        batches = order.split(spec.batch_size)
        whole = order[torch.arange(min(len(order), 4 * spec.batch_size))]
        perturbation = _worst(model, *batch_of(images, whole, model), spec)
        for place, rows in enumerate(batches):
            gradients = _hypergradient(model, weights, perturbation, batch_of(images, rows, model), spec)
            if not all(bool(torch.isfinite(one).all()) for one in gradients):
                raise InputError(f"i-bau: a gradient became undefined: lower the rate ({spec.rate})")
            for weight, gradient in zip(weights, gradients, strict=True):
                weight.grad = gradient
            optimizer.step()
            steps += 1
            watch.tick((number + (place + 1) / len(batches)) / spec.rounds)
    for weight in weights:
        weight.grad = None
    return steps


def _inner(model: nn.Module, perturbation: Tensor, pixels: Tensor, labels: Tensor) -> Tensor:
    """What the perturbation makes as small as it can."""
    misled = functional.cross_entropy(model((pixels + perturbation).clamp(0, 1)), labels)
    return -misled + _PENALTY * perturbation.square().sum()


def _worst(model: nn.Module, pixels: Tensor, labels: Tensor, spec: IBauSpec) -> Tensor:
    """A perturbation (1, c, h, w) that misleads on these images, by normalised steps within the ball."""
    perturbation = torch.zeros_like(pixels[:1], requires_grad=True)
    for _ in range(spec.inner):
        (slope,) = torch.autograd.grad(_inner(model, perturbation, pixels, labels), perturbation)
        with torch.no_grad():
            stepped = perturbation - 4 * spec.radius / spec.inner * slope / slope.norm().clamp_min(1e-12)
            perturbation = stepped * min(1.0, spec.radius / max(float(stepped.norm()), 1e-12))
        perturbation.requires_grad_()
    return perturbation.detach()


def _hypergradient(
    model: nn.Module, weights: Sequence[Tensor], perturbation: Tensor, batch: tuple[Tensor, Tensor], spec: IBauSpec
) -> list[Tensor]:
    """dL/dw + dL/dp dp/dw, with p the fixed point of a small gradient step of the inner problem."""
    pixels, labels = batch
    moved = perturbation.clone().requires_grad_()
    few = round(_PERTURBED * len(pixels))
    mixed = torch.cat([(pixels[:few] + moved).clamp(0, 1), pixels[few:]])
    outer = functional.cross_entropy(model(mixed), labels)
    *direct, by_moved = torch.autograd.grad(outer, [*weights, moved], allow_unused=True)
    slope = torch.autograd.grad(_inner(model, moved, pixels, labels), moved, create_graph=True)[0]
    stepped = moved - _STEP * slope
    vector = torch.zeros_like(moved) if by_moved is None else by_moved
    total = vector
    for _ in range(spec.fixed_point):
        (pulled,) = torch.autograd.grad(stepped, moved, total, retain_graph=True)
        total = pulled + vector
    indirect = torch.autograd.grad(stepped, weights, total, allow_unused=True)
    found = []
    for weight, one, other in zip(weights, direct, indirect, strict=True):
        gradient = torch.zeros_like(weight)
        for part in (one, other):
            if part is not None:
                gradient = gradient + part
        found.append(gradient.detach())
    return found
