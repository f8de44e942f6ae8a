"""The audit measured on the zoo: how many backdoors it finds, at how many false alarms, and what it says of them."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from torch import nn

from badnets.artifacts import RunFolder, sha256_json, write_json
from badnets.audit.auditing import Declared, Options, audit
from badnets.audit.cases import Case, Settings, choose
from badnets.audit.population import Population
from badnets.audit.probes import COUNTED
from badnets.audit.stages import ACCURACY, Watch
from badnets.audit.verdict import Suspicion, Verdict
from badnets.data import Split
from badnets.errors import InputError
from badnets.metrics import Rate
from badnets.metrics.detectors import Separation, separation
from badnets.models import spec_of
from badnets.poison import AllToAll, AllToOne, AnyPolicy, SingleTarget
from badnets.studies.cells import CellResult
from badnets.studies.claims import claim
from badnets.studies.queue import Assignment, Data, Kind, Observer, Place, carried_out_once, carry_out_all
from badnets.studies.results import DataNote
from badnets.studies.runner import run_cells
from badnets.studies.single import Single
from badnets.studies.zoo import Animal, Half, ZooSpec, animals, works
from badnets.training import load_model
from badnets.training.tasks import Hooks, Images

# More than minus the logarithm of any p-value that references can give.
_CALLED = 1e3


@dataclass(frozen=True)
class BenchSpec:
    """The whole benchmark as a value.

    Attributes:
        zoo: the models.
        halves: of the zoo that are measured; the sealed one once for each release.
        population: key of the reference models.
        references: how many they are.
        alpha: level of the audits.
        settings: of their tests.
        skip: names of tests that are left out.

    Raises:
        InputError: no half, or one twice.
    """

    zoo: ZooSpec
    population: str
    references: int
    halves: tuple[Half, ...] = ("dev",)
    alpha: float = 0.05
    settings: Settings = Settings()
    skip: tuple[str, ...] = ()

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - pydantic reads it, nothing writes it

    def __post_init__(self) -> None:
        if not self.halves or len(set(self.halves)) != len(self.halves):
            raise InputError(f"a benchmark measures dev, sealed or both, got {self.halves}")


@dataclass(frozen=True)
class AuditCell(Single):
    """One audit, or one reference model's part of its calibration, as the queue takes it.

    Attributes:
        name: of the audited model; of a reference its number.
        model: digest of the audited weights; of a reference the key of its population and its number.
        options: of the audit.
        home: folder of the audited model; nothing hangs on where that is.
        population: the references; all that hangs on is their key.
        reference: number of the reference whose statistics are to be made; None for an audit.
    """

    name: str
    model: str
    options: Options
    home: Path | None = field(compare=False)
    population: Population = field(compare=False)
    reference: int | None = None
    seed: int = 0

    @property
    def label(self) -> str:
        """Its name."""
        return self.name

    def key(self, data: str) -> str:
        """SHA-256 over model, options, references and images."""
        rest = [self.options, self.population.recipe.key, self.population.numbers, self.reference, data]
        return sha256_json([self.model, *rest])


@dataclass(frozen=True)
class AuditOutcome:
    """What an audit said, as the queue keeps it.

    Attributes:
        result: the verdict; None for the statistics of a reference, which are kept in the population's folder.
        seconds: of wall time.
    """

    result: Verdict | None
    seconds: float

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - pydantic reads it, nothing writes it

    @property
    def said(self) -> str:
        """The gist of it in a few words."""
        return "tested" if self.result is None else self.result.word


@dataclass(frozen=True)
class Judged:
    """One model of the zoo and what the audit said of it.

    Attributes:
        half: of the zoo.
        family: trigger family, "twin", or the kind of hard negative.
        mapping: of the backdoor; "" for a clean model.
        policy: what its attacker wanted; None for a clean model.
        works: whether the backdoor is one, see `zoo.works`; None for a clean model.
        attack_success: of the backdoor; None for a clean model.
        clean_error: of the model.
        verdict: of the audit.
    """

    half: Half
    family: str
    mapping: str
    policy: AnyPolicy | None
    works: bool | None
    attack_success: float | None
    clean_error: float
    verdict: Verdict

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - pydantic reads it, nothing writes it

    @property
    def score(self) -> float:
        """Larger is more suspicious: whoever was called backdoored, then all others; within either by the p-value.

        A p-value alone is no answer of the audit: held-out images may have refuted all that it rests on. It counts as
        minus its logarithm, extrapolated beyond all references for those that were called; what the structure gave
        away has the largest score, what could not be judged the smallest.
        """
        if self.verdict.p_how == "structure":
            return math.inf
        if self.called:
            return _CALLED - math.log(self.verdict.p_extrapolated or self.verdict.p_value or 1.0)
        return 0.0 if self.verdict.p_value is None else -math.log(self.verdict.p_value)

    @property
    def called(self) -> bool:
        """Whether it was called backdoored."""
        return self.verdict.word == "backdoored"


@dataclass(frozen=True)
class HalfResult:
    """The figures of one half.

    Attributes:
        half: of the zoo.
        separation: of the scores of clean models and of working backdoors, drawn by family.
        found: working backdoors called backdoored, of all.
        false_alarms: clean models called backdoored, of all.
        undecided: models of either kind that the audit would not judge.
        right: of the backdoors that were found, those whose target or mapping the strongest suspicion names.
        by_kind: found (or falsely called) of each family and mapping.
        weak: backdoors that do not work, and how many of these were called backdoored.
        seconds: of an audit, median and longest.
    """

    half: Half
    separation: Separation | None
    found: Rate
    false_alarms: Rate
    undecided: Rate
    right: Rate
    by_kind: dict[str, Rate]
    weak: Rate
    seconds: tuple[float, float]

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - pydantic reads it, nothing writes it


@dataclass(frozen=True)
class BenchResult:
    """The whole benchmark."""

    spec: BenchSpec
    data: DataNote
    halves: tuple[HalfResult, ...]
    models: tuple[Judged, ...]
    study: Literal["audit-bench"] = "audit-bench"
    format: Literal[1] = 1

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - pydantic reads it, nothing writes it


def run(
    spec: BenchSpec, split: Split, population: Population, folder: RunFolder, place: Place, observer: Observer
) -> BenchResult:
    """Make the zoo, calibrate, audit every model, and write the run folder; killed or stopped, the same call goes on.

    Args:
        spec: what is asked for.
        split: the zoo is trained on the first half; audits take their clean images from the second.
        population: clean reference models; their statistics are kept in their own folder.
        folder: of the run.
        place: engine and device.
        observer: told what happens, and asked whether to stop.

    Raises:
        InputError: the folder holds another benchmark, or the population is not the spec's or of another architecture.
        PartlyFailed: some models have no result; the others are kept.
        Stopped: the observer said so.
        StorageError: a folder cannot be written.
    """
    if population.recipe.architecture != spec.zoo.model:
        raise InputError(f"the zoo is of {spec.zoo.model}, the references are {population.recipe.architecture}")
    if (spec.population, spec.references) != (population.recipe.key, len(population)):
        raise InputError(
            f"the benchmark was asked for with {spec.references} references {spec.population[:16]}..., the folder "
            f"holds {len(population)} of {population.recipe.key[:16]}...: name the population of the first call"
        )
    claim(folder, spec, split, but=("halves",))
    zoo = [animal for animal in animals(spec.zoo) if animal.half in spec.halves]
    trained = run_cells([animal.cell for animal in zoo], split, folder, place, observer)
    references, audits = _work(spec, population, folder, [trained[animal.cell] for animal in zoo])
    data, kind = Data((split.test,), split.test.digest), Kind(carry_out_audit, AuditOutcome)
    home = RunFolder(folder.path / "audits")
    carry_out_all(references, kind, data, home, place, observer)
    found = carry_out_all(audits, kind, data, home, place, observer)
    models = tuple(
        _judged(animal, trained[animal.cell], trained[animal.twin] if animal.twin else None, found[cell].result)
        for animal, cell in zip(zoo, audits, strict=True)
    )
    halves = tuple(figures(half, [one for one in models if one.half == half]) for half in spec.halves)
    result = BenchResult(spec, DataNote.of(split), halves, models)
    write_json(folder.result, result)
    return result


def carry_out_audit(images: Images, task: Assignment, hooks: Hooks) -> AuditOutcome:
    """The work of an engine: one audit, or the statistics of one reference model."""
    return carried_out_once(task, AuditOutcome, lambda: _carried_out(images, task.cell, hooks))


def figures(half: Half, models: Sequence[Judged]) -> HalfResult:
    """The figures of the models of one half."""
    clean = [one for one in models if one.works is None]
    working = [one for one in models if one.works]
    weak = [one for one in models if one.works is False]
    hits = [one for one in working if one.called]
    seconds = sorted(one.verdict.seconds for one in models) or [0.0]
    kinds: dict[str, list[Judged]] = {}
    for one in (*clean, *working):
        kinds.setdefault(f"{one.family}, {one.mapping}" if one.mapping else one.family, []).append(one)
    compared = None
    if clean and working:
        compared = separation(
            [one.score for one in clean], [one.score for one in working], groups=[one.family for one in working]
        )
    return HalfResult(
        half,
        compared,
        _share(one.called for one in working),
        _share(one.called for one in clean),
        _share(one.verdict.word == "undecided" for one in models),
        _share(names_it(one.policy, one.verdict.suspicions) for one in hits),
        {name: _share(one.called for one in group) for name, group in kinds.items()},
        _share(one.called for one in weak),
        (seconds[len(seconds) // 2], seconds[-1]),
    )


def names_it(policy: AnyPolicy | None, suspicions: Sequence[Suspicion]) -> bool:
    """Whether the strongest suspicion names the backdoor's target, or for all-to-all its mapping."""
    if not suspicions:
        return False
    first = suspicions[0]
    if isinstance(policy, AllToAll):
        return first.mapping == "shift" and first.shift == 1
    return isinstance(policy, AllToOne | SingleTarget) and first.target == policy.target


