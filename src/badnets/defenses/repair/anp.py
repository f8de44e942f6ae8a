"""ANP: channels whose weights, changed a little, lead to errors are cut (Wu and Wang, NeurIPS 2021)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional

from badnets.data import ImageSet
from badnets.defenses.repair.norms import batch_norms, silence
from badnets.defenses.repair.repaired import Repaired, Watch, carried_out, check_positive, check_share
from badnets.defenses.repair.tuning import accuracy, batch_of
from badnets.errors import InputError
from badnets.seeds import generator

_MOMENTUM = 0.9


@dataclass(frozen=True)
class AnpSpec:
    """How masks are learned, and what is cut.

    Attributes:
        steps: of the masks.
        batch_size: images in each.
        budget: epsilon: the largest relative change of a normalisation's weight and bias; 0.4 in the paper.
        weight: alpha: of the plain loss against the adversarial one; 0.2 in the paper.
        rate: of the masks' steps; 0.2 in the authors' code.
        threshold: channels whose mask ends below it are cut, in [0, 1]; 0.2 in the paper.
        loss: accuracy on the clean images that cutting may cost; it ends there, whatever the threshold.

    Raises:
        InputError: a value outside its range.
    """

    steps: int = 500
    batch_size: int = 64
    budget: float = 0.4
    weight: float = 0.2
    rate: float = 0.2
    threshold: float = 0.2
    loss: float = 0.02

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - pydantic reads it, nothing writes it

    def __post_init__(self) -> None:
        if self.steps < 1 or self.batch_size < 1:
            raise InputError(f"steps and batch size are 1 or more, got {self.steps} and {self.batch_size}")
        check_positive("the budget", self.budget)
        check_positive("the rate", self.rate)
        for what, value in (("weight", self.weight), ("threshold", self.threshold), ("loss", self.loss)):
            check_share(what, value)


def anp(
    model: nn.Module,
    clean: ImageSet,
    spec: AnpSpec = AnpSpec(),
    *,
    seed: int = 0,
    progress: Callable[[float], None] | None = None,
    stop: Callable[[], bool] | None = None,
) -> Repaired:
    """Learn a mask for every channel of a batch normalisation against adversarial weights, and cut what it masks.

    arXiv 2110.14430, section 4: minimise alpha L(m) + (1 - alpha) max L((m + d) w, (1 + x) b) over masks in [0, 1];
    the inner maximum by one signed step. Statistics of the normalisations stay as they are.

    Cost: three forward and backward passes of a batch for each step, and a forward pass of all images for each cut.

    Args:
        model: stays as it is; needs batch normalisation.
        clean: see `carried_out`.
        spec: see there.
        seed: of the part held out and of batches.
        progress: called with the share that is done.
        stop: asked at every step.

    Raises:
        InputError: see `carried_out`; or there is no batch normalisation.
        Stopped: `stop` said so.
    """
    batch_norms("anp", model)

    def work(changed: nn.Module, images: ImageSet, watch: Watch) -> tuple[str, ...]:
        norms = batch_norms("anp", changed)
        masks = _learn(changed, images, norms, spec, seed=seed, watch=watch)
        cut = _cut(changed, images, norms, masks, spec)
        return (f"{cut} of {sum(map(len, masks.values()))} channels of {len(norms)} normalisations silenced",)

    return carried_out("anp", model, clean, work, seed=seed, watch=Watch(progress, stop))


def _learn(
    model: nn.Module, images: ImageSet, norms: Mapping[str, nn.BatchNorm2d], spec: AnpSpec, *, seed: int, watch: Watch
) -> dict[str, Tensor]:
    model.eval()
    device = next(model.parameters()).device
    masks = {name: torch.ones_like(norm.weight, requires_grad=True) for name, norm in norms.items()}
    optimizer = torch.optim.SGD(masks.values(), spec.rate, momentum=_MOMENTUM)
    stream = generator(seed, "anp")

    def loss(pixels: Tensor, labels: Tensor, scale: dict[str, Tensor], shift: dict[str, Tensor]) -> Tensor:
        changed = {f"{name}.weight": norm.weight.detach() * scale[name] for name, norm in norms.items()}
        changed |= {f"{name}.bias": norm.bias.detach() * shift[name] for name, norm in norms.items()}
        return functional.cross_entropy(functional_call(model, changed, (pixels,)), labels)

    for number in range(spec.steps):
        rows = torch.randint(len(images), (min(spec.batch_size, len(images)),), generator=stream)
        pixels, labels = batch_of(images, rows, model)
        starts = [
            spec.budget * (2 * torch.rand(len(norm.weight), generator=stream) - 1) for norm in 2 * [*norms.values()]
        ]
        moves = [start.to(device).requires_grad_() for start in starts]
        fixed = {name: mask.detach() for name, mask in masks.items()}
        risen = loss(pixels, labels, *_moved(fixed, moves))
        slopes = torch.autograd.grad(risen, moves)
        worst = [
            (move.detach() + spec.budget * slope.sign()).clamp(-spec.budget, spec.budget)
            for move, slope in zip(moves, slopes, strict=True)
        ]
        ones = {name: torch.ones_like(norm.bias) for name, norm in norms.items()}
        plain = loss(pixels, labels, dict(masks), ones)
        total = spec.weight * plain + (1 - spec.weight) * loss(pixels, labels, *_moved(masks, worst))
        optimizer.zero_grad(set_to_none=True)
        total.backward()
        optimizer.step()
        with torch.no_grad():
            for mask in masks.values():
                mask.clamp_(0, 1)
        watch.tick((number + 1) / spec.steps)
    return {name: mask.detach() for name, mask in masks.items()}


def _moved(masks: Mapping[str, Tensor], moves: Sequence[Tensor]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """What weights and biases are multiplied by: masks and ones, each moved by its own."""
    scale = {name: mask + move for (name, mask), move in zip(masks.items(), moves[: len(masks)], strict=True)}
    shift = {name: 1 + move for name, move in zip(masks, moves[len(masks) :], strict=True)}
    return scale, shift


def _cut(
    model: nn.Module, images: ImageSet, norms: Mapping[str, nn.BatchNorm2d], masks: dict[str, Tensor], spec: AnpSpec
) -> int:
    """Silence channels, the lowest mask first, until the threshold or until accuracy has fallen; returns how many."""
    least = accuracy(model, images) - spec.loss
    order = sorted(
        (float(value), name, channel) for name, mask in masks.items() for channel, value in enumerate(mask.tolist())
    )
    cut = 0
    for value, name, channel in order:
        if value >= spec.threshold:
            break
        norm = norms[name]
        kept = norm.weight[channel].item(), norm.bias[channel].item()
        silence(norm, torch.tensor([channel]))
        if accuracy(model, images) < least:
            with torch.no_grad():
                norm.weight[channel], norm.bias[channel] = kept
            break
        cut += 1
    return cut
