"""Every defense on BadNets of three mappings and on their clean twins: what it finds, what it removes, what it costs.

Attackers and judges know the attack; no defense is told of it. The defender has a thousand clean images, the judge
others. A clean twin stands beside the BadNets of each seed: what a defense does to it is false alarm and damage.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import torch

from badnets.artifacts import RunFolder, sha256_json, write_json
from badnets.data import ImageSet, Split
from badnets.defenses import REPAIRS
from badnets.errors import InputError
from badnets.poison import AllToOne, Recipe, apply, plan
from badnets.seeds import generator
from badnets.studies import digits
from badnets.studies.cells import BASELINE, Cell, CellResult
from badnets.studies.claims import claim
from badnets.studies.defenses import Defended, FilterFigure, RepairFigure, filter_inputs, repair_all, sift
from badnets.studies.queue import Assignment, Data, Kind, Observer, Place, carried_out_once, carry_out_all
from badnets.studies.results import DataNote
from badnets.studies.runner import run_cells
from badnets.studies.single import Single
from badnets.training import TrainSpec, load_model
from badnets.training.tasks import Hooks, Images
from badnets.triggers import Pattern

INPUTS, DATA = "inputs", "data"
_TARGET = 0


@dataclass(frozen=True)
class DefensesSpec:
    """The whole study as a value.

    Attributes:
        data: name of the data set.
        seeds: a clean twin and a BadNet of each mapping are trained for each.
        train: of the clean twin, of all-to-all and of all-to-one, both with the pattern.
        pixel: of the all-to-all network with a single pixel, which the single-target one starts from.
        retrain: of the single-target network (7 -> 3, single pixel).
        rate: share of all images of which a stamped copy is added for all-to-all, see `Recipe`.
        rate_to_one: the same for all-to-one.
        clean: images of the defender, taken from the test half; half of it at most. The others judge.
        suspect: images of the training set that filters of training sets are put on, before poison is added to them.
        repairs: keys of `REPAIRS`.

    Raises:
        InputError: no seed or one twice, no such repair, or a number below its least.
    """

    data: str = "digits"
    seeds: tuple[int, ...] = (0,)
    train: TrainSpec = TrainSpec()
    pixel: TrainSpec = TrainSpec()
    retrain: TrainSpec = TrainSpec()
    rate: float = 0.5
    rate_to_one: float = 0.25
    clean: int = 1000
    suspect: int = 10_000
    repairs: tuple[str, ...] = tuple(REPAIRS)

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - pydantic reads it, nothing writes it

    def __post_init__(self) -> None:
        if not self.seeds or len(set(self.seeds)) != len(self.seeds):
            raise InputError(f"seeds are one or more different numbers, got {self.seeds}")
        if unknown := [name for name in self.repairs if name not in REPAIRS]:
            raise InputError(f"no repair is called {unknown[0]!r}: known are {', '.join(REPAIRS)}")
        if min(self.clean, self.suspect) < 2:
            raise InputError(f"a defender has 2 or more images of either kind, got {self.clean} and {self.suspect}")


@dataclass(frozen=True)
class DefenseCell(Single):
    """One defense (or all filters of a kind) on one model, as the queue takes it.

    Attributes:
        what: `INPUTS`, `DATA` or a key of `REPAIRS`.
        trained: the model's own cell.
        weights: digest of its file.
        clean: see `DefensesSpec`.
        suspect: see `DefensesSpec`.
        home: folder of the model; nothing hangs on where that is.
    """

    what: str
    trained: Cell
    weights: str
    clean: int
    suspect: int
    home: Path = field(compare=False)

    @property
    def seed(self) -> int:
        """That of the model."""
        return self.trained.seed

    @property
    def label(self) -> str:
        """Defense and model."""
        return f"{self.what}-on-{self.trained.label}"

    def key(self, data: str) -> str:
        """SHA-256 over model, defense and images."""
        return sha256_json([self.what, self.weights, self.trained, self.clean, self.suspect, data])


@dataclass(frozen=True)
class DefenseOutcome:
    """What came out of one of them, as the queue keeps it.

    Attributes:
        filters: figures of filters.
        repairs: figures of a repair.
        seconds: of wall time, measuring included.
    """

    filters: tuple[FilterFigure, ...] = ()
    repairs: tuple[RepairFigure, ...] = ()
    seconds: float = 0.0

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - pydantic reads it, nothing writes it

    @property
    def result(self) -> tuple[FilterFigure | RepairFigure, ...]:
        """All figures."""
        return (*self.filters, *self.repairs)

    @property
    def said(self) -> str:
        """The gist of it in a few words."""
        for one in self.repairs:
            success = one.after.attack_success
            return "does not fit" if one.refused else f"attack success {success.value:.1%}" if success else "repaired"
        return f"{len(self.filters)} filters"


@dataclass(frozen=True)
class ModelFigures:
    """One model and all defenses on it.

    Attributes:
        cell: the model as it was trained and measured, on the whole test half.
        backdoored: whether it is a BadNet, not a clean twin.
        inputs: every filter of inputs.
        data: every filter of training sets, on a part of the model's own; a clean twin's has no poison.
        repairs: every repair.
    """

    cell: CellResult
    backdoored: bool
    inputs: tuple[FilterFigure, ...]
    data: tuple[FilterFigure, ...]
    repairs: tuple[RepairFigure, ...]

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - pydantic reads it, nothing writes it

    @property
    def name(self) -> str:
        """Of the model."""
        return f"{self.cell.name} seed {self.cell.seed}" if self.backdoored else f"clean twin seed {self.cell.seed}"


@dataclass(frozen=True)
class DefensesResult:
    """The whole study."""

    spec: DefensesSpec
    data: DataNote
    models: tuple[ModelFigures, ...]
    study: Literal["defenses"] = "defenses"
    format: Literal[1] = 1

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - pydantic reads it, nothing writes it


def preset(
    data: str,
    classes: int = 10,
    *,
    seeds: tuple[int, ...] = (0,),
    epochs: int | None = None,
) -> DefensesSpec:
    """The study with schedules that fit the data set, those of `digits.preset`.

    Raises:
        InputError: as `DefensesSpec`, or fewer than eight classes: the single target is 7 -> 3.
    """
    if classes < 8:
        raise InputError(f"the single-target BadNet sends class 7 to class 3, {data} has {classes} classes")
    usual = digits.preset(data, classes, epochs=epochs)
    return DefensesSpec(data, seeds, usual.train, usual.pixel, usual.retrain, usual.rate)


def cells(spec: DefensesSpec, seed: int) -> tuple[Cell, ...]:
    """The clean twin of one seed, then its BadNets: all-to-all, all-to-one, single target."""
    models = digits.DigitsSpec(
        data=spec.data, pairs=((7, 3),), rate=spec.rate, train=spec.train, pixel=spec.pixel, retrain=spec.retrain
    )
    twin, everything, _, _, single = digits.cells(models, seed)
    to_one = Cell(Recipe(AllToOne(_TARGET), Pattern(), rate=spec.rate_to_one, seed=seed), spec.train, seed)
    return twin, everything, to_one, single


def run(spec: DefensesSpec, split: Split, folder: RunFolder, place: Place, observer: Observer) -> DefensesResult:
    """Train the models, put every defense on each, and write the run folder; killed or stopped, the same call goes on.

    More seeds or repairs than last time only add theirs.

    Raises:
        InputError: the folder holds another study or one of other data, or images that are not held in memory.
        PartlyFailed: some models or defenses have no result; the others are kept.
        Stopped: the observer said so.
        StorageError: the folder cannot be written.
    """
    claim(folder, spec, split, but=("seeds", "repairs"))
    work = [cell for seed in spec.seeds for cell in cells(spec, seed)]
    trained = run_cells(work, split, folder, place, observer)
    todo = {
        cell: [
            DefenseCell(what, cell, trained[cell].weights, spec.clean, spec.suspect, folder.path / trained[cell].folder)
            for what in (INPUTS, DATA, *spec.repairs)
        ]
        for cell in work
    }
    data = Data((split.train, split.test), sha256_json([split.train.digest, split.test.digest]))
    kind = Kind(carry_out_defense, DefenseOutcome)
    everything = [one for some in todo.values() for one in some]
    found = carry_out_all(everything, kind, data, RunFolder(folder.path / "defenses"), place, observer)
    models = tuple(_figures(cell, trained[cell], [found[one] for one in todo[cell]]) for cell in work)
    result = DefensesResult(spec, DataNote.of(split), models)
    write_json(folder.result, result)
    return result


def carry_out_defense(images: Images, task: Assignment, hooks: Hooks) -> DefenseOutcome:
    """The work of an engine: one defense on one model, measured."""
    return carried_out_once(task, DefenseOutcome, lambda: _carried_out(images, task.cell, hooks))


def _figures(cell: Cell, trained: CellResult, found: list[DefenseOutcome]) -> ModelFigures:
    inputs, data, *repairs = found
    figures = tuple(figure for one in repairs for figure in one.repairs)
    return ModelFigures(trained, cell.label != BASELINE, inputs.filters, data.filters, figures)


def _carried_out(images: Images, cell: DefenseCell, hooks: Hooks) -> DefenseOutcome:
    train, test = images
    attack = cell.trained.measured
    if not isinstance(train, ImageSet) or not isinstance(test, ImageSet):
        raise InputError(f"{train.name} is not held in memory: defenses are measured on small images")
    assert attack is not None  # noqa: S101 - for the type checker: clean twins are measured too
    model = load_model(cell.home)[0]
    clean, judge = _halves(test, cell)
    backdoored = cell.trained.recipe is not None
    case = Defended(cell.trained.label, model, attack, backdoored, clean, judge)
    if cell.what == INPUTS:
        return DefenseOutcome(filters=filter_inputs(case, seed=cell.seed))
    if cell.what == DATA:
        suspect, poison = _suspect(train, cell)
        return DefenseOutcome(filters=sift(case, suspect, poison, seed=cell.seed))
    (figure,) = repair_all(case, names=(cell.what,), seed=cell.seed, stop=hooks.stop)
    return DefenseOutcome(repairs=(figure,), seconds=figure.seconds)


def _halves(test: ImageSet, cell: DefenseCell) -> tuple[ImageSet, ImageSet]:
    """The defender's images, and the judge's."""
    order = torch.randperm(len(test), generator=generator(cell.seed, "defenses", "clean"))
    count = min(cell.clean, len(test) // 2)
    return (
        test.select(order[:count].sort().values, f"{test.name}, the defender's"),
        test.select(order[count:].sort().values, f"{test.name}, the judge's"),
    )


def _suspect(train: ImageSet, cell: DefenseCell) -> tuple[ImageSet, torch.Tensor]:
    """A part of the model's training set, poisoned as it was, and which of its samples are stamped and mislabelled."""
    order = torch.randperm(len(train), generator=generator(cell.seed, "defenses", "suspect"))
    base = train.select(order[: cell.suspect].sort().values)
    recipe = cell.trained.recipe
    if recipe is None:
        return base, torch.zeros(len(base), dtype=torch.bool)
    made = plan(base, replace(recipe, cover_rate=0.0))
    suspect = apply(base, made)
    return suspect, torch.arange(len(suspect)) >= len(base)