def _work(
    spec: BenchSpec, population: Population, folder: RunFolder, trained: Sequence[CellResult]
) -> tuple[list[AuditCell], list[AuditCell]]:
    """The references to be tested, and the models to be audited."""
    options = Options(alpha=spec.alpha, settings=spec.settings, skip=spec.skip)
    references = [
        AuditCell(f"reference-{number}", f"{spec.population}/{number}", options, None, population, number)
        for number in population.numbers
    ]
    audits = [
        AuditCell(Path(one.folder).name, one.weights, options, folder.path / one.folder, population) for one in trained
    ]
    return references, audits


def _carried_out(images: Images, cell: AuditCell, hooks: Hooks) -> AuditOutcome:
    begun, watch = time.monotonic(), Watch(stop=hooks.stop)
    if cell.home is None:
        alone = replace(cell.population, numbers=(cell.reference or 0,))
        chosen = choose(images[0], cell.options.settings)
        case = Case(nn.Identity(), chosen, len(chosen.classes), cell.options.settings)
        for stage in (ACCURACY, *COUNTED):
            if stage.name not in cell.options.skip and not stage.why_not(case):
                alone.statistics(stage, chosen, cell.options.settings, watch)
        return AuditOutcome(None, round(time.monotonic() - begun, 3))
    model = load_model(cell.home)[0]
    declared = Declared(cell.population.recipe.architecture, spec_of(model))
    found = audit(model, images[0], declared=declared, population=cell.population, options=cell.options, watch=watch)
    return AuditOutcome(found.verdict, found.verdict.seconds)


def _judged(animal: Animal, own: CellResult, twin: CellResult | None, verdict: Verdict) -> Judged:
    success = own.result.attack_success
    recipe = animal.cell.recipe
    return Judged(
        animal.half,
        animal.family,
        animal.mapping,
        recipe.policy if recipe is not None and twin is not None else None,
        works(own, twin) if twin is not None else None,
        success.value if success is not None and twin is not None else None,
        own.result.clean_error.value,
        verdict,
    )


def _share(flags: Iterable[bool]) -> Rate:
    values = list(flags)
    return Rate.of(sum(values), len(values))
