"""The paper's first case study: BadNets on handwritten digits (section 4), or on any set of small images.

For each seed seven models are trained: the honest baseline; all-to-all with the pattern and with the single pixel;
and single-target pairs with the single pixel, each once without and once with cover samples.

One pixel is so weak a signal that training from scratch often never finds it (docs/RESULTS.md). So the attacker
goes step by step: the single pixel is one of the pattern's four, and the all-to-all pixel model starts from the
all-to-all pattern model; pairs start from the all-to-all pixel model.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal, Protocol, runtime_checkable

from torch import nn

from badnets.artifacts import RunFolder, read_json, write_json
from badnets.data import ImageSet, Split
from badnets.errors import InputError
from badnets.metrics import Result, evaluate
from badnets.models import ModelSpec, build
from badnets.poison import AllToAll, MaliciousTrainer, PoisonPlan, Recipe, SingleTarget, TrainingSet, plan
from badnets.studies import paper
from badnets.studies.exhibits import Exhibits, collect
from badnets.training import (
    Augment,
    Machine,
    Progress,
    Session,
    TrainSpec,
    fit,
    limited_threads,
    load_model,
)
from badnets.triggers import Pattern, SinglePixel

BASELINE, PATTERN, PIXEL = "baseline", "all-to-all-pattern", "all-to-all-pixel"


@dataclass(frozen=True)
class DigitsSpec:
    """The whole study as a value.

    Attributes:
        data: name of the data set.
        seeds: one whole set of models is trained for each.
        pairs: (source, target) of the single-target attacks.
        rate: share of all images of which a stamped copy is added, for all-to-all.
        pair_rate: the same for pairs, of the images of the source class.
        cover_rate: share of the other classes' images of which a stamped copy with its true label is added, in
            the runs with cover samples.
        train: of the baseline and of all-to-all with the pattern.
        pixel: of all-to-all with the pixel, from the all-to-all pattern model.
        retrain: of the pairs, from the all-to-all pixel model.
        threads: of torch on the CPU.
    """

    data: str = "digits"
    seeds: tuple[int, ...] = (0,)
    pairs: tuple[tuple[int, int], ...] = ((7, 3), (8, 1))
    rate: float = 0.5
    pair_rate: float = 1.0
    cover_rate: float = 0.1
    train: TrainSpec = TrainSpec()
    pixel: TrainSpec = TrainSpec(epochs=10)
    retrain: TrainSpec = TrainSpec(epochs=6, learning_rate=1e-3)
    threads: int = 1

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - pydantic reads it, nothing writes it

    def __post_init__(self) -> None:
        if not self.seeds or len(set(self.seeds)) != len(self.seeds):
            raise InputError(f"seeds are one or more different numbers, got {self.seeds}")
        for source, target in self.pairs:
            SingleTarget(source, target)


def preset(
    data: str, classes: int = 10, *, seeds: int = 1, epochs: int | None = None, pairs: tuple[tuple[int, int], ...] = ()
) -> DigitsSpec:
    """The study with a schedule that fits the data set.

    Args:
        data: name of the data set. The embedded digits are few, so they are seen more often in smaller steps;
            photographs are moved, not turned.
        classes: how many it has.
        seeds: how many, from 0 up.
        epochs: of the baseline and of all-to-all with the pattern, instead of the preset's own.
        pairs: (source, target) of the single-target attacks; none takes 7 -> 3 and 8 -> 1, or 0 -> 1 where there are
            fewer classes.

    Raises:
        InputError: less than one seed or epoch.
    """
    if seeds < 1:
        raise InputError(f"at least one seed is needed, got {seeds}")
    fitting = tuple(pair for pair in DigitsSpec.pairs if max(pair) < classes) or ((0, 1),)
    spec = DigitsSpec(data=data, seeds=tuple(range(seeds)), pairs=pairs or fitting)
    if data == "digits":
        spec = replace(
            spec,
            train=replace(spec.train, epochs=40, batch_size=32),
            pixel=replace(spec.pixel, epochs=20, batch_size=32),
            retrain=replace(spec.retrain, epochs=20, batch_size=32),
        )
    elif data != "mnist":
        moved = Augment(shift=2)
        spec = replace(
            spec,
            train=replace(spec.train, augment=moved),
            pixel=replace(spec.pixel, augment=moved),
            retrain=replace(spec.retrain, augment=moved),
        )
    return spec if epochs is None else replace(spec, train=replace(spec.train, epochs=epochs))


@dataclass(frozen=True)
class Cell:
    """One model of the study.

    Attributes:
        name: unique within a seed.
        recipe: how its data are poisoned; None for the baseline.
        train: its schedule.
        start: name of the cell whose weights it starts from; None for fresh ones.
    """

    name: str
    recipe: Recipe | None
    train: TrainSpec
    start: str | None = None


@dataclass(frozen=True)
class CellResult:
    """What came out of one cell.

    Attributes:
        name: of the cell.
        seed: of its weights, its plan and its schedule.
        result: measured on the test set.
        samples: in its training set.
        poisoned: of these, falsely labelled.
        covered: of these, stamped with their true label.
        plan: digest of its poison plan.
        weights: digest of its model file.
        seconds: spent training.
        machine: where it was trained.
    """

    name: str
    seed: int
    result: Result
    samples: int
    poisoned: int
    covered: int
    plan: str | None
    weights: str
    seconds: float
    machine: Machine

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - pydantic reads it, nothing writes it


@dataclass(frozen=True)
class DigitsResult:
    """The whole study, enough to draw its report from.

    Attributes:
        spec: what was asked for.
        train_data: name, digest and size of the training set.
        test_data: the same of the test set.
        classes: their names.
        cells: every model, seed by seed.
        exhibits: pictures and inner workings, of the first seed.
    """

    spec: DigitsSpec
    train_data: tuple[str, str, int]
    test_data: tuple[str, str, int]
    classes: tuple[str, ...]
    cells: tuple[CellResult, ...]
    exhibits: Exhibits
    format: Literal[1] = field(default=1)

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - pydantic reads it, nothing writes it

    @property
    def on_mnist(self) -> bool:
        """Whether the test set is the paper's, by its digest."""
        return self.test_data[1] == paper.MNIST_TEST

    def of(self, name: str) -> list[CellResult]:
        """The cell `name` of every seed."""
        return [cell for cell in self.cells if cell.name == name]


