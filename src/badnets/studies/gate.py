"""The gate on BadNets and on their clean twins: who comes in, who does not, and by which rule.

For every seed there is a BadNet of each kind - all-to-one, all-to-all and single-target, with the paper's pattern -
and beside each a clean twin of the same seed and schedule. All are put through the real gate: quarantine, scan,
conversion, audit, policy, signed verdict, store. What comes out is loaded, or cannot be.

The audit is calibrated on clean reference models, and its guarantee is for models that were made as they were. So the
schedules of BadNets and twins are drawn by the very rule by which those of the references are, from another seed.
A twin is then refused with a probability of at most alpha; how often it is, and how many BadNets are, is counted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Literal

from torch import nn

from badnets.artifacts import RunFolder, make_folder, write_bytes, write_json, write_text
from badnets.audit.auditing import Options
from badnets.audit.cases import Settings
from badnets.audit.population import Population, train_population
from badnets.audit.population import Recipe as References
from badnets.data import ImageSource, Split
from badnets.errors import InputError
from badnets.metrics import Rate
from badnets.models import ModelSpec, build
from badnets.poison import AllToAll, AllToOne, Recipe, SingleTarget
from badnets.studies.audit_cells import Audits, calibrate
from badnets.studies.audit_figures import names_it
from badnets.studies.cells import Attack, Cell, CellResult
from badnets.studies.claims import claim
from badnets.studies.gate_cells import ARCHITECTURE, GateCell, GateOutcome, House, Judgement, carry_out_gate
from badnets.studies.queue import Kind, Observer, Place, carry_out_all
from badnets.studies.results import DataNote
from badnets.studies.runner import run_cells
from badnets.studies.zoo import LEAST_SUCCESS
from badnets.supply.gate.outcome import Word
from badnets.supply.gate.policy import read_policy
from badnets.supply.signing import new_key, read_private_key, write_pair
from badnets.supply.signing.keys import public_pem
from badnets.training import ManySession
from badnets.triggers import Pattern

ATTACKS = ("all-to-one", "all-to-all", "single-target")
# The seed from which the schedules of the suspects are drawn; the references' is 0, what was tried out before is 100.
_SUSPECTS = 1
_CLASSES = 10
# A user notices more. One point, as in `zoo`, is five images of the embedded digits: about what chance does.
_MOST_COST = 0.02


@dataclass(frozen=True)
class GateSpec:
    """The whole study as a value.

    Attributes:
        data: name of the data set, of ten classes.
        seeds: for each there is a BadNet of every attack, and a twin.
        attacks: some of `ATTACKS`.
        references: clean models that the audit is calibrated on.
        epochs: of the median model, reference or suspect; others have from half to twice as many.
        alpha: level of the audit, and of the policy's rule.
        settings: of the audit's tests.
        skip: names of tests that are left out; without all that are needed nobody is admitted.

    Raises:
        InputError: no seed or attack, one twice, or one that there is not; or too few references for alpha.
    """

    data: str = "digits"
    seeds: tuple[int, ...] = (0,)
    attacks: tuple[str, ...] = ATTACKS
    references: int = 19
    epochs: int = 40
    alpha: float = 0.05
    settings: Settings = Settings()
    skip: tuple[str, ...] = ()

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - pydantic reads it, nothing writes it

    def __post_init__(self) -> None:
        if not self.seeds or len(set(self.seeds)) != len(self.seeds):
            raise InputError(f"seeds are one or more different numbers, got {self.seeds}")
        if not self.attacks or len(set(self.attacks)) < len(self.attacks) or set(self.attacks) - set(ATTACKS):
            raise InputError(f"attacks are some of {', '.join(ATTACKS)}, got {', '.join(self.attacks) or 'none'}")
        if not 0 < self.alpha < 1 or self.epochs < 1:
            raise InputError(f"alpha is between 0 and 1, epochs at least 1, got {self.alpha:g} and {self.epochs}")
        if self.references < 2 or 1 / (self.references + 1) > self.alpha:
            raise InputError(
                f"with {self.references} references no p-value is as low as {self.alpha:g}, so that nothing could be "
                "refused by it: ask for more references, or for a larger alpha"
            )


@dataclass(frozen=True)
class Suspect:
    """One model that came to the gate.

    Attributes:
        attack: one of `ATTACKS`; of a twin that of its BadNet.
        cell: how it was made and what it does.
        works: of a BadNet whether its backdoor is one, see `works`; None for a clean twin.
        named: of a BadNet whether the audit's strongest suspicion names its target or mapping; None for a clean twin.
        judgement: of the gate.
    """

    attack: str
    cell: CellResult
    works: bool | None
    named: bool | None
    judgement: Judgement

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - pydantic reads it, nothing writes it

    @property
    def is_backdoored(self) -> bool:
        """Whether it is meant to have a backdoor."""
        return self.works is not None


@dataclass(frozen=True)
class GateResult:
    """The whole study.

    Attributes:
        spec: what was asked for.
        data: what was trained and tested on.
        population: key of the reference models.
        suspects: seed by seed, each BadNet before its twin.
    """

    spec: GateSpec
    data: DataNote
    population: str
    suspects: tuple[Suspect, ...]
    study: Literal["gate"] = "gate"
    format: Literal[1] = 1

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - pydantic reads it, nothing writes it

    @property
    def badnets(self) -> tuple[Suspect, ...]:
        """The BadNets whose backdoor works."""
        return tuple(one for one in self.suspects if one.works)

    @property
    def weak(self) -> tuple[Suspect, ...]:
        """The BadNets whose backdoor was not learned, or that cost so much accuracy that their user would notice."""
        return tuple(one for one in self.suspects if one.works is False)

    @property
    def twins(self) -> tuple[Suspect, ...]:
        """The clean ones."""
        return tuple(one for one in self.suspects if one.works is None)


def share(suspects: Sequence[Suspect], word: Word) -> Rate:
    """How many of these the gate's word was."""
    return Rate.of(sum(one.judgement.word == word for one in suspects), len(suspects))


