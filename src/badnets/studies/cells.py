"""One model of a study as a value: everything that decides its weights and what is measured of it."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, TypeVar, runtime_checkable

import torch

from badnets.artifacts import sha256_json
from badnets.data import ImageSet, ImageSource, Split
from badnets.errors import InputError
from badnets.metrics import PositionMap, Result
from badnets.poison import (
    AnyPolicy,
    DataPoisoner,
    FilePoisoner,
    MaliciousTrainer,
    PoisonPlan,
    Recipe,
    SingleTarget,
    TrainingSet,
    as_files,
    plan,
)
from badnets.training import Machine, Retrained, TrainSpec
from badnets.triggers import AnyTrigger, Trigger

BASELINE = "baseline"
Threat = Literal["trainer", "poisoner", "files"]

_ATTACKERS: dict[Threat, MaliciousTrainer | DataPoisoner | FilePoisoner] = {
    "trainer": MaliciousTrainer(),
    "poisoner": DataPoisoner(),
    "files": FilePoisoner(),
}


@dataclass(frozen=True)
class Attack:
    """What is measured: images with this trigger, and whether the policy's aim is met."""

    policy: AnyPolicy
    trigger: AnyTrigger

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - pydantic reads it, nothing writes it


@dataclass(frozen=True)
class Victim:
    """Somebody who downloads a network and retrains it for another task.

    Attributes:
        retrained: which layers, see `training.victim`.
        gain: the attacker multiplied the input weights of the backdoor units by it, before it was downloaded; 0 for
            units that somebody switched off. See `victims.handed_over`.

    Raises:
        InputError: a negative gain.
    """

    retrained: Retrained = "head"
    gain: float = 1.0

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - pydantic reads it, nothing writes it

    def __post_init__(self) -> None:
        if not 0 <= self.gain < math.inf:
            raise InputError(f"weights are multiplied by a number of 0 or more, got {self.gain}")


