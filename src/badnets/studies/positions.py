"""How local the backdoor is: the trigger moved, after training, to every place of the image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from badnets.artifacts import RunFolder, write_json
from badnets.data import Split
from badnets.errors import InputError
from badnets.poison import AllToAll, Recipe
from badnets.studies import matrix
from badnets.studies.cells import Attack, Cell, CellResult
from badnets.studies.claims import claim
from badnets.studies.results import DataNote
from badnets.studies.runner import Observer, Place, run_cells
from badnets.training import TrainSpec
from badnets.triggers import Pattern, SinglePixel


@dataclass(frozen=True)
class PositionsSpec:
    """The whole study as a value.

    Attributes:
        data: name of the data set.
        seed: of all models.
        images: how many test images are stamped at each place.
        rate: of all-to-all, see `Recipe`.
        train: of the baseline and of all-to-all with the pattern.
        pixel: of all-to-all with the pixel, from the all-to-all pattern model.

    Raises:
        InputError: no images.
    """

    data: str = "digits"
    seed: int = 0
    images: int = 500
    rate: float = 0.5
    train: TrainSpec = TrainSpec(epochs=12)
    pixel: TrainSpec = TrainSpec(epochs=4)

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - pydantic reads it, nothing writes it

    def __post_init__(self) -> None:
        if self.images < 1:
            raise InputError(f"success is measured on at least one image, got {self.images}")


@dataclass(frozen=True)
class PositionsResult:
    """The whole study: each model with its map.

    Attributes:
        spec: what was asked for.
        data: what it was trained and measured on.
        cells: the honest model (moved: the pattern), all-to-all with the pattern, all-to-all with the pixel.
    """

    spec: PositionsSpec
    data: DataNote
    cells: tuple[CellResult, ...]
    study: Literal["digits-positions"] = "digits-positions"
    format: Literal[1] = 1

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - pydantic reads it, nothing writes it


def preset(data: str, *, images: int = 500, epochs: int | None = None) -> PositionsSpec:
    """The study with a schedule that fits the data set; arguments as in `PositionsSpec` and `digits.preset`.

    Raises:
        InputError: no images or epochs.
    """
    usual = matrix.preset(data, epochs=epochs)
    return PositionsSpec(data=data, images=images, train=usual.train, pixel=usual.pixel)


def run(spec: PositionsSpec, split: Split, folder: RunFolder, place: Place, observer: Observer) -> PositionsResult:
    """Train every model, move its trigger, and write the run folder.

    Raises:
        InputError: the folder holds another study or one of other data.
        PartlyFailed: some models could not be trained; the others are kept.
        Stopped: the observer said so; the same call goes on.
        StorageError: the folder cannot be written.
    """
    claim(folder, spec, split)
    everything = Recipe(AllToAll(), Pattern(), rate=spec.rate, seed=spec.seed)
    one_pixel = Recipe(AllToAll(), SinglePixel(), rate=spec.rate, seed=spec.seed)
    honest = Cell(None, spec.train, spec.seed, attack=Attack(AllToAll(), Pattern()), places=spec.images)
    pattern = Cell(everything, spec.train, spec.seed, places=spec.images)
    pixel = Cell(one_pixel, spec.pixel, spec.seed, start=pattern, places=spec.images)
    found = run_cells([pattern, pixel, honest], split, folder, place, observer)
    result = PositionsResult(spec, DataNote.of(split), tuple(found[cell] for cell in (honest, pattern, pixel)))
    write_json(folder.result, result)
    return result
