"""Carries out the cells of a study: each once, whatever is stopped, killed or fails in between."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol, runtime_checkable

import torch
from torch import nn

from badnets.artifacts import RunFolder, read_json, storage, write_json, write_text
from badnets.data import ImageSet, ImageSource, Split
from badnets.errors import PartlyFailed, Stopped
from badnets.metrics import PositionMap, Predictions, Result, judge, position_map, predict
from badnets.models import ModelSpec, TwoParts, build, evaluating
from badnets.seeds import generator
from badnets.studies import pretrained
from badnets.studies.cells import Cell, CellResult, folder_name, lineage, split_digest
from badnets.studies.progress import Standing, Tally
from badnets.studies.victims import handed_over
from badnets.training import Fit, Progress, Session, fit, limited_threads, load_model, victim
from badnets.training.features import FeatureCache, can_be_kept
from badnets.training.tasks import Engine, Failure, Hooks, Images, Task
from badnets.triggers import Trigger

RESULT, FAILURE = "result.json", "failure.txt"
_NAMED = 3

# Of this process: workers carry out many cells, one after the other.
_FEATURES = FeatureCache()


@runtime_checkable
class Observer(Protocol):
    """Who watches a study. All calls come from one thread."""

    def begun(self, name: str, standing: Standing) -> None:
        """Somebody works on the cell `name`."""
        ...

    def progress(self, name: str, progress: Progress, standing: Standing) -> None:
        """A few times a second for each cell under way."""
        ...

    def done(self, name: str, cell: CellResult, standing: Standing) -> None:
        """A cell is finished, now or in an earlier run."""
        ...

    def failed(self, name: str, reason: str, standing: Standing) -> None:
        """A cell has no result."""
        ...

    def stop(self) -> bool:
        """Whether to stop now and keep what there is; asked all the time."""
        ...


@dataclass(frozen=True)
class Assignment:
    """What an engine is given for one cell.

    Attributes:
        cell: the work.
        key: of the cell.
        home: the folder of its model.
        start: the folder of the model or the trunk that it starts from; None for fresh weights.
        threads: of torch on the CPU.
        device: "cpu", "cuda", ...
    """

    cell: Cell
    key: str
    home: Path
    start: Path | None
    threads: int
    device: str


@dataclass(frozen=True)
class Place:
    """Where the cells of a study are carried out; nothing here has an influence on results but the machine.

    Attributes:
        engine: who does it.
        threads: of torch on the CPU, for each cell.
        device: "cpu", "cuda", ...
    """

    engine: Engine
    threads: int = 1
    device: str = "cpu"


def run_cells(
    cells: Sequence[Cell], split: Split[ImageSource], folder: RunFolder, place: Place, observer: Observer
) -> dict[Cell, CellResult]:
    """Carry out all cells and what they start from; those that are finished in `folder` are not done again.

    Args:
        cells: the work; equal cells are one.
        split: their data.
        folder: `metrics.jsonl` and `models/<cell>/` are written there.
        place: engine and device.
        observer: told what happens, and asked whether to stop.

    Raises:
        InputError: a recipe does not fit the data.
        PartlyFailed: some cells have no result; all others are finished, and the same call tries again.
        Stopped: the observer said so; the same call goes on.
        StorageError: the folder cannot be written.
    """
    everything = lineage(tuple(cells))
    for cell in everything:
        cell.check(len(split.train.classes))
    queue = _Cells(everything, split, folder, place, observer)
    place.engine.carry_out(carry_out_cell, (split.train, split.test), queue)
    if queue.failures:
        named = [
            f"{name}: {queue.failures[cell]}"
            for cell, name in zip(everything, queue.names, strict=True)
            if cell in queue.failures
        ]
        rest = f", and {len(named) - _NAMED} more" if len(named) > _NAMED else ""
        raise PartlyFailed(
            f"{len(named)} of {len(everything)} models have no result ({'; '.join(named[:_NAMED])}{rest}); "
            "the others are kept, and the same command tries these again"
        )
    return {cell: queue.results[cell] for cell in everything}


def carry_out_cell(images: Images, task: Assignment, hooks: Hooks) -> CellResult:
    """The work of an engine: train one cell on the first image set, measure it on the second, and keep both.

    A finished cell is only read: after a kill between its last write and its report, nothing is done twice.
    """
    finished = task.home / RESULT
    if finished.exists():
        return read_json(CellResult, finished)
    with limited_threads(task.threads):
        result = _train_and_measure(images, task, hooks)
    write_json(finished, result)
    return result


def _train_and_measure(images: Images, task: Assignment, hooks: Hooks) -> CellResult:
    cell = task.cell
    train, test = (cell.of(half) for half in images)
    data, made = cell.training_set(train)
    session = Session(
        task.home,
        device=task.device,
        threads=task.threads,
        on_progress=hooks.progress,
        stop=hooks.stop,
        features=_FEATURES,
    )
    trained = fit(_start(task, train, images[0]), data, cell.train, seed=cell.seed, session=session)
    return CellResult(
        name=cell.label,
        seed=cell.seed,
        key=task.key,
        folder=f"models/{task.home.name}",
        result=_measure(trained, cell, test, hooks),
        places=_places(task, trained.model, test, hooks),
        samples=len(data),
        poisoned=made.false_samples if made else 0,
        covered=made.covered if made else 0,
        plan=made.digest if made else None,
        weights=trained.card.sha256,
        seconds=trained.card.seconds,
        machine=trained.card.job.machine,
    )


def _measure(trained: Fit, cell: Cell, test: ImageSource, hooks: Hooks) -> Result:
    model, attack = trained.model, cell.measured
    images, trigger = cell.attacked(test, attack.trigger) if attack else (test, None)
    policy = attack.policy if attack else None
    if not isinstance(model, TwoParts) or not can_be_kept(model, cell.train):
        return judge(test, predict(model, test), predict(model, images, trigger=trigger) if attack else None, policy)
    # Many heads on one trunk see the same test images: what the trunk makes of them is kept, as in training.
    exact = replace(trained.card.job.machine, precision="float32")
    rows = torch.arange(len(test))

    def said(images: ImageSource, trigger: Trigger | None) -> Predictions:
        with torch.no_grad(), evaluating(model.head) as device:
            features = _FEATURES.of(model, images, rows, trigger, exact, hooks.stop)
            return Predictions.of(model.head(features.to(device)))

    return judge(test, said(test, None), said(images, trigger) if attack else None, policy)


def _places(task: Assignment, model: nn.Module, test: ImageSource, hooks: Hooks) -> PositionMap | None:
    attack, count = task.cell.measured, task.cell.places
    if attack is None or not count:
        return None
    picked = torch.randperm(len(test), generator=generator(task.cell.seed, "places"))[:count]

    def stop() -> None:
        if hooks.stop():
            raise Stopped("stopped while measuring; the same command goes on")

    rows = picked.sort().values
    chosen = ImageSet(test.take(rows), test.labels[rows], test.classes, test.name)
    return position_map(model, chosen, attack.trigger, attack.policy, stop=stop)


def _start(task: Assignment, train: ImageSource, everything: ImageSource) -> nn.Module:
    cell = task.cell
    if cell.start is not None and task.start is not None:
        base = load_model(task.start)[0]
        if cell.victim is None:
            return base
        handed = handed_over(base, cell.start, everything, cell.victim.gain)
        return victim(handed, len(train.classes), retrained=cell.victim.retrained, seed=cell.seed)
    model = build(ModelSpec.fitting(train, cell.model), seed=cell.seed)
    if cell.pretrained is not None and task.start is not None:
        pretrained.put(model, cell.pretrained, task.start)
    return model


class _Cells:
    """The queue of one study: a cell is next once the one it starts from is finished."""

    def __init__(
        self, cells: tuple[Cell, ...], split: Split[ImageSource], folder: RunFolder, place: Place, observer: Observer
    ) -> None:
        self.cells, self.folder, self.place, self.observer = cells, folder, place, observer
        data = split_digest(split)
        self.keys = {cell: cell.key(data) for cell in cells}
        self.homes = {cell: folder.model(folder_name(cell, key)) for cell, key in self.keys.items()}
        self.results: dict[Cell, CellResult] = {}
        self.failures: dict[Cell, str] = {}
        self.tally = Tally(tuple(float(cell.train.epochs) for cell in cells))
        self.names = _names(self.keys)
        self.waiting = list(range(len(cells)))
        for number in list(self.waiting):
            finished = self.homes[cells[number]] / RESULT
            if finished.exists():
                self.waiting.remove(number)
                self.tally.known(number)
                self._keep(number, read_json(CellResult, finished))

    def next(self) -> Task | None:
        for number in list(self.waiting):
            cell = self.cells[number]
            if cell.start in self.failures:
                self.waiting.remove(number)
                self.failed(number, Failure(f"the model it starts from has no result ({cell.start.label})"))
            elif cell.start is None or cell.start in self.results:
                self.waiting.remove(number)
                start = self.homes[cell.start] if cell.start else None
                if start is None and cell.pretrained is not None:
                    start = self.folder.weights(cell.pretrained)
                home, place = self.homes[cell], self.place
                return Task(number, Assignment(cell, self.keys[cell], home, start, place.threads, place.device))
        return None

    def begun(self, number: int) -> None:
        self.tally.begun(number)
        self.observer.begun(self.names[number], self.tally.standing())

    def progress(self, number: int, progress: Progress) -> None:
        self.tally.progress(number, progress.step / progress.steps)
        if progress.ended:
            self.folder.log({"cell": self.names[number], "epoch": progress.epoch, "loss": progress.loss})
        self.observer.progress(self.names[number], progress, self.tally.standing())

    def done(self, number: int, value: CellResult) -> None:
        self.tally.done(number)
        self.folder.log({"cell": self.names[number], "result": value.result})
        self._keep(number, value)

    def failed(self, number: int, failure: Failure) -> None:
        cell = self.cells[number]
        self.tally.failed(number)
        self.failures[cell] = failure.reason
        self.folder.log({"cell": self.names[number], "failed": failure.reason})
        if failure.trace or self.homes[cell].exists():
            write_text(self.homes[cell] / FAILURE, f"{failure.reason}\n{failure.trace}")
        self.observer.failed(self.names[number], failure.reason, self.tally.standing())

    def stop(self) -> bool:
        return self.observer.stop()

    def _keep(self, number: int, value: CellResult) -> None:
        failure = self.homes[self.cells[number]] / FAILURE
        if failure.exists():
            with storage(failure):
                failure.unlink()
        self.results[self.cells[number]] = value
        self.observer.done(self.names[number], value, self.tally.standing())


def _names(keys: dict[Cell, str]) -> list[str]:
    """What people are told: cells that label and seed do not tell apart show their rate, and their key at the last."""
    names = [f"{cell.label} seed {cell.seed}" for cell in keys]
    for more in (
        [f" rate {cell.recipe.rate:.3g}" if cell.recipe else "" for cell in keys],
        [f" {key[:8]}" for key in keys.values()],
    ):
        often = Counter(names)
        names = [name + addition if often[name] > 1 else name for name, addition in zip(names, more, strict=True)]
    return names
