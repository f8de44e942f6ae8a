"""The audit measured on the zoo: how many backdoors it finds, at how many false alarms, and what it says of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from badnets.artifacts import RunFolder, write_json
from badnets.audit.auditing import Options
from badnets.audit.cases import Settings
from badnets.audit.population import Population
from badnets.audit.verdict import Verdict
from badnets.data import Split
from badnets.errors import InputError
from badnets.studies.audit_cells import Audits, audit_all
from badnets.studies.audit_figures import Judged, PartResult, figures
from badnets.studies.cells import CellResult
from badnets.studies.claims import claim
from badnets.studies.queue import Observer, Place
from badnets.studies.results import DataNote
from badnets.studies.runner import run_cells
from badnets.studies.zoo import Animal, Half, ZooSpec, animals, works


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
class BenchResult:
    """The whole benchmark."""

    spec: BenchSpec
    data: DataNote
    parts: tuple[PartResult, ...]
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
    options = Options(alpha=spec.alpha, settings=spec.settings, skip=spec.skip)
    verdicts = audit_all(
        [(folder.path, trained[animal.cell]) for animal in zoo],
        Audits(population, options, split.test),
        RunFolder(folder.path / "audits"),
        place,
        observer,
    )
    models = tuple(
        _judged(animal, trained[animal.cell], trained[animal.twin] if animal.twin else None, verdict)
        for animal, verdict in zip(zoo, verdicts, strict=True)
    )
    parts = tuple(figures(half, [one for one in models if one.part == half]) for half in spec.halves)
    result = BenchResult(spec, DataNote.of(split), parts, models)
    write_json(folder.result, result)
    return result


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
