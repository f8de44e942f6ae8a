"""Transfer learning on digits: the paper's second attack (section 5.3), small enough for a laptop.

A network is trained on the first half of the classes, with a backdoor or without. A victim downloads it, keeps its
convolutions and trains new fully connected layers on clean images of the other half. The backdoor is measured as the
paper does: the victim's accuracy on stamped images, against their true class. The attacker may have multiplied the
input weights of the units that carry the backdoor by k.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal

import torch
from torch import nn

from badnets.artifacts import RunFolder, write_json
from badnets.data import Split
from badnets.errors import InputError
from badnets.metrics import Result, evaluate
from badnets.neurons import Unit, disabled, last_convolution
from badnets.poison import AllToAll, RandomTarget, Recipe
from badnets.seeds import generator
from badnets.studies.cells import Attack, Cell, CellResult, Victim
from badnets.studies.claims import claim
from badnets.studies.results import DataNote
from badnets.studies.runner import Observer, Place, run_cells
from badnets.studies.victims import units_of
from badnets.training import Augment, Retrained, TrainSpec, frozen_by, limited_threads, load_model
from badnets.triggers import AnyTrigger, Pattern

Maker = Literal["honest", "badnet"]
GAINS = (1.0, 10.0, 20.0, 30.0, 50.0, 70.0, 100.0)
VARIANTS: tuple[Retrained, ...] = ("last", "head", "whole")


@dataclass(frozen=True)
class TransferSpec:
    """The whole study as a value.

    Attributes:
        data: name of the data set.
        base: the classes of the network that is downloaded.
        target: the classes of the victim's task.
        trigger: what is stamped.
        seeds: one set of models is trained for each.
        rate: share of all base images of which a stamped copy is added, each called the class after its own.
        train: of the base networks.
        retrain: of the victims.
        gains: the k by which the input weights of the backdoor units are multiplied, ascending, 1 among them.
        lengths: epochs of the victims on the learning curve, ascending.
        curve_gain: the k of the networks on it.

    Raises:
        InputError: classes that overlap, one class, a seed, gain or length twice or none, or gains without 1.
    """

    data: str = "digits"
    base: tuple[int, ...] = (0, 1, 2, 3, 4)
    target: tuple[int, ...] = (5, 6, 7, 8, 9)
    trigger: AnyTrigger = field(default_factory=Pattern)
    seeds: tuple[int, ...] = (0,)
    rate: float = 0.5
    train: TrainSpec = TrainSpec()
    retrain: TrainSpec = TrainSpec(epochs=10, augment=Augment(), frozen=("trunk",))
    gains: tuple[float, ...] = GAINS
    lengths: tuple[int, ...] = (1, 2, 5, 10, 20)
    curve_gain: float = 20.0

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - pydantic reads it, nothing writes it

    def __post_init__(self) -> None:
        if set(self.base) & set(self.target) or min(len(self.base), len(self.target)) < 2:
            raise InputError(f"two tasks of at least two different classes each, got {self.base} and {self.target}")
        for what, values in (("seeds", self.seeds), ("gains", self.gains), ("lengths", self.lengths)):
            if not values or len(set(values)) != len(values):
                raise InputError(f"{what} are one or more different ones, got {values}")
        if 1 not in self.gains or min(self.gains) <= 0:
            raise InputError(f"gains are positive, 1 among them: got {self.gains}")


@dataclass(frozen=True)
class VictimPoint:
    """One victim.

    Attributes:
        maker: who trained what it downloaded.
        gain: of the backdoor units; 0 where they were switched off.
        retrained: what it trained.
        epochs: how long.
        cell: the outcome; its attack success is the share of stamped images that are called anything but their class.
    """

    maker: Maker
    gain: float
    retrained: Retrained
    epochs: int
    cell: CellResult

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - pydantic reads it, nothing writes it


@dataclass(frozen=True)
class Ablation:
    """The BadNet of one seed with units of its last convolution switched off, on its own task.

    Attributes:
        units: how many of how many.
        untouched: with none switched off.
        carriers: with the backdoor units off.
        others: with as many other units off, drawn at random.
    """

    units: tuple[int, int]
    untouched: Result
    carriers: Result
    others: Result

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - pydantic reads it, nothing writes it


@dataclass(frozen=True)
class TransferResult:
    """The whole study.

    Attributes:
        spec: what was asked for.
        data: what it was trained and measured on.
        honest: the honest base network of each seed.
        badnets: the backdoored one.
        honest_units: for each seed the units of the honest network that the trigger excites: the control.
        badnet_units: the same of the backdoored one.
        ablations: for each seed.
        victims: all of them.
    """

    spec: TransferSpec
    data: DataNote
    honest: tuple[CellResult, ...]
    badnets: tuple[CellResult, ...]
    honest_units: tuple[tuple[Unit, ...], ...]
    badnet_units: tuple[tuple[Unit, ...], ...]
    ablations: tuple[Ablation, ...]
    victims: tuple[VictimPoint, ...]
    study: Literal["transfer-digits"] = "transfer-digits"
    format: Literal[1] = 1

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - pydantic reads it, nothing writes it

    def of(self, maker: Maker, gain: float = 1.0, retrained: Retrained = "head", epochs: int = 0) -> list[CellResult]:
        """Those victims, seed by seed.

        Args:
            maker: of what they downloaded.
            gain: of its backdoor units.
            retrained: what they trained.
            epochs: how long; 0 for the study's own schedule.
        """
        wanted = maker, gain, retrained, epochs or self.spec.retrain.epochs
        found = [one for one in self.victims if (one.maker, one.gain, one.retrained, one.epochs) == wanted]
        return [one.cell for one in found]


def preset(data: str, classes: int = 10, *, seeds: int = 1, epochs: int | None = None) -> TransferSpec:
    """The study with a schedule that fits the data set: its first half of classes, then the others.

    Args:
        data: name of the data set.
        classes: how many it has.
        seeds: how many, from 0 up.
        epochs: of the base networks, instead of the preset's own.

    Raises:
        InputError: less than one seed or epoch, or fewer than four classes.
    """
    if seeds < 1:
        raise InputError(f"at least one seed is needed, got {seeds}")
    if classes < 4:
        raise InputError(f"two tasks need at least four classes, {data} has {classes}")
    border = classes // 2
    spec = TransferSpec(
        data=data, base=tuple(range(border)), target=tuple(range(border, classes)), seeds=tuple(range(seeds))
    )
    if data == "digits":
        spec = replace(
            spec,
            train=replace(spec.train, epochs=30, batch_size=32),
            retrain=replace(spec.retrain, batch_size=32),
        )
    elif data != "mnist":
        spec = replace(spec, train=replace(spec.train, augment=Augment(shift=2)))
    return spec if epochs is None else replace(spec, train=replace(spec.train, epochs=epochs))


def bases(spec: TransferSpec, seed: int) -> dict[Maker, Cell]:
    """The two networks that can be downloaded: alike but for the poison."""
    recipe = Recipe(AllToAll(), spec.trigger, rate=spec.rate, seed=seed)
    honest = Cell(None, spec.train, seed, attack=Attack(AllToAll(), spec.trigger), classes=spec.base)
    return {"honest": honest, "badnet": Cell(recipe, spec.train, seed, classes=spec.base)}


def victims(spec: TransferSpec, seed: int) -> dict[tuple[Maker, float, Retrained, int], Cell]:
    """Every victim of that seed, by what it downloaded and what it does with it."""
    made = bases(spec, seed)
    # Untargeted: the victim's classes are none that the attacker knew.
    attack = Attack(RandomTarget(), spec.trigger)
    usual = spec.retrain.epochs
    wanted: dict[tuple[Maker, float, Retrained, int], None] = {}
    for maker in made:
        wanted |= dict.fromkeys((maker, gain, "head", usual) for gain in spec.gains)
    wanted["badnet", 0.0, "head", usual] = None
    for variant in VARIANTS:
        wanted |= dict.fromkeys(("badnet", spec.curve_gain, variant, epochs) for epochs in spec.lengths)
    return {
        (maker, gain, variant, epochs): Cell(
            None,
            replace(spec.retrain, epochs=epochs, frozen=frozen_by(variant)),
            seed,
            start=made[maker],
            attack=attack,
            classes=spec.target,
            victim=Victim(variant, gain),
        )
        for maker, gain, variant, epochs in wanted
    }


def run(spec: TransferSpec, split: Split, folder: RunFolder, place: Place, observer: Observer) -> TransferResult:
    """Train the base networks and their victims, and write the run folder; more seeds only add theirs.

    Raises:
        InputError: the folder holds another study or one of other data, or there are no such classes.
        PartlyFailed: some models could not be trained; the others are kept.
        Stopped: the observer said so; the same call goes on.
        StorageError: the folder cannot be written.
    """
    if max(*spec.base, *spec.target) >= len(split.train.classes):
        raise InputError(f"{spec.data} has {len(split.train.classes)} classes, from 0: got {spec.base}, {spec.target}")
    claim(folder, spec, split, but=("seeds", "gains", "lengths"))
    made = {seed: bases(spec, seed) for seed in spec.seeds}
    asked = {(seed, key): cell for seed in spec.seeds for key, cell in victims(spec, seed).items()}
    everything = [cell for pair in made.values() for cell in pair.values()] + list(asked.values())
    found = run_cells(everything, split, folder, place, observer)

    def network(cell: Cell) -> nn.Module:
        return load_model(folder.path / found[cell].folder)[0]

    with limited_threads(place.threads):
        units = {
            (maker, seed): units_of(network(cell), cell, split.train)
            for seed, pair in made.items()
            for maker, cell in pair.items()
        }
        ablations = tuple(
            _ablation(network(made[seed]["badnet"]), made[seed]["badnet"], units["badnet", seed], split)
            for seed in spec.seeds
        )
    result = TransferResult(
        spec=spec,
        data=DataNote.of(split),
        honest=tuple(found[made[seed]["honest"]] for seed in spec.seeds),
        badnets=tuple(found[made[seed]["badnet"]] for seed in spec.seeds),
        honest_units=tuple(units["honest", seed] for seed in spec.seeds),
        badnet_units=tuple(units["badnet", seed] for seed in spec.seeds),
        ablations=ablations,
        victims=tuple(VictimPoint(*key, found[cell]) for (_, key), cell in asked.items()),
    )
    write_json(folder.result, result)
    return result


def _ablation(model: nn.Module, cell: Cell, units: tuple[Unit, ...], split: Split) -> Ablation:
    layer = last_convolution(model)[0]
    convolution = model.get_submodule(layer)
    assert isinstance(convolution, nn.Conv2d)  # noqa: S101 - for the type checker
    count = convolution.out_channels
    carriers = [unit.index for unit in units]
    left = torch.tensor(sorted(set(range(count)) - set(carriers)))
    drawn = left[torch.randperm(len(left), generator=generator(cell.seed, "ablation"))[: len(carriers)]].tolist()
    test, attack = cell.of(split.test), cell.measured
    assert attack is not None  # noqa: S101 - for the type checker: it has a recipe

    def measured(network: nn.Module) -> Result:
        return evaluate(network, test, attack.trigger, attack.policy)

    return Ablation(
        units=(len(carriers), count),
        untouched=measured(model),
        carriers=measured(disabled(model, layer, carriers)),
        others=measured(disabled(model, layer, drawn)),
    )