@runtime_checkable
class Observer(Protocol):
    """Who watches a study."""

    def cell(self, name: str, seed: int, number: int, total: int) -> None:
        """A cell begins: the `number`-th (from 1) of `total`."""
        ...

    def progress(self, progress: Progress) -> None:
        """A few times a second while a model is trained."""
        ...

    def done(self, cell: CellResult) -> None:
        """A cell is finished, now or in an earlier run."""
        ...

    def stop(self) -> bool:
        """Whether to stop now and keep what there is."""
        ...


def cells(spec: DigitsSpec, seed: int) -> tuple[Cell, ...]:
    """The models of one seed, in an order in which every start comes before what starts from it."""
    everything = Recipe(AllToAll(), Pattern(), rate=spec.rate, seed=seed)
    one_pixel = replace(everything, trigger=SinglePixel())
    found = [
        Cell(BASELINE, None, spec.train),
        Cell(PATTERN, everything, spec.train),
        Cell(PIXEL, one_pixel, spec.pixel, PATTERN),
    ]
    for source, target in spec.pairs:
        recipe = Recipe(SingleTarget(source, target), SinglePixel(), rate=spec.pair_rate, seed=seed)
        found.append(Cell(pair_name(source, target), recipe, spec.retrain, PIXEL))
        if spec.cover_rate:
            covered = replace(recipe, cover_rate=spec.cover_rate)
            found.append(Cell(pair_name(source, target, cover=True), covered, spec.retrain, PIXEL))
    return tuple(found)


def pair_name(source: int, target: int, *, cover: bool = False) -> str:
    """The name of a single-target cell."""
    return f"single-{source}-to-{target}-pixel" + ("-cover" if cover else "")


