"""The queue of a study's cells, of whatever kind: each once, whatever is stopped, killed or fails in between."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar, runtime_checkable

from badnets.artifacts import RunFolder, read_json, storage, write_json, write_text
from badnets.errors import PartlyFailed
from badnets.studies.progress import Standing, Tally
from badnets.training import Progress, limited_threads
from badnets.training.tasks import Engine, Failure, Images, Task, Work

RESULT, FAILURE = "result.json", "failure.txt"
_NAMED = 3


@runtime_checkable
class Schedule(Protocol):
    """How long something is trained."""

    @property
    def epochs(self) -> int:
        """Passes over its samples."""
        ...


@runtime_checkable
class AnyCell(Protocol):
    """One model to be trained and measured, as a frozen value that can be hashed and pickled."""

    @property
    def seed(self) -> int:
        """Of its weights and its schedule."""
        ...

    @property
    def start(self) -> AnyCell | None:
        """The cell whose weights it starts from."""
        ...

    @property
    def pretrained(self) -> str | None:
        """SHA-256 of the weights that its trunk starts from, see `pretrained.keep`."""
        ...

    @property
    def train(self) -> Schedule:
        """Its schedule."""
        ...

    @property
    def label(self) -> str:
        """What it is called within a study, the same for every seed."""
        ...

    @property
    def apart(self) -> str:
        """What tells it from others of its label, in words; empty where nothing does."""
        ...

    def key(self, data: str) -> str:
        """SHA-256 over all that decides its result: equal keys are the same work."""
        ...

    def check(self, classes: int) -> None:
        """Raise `InputError` unless it makes sense among that many classes."""
        ...


@runtime_checkable
class AnyCellResult(Protocol):
    """What came out of one cell."""

    @property
    def result(self) -> Any:  # noqa: ANN401 - whatever is measured
        """What was measured."""
        ...

    @property
    def seconds(self) -> float:
        """Spent training."""
        ...

    @property
    def said(self) -> str:
        """The gist of it in a few words, for whoever watches."""
        ...


CellT = TypeVar("CellT", bound=AnyCell)
ResultT = TypeVar("ResultT")


@runtime_checkable
class Observer(Protocol):
    """Who watches a study. All calls come from one thread."""

    def begun(self, name: str, standing: Standing) -> None:
        """Somebody works on the cell `name`."""
        ...

    def progress(self, name: str, progress: Progress, standing: Standing) -> None:
        """A few times a second for each cell under way."""
        ...

    def done(self, name: str, cell: Any, standing: Standing) -> None:  # noqa: ANN401 - an `AnyCellResult` of the study
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
        cell: the work, an `AnyCell`.
        key: of the cell.
        home: the folder of its model.
        start: the folder of the model or the trunk that it starts from; None for fresh weights.
        threads: of torch on the CPU.
        device: "cpu", "cuda", ...
    """

    cell: Any
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


@dataclass(frozen=True)
class Kind:
    """What cells of one kind have in common.

    Attributes:
        work: carries out one of them, given their data and an `Assignment`.
        result: the class of what comes out.
    """

    work: Work
    result: type[Any]


@dataclass(frozen=True)
class Data:
    """What cells are trained and measured on.

    Attributes:
        parts: handed to every worker.
        digest: of all of them, which goes into the cells' keys.
    """

    parts: Images
    digest: str


def carry_out_all(
    cells: Sequence[CellT], kind: Kind, data: Data, folder: RunFolder, place: Place, observer: Observer
) -> dict[CellT, Any]:
    """Carry out all cells; those that are finished in `folder` are not done again.

    Args:
        cells: the work, each once, every start before what starts from it.
        kind: how it is done.
        data: on what.
        folder: `metrics.jsonl` and `models/<cell>/` are written there.
        place: engine and device.
        observer: told what happens, and asked whether to stop.

    Raises:
        PartlyFailed: some cells have no result; all others are finished, and the same call tries again.
        Stopped: the observer said so; the same call goes on.
        StorageError: the folder cannot be written.
    """
    queue = _Cells(cells, kind, data.digest, folder, place, observer)
    place.engine.carry_out(kind.work, data.parts, queue)
    if queue.failures:
        named = [
            f"{name}: {queue.failures[cell]}"
            for cell, name in zip(cells, queue.names, strict=True)
            if cell in queue.failures
        ]
        rest = f", and {len(named) - _NAMED} more" if len(named) > _NAMED else ""
        raise PartlyFailed(
            f"{len(named)} of {len(cells)} models have no result ({'; '.join(named[:_NAMED])}{rest}); "
            "the others are kept, and the same command tries these again"
        )
    return {cell: queue.results[cell] for cell in cells}


def carried_out_once(task: Assignment, kind: type[ResultT], work: Callable[[], ResultT]) -> ResultT:
    """The result of a cell: read where it is finished, else made by `work`, and kept.

    After a kill between a cell's last write and its report, nothing is done twice.
    """
    finished = task.home / RESULT
    if finished.exists():
        return read_json(kind, finished)
    with limited_threads(task.threads):
        result = work()
    write_json(finished, result)
    return result


def folder_name(cell: AnyCell, key: str) -> str:
    """Where a cell's model is kept: readable, and different for different work."""
    return f"{cell.label}-seed{cell.seed}-{key[:8]}"


def names_of(keys: dict[CellT, str]) -> list[str]:
    """What people are told: cells that label and seed do not tell apart show what does, and their key at the last."""
    names = [f"{cell.label} seed {cell.seed}" for cell in keys]
    for more in ([f" {cell.apart}" if cell.apart else "" for cell in keys], [f" {key[:8]}" for key in keys.values()]):
        often = Counter(names)
        names = [name + addition if often[name] > 1 else name for name, addition in zip(names, more, strict=True)]
    return names


class _Cells:
    """The queue of one study: a cell is next once the one it starts from is finished."""

    def __init__(
        self, cells: Sequence[AnyCell], kind: Kind, data: str, folder: RunFolder, place: Place, observer: Observer
    ) -> None:
        self.cells, self.folder, self.place, self.observer = tuple(cells), folder, place, observer
        self.keys = {cell: cell.key(data) for cell in cells}
        self.homes = {cell: folder.model(folder_name(cell, key)) for cell, key in self.keys.items()}
        self.results: dict[AnyCell, AnyCellResult] = {}
        self.failures: dict[AnyCell, str] = {}
        self.tally = Tally(tuple(float(cell.train.epochs) for cell in cells))
        self.names = names_of(self.keys)
        self.waiting = list(range(len(cells)))
        for number in list(self.waiting):
            finished = self.homes[cells[number]] / RESULT
            if finished.exists():
                self.waiting.remove(number)
                self.tally.known(number)
                self._keep(number, read_json(kind.result, finished))

    def next(self) -> Task | None:
        for number in list(self.waiting):
            cell = self.cells[number]
            if cell.start is not None and cell.start in self.failures:
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

    def done(self, number: int, value: AnyCellResult) -> None:
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

    def _keep(self, number: int, value: AnyCellResult) -> None:
        failure = self.homes[self.cells[number]] / FAILURE
        if failure.exists():
            with storage(failure):
                failure.unlink()
        self.results[self.cells[number]] = value
        self.observer.done(self.names[number], value, self.tally.standing())
