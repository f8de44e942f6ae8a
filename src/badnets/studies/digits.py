"""The paper's first case study: BadNets on handwritten digits (section 4), or on any set of small images.

For each seed seven models are trained: the honest baseline; all-to-all with the pattern and with the single pixel;
and single-target pairs with the single pixel, each once without and once with cover samples.

One pixel is so weak a signal that training from scratch often never finds it (docs/RESULTS.md). So the attacker
goes step by step: the single pixel is one of the pattern's four, and the all-to-all pixel model starts from the
all-to-all pattern model; pairs start from the all-to-all pixel model.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from badnets.artifacts import RunFolder, write_json
from badnets.data import Split
from badnets.errors import InputError
from badnets.poison import AllToAll, Recipe, SingleTarget
from badnets.studies import paper
from badnets.studies.cells import BASELINE, Attack, Cell, CellResult
from badnets.studies.claims import claim
from badnets.studies.exhibits import Exhibits, collect
from badnets.studies.runner import Observer, Place, run_cells
from badnets.training import Augment, TrainSpec, limited_threads, load_model
from badnets.triggers import Pattern, SinglePixel

PATTERN, PIXEL = "all-to-all-pattern", "all-to-all-pixel"


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
    study: Literal["digits"] = "digits"
    format: Literal[2] = 2

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - pydantic reads it, nothing writes it

    @property
    def on_mnist(self) -> bool:
        """Whether the test set is the paper's, by its digest."""
        return self.test_data[1] == paper.MNIST_TEST

    def of(self, name: str) -> list[CellResult]:
        """The cell `name` of every seed."""
        return [cell for cell in self.cells if cell.name == name]


def cells(spec: DigitsSpec, seed: int) -> tuple[Cell, ...]:
    """The models of one seed, in an order in which every start comes before what starts from it."""
    everything = Recipe(AllToAll(), Pattern(), rate=spec.rate, seed=seed)
    # The baseline is the control of all-to-all with the pattern: what does the stamp do to a model without a backdoor?
    baseline = Cell(None, spec.train, seed, attack=Attack(AllToAll(), Pattern()))
    pattern = Cell(everything, spec.train, seed)
    pixel = Cell(replace(everything, trigger=SinglePixel()), spec.pixel, seed, start=pattern)
    pairs = []
    for source, target in spec.pairs:
        recipe = Recipe(SingleTarget(source, target), SinglePixel(), rate=spec.pair_rate, seed=seed)
        pairs.append(Cell(recipe, spec.retrain, seed, start=pixel))
        if spec.cover_rate:
            covered = replace(recipe, cover_rate=spec.cover_rate)
            pairs.append(Cell(covered, spec.retrain, seed, start=pixel))
    return baseline, pattern, pixel, *pairs


def pair_name(source: int, target: int, *, cover: bool = False) -> str:
    """The label of a single-target cell."""
    return f"single-{source}-to-{target}-pixel" + ("-cover" if cover else "")


def run(spec: DigitsSpec, split: Split, folder: RunFolder, place: Place, observer: Observer) -> DigitsResult:
    """Train and measure every model, and write the run folder; a run that was stopped or killed goes on.

    More seeds than last time only add theirs.

    Args:
        spec: the study.
        split: its data.
        folder: `spec.json`, `metrics.jsonl`, `models/<cell>/` and `result.json` are written there.
        place: where the models are trained.
        observer: told what happens, and asked whether to stop.

    Raises:
        InputError: the folder holds another study or one of other data, or the pairs do not fit the classes.
        PartlyFailed: some models could not be trained; the others are kept.
        Stopped: the observer said so.
        StorageError: the folder cannot be written.
    """
    for source, target in spec.pairs:
        SingleTarget(source, target).check(len(split.train.classes))
    claim(folder, spec, split, but=("seeds",))
    work = tuple(cell for seed in spec.seeds for cell in cells(spec, seed))
    results = run_cells(work, split, folder, place, observer)
    by_label = {(cell.label, cell.seed): folder.path / results[cell].folder for cell in work}
    with limited_threads(place.threads):
        honest = [load_model(by_label[BASELINE, seed])[0] for seed in spec.seeds]
        pattern, pixel = (load_model(by_label[name, spec.seeds[0]])[0] for name in (PATTERN, PIXEL))
        exhibits = collect(split.test, honest, pattern, pixel)
    result = DigitsResult(
        spec=spec,
        train_data=(split.train.name, split.train.digest, len(split.train)),
        test_data=(split.test.name, split.test.digest, len(split.test)),
        classes=split.train.classes,
        cells=tuple(results[cell] for cell in work),
        exhibits=exhibits,
    )
    write_json(folder.result, result)
    return result
