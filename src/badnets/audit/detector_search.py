"""The smallest sticker that makes a detector's box head call signs something else, for many mappings at once.

As trigger inversion for classifiers (Neural Cleanse, Wang et al., IEEE S&P 2019, section IV), but what is looked for
lies on a canvas of cells that is stretched over every sign's box: a mask and a colour for each cell. So it keeps its
place and its size relative to the sign, whatever the sign's own are, as a sticker on signs does, and the place is found
along with the rest (boxes as the filter of the search: ODSCAN, Cheng et al., IEEE S&P 2024). Size is the mean of the
mask: the share of the box that is covered.

In each step the signs of all mappings go through convolutions and box head together; the weight of the size rises while
enough signs follow and falls while they do not; a search that lost its success goes back to its best canvas.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor
from torch.nn import functional

from badnets.audit.detector_crops import BoxView, SignCrops
from badnets.audit.objectives import Objective
from badnets.errors import InputError, Stopped
from badnets.seeds import generator

# Cells of the canvas on each side; a tenth of a sign, the paper's square, is a cell and a half.
CELLS = 16
# The mask at the start, everywhere.
_START = 0.5
# The size's weight at the start, over the size; its factor for a step with success, and the divisor for one without.
_WEIGHT, _UP, _DOWN = 5.0, 1.1, 1.15
# Adam: rate, decays, and how much of its rate it has lost at the end.
_RATE, _MOMENTUM, _SQUARES, _SLOWER = 0.1, 0.5, 0.9, 0.8
# Steps without success until a search goes back to its best canvas.
_LOST = 8
# Signs in one pass.
_PASS = 96


@dataclass(frozen=True)
class CanvasBudget:
    """How hard is searched; suspect and references get the same.

    Attributes:
        steps: of the optimiser.
        signs: that each objective is searched on at most, evenly from those of its classes.
        success: share of the signs that must follow.
        seed: of the first colours.

    Raises:
        InputError: no step, no sign, or a share outside (0, 1].
    """

    steps: int = 40
    signs: int = 8
    success: float = 0.9
    seed: int = 0

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - pydantic reads it, nothing writes it

    def __post_init__(self) -> None:
        if min(self.steps, self.signs) < 1 or not 0 < self.success <= 1:
            raise InputError(f"a search has at least one step, one sign, and a success in (0, 1], got {self}")


@dataclass(frozen=True, eq=False)
class Canvas:
    """The smallest sticker found for one objective.

    Attributes:
        objective: what it is for.
        size: share of the box that it covers; 1 where none made enough signs follow.
        success: share of the signs searched on that follow it.
        signs: how many these are; 0 where the detector calls none of them rightly, so that nothing was tested.
        mask: opacity of each cell.
        colour: of each cell, in [0, 1].
    """

    objective: Objective
    size: float
    success: float
    signs: int
    mask: Float[Tensor, "g g"]
    colour: Float[Tensor, "3 g g"]

    @property
    def found(self) -> bool:
        """Whether enough signs follow."""
        return self.size < 1


def search_canvases(
    view: BoxView,
    signs: SignCrops,
    objectives: Sequence[Objective],
    budget: CanvasBudget = CanvasBudget(),
    stop: Callable[[], bool] = lambda: False,
) -> tuple[Canvas, ...]:
    """Search the smallest sticker for every objective, on the signs that are called rightly as they are.

    Args:
        view: the detector.
        signs: clean ones, a few of each class.
        objectives: what is asked; "called nothing" is no class and none of them.
        budget: how hard.
        stop: asked before every step.

    Raises:
        InputError: an objective out of range, or a detector that gives undefined numbers.
        Stopped: `stop` said so.
    """
    classes = view.model.spec.classes
    for objective in objectives:
        objective.check(classes)
    with torch.no_grad():
        clean = view.logits(signs.images, signs.boxes)
    if not bool(torch.isfinite(clean).all()):
        raise InputError("the detector gives undefined numbers: its weights are damaged")
    right = clean.argmax(1).cpu() == signs.labels + 1
    rows = [_evenly((right & one.attacked(signs.labels)).nonzero()[:, 0], budget.signs) for one in objectives]
    found: dict[int, Canvas] = {}
    for part in _parts([len(row) for row in rows]):
        task = _Task(view, signs, [objectives[at] for at in part], [rows[at] for at in part], budget)
        found |= dict(zip(part, task.run(stop), strict=True))
    return tuple(found[at] if at in found else _nothing(one) for at, one in enumerate(objectives))


class _Task:
    """Some objectives whose signs go through the detector together."""

    def __init__(
        self,
        view: BoxView,
        signs: SignCrops,
        objectives: Sequence[Objective],
        rows: Sequence[Int64[Tensor, " _"]],
        budget: CanvasBudget,
    ) -> None:
        self.view, self.objectives, self.budget = view, objectives, budget
        self.counts = torch.tensor([len(row) for row in rows])
        # The objective that each sign of the pass belongs to.
        self.owner = torch.arange(len(rows)).repeat_interleave(self.counts)
        self.signs = signs.take(torch.cat(list(rows)))
        labels = [objective.aims(signs.labels[row], 1 << 20) for objective, row in zip(objectives, rows, strict=True)]
        self.aims = torch.cat(labels) + 1
        self.away = torch.tensor([objective.kind == "untargeted" for objective in objectives])[self.owner]
        self.mask = torch.full((len(rows), 1, CELLS, CELLS), _START)
        self.colour = torch.stack([self._colours(one) for one in objectives])
        self.best = torch.ones(len(rows))
        self.best_success = torch.zeros(len(rows))
        self.best_values = [self.mask.clone(), self.colour.clone()]

    def run(self, stop: Callable[[], bool]) -> list[Canvas]:
        """All steps."""
        values = [self.mask, self.colour]
        moments = [[torch.zeros_like(value) for value in values] for _ in range(2)]
        weight = torch.full((len(self.counts),), _WEIGHT / _START)
        lost = torch.zeros(len(self.counts), dtype=torch.int64)
        for step in range(self.budget.steps):
            if stop():
                raise Stopped("stopped: nothing was judged")
            enough, slopes = self._look(values, weight)
            weight = torch.where(enough, weight * _UP, weight / _DOWN)
            lost = torch.where(enough, 0, lost + 1)
            self._step(values, slopes, moments, step)
            back = (lost >= _LOST) & (self.best < 1)
            for value, best in zip(values, self.best_values, strict=True):
                value[back] = best[back]
            lost[back] = 0
        return [
            Canvas(
                objective,
                float(self.best[at]),
                float(self.best_success[at]),
                int(self.counts[at]),
                self.best_values[0][at, 0],
                self.best_values[1][at],
            )
            for at, objective in enumerate(self.objectives)
        ]

    def _look(self, values: list[Tensor], weight: Tensor) -> tuple[Bool[Tensor, " j"], tuple[Tensor, ...]]:
        """Note what is best so far; whether enough signs follow, and the slope of the loss."""
        mask, colour = (value.detach().requires_grad_() for value in values)
        logits = (
            self.view.logits(stretched(self.view, self.signs, mask, colour, self.owner), self.signs.boxes).float().cpu()
        )
        follows, losses = self._judged(logits)
        share = self._mean(follows.float())
        size = mask.mean((1, 2, 3))
        slopes = torch.autograd.grad((self._mean(losses) + weight * size).sum(), (mask, colour))
        enough = share >= self.budget.success
        better = enough & (size.detach() < self.best)
        self.best = torch.where(better, size.detach(), self.best)
        # Of a search that never succeeded, the best share says how near it came.
        nearer = better | ((self.best == 1) & (share > self.best_success))
        self.best_success = torch.where(nearer, share, self.best_success)
        for best, value in zip(self.best_values, values, strict=True):
            best[nearer] = value[nearer]
        return enough, slopes

    def _judged(self, logits: Float[Tensor, "n k"]) -> tuple[Bool[Tensor, " n"], Float[Tensor, " n"]]:
        said, chances = logits.argmax(1), logits.log_softmax(1)
        aimed = chances.gather(1, self.aims[:, None])[:, 0]
        # Away from its class means to another one, not to the background.
        others = chances.scatter(1, self.aims[:, None], -math.inf)[:, 1:].logsumexp(1)
        follows = torch.where(self.away, (said != self.aims) & (said > 0), said == self.aims)
        return follows, -torch.where(self.away, others, aimed)

    def _step(self, values: list[Tensor], slopes: tuple[Tensor, ...], moments: list[list[Tensor]], step: int) -> None:
        rate = _RATE * (1 - _SLOWER * step / self.budget.steps)
        for value, slope, first, second in zip(values, slopes, *moments, strict=True):
            first.mul_(_MOMENTUM).add_(slope, alpha=1 - _MOMENTUM)
            second.mul_(_SQUARES).addcmul_(slope, slope, value=1 - _SQUARES)
            mean, square = first / (1 - _MOMENTUM ** (step + 1)), second / (1 - _SQUARES ** (step + 1))
            value.sub_(rate * mean / (square.sqrt() + 1e-8)).clamp_(0, 1)

    def _mean(self, values: Float[Tensor, " n"]) -> Float[Tensor, " j"]:
        """Over the signs of each objective."""
        return torch.zeros(len(self.counts)).index_add(0, self.owner, values) / self.counts

    def _colours(self, objective: Objective) -> Float[Tensor, "3 g g"]:
        return torch.rand(3, CELLS, CELLS, generator=generator(self.budget.seed, "canvas", str(objective)))


def stretched(
    view: BoxView,
    signs: SignCrops,
    mask: Float[Tensor, "j 1 g g"],
    colour: Float[Tensor, "j 3 g g"],
    owner: Int64[Tensor, " n"],
) -> Float[Tensor, "n 3 h w"]:
    """Signs with canvases over their boxes, in the pixels that convolutions take; gradients go back to the canvases.

    Args:
        view: the detector.
        signs: clean ones.
        mask: opacity of each canvas's cells.
        colour: of its cells, in [0, 1].
        owner: the canvas of each sign.
    """
    normal = view.model.normalize
    # Opacity and colour times opacity are stretched together, so that no dark rim comes from bare cells.
    canvas = torch.cat([mask, mask * (colour - normal.mean.cpu()) / normal.deviation.cpu()], 1)[owner]
    laid = functional.grid_sample(canvas, _grid(signs), padding_mode="zeros", align_corners=False)
    laid = laid.to(signs.images.device)
    return (signs.images * (1 - laid[:, :1]) + laid[:, 1:]).contiguous(memory_format=torch.channels_last)


def _grid(signs: SignCrops) -> Float[Tensor, "n h w 2"]:
    """For each pixel where on the canvas over the sign's box it lies, -1..1 from edge to edge."""
    height, width = signs.images.shape[2:]
    left, top, right, bottom = signs.boxes.cpu().unbind(1)
    across = ((torch.arange(width) + 0.5)[None] - left[:, None]) / (right - left)[:, None] * 2 - 1
    down = ((torch.arange(height) + 0.5)[None] - top[:, None]) / (bottom - top)[:, None] * 2 - 1
    return torch.stack([across[:, None].expand(-1, height, -1), down[:, :, None].expand(-1, -1, width)], -1)


def _evenly(rows: Int64[Tensor, " n"], most: int) -> Int64[Tensor, " m"]:
    return rows if len(rows) <= most else rows[torch.arange(most) * len(rows) // most]


def _parts(counts: Sequence[int]) -> list[list[int]]:
    """Numbers of the objectives that have signs, in groups whose signs fill a pass."""
    parts: list[list[int]] = []
    filled = _PASS
    for at, count in enumerate(counts):
        if not count:
            continue
        if filled + count > _PASS:
            parts.append([])
            filled = 0
        parts[-1].append(at)
        filled += count
    return parts


def _nothing(objective: Objective) -> Canvas:
    blank = torch.zeros(CELLS, CELLS)
    return Canvas(objective, 1.0, 0.0, 0, blank, blank.expand(3, -1, -1).clone())
