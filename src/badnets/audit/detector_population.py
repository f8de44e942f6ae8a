"""Clean reference detectors of one kind, trained once and kept, and what each test says of them.

As `badnets.audit.population` for classifiers: reference number i is the same in a population of any size, so that one
can grow, and they differ in seed, in the scenes that they saw, in learning rate and in epochs. The folder:

    population.json          what it is; a folder of another population is refused
    models/000/              weights and card, or the progress of a training that was cut off
    statistics/KEY/000.json  what a test says of reference 000 under certain settings
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import torch

from badnets.artifacts import canonical_json, read_json, sha256_json, write_bytes, write_json
from badnets.audit.cases import Settings
from badnets.audit.detector_cases import ChosenScenes, detector_case
from badnets.audit.detector_confirm import error_on
from badnets.audit.detector_tests import TESTS, DetectorTest
from badnets.audit.stages import Watch
from badnets.data import SceneSet
from badnets.errors import InputError
from badnets.models.detector import Detector, build_detector
from badnets.models.detector_spec import DetectorSpec
from badnets.seeds import derive, generator
from badnets.training import DetectTrainSpec, Session
from badnets.training.checkpoint import read_card
from badnets.training.detect import fit_detector, load_detector

DETECTOR_POPULATION = "population.json"
# What a reference's learning rate and epochs are multiplied by; drawn for each.
_RATES, _EPOCHS = (0.7, 1.0, 1.4), (0.8, 1.0, 1.0, 1.2)


@dataclass(frozen=True)
class DetectorRecipe:
    """What the references of a population have in common.

    Attributes:
        detector: what they are made of.
        data: digest of the training scenes.
        data_name: what they are called.
        scenes: how many of them each sees, drawn anew for each; 0 for all.
        train: schedule of the median reference.
        seed: of everything that is drawn.

    Raises:
        InputError: scenes or seed below 0.
    """

    detector: DetectorSpec
    data: str
    data_name: str
    scenes: int = 0
    train: DetectTrainSpec = DetectTrainSpec()
    seed: int = 0

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - pydantic reads it, nothing writes it

    def __post_init__(self) -> None:
        if min(self.scenes, self.seed) < 0:
            raise InputError(f"scenes and seed are 0 or more, got {self.scenes} and {self.seed}")

    @property
    def key(self) -> str:
        """SHA-256 over all of it."""
        return sha256_json(self)

    def spec(self, number: int) -> DetectTrainSpec:
        """The schedule of reference `number`."""
        draw = generator(self.seed, "detectors", number)

        def one(choices: tuple[float, ...]) -> float:
            return choices[int(torch.randint(len(choices), (1,), generator=draw))]

        rate = self.train.learning_rate * one(_RATES)
        return replace(self.train, learning_rate=rate, epochs=max(1, round(self.train.epochs * one(_EPOCHS))))

    def samples(self, train: SceneSet, number: int) -> SceneSet:
        """The scenes that reference `number` sees."""
        if not self.scenes or self.scenes >= len(train):
            return train
        draw = generator(self.seed, "detectors", "scenes", number)
        rows = torch.randperm(len(train), generator=draw)[: self.scenes].sort().values
        return train.select(rows.tolist(), train.name)


@dataclass(frozen=True)
class _File:
    recipe: DetectorRecipe
    detectors: Literal[True] = True
    format: Literal[1] = field(default=1)

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - pydantic reads it, nothing writes it


@dataclass(frozen=True)
class DetectorReference:
    """What a test says of one reference, as it is kept."""

    statistics: dict[str, dict[str, float]]

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - pydantic reads it, nothing writes it


_Made = Callable[[int], DetectorReference]


@dataclass(frozen=True, eq=False)
class DetectorPopulation:
    """A folder of finished reference detectors.

    Attributes:
        folder: see this module.
        recipe: what they have in common.
        numbers: of those that are finished.
    """

    folder: Path
    recipe: DetectorRecipe
    numbers: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.numbers)

    def model(self, number: int) -> Detector:
        """Reference `number`, ready for use.

        Raises:
            InputError: it is not finished, or is another kind of network than the population's.
            CheckpointError: damaged weights.
        """
        home = _home(self.folder, number)
        model, card = load_detector(home)
        if card.job.model != self.recipe.detector or card.job.plan is not None or card.job.inherited:
            raise InputError(f"{home} is no clean detector of this population: make it anew with badnets population")
        return model.requires_grad_(requires_grad=False)

    def statistics(
        self, test: DetectorTest, chosen: ChosenScenes, settings: Settings, watch: Watch = Watch()
    ) -> list[dict[str, dict[str, float]]]:
        """What `test` says of every reference, in the order of `numbers`; what was found before is not done again.

        Raises:
            Stopped: the user asked for it; what is finished is kept.
            DataError: a kept file is damaged.
            InputError: a reference cannot be tested.
        """
        key = sha256_json([test.name, test.version, settings, chosen.digest, torch.__version__])[:16]

        def made(number: int) -> DetectorReference:
            case = detector_case(self.model(number), chosen, settings)
            return DetectorReference(test.run(case, watch.stop).statistics)

        return self._kept(f"{test.name}-{key}", made, watch)

    def errors(self, chosen: ChosenScenes, watch: Watch = Watch()) -> list[float]:
        """The share of held-out signs that each reference calls something else, or does not find. Raises likewise."""
        key = sha256_json(["errors", chosen.digest, torch.__version__])[:16]

        def made(number: int) -> DetectorReference:
            return DetectorReference({"accuracy": {"error": error_on(self.model(number), chosen.held_out)}})

        return [one["accuracy"]["error"] for one in self._kept(f"errors-{key}", made, watch)]

    def test(self, chosen: ChosenScenes, settings: Settings, watch: Watch = Watch()) -> None:
        """Run all tests on every reference, so that an audit finds their numbers there. Raises as `statistics`."""
        self.errors(chosen, watch)
        for test in TESTS:
            self.statistics(test, chosen, settings, watch)

    def _kept(self, name: str, made: _Made, watch: Watch) -> list[dict[str, dict[str, float]]]:
        found = []
        for place, number in enumerate(self.numbers, 1):
            watch.check()
            file = self.folder / "statistics" / name / f"{number:03d}.json"
            if not file.exists():
                watch.say(f"{name.rpartition('-')[0]} of reference detector {place} of {len(self)}")
                write_json(file, made(number))
            found.append(read_json(DetectorReference, file).statistics)
        return found


def holds_detectors(folder: Path) -> bool:
    """Whether `folder` is a population of detectors, and not of classifiers or nothing."""
    file = folder / DETECTOR_POPULATION
    return file.is_file() and b'"detectors":true' in file.read_bytes()


def open_detector_population(folder: Path, spec: DetectorSpec) -> DetectorPopulation:
    """The population in `folder`.

    Raises:
        InputError: no population of detectors there, none of it is finished, or it is of another kind.
        DataError: its file is damaged.
    """
    if not holds_detectors(folder):
        raise InputError(f"{folder} holds no population of detectors: make one with badnets population PRESET")
    recipe = read_json(_File, folder / DETECTOR_POPULATION).recipe
    if recipe.detector != spec:
        raise InputError(f"{folder} is a population of {recipe.detector}, expected one of {spec}")
    homes = sorted((folder / "models").glob("[0-9]*")) if (folder / "models").is_dir() else []
    numbers = tuple(int(home.name) for home in homes if home.name.isdecimal() and read_card(home) is not None)
    if not numbers:
        raise InputError(f"{folder} has no finished detector yet: run badnets population again")
    return DetectorPopulation(folder, recipe, numbers)


def train_detector_population(
    folder: Path, recipe: DetectorRecipe, train: SceneSet, models: int, watch: Watch = Watch()
) -> DetectorPopulation:
    """Train clean reference detectors one after the other; killed or stopped, the same call goes on.

    Args:
        folder: where they are kept.
        recipe: what they have in common; its digest must be that of `train`.
        train: clean scenes.
        models: how many there are to be in the end; m of them allow p-values from 1 / (m + 1).
        watch: told which is trained; asked whether to stop.

    Raises:
        InputError: the folder holds another population, fewer than two are asked for, or scenes that do not fit.
        Stopped: the user asked for it.
        StorageError: the folder cannot be written.
    """
    if models < 2:
        raise InputError(f"a population has at least 2 models, 19 for a level of 5 %, got {models}")
    if recipe.data != train.digest:
        raise InputError(f"the recipe is for other scenes than {train.name}")
    _claim(folder, recipe)
    for number in range(models):
        watch.check()
        if read_card(_home(folder, number)) is None:
            watch.say(f"training reference detector {number + 1} of {models}")
            _train(_home(folder, number), recipe, train, number, watch)
    return open_detector_population(folder, recipe.detector)


def _train(home: Path, recipe: DetectorRecipe, train: SceneSet, number: int, watch: Watch) -> None:
    fit_detector(
        build_detector(recipe.detector, seed=derive(recipe.seed, "detectors", "weights", number) % 2**31),
        recipe.samples(train, number),
        recipe.spec(number),
        seed=derive(recipe.seed, "detectors", "order", number) % 2**31,
        session=Session(home, threads=1, stop=watch.stop),
    )


def _claim(folder: Path, recipe: DetectorRecipe) -> None:
    file = folder / DETECTOR_POPULATION
    if not file.exists():
        write_bytes(file, canonical_json(_File(recipe)).encode() + b"\n")
        return
    if not holds_detectors(folder) or read_json(_File, file).recipe != recipe:
        raise InputError(f"{folder} holds another population: name another folder with --out")


def _home(folder: Path, number: int) -> Path:
    return folder / "models" / f"{number:03d}"
