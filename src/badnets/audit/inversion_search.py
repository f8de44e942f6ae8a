"""The optimiser behind trigger inversion: many small problems of one shape, on one batch axis.

In each step, for the objectives of one chunk together:

1. stamp every objective's images with its own trigger and ask the model once;
2. note the trigger as the objective's best where it moves enough images and is smaller than the best so far;
3. make the weight of the size larger where it moves enough images, else smaller (Neural Cleanse's dynamic lambda,
   without waiting: one factor a step);
4. go back to the best trigger where success was lost for many steps: behind the threshold of a unit that sleeps again
   there is no gradient that leads back;
5. take a step of Adam on -log p(wanted classes) + weight * size, and go back into the bounds.

Every few steps finished objectives leave the chunk. A chunk is as large as one pass through the model should be.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from badnets.audit.answers import slopes_of
from badnets.audit.inversion_budget import Budget, Stage
from badnets.audit.inversion_forms import Form, Parameters
from badnets.audit.objectives import Objective
from badnets.audit.samples import Samples
from badnets.seeds import generator

# Weight of the size at the start: this over the size itself, so that it begins at the order of a cross-entropy.
_WEIGHT = 5.0
# The weight's factor for a step with success, and the divisor for one without.
_UP, _DOWN = 1.1, 1.15
# Adam's decays: short memory, as Neural Cleanse has it, for runs of tens of steps.
_MOMENTUM, _SQUARES, _TINY = 0.5, 0.9, 1e-8
# Steps without success until a trigger goes back to the best one so far.
_LOST = 8
# How much of its rate Adam has lost at the end of a stage, evenly step by step.
_SLOWER = 0.8
# What counts as smaller when an objective's patience is measured.
_PROGRESS = 0.98
# Steps between two looks at which objectives are finished.
_COMPACT = 5
# Images in one pass, and how many pixel values that may be: small networks are fastest while a pass stays in the cache.
_PASS = {"cpu": (256, 1 << 22), "cuda": (4096, 1 << 27)}


@dataclass(frozen=True)
class Task:
    """One objective from one start."""

    objective: Objective
    restart: int


@dataclass(frozen=True, eq=False)
class Found:
    """What came out for one task; the fields of `Inverted`."""

    task: Task
    reached: bool
    sizes: tuple[float, ...]
    success: float
    images: int
    steps: int
    passes: int
    parameters: Parameters


@dataclass
class _Standing:
    """How far one task is."""

    task: Task
    rows: Tensor
    parameters: Parameters  # where the next stage goes on
    weight: float
    reached: bool = False
    sizes: list[float] = field(default_factory=list)
    success: float = 0.0
    images: int = 0
    steps: int = 0
    passes: int = 0


@dataclass(eq=False)
class _Chunk:
    """Tasks that are optimised together; first axis j of every tensor."""

    at: Tensor  # numbers of its tasks
    images: Float[Tensor, "j n c h w"]
    wanted: Bool[Tensor, "j n k"]
    parameters: Parameters
    moments: tuple[Parameters, Parameters]
    weight: Float[Tensor, " j"]
    best: Float[Tensor, " j"]
    best_success: Float[Tensor, " j"]
    best_parameters: Parameters
    mark: Float[Tensor, " j"]  # the size that patience is measured from
    since: Tensor  # steps since it was set
    lost: Tensor  # steps since the last success

    def keep(self, flags: Bool[Tensor, " j"]) -> None:
        """Leave out the tasks that are not flagged."""
        for name in ("at", "images", "wanted", "weight", "best", "best_success", "mark", "since", "lost"):
            setattr(self, name, getattr(self, name)[flags])
        self.parameters, self.best_parameters = _picked(self.parameters, flags), _picked(self.best_parameters, flags)
        self.moments = (_picked(self.moments[0], flags), _picked(self.moments[1], flags))


@dataclass(eq=False)
class Search:
    """All tasks of one call; `tick` is told the share that is done and may raise."""

    samples: Samples
    tasks: Sequence[Task]
    form: Form
    budget: Budget
    tick: Callable[[float], None]

    def run(self) -> list[Found]:
        """Go through all stages."""
        images = self.samples.images
        mean = images.mean(0).cpu() if len(images) else torch.zeros(self._shape)
        standings = [self._begin(task, mean) for task in self.tasks]
        total = sum(stage.steps * stage.images * stage.keep for stage in self.budget.stages)
        done = 0.0
        for number, stage in enumerate(self.budget.stages):
            going_on = self._going_on(standings, stage, number)
            parts = self._chunks(going_on, stage)
            for place, part in enumerate(parts):
                share = stage.steps * stage.images * stage.keep / total / len(parts)
                self._optimise([standings[at] for at in part], stage, (done + place * share, share))
            done += stage.steps * stage.images * stage.keep / total
        self.tick(1.0)
        return [
            Found(
                one.task,
                one.reached,
                tuple(one.sizes) or (self._largest,),
                one.success,
                one.images,
                one.steps,
                one.passes,
                one.parameters,
            )
            for one in standings
        ]

    @property
    def _shape(self) -> tuple[int, int, int]:
        channels, height, width = self.samples.images.shape[1:]
        return channels, height, width

    @property
    def _largest(self) -> float:
        return self.form.largest(self._shape)

    def _begin(self, task: Task, mean: Tensor) -> _Standing:
        most = max(stage.images for stage in self.budget.stages)
        rows = self.samples.rows(task.objective, most, self.budget.seed)
        stream = generator(self.budget.seed, "inversion", "start", str(task.objective), task.restart)
        parameters = self.form.start(mean, stream)
        return _Standing(task, rows, parameters, _WEIGHT / float(self.form.size(parameters)))

    def _going_on(self, standings: list[_Standing], stage: Stage, number: int) -> list[int]:
        """The numbers of the tasks that take part in a stage."""
        able = [at for at, one in enumerate(standings) if len(one.rows) and len(one.sizes) == number]
        if number == 0 or stage.keep == 1:
            return able
        ranked = sorted(able, key=lambda at: (standings[at].sizes[-1], at))
        return sorted(ranked[: max(1, round(stage.keep * len(standings)))])

    def _chunks(self, tasks: list[int], stage: Stage) -> list[list[int]]:
        most, values = _PASS["cuda" if self.samples.images.is_cuda else "cpu"]
        rows = self.budget.batch or min(most, values // math.prod(self._shape))
        size = max(1, rows // stage.images)
        return [tasks[start : start + size] for start in range(0, len(tasks), size)]

    def _optimise(self, standings: list[_Standing], stage: Stage, progress: tuple[float, float]) -> None:
        """One chunk through one stage; `progress` is the share of all that is done, and that this is."""
        chunk = self._chunk(standings, stage)
        enough = math.ceil(self.budget.success * stage.images - 1e-9)
        last = dict.fromkeys(range(len(standings)), 0.0)
        for step in range(stage.steps):
            self.tick(progress[0] + progress[1] * step / stage.steps)
            moved = self._step(chunk, step, stage, enough)
            for place, share in zip(chunk.at.tolist(), (moved / stage.images).tolist(), strict=True):
                last[place] = share
                standings[place].steps += 1
                standings[place].passes += stage.images
            if (step + 1) % _COMPACT == 0 or step + 1 == stage.steps:
                finished = torch.isfinite(chunk.best) & (chunk.since >= self.budget.patience)
                if step + 1 == stage.steps:
                    finished = torch.ones_like(finished)
                self._note(chunk, standings, finished, last, stage)
                chunk.keep(~finished)
            if not len(chunk.at):
                break

    def _chunk(self, standings: list[_Standing], stage: Stage) -> _Chunk:
        device, labels = self.samples.images.device, self.samples.labels
        rows = torch.stack([one.rows[: stage.images] for one in standings])
        wanted = torch.stack(
            [
                _wanted(one.task.objective, labels[row], self.samples.classes)
                for one, row in zip(standings, rows, strict=True)
            ]
        )
        parameters = tuple(
            torch.cat(parts).to(device) for parts in zip(*(one.parameters for one in standings), strict=True)
        )
        count = len(standings)
        infinite = torch.full((count,), math.inf, device=device)
        return _Chunk(
            at=torch.arange(count, device=device),
            images=self.samples.images[rows.to(device)],
            wanted=wanted.to(device),
            parameters=parameters,
            moments=(_zeros(parameters), _zeros(parameters)),
            weight=torch.tensor([one.weight for one in standings], device=device),
            best=infinite,
            best_success=torch.zeros(count, device=device),
            best_parameters=tuple(parameter.clone() for parameter in parameters),
            mark=infinite.clone(),
            since=torch.zeros(count, dtype=torch.long, device=device),
            lost=torch.zeros(count, dtype=torch.long, device=device),
        )

    def _step(self, chunk: _Chunk, step: int, stage: Stage, enough: int) -> Tensor:
        """One step of the optimiser; how many images each trigger moved before it."""
        rate = self.budget.rate * (1 - _SLOWER * step / stage.steps)
        count, images = chunk.images.shape[:2]
        for parameter in chunk.parameters:
            parameter.requires_grad_()
        stamped = self.form.stamp(chunk.parameters, chunk.images)
        logits = self.samples.ask(stamped.flatten(0, 1)).unflatten(0, (count, images))
        # -log of the probability of all wanted classes together
        loss = (logits.logsumexp(2) - logits.masked_fill(~chunk.wanted, -math.inf).logsumexp(2)).mean(1)
        size = self.form.size(chunk.parameters)
        slopes = slopes_of((loss + chunk.weight * size).sum(), chunk.parameters)
        with torch.no_grad():
            hits = chunk.wanted.gather(2, logits.argmax(2, keepdim=True)).sum((1, 2))
            _note_best(chunk, hits, size.detach(), enough)
            chunk.weight = torch.where(hits >= enough, chunk.weight * _UP, chunk.weight / _DOWN)
            for parameter in chunk.parameters:
                parameter.requires_grad = False
            _revive(chunk, slopes, hits >= enough)
            _adam(chunk, slopes, step + 1, tuple(rate * pace for pace in self.form.paces))
            self.form.project(chunk.parameters)
        return hits

    def _note(
        self, chunk: _Chunk, standings: list[_Standing], finished: Tensor, last: dict[int, float], stage: Stage
    ) -> None:
        """Write down what came out for the tasks that are finished."""
        for place in torch.nonzero(finished)[:, 0].tolist():
            number = int(chunk.at[place])
            one = standings[number]
            one.reached = math.isfinite(float(chunk.best[place]))
            one.sizes.append(float(chunk.best[place]) if one.reached else self._largest)
            one.success = float(chunk.best_success[place]) / stage.images if one.reached else last[number]
            kept = chunk.best_parameters if one.reached else chunk.parameters
            one.parameters = tuple(parameter[place : place + 1].cpu().clone() for parameter in kept)
            one.weight = float(chunk.weight[place])
            one.images = stage.images


def _wanted(objective: Objective, labels: Tensor, classes: int) -> Bool[Tensor, "n k"]:
    """For each image the classes that the objective is content with."""
    aims = torch.nn.functional.one_hot(objective.aims(labels, classes), classes).bool()
    return ~aims if objective.kind == "untargeted" else aims


def _note_best(chunk: _Chunk, hits: Tensor, size: Tensor, enough: int) -> None:
    better = (hits >= enough) & (size < chunk.best)
    chunk.best = torch.where(better, size, chunk.best)
    chunk.best_success = torch.where(better, hits.float(), chunk.best_success)
    for kept, parameter in zip(chunk.best_parameters, chunk.parameters, strict=True):
        kept[better] = parameter[better]
    progress = chunk.best < _PROGRESS * chunk.mark
    chunk.mark = torch.where(progress, chunk.best, chunk.mark)
    chunk.since = torch.where(progress, torch.zeros_like(chunk.since), chunk.since + 1)


def _revive(chunk: _Chunk, slopes: Sequence[Tensor], success: Tensor) -> None:
    chunk.lost = torch.where(success, torch.zeros_like(chunk.lost), chunk.lost + 1)
    back = (chunk.lost >= _LOST) & torch.isfinite(chunk.best)
    for parameter, kept, slope, first in zip(
        chunk.parameters, chunk.best_parameters, slopes, chunk.moments[0], strict=True
    ):
        parameter[back] = kept[back]
        slope[back] = 0  # it belonged to where the trigger was before
        first[back] = 0
    chunk.lost[back] = 0


def _adam(chunk: _Chunk, slopes: Sequence[Tensor], step: int, rates: tuple[float, ...]) -> None:
    """Kingma and Ba, arXiv 1412.6980, algorithm 1, on every task by itself."""
    for parameter, slope, first, second, rate in zip(chunk.parameters, slopes, *chunk.moments, rates, strict=True):
        first.mul_(_MOMENTUM).add_(slope, alpha=1 - _MOMENTUM)
        second.mul_(_SQUARES).addcmul_(slope, slope, value=1 - _SQUARES)
        spread = (second / (1 - _SQUARES**step)).sqrt_().add_(_TINY)
        parameter.addcdiv_(first, spread, value=-rate / (1 - _MOMENTUM**step))


def _picked(parameters: Parameters, flags: Tensor) -> Parameters:
    return tuple(parameter[flags] for parameter in parameters)


def _zeros(parameters: Parameters) -> Parameters:
    return tuple(torch.zeros_like(parameter) for parameter in parameters)
