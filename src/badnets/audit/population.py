"""Clean reference models of one architecture, trained once and kept, and what each test says of them.

A population stands for "a clean model of this kind", so its models differ as strangers' models do: in seed, in which
images they saw and how many, optimiser, learning rate, schedule, batch size, epochs, augmentation. Model number i is
the same in a population of any size, so that one can grow. The folder:

    population.json          what it is; a folder of another population is refused
    models/000/              weights and card, or the progress of a training that was cut off
    statistics/KEY/000.json  what a test says of model 000 under certain settings
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Literal

import torch
from torch import nn

from badnets.artifacts import canonical_json, read_json, sha256_json, write_bytes, write_json
from badnets.audit.cases import Case, Chosen, Settings
from badnets.audit.conventions import PLAIN, Adapted
from badnets.audit.probes import COUNTED
from badnets.audit.stages import ACCURACY, Stage, Watch
from badnets.data import ImageSource
from badnets.errors import CheckpointError, InputError
from badnets.poison import TrainingSet
from badnets.seeds import derive, generator
from badnets.training import Augment, ManySession, Order, TrainSpec, fit_many
from badnets.training.checkpoint import load_weights, put_weights, read_card

POPULATION = "population.json"
Make = Callable[[int], nn.Module]


@dataclass(frozen=True)
class Recipe:
    """What the references of a population have in common.

    Attributes:
        architecture: as it was named.
        data: digest of the training images.
        data_name: what they are called.
        images: how many of them each model sees at most, drawn anew for each; 0 for all.
        epochs: of the median model; others have one half to twice as many, at least one.
        seed: of everything that is drawn.
        least_share: of these images that a model sees at least; how many it sees is drawn between that and all, evenly
            on a logarithmic scale. 1 gives all models as many.

    Raises:
        InputError: no epoch, a number below 0, or a share outside (0, 1].
    """

    architecture: str
    data: str
    data_name: str
    images: int = 0
    epochs: int = 2
    seed: int = 0
    least_share: float = 1.0

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - pydantic reads it, nothing writes it

    def __post_init__(self) -> None:
        if self.epochs < 1 or self.images < 0 or self.seed < 0 or not 0 < self.least_share <= 1:
            raise InputError(f"epochs are at least 1, images and seed 0 or more, the least share in (0, 1], got {self}")

    @property
    def key(self) -> str:
        """SHA-256 over all of it."""
        named = asdict(self)
        if self.least_share == 1:  # populations that are older than this field keep their key
            del named["least_share"]
        return sha256_json(named)

    def count(self, number: int, there: int) -> int:
        """How many of the images that are there reference model `number` sees."""
        most = min(self.images or there, there)
        if self.least_share == 1:
            return most
        draw = float(torch.rand((), generator=generator(self.seed, "population", "share", number)))
        return max(1, int(most * math.exp(draw * math.log(self.least_share)) + 0.5))

    def spec(self, number: int) -> TrainSpec:
        """The schedule of reference model `number`, the same for every size of the population."""
        draw = generator(self.seed, "population", number)

        def one(*choices: float) -> float:
            return choices[int(torch.randint(len(choices), (1,), generator=draw))]

        adam = one(1.0, 1.0, 0.0) > 0
        shift = int(one(0.0, 0.0, 1.0, 2.0))
        return TrainSpec(
            epochs=max(1, round(self.epochs * one(0.5, 1.0, 1.0, 2.0))),
            batch_size=int(one(64.0, 128.0)),
            optimizer="adam" if adam else "sgd",
            learning_rate=one(1e-3, 2e-3, 3e-3) if adam else one(2e-2, 5e-2),
            schedule="onecycle" if one(0.0, 1.0) else "cosine",
            weight_decay=one(0.0, 0.0, 5e-4),
            augment=Augment(shift=shift, rotate=5.0 * shift, scale=0.05 * shift),
        )


@dataclass(frozen=True)
class _File:
    recipe: Recipe
    format: Literal[1] = field(default=1)

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - pydantic reads it, nothing writes it


@dataclass(frozen=True)
class Reference:
    """What a test says of one reference model, as it is kept."""

    statistics: dict[str, dict[str, float]]

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - pydantic reads it, nothing writes it


@dataclass(frozen=True, eq=False)
class Population:
    """A folder of finished reference models.

    Attributes:
        folder: see this module.
        recipe: what they have in common.
        make: builds the architecture; weights are put into it.
        numbers: of the models that are finished.
    """

    folder: Path
    recipe: Recipe
    make: Make
    numbers: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.numbers)

    def model(self, number: int) -> nn.Module:
        """Reference model `number`, ready for use.

        Raises:
            CheckpointError: damaged weights, or of another architecture than `make` builds.
        """
        home = _home(self.folder, number)
        card = read_card(home)
        if card is None:
            raise CheckpointError(f"{home} holds no finished model: run badnets population again")
        model = self.make(number)
        put_weights(model, load_weights(home, card), home)
        return model.eval()

    def statistics(
        self, stage: Stage, clean: Chosen, settings: Settings, watch: Watch = Watch()
    ) -> list[dict[str, dict[str, float]]]:
        """What `stage` says of every model, in the order of `numbers`; what was found before is not done again.

        Raises:
            Stopped: the user asked for it; what is finished is kept.
            DataError: a kept file is damaged.
            InputError: a reference model cannot be tested.
        """
        key = sha256_json([stage.name, stage.version, settings, clean.digest, clean.name, torch.__version__])[:16]
        found = []
        for place, number in enumerate(self.numbers, 1):
            watch.check()
            file = self.folder / "statistics" / f"{stage.name}-{key}" / f"{number:03d}.json"
            if not file.exists():
                watch.say(f"{stage.name} of reference model {place} of {len(self)}")
                # Wrapped as a suspect is: the same names of layers, the same arithmetic.
                case = Case(Adapted(self.model(number), PLAIN).eval(), clean, len(clean.classes), settings)
                write_json(file, Reference(stage.run(case, watch.stop).statistics))
            found.append(read_json(Reference, file).statistics)
        return found

    def test(self, clean: Chosen, settings: Settings, watch: Watch = Watch()) -> None:
        """Run all tests that count on every model: an audit finds their numbers there. Raises as `statistics`."""
        for stage in (ACCURACY, *COUNTED):
            if not stage.why_not(Case(nn.Identity(), clean, len(clean.classes), settings)):
                self.statistics(stage, clean, settings, watch)

    def making(self, clean: Chosen, settings: Settings, watch: Watch = Watch()) -> list[dict[str, float]]:
        """What shows how each model was made: see `badnets.audit.stages.ACCURACY`."""
        return [one["accuracy"] for one in self.statistics(ACCURACY, clean, settings, watch)]


def open_population(folder: Path, make: Make, architecture: str) -> Population:
    """The population in `folder`.

    Args:
        folder: of `badnets population`.
        make: builds its architecture.
        architecture: as it is named for the suspect; it must be the population's.

    Raises:
        InputError: no population there, none of it is finished, or it is of another architecture.
        DataError: its file is damaged.
    """
    if not (folder / POPULATION).exists():
        raise InputError(f"{folder} holds no population: make one with badnets population ARCH --out {folder}")
    recipe = read_json(_File, folder / POPULATION).recipe
    if recipe.architecture != architecture:
        raise InputError(f"{folder} is a population of {recipe.architecture}, expected one of {architecture}")
    homes = sorted((folder / "models").glob("[0-9]*")) if (folder / "models").is_dir() else []
    numbers = tuple(int(home.name) for home in homes if home.name.isdecimal() and read_card(home) is not None)
    if not numbers:
        raise InputError(f"{folder} has no finished model yet: run badnets population again")
    return Population(folder, recipe, make, numbers)


def train_population(
    folder: Path, recipe: Recipe, train: ImageSource, make: Make, models: int, session: ManySession
) -> Population:
    """Train clean reference models, as many as are not there yet; killed or stopped, the same call goes on.

    Args:
        folder: where they are kept.
        recipe: what they have in common; its digest must be that of `train`.
        train: clean images.
        make: builds the architecture, freshly initialised from a seed.
        models: how many there are to be in the end; 19 is the least for a level of 5 %, 99 for 1 %.
        session: workers, device, callbacks.

    Raises:
        InputError: the folder holds another population, or fewer than two models are asked for.
        ManyFailed: some could not be trained; the others are kept.
        Stopped: the user asked for it.
        StorageError: the folder cannot be written.
    """
    if models < 2:
        raise InputError(f"a population has at least 2 models, 19 for a level of 5 %, got {models}")
    if recipe.data != train.digest:
        raise InputError(f"the recipe is for other images than {train.name}")
    _claim(folder, recipe)
    orders = [
        Order(
            make(derive(recipe.seed, "population", "weights", number) % 2**31),
            _samples(train, recipe, number),
            recipe.spec(number),
            seed=derive(recipe.seed, "population", "order", number) % 2**31,
            folder=_home(folder, number),
        )
        for number in range(models)
    ]
    fit_many(orders, session)
    return open_population(folder, make, recipe.architecture)


def _claim(folder: Path, recipe: Recipe) -> None:
    file = folder / POPULATION
    if not file.exists():
        write_bytes(file, canonical_json(_File(recipe)).encode() + b"\n")
        return
    there = read_json(_File, file).recipe
    if there != recipe:
        raise InputError(f"{folder} holds another population ({there}): name another folder with --out")


def _samples(train: ImageSource, recipe: Recipe, number: int) -> TrainingSet:
    whole = TrainingSet.of(train)
    count = recipe.count(number, len(train))
    if count == len(train):
        return whole
    draw = generator(recipe.seed, "population", "images", number)
    rows = torch.randperm(len(train), generator=draw)[:count].sort().values
    return replace(whole, rows=rows, labels=train.labels[rows], stamped=whole.stamped[rows])


def _home(folder: Path, number: int) -> Path:
    return folder / "models" / f"{number:03d}"