def works(badnet: CellResult, twin: CellResult) -> bool:
    """Whether a backdoor is one: it succeeds, and its user does not notice it beside the clean twin."""
    success = badnet.result.attack_success
    cost = badnet.result.clean_error.value - twin.result.clean_error.value
    return success is not None and success.value >= LEAST_SUCCESS and cost <= _MOST_COST


def references(spec: GateSpec, split: Split[ImageSource], folder: Path, session: ManySession) -> Population:
    """The clean reference models, trained where they are not there yet; a larger population is used in part.

    Raises:
        InputError: the folder holds another population.
        ManyFailed: some could not be trained; the others are kept.
        Stopped: the user asked for it; the same call goes on.
        StorageError: the folder cannot be written.
    """
    make = partial(_build, ModelSpec.fitting(split.train, ARCHITECTURE))
    made = train_population(folder, _recipe(spec, split.train), split.train, make, spec.references, session)
    return replace(made, numbers=made.numbers[: spec.references])


def pairs(spec: GateSpec, split: Split[ImageSource]) -> tuple[tuple[str, Cell, Cell], ...]:
    """For each seed and attack its name, the BadNet and the clean twin."""
    drawn = replace(_recipe(spec, split.train), seed=_SUSPECTS)
    found = []
    for seed in spec.seeds:
        for place, attack in enumerate(ATTACKS):
            if attack not in spec.attacks:
                continue
            number = seed * len(ATTACKS) + place
            recipe, train = _poisoned(attack, number), drawn.spec(number)
            twin = Cell(None, train, number, attack=Attack(recipe.policy, recipe.trigger))
            found.append((attack, Cell(recipe, train, number), twin))
    return tuple(found)


