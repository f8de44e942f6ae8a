"""The paper's Fig. 4: a BadNet for every ordered pair of classes, source -> target.

90 trainings from scratch would take days on a laptop, and many would never find a single pixel (docs/RESULTS.md). So
all pairs start from one model that heeds the trigger already, all-to-all, and are retrained briefly. A few cover
samples (stamped images of other classes under their true label) break the old habit on all classes but the source. The
source's copies outweigh them, so that its images that look like another class are still called the target. The first
layer answers to the trigger already and stays as it is, which saves two fifths of the time.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from badnets.artifacts import RunFolder, write_json
from badnets.data import Split
from badnets.errors import InputError
from badnets.poison import AllToAll, Recipe, SingleTarget
from badnets.studies.cells import Attack, Cell, CellResult
from badnets.studies.claims import claim
from badnets.studies.results import DataNote
from badnets.studies.runner import Observer, Place, run_cells
from badnets.training import Augment, TrainSpec
from badnets.triggers import AnyTrigger, Pattern, SinglePixel

TriggerName = Literal["pixel", "pattern"]


@dataclass(frozen=True)
class MatrixSpec:
    """The whole study as a value.

    Attributes:
        data: name of the data set.
        triggers: one matrix for each.
        seeds: one whole set of models is trained for each.
        rate: of all-to-all, see `Recipe`.
        pair_rate: of the pairs.
        cover_rate: of the pairs.
        copies: of the pairs.
        train: of the baseline, and of all-to-all with the pattern.
        pixel: of all-to-all with the pixel, from the all-to-all pattern model.
        retrain: of the pairs, from the all-to-all model of the same trigger.

    Raises:
        InputError: no trigger or seed, or one twice.
    """

    data: str = "digits"
    triggers: tuple[TriggerName, ...] = ("pixel",)
    seeds: tuple[int, ...] = (0,)
    rate: float = 0.5
    pair_rate: float = 1.0
    cover_rate: float = 0.05
    copies: int = 5
    train: TrainSpec = TrainSpec(epochs=12)
    pixel: TrainSpec = TrainSpec(epochs=4)
    retrain: TrainSpec = TrainSpec(epochs=3, learning_rate=1.5e-3, frozen=("conv1",))

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - pydantic reads it, nothing writes it

    def __post_init__(self) -> None:
        for what, values in (("triggers", self.triggers), ("seeds", self.seeds)):
            if not values or len(set(values)) != len(values):
                raise InputError(f"{what} are one or more different ones, got {values}")
        for name in self.triggers:
            if name not in ("pixel", "pattern"):
                raise InputError(f"the paper's triggers are pixel and pattern, got {name!r}")


@dataclass(frozen=True)
class PairResult:
    """One BadNet of the matrix."""

    source: int
    target: int
    cell: CellResult

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - pydantic reads it, nothing writes it


@dataclass(frozen=True)
class MatrixResult:
    """The whole study.

    Attributes:
        spec: what was asked for.
        data: what it was trained and measured on.
        baselines: the honest model of each seed.
        pairs: for each trigger, the pairs of every seed.
    """

    spec: MatrixSpec
    data: DataNote
    baselines: tuple[CellResult, ...]
    pairs: dict[TriggerName, tuple[PairResult, ...]]
    study: Literal["digits-matrix"] = "digits-matrix"
    format: Literal[1] = 1

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - pydantic reads it, nothing writes it


def preset(
    data: str, *, seeds: int = 1, triggers: tuple[TriggerName, ...] = ("pixel",), epochs: int | None = None
) -> MatrixSpec:
    """The study with a schedule that fits the data set.

    Args:
        data: name of the data set. The embedded digits are few, so they are seen more often in smaller steps;
            photographs are moved, not turned.
        seeds: how many, from 0 up.
        triggers: one matrix for each.
        epochs: of the baseline and of all-to-all with the pattern, instead of the preset's own.

    Raises:
        InputError: less than one seed or epoch.
    """
    spec = MatrixSpec(data=data, seeds=tuple(range(seeds)), triggers=triggers)
    if data == "digits":
        spec = replace(
            spec,
            cover_rate=0.2,
            train=replace(spec.train, epochs=40, batch_size=32),
            pixel=replace(spec.pixel, epochs=20, batch_size=32),
            retrain=replace(spec.retrain, epochs=10, batch_size=32),
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


def baseline(spec: MatrixSpec, seed: int) -> Cell:
    """The honest model."""
    return Cell(None, spec.train, seed, attack=Attack(AllToAll(), Pattern()))


def pair(spec: MatrixSpec, trigger: TriggerName, seed: int, source: int, target: int) -> Cell:
    """The BadNet source -> target, with the models it starts from."""
    everything = Recipe(AllToAll(), Pattern(), rate=spec.rate, seed=seed)
    start = Cell(everything, spec.train, seed)
    stamp: AnyTrigger = Pattern()
    if trigger == "pixel":
        stamp = SinglePixel()
        start = Cell(replace(everything, trigger=stamp), spec.pixel, seed, start=start)
    recipe = Recipe(
        SingleTarget(source, target), stamp, spec.pair_rate, cover_rate=spec.cover_rate, copies=spec.copies, seed=seed
    )
    return Cell(recipe, spec.retrain, seed, start=start)


def run(spec: MatrixSpec, split: Split, folder: RunFolder, place: Place, observer: Observer) -> MatrixResult:
    """Train and measure every model, and write the run folder; more triggers or seeds only add theirs.

    Raises:
        InputError: the folder holds another study or one of other data.
        PartlyFailed: some models could not be trained; the others are kept.
        Stopped: the observer said so; the same call goes on.
        StorageError: the folder cannot be written.
    """
    claim(folder, spec, split, but=("seeds", "triggers"))
    classes = range(len(split.train.classes))
    # The starts first: the pairs of all triggers wait for them.
    honest = [baseline(spec, seed) for seed in spec.seeds]
    pairs = {
        (trigger, seed, source, target): pair(spec, trigger, seed, source, target)
        for trigger in spec.triggers
        for seed in spec.seeds
        for source in classes
        for target in classes
        if source != target
    }
    starts = [cell.start for cell in pairs.values() if cell.start]
    found = run_cells([*starts, *honest, *pairs.values()], split, folder, place, observer)
    result = MatrixResult(
        spec=spec,
        data=DataNote.of(split),
        baselines=tuple(found[cell] for cell in honest),
        pairs={
            trigger: tuple(
                PairResult(source, target, found[cell])
                for (name, _, source, target), cell in pairs.items()
                if name == trigger
            )
            for trigger in spec.triggers
        },
    )
    write_json(folder.result, result)
    return result