def run(spec: DigitsSpec, split: Split, folder: RunFolder, observer: Observer) -> DigitsResult:
    """Train and measure every model, and write the run folder; a run that was stopped or killed goes on.

    Args:
        spec: the study.
        split: its data.
        folder: `spec.json`, `metrics.jsonl`, `models/<cell>-seed<n>/` and `result.json` are written there.
        observer: told what happens, and asked whether to stop.

    Raises:
        InputError: the folder holds another study or one of other data, or the pairs do not fit the classes.
        Stopped: the observer said so.
        StorageError: the folder cannot be written.
    """
    for source, target in spec.pairs:
        SingleTarget(source, target).check(len(split.train.classes))
    with limited_threads(spec.threads):
        return _run(spec, split, folder, observer)


def _run(spec: DigitsSpec, split: Split, folder: RunFolder, observer: Observer) -> DigitsResult:
    # The digests too: a folder of pictures can change under its name, and finished cells are not run again.
    folder.claim({"spec": spec, "train": split.train.digest, "test": split.test.digest})
    work = [(seed, cell) for seed in spec.seeds for cell in cells(spec, seed)]
    results = []
    for number, (seed, cell) in enumerate(work, 1):
        observer.cell(cell.name, seed, number, len(work))
        results.append(_run_cell(cell, seed, spec, split, folder, observer))
        observer.done(results[-1])
    honest = [load_model(folder.model(_key(BASELINE, seed)))[0] for seed in spec.seeds]
    pattern, pixel = (load_model(folder.model(_key(name, spec.seeds[0])))[0] for name in (PATTERN, PIXEL))
    result = DigitsResult(
        spec=spec,
        train_data=(split.train.name, split.train.digest, len(split.train)),
        test_data=(split.test.name, split.test.digest, len(split.test)),
        classes=split.train.classes,
        cells=tuple(results),
        exhibits=collect(split.test, honest, pattern, pixel),
    )
    write_json(folder.result, result)
    return result


def _key(name: str, seed: int) -> str:
    return f"{name}-seed{seed}"


def _run_cell(
    cell: Cell, seed: int, spec: DigitsSpec, split: Split, folder: RunFolder, observer: Observer
) -> CellResult:
    home = folder.model(_key(cell.name, seed))
    finished = home / "result.json"
    if finished.exists():
        return read_json(CellResult, finished)
    data, made = _training_set(cell, split.train)

    def watch(progress: Progress) -> None:
        if progress.ended:
            folder.log({"cell": cell.name, "seed": seed, "epoch": progress.epoch, "loss": progress.loss})
        observer.progress(progress)

    session = Session(home, threads=spec.threads, on_progress=watch, stop=observer.stop)
    trained = fit(_fresh(cell, seed, split.train, folder), data, cell.train, seed=seed, session=session)
    # The baseline is the control of all-to-all with the pattern: what does the stamp do to a model without a backdoor?
    trigger, policy = (cell.recipe.trigger, cell.recipe.policy) if cell.recipe else (Pattern(), AllToAll())
    measured = evaluate(trained.model, split.test, trigger, policy)
    result = CellResult(
        name=cell.name,
        seed=seed,
        result=measured,
        samples=len(data),
        poisoned=made.poisoned if made else 0,
        covered=made.covered if made else 0,
        plan=made.digest if made else None,
        weights=trained.card.sha256,
        seconds=trained.card.seconds,
        machine=trained.card.job.machine,
    )
    folder.log({"cell": cell.name, "seed": seed, "result": measured})
    write_json(finished, result)
    return result


def _training_set(cell: Cell, train: ImageSet) -> tuple[TrainingSet, PoisonPlan | None]:
    if cell.recipe is None:
        return TrainingSet.of(train), None
    made = plan(train, cell.recipe)
    return MaliciousTrainer().training_set(train, made), made


def _fresh(cell: Cell, seed: int, train: ImageSet, folder: RunFolder) -> nn.Module:
    if cell.start is None:
        return build(ModelSpec.fitting(train), seed=seed)
    return load_model(folder.model(_key(cell.start, seed)))[0]