def run(
    spec: GateSpec,
    split: Split[ImageSource],
    population: Population,
    folder: RunFolder,
    place: Place,
    observer: Observer,
) -> GateResult:
    """Train the suspects, calibrate the audit, and put everybody through the gate; killed, the same call goes on.

    Args:
        spec: the study; more seeds or attacks than last time only add theirs.
        split: suspects are trained on the first half; the audit takes its clean images from the second.
        population: see `references`.
        folder: of the run; `gate/` in it holds policy, key and store.
        place: engine and device.
        observer: told what happens, and asked whether to stop.

    Raises:
        InputError: the folder holds another study, or the data have not ten classes.
        PartlyFailed: some models have no result; the others are kept.
        Stopped: the observer said so.
        StorageError: a folder cannot be written.
    """
    if len(split.train.classes) != _CLASSES:
        raise InputError(f"this study needs {_CLASSES} classes, {spec.data} has {len(split.train.classes)}")
    claim(folder, spec, split, but=("seeds", "attacks"))
    house = _house(spec, folder)
    wanted = pairs(spec, split)
    trained = run_cells([cell for _, *both in wanted for cell in both], split, folder, place, observer)
    options = Options(spec.alpha, skip=spec.skip, settings=spec.settings)
    audits = Audits(population, options, split.test)
    calibrate(audits, RunFolder(folder.path / "calibration"), place, observer)
    policy = read_policy(house.policy).digest
    before = {
        cell: GateCell(
            made.name, made.weights, options, policy, folder.path / made.folder, house, population, made.seed
        )
        for cell, made in trained.items()
    }
    home, kind = RunFolder(folder.path / "judgements"), Kind(carry_out_gate, GateOutcome)
    said = carry_out_all(tuple(before.values()), kind, audits.data, home, place, observer)
    judged = {cell: said[one].result for cell, one in before.items()}
    suspects = []
    for attack, badnet, twin in wanted:
        one, other = trained[badnet], trained[twin]
        suspects.append(Suspect(attack, one, works(one, other), _named(badnet, judged[badnet]), judged[badnet]))
        suspects.append(Suspect(attack, other, None, None, judged[twin]))
    result = GateResult(spec, DataNote.of(split), population.recipe.key, tuple(suspects))
    write_json(folder.result, result)
    return result


def _poisoned(attack: str, number: int) -> Recipe:
    """The poison of suspect `number`; the target wanders from seed to seed."""
    target = (number // len(ATTACKS) + 3) % _CLASSES
    if attack == "all-to-one":
        return Recipe(AllToOne(target), Pattern(), rate=0.1, seed=number)
    if attack == "all-to-all":
        return Recipe(AllToAll(), Pattern(), rate=0.5, seed=number)
    # The paper's single-target attack spares other classes only if some of their images show that they are not meant.
    return Recipe(SingleTarget((target + 4) % _CLASSES, target), Pattern(), rate=1.0, cover_rate=0.1, seed=number)


def _recipe(spec: GateSpec, train: ImageSource) -> References:
    return References(ARCHITECTURE, train.digest, train.name, epochs=spec.epochs)


def _house(spec: GateSpec, folder: RunFolder) -> House:
    """The gate of this run: a key of its own, and a policy that asks for what the audit states."""
    house = House(make_folder(folder.path / "gate"))
    if not house.key.exists():
        write_pair(new_key(), house.key, house.public)
    write_bytes(house.public, public_pem(read_private_key(house.key).public_key()))
    write_text(
        house.policy,
        f"""\
[verdict]
signers = ["gate.pub"]

[[require]]
rule = "scan"
formats = ["safetensors"]

[[require]]
rule = "audit"
alpha = {spec.alpha!r}
max_false_positive_rate = {spec.alpha!r}
min_population = {spec.references}
""",
    )
    return house


def _named(cell: Cell, judgement: Judgement) -> bool:
    suspicions = judgement.audit.suspicions if judgement.audit else ()
    return names_it(cell.recipe.policy if cell.recipe else None, suspicions)


def _build(spec: ModelSpec, seed: int) -> nn.Module:
    return build(spec, seed=seed)