@dataclass(frozen=True)
class Cell:
    """One model to be trained and measured.

    Attributes:
        recipe: how its data are poisoned; None for an honest model.
        train: its schedule.
        seed: of its weights and its schedule.
        start: the cell whose weights it starts from; None for fresh ones.
        attack: what is measured; None takes the recipe's own policy and trigger.
        model: a key of `MODELS`.
        places: how many test images are stamped at every place of the image, see `position_map`; 0 for none.
        classes: the data's classes that it is of, numbered anew in this order; None for all.
        victim: who goes on with the network that `start` leads to; None for its maker, who trains all of it on.
        pretrained: SHA-256 of the weights that the trunk starts from, see `pretrained.keep`; None for fresh ones.
        threat: "trainer" stamps after augmentation, "poisoner" before, "files" before pictures are scaled, as
            `MaliciousTrainer`, `DataPoisoner` and `FilePoisoner` do.
    """

    recipe: Recipe | None
    train: TrainSpec
    seed: int = 0
    start: Cell | None = None
    attack: Attack | None = None
    model: str = "badnet_cnn"
    places: int = 0
    threat: Threat = "trainer"
    pretrained: str | None = None
    classes: tuple[int, ...] | None = None
    victim: Victim | None = None

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - pydantic reads it, nothing writes it

    @property
    def label(self) -> str:
        """What the cell is called within a study, the same for every seed."""
        if self.victim is not None and self.start is not None:
            gain = "" if self.victim.gain == 1 else f"-times-{self.victim.gain:g}"
            return f"victim-{self.victim.retrained}-of-{self.start.label}{gain}"
        if self.recipe is None:
            return BASELINE
        policy = self.recipe.policy
        words = f"single-{policy.source}-to-{policy.target}" if isinstance(policy, SingleTarget) else policy.kind
        if policy.kind == "all-to-one":
            words = f"all-to-{policy.target}"
        return f"{words}-{self.recipe.trigger.kind}" + ("-cover" if self.recipe.cover_rate else "")

    @property
    def apart(self) -> str:
        """What tells it from others of its label, in words."""
        return f"rate {self.recipe.rate:.3g}" if self.recipe else ""

    @property
    def measured(self) -> Attack | None:
        """What is measured beside clean error."""
        if self.attack is None and self.recipe is not None:
            return Attack(self.recipe.policy, self.recipe.trigger)
        return self.attack

    def key(self, data: str) -> str:
        """SHA-256 over the whole cell and the digest of its data: equal keys are the same work.

        Args:
            data: see `split_digest`.
        """
        return sha256_json({"cell": self, "data": data})

    def training_set(self, train: ImageSource) -> tuple[TrainingSet, PoisonPlan | None]:
        """The samples, and the plan that led to them.

        Raises:
            InputError: the recipe does not fit the images.
        """
        if self.recipe is None:
            return TrainingSet.of(train), None
        made = plan(train, self.recipe, fits=self.threat != "files")
        return _ATTACKERS[self.threat].training_set(train, made), made

    def attacked(self, images: ImageSource, trigger: Trigger) -> tuple[ImageSource, Trigger | None]:
        """The images that the trigger is measured on, and what is still to be stamped on them.

        Raises:
            InputError: files are attacked, and these are none.
        """
        if self.threat != "files":
            return images, trigger
        n = len(images)
        files = as_files(images).stamped_at(torch.arange(n), images.labels, torch.ones(n, dtype=torch.bool), trigger)
        return files, None

    def of(self, images: ImageSource) -> ImageSource:
        """Its part of the data.

        Raises:
            InputError: it is of some classes, and the images are not held in memory.
            DataError: there are no such classes.
        """
        if self.classes is None:
            return images
        if not isinstance(images, ImageSet):
            raise InputError(f"{images.name} is not held in memory: some of its classes cannot be taken")
        return images.only(self.classes)

    def check(self, classes: int) -> None:
        """Raise `InputError` unless its policies make sense among that many classes of the data, and it can start."""
        if self.victim is not None and self.start is None:
            raise InputError("a victim retrains a network that somebody else trained: name the cell it starts from")
        if self.classes is not None:
            if max(self.classes) >= classes:
                raise InputError(f"there are {classes} classes, from 0: got {self.classes}")
            classes = len(self.classes)
        if self.recipe is not None:
            self.recipe.policy.check(classes)
        if self.attack is not None:
            self.attack.policy.check(classes)


@dataclass(frozen=True)
class CellResult:
    """What came out of one cell.

    Attributes:
        name: its label.
        seed: of its weights, its plan and its schedule.
        key: see `Cell.key`.
        folder: of its model, within the run folder.
        result: measured on the test set.
        places: attack success with the trigger elsewhere, where the cell asks for it.
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
    key: str
    folder: str
    result: Result
    places: PositionMap | None
    samples: int
    poisoned: int
    covered: int
    plan: str | None
    weights: str
    seconds: float
    machine: Machine
    format: Literal[1] = field(default=1)

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - pydantic reads it, nothing writes it

    @property
    def said(self) -> str:
        """The gist of it in a few words."""
        backdoor = self.result.backdoor_error
        attack = f", backdoor error {backdoor.value:.2%}" if backdoor and self.plan else ""
        return f"clean error {self.result.clean_error.value:.2%}{attack}"


def split_digest(split: Split[ImageSource]) -> str:
    """One digest for both halves of a data set."""
    return sha256_json([split.train.digest, split.test.digest])


@runtime_checkable
class _Started(Protocol):
    """A cell that may start from another of its kind."""

    @property
    def start(self) -> Any: ...  # noqa: ANN401 - of its own kind, but `Self` cannot be checked at run time


StartedT = TypeVar("StartedT", bound=_Started)


def lineage(cells: tuple[StartedT, ...]) -> tuple[StartedT, ...]:
    """The cells with all that they start from, each once, every start before what starts from it."""
    found: dict[StartedT, None] = {}
    for cell in cells:
        chain = [cell]
        while (start := chain[-1].start) is not None:
            chain.append(start)
        found |= dict.fromkeys(reversed(chain))
    return tuple(found)
