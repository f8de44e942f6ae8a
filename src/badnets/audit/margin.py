"""The largest margin that each class can reach on any image: a test without data (MM-BD, Wang et al., IEEE S&P 2024).

Training on a trigger overfits the target class, whatever the trigger looks like: somewhere in the space of images its
logit stands above all others further than that of any other class.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from badnets.audit.answers import Ask, examined, slopes_of
from badnets.audit.inversion_budget import Watch
from badnets.errors import InputError
from badnets.seeds import generator
from badnets.training.memory import keep_freed_memory

# Below this the gamma distribution has nothing to be fitted to.
_LEAST_CLASSES = 4


@dataclass(frozen=True)
class MarginBudget:
    """How hard is searched.

    Attributes:
        starts: random images for each class.
        steps: of the ascent for each.
        rate: of Adam, in pixel values from 0 to 1; it falls to nothing along a cosine.
        batch: images in one pass at most.
        seed: of the starts.

    Raises:
        InputError: a value outside its range.
    """

    starts: int = 8
    steps: int = 40
    rate: float = 0.1
    batch: int = 256
    seed: int = 0

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - pydantic reads it, nothing writes it

    def __post_init__(self) -> None:
        if min(self.starts, self.steps, self.batch) < 1 or not 0 < self.rate <= 1:
            raise InputError(f"starts, steps and batch are at least 1, the rate lies in (0, 1], got {self!r}")


@dataclass(frozen=True)
class Margins:
    """The largest margin found for each class.

    Attributes:
        values: for each class the largest logit minus the largest other logit over all starts.
        passes: images through model and gradient in all.
    """

    values: tuple[float, ...]
    passes: int

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - pydantic reads it, nothing writes it

    @property
    def target(self) -> int:
        """The class with the largest margin."""
        return self.values.index(max(self.values))

    @property
    def ratio(self) -> float:
        """Largest over median of the others: what clean models are compared by. Both are taken as at least 1e-6."""
        rest = sorted(self.values[: self.target] + self.values[self.target + 1 :])
        middle = (rest[(len(rest) - 1) // 2] + rest[len(rest) // 2]) / 2
        return max(*self.values, 1e-6) / max(middle, 1e-6)

    @property
    def p_value(self) -> float:
        """Of the largest margin within this model: 1 - G(largest)^K with a gamma distribution G fitted to the others.

        NaN below four classes, or where the others do not vary. It is uncalibrated: clean models have outliers too.
        """
        from scipy.stats import gamma  # noqa: PLC0415 - slow to import

        rest = [value for place, value in enumerate(self.values) if place != self.target and value > 0]
        if len(self.values) < _LEAST_CLASSES or len(rest) < _LEAST_CLASSES - 1 or max(rest) - min(rest) < 1e-9:
            return math.nan
        mean = sum(rest) / len(rest)
        variance = sum((value - mean) ** 2 for value in rest) / (len(rest) - 1)
        below = float(gamma.cdf(max(self.values), mean**2 / variance, scale=variance / mean))
        return 1 - below ** len(self.values)


def margins(
    model: nn.Module, shape: tuple[int, int, int], budget: MarginBudget = MarginBudget(), watch: Watch = Watch()
) -> Margins:
    """The largest margin of every class over images of `shape` (channels, height, width) with pixels in [0, 1].

    A softmax inside the model bounds every margin by 1: hand over the logits.

    Raises:
        InputError: a shape that the model does not take, or a model that raises or gives undefined numbers.
        Stopped: `watch.stop` said so.
    """
    if min(shape) < 1:
        raise InputError(f"expected images of at least one channel and pixel, got {shape}")
    keep_freed_memory()
    with examined(model) as (ask, device):
        with torch.no_grad():
            classes = ask(torch.zeros(1, *shape, device=device)).shape[1]
        climbers = torch.arange(classes).repeat_interleave(budget.starts)
        found = torch.full((len(climbers),), -math.inf)
        parts = climbers.split(budget.batch)
        for number, part in enumerate(parts):
            start = number * budget.batch
            noise = [generator(budget.seed, "margin", place) for place in range(start, start + len(part))]
            images = torch.stack([torch.rand(shape, generator=stream) for stream in noise]).to(device)
            share = (number / len(parts), 1 / len(parts))
            found[start : start + len(part)] = _ascend(ask, images, part.to(device), budget, (watch, *share)).cpu()
        watch.tick(1.0)
    best = found.view(classes, budget.starts).amax(1)
    return Margins(tuple(best.tolist()), len(climbers) * budget.steps)


def _ascend(
    ask: Ask, images: Tensor, classes: Tensor, budget: MarginBudget, progress: tuple[Watch, float, float]
) -> Tensor:
    """The largest margin that each image reaches on its way."""
    watch, done, share = progress
    own = torch.nn.functional.one_hot(classes, ask(images[:1]).shape[1]).bool()
    best = torch.full((len(images),), -math.inf, device=images.device)
    optimizer = torch.optim.Adam([images.requires_grad_()], lr=budget.rate, maximize=True)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, budget.steps)
    for step in range(budget.steps):
        watch.tick(done + share * step / budget.steps)
        logits = ask(images)
        margin = logits[own] - logits.masked_fill(own, -math.inf).amax(1)
        best = torch.maximum(best, margin.detach())
        (images.grad,) = slopes_of(margin.sum(), (images,))
        optimizer.step()
        schedule.step()
        with torch.no_grad():
            images.clamp_(0, 1)
    return best
