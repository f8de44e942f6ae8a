"""The audit on the models of a run folder: would it have caught the BadNets of that study, at how many false alarms?

What a model bears is read from its poison plan. One without a plan is clean, unless it went on from one that has a
plan: whether a backdoor outlived that, nobody wrote down, so it is left out.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from badnets.artifacts import RunFolder, read_json, write_json
from badnets.audit.auditing import Options
from badnets.audit.cases import Settings
from badnets.audit.population import Population
from badnets.audit.verdict import Verdict
from badnets.data import ImageSource, Split
from badnets.errors import InputError
from badnets.models import ModelSpec
from badnets.poison import Nobody, Recipe
from badnets.studies.audit_cells import Audits, audit_all
from badnets.studies.audit_figures import Judged, PartResult, figures
from badnets.studies.cells import CellResult
from badnets.studies.claims import claim
from badnets.studies.queue import RESULT, Observer, Place
from badnets.studies.results import DataNote
from badnets.studies.zoo import works
from badnets.training.checkpoint import Card, finished, load_plan

CLEAN, PART = "clean", "run"


@dataclass(frozen=True)
class RunAuditSpec:
    """Which audits.

    Attributes:
        run: folder of the models.
        population: key of the reference models.
        references: how many they are.
        alpha: level of the audits.
        settings: of their tests.
        skip: names of tests that are left out.
    """

    run: str
    population: str
    references: int
    alpha: float = 0.05
    settings: Settings = Settings()
    skip: tuple[str, ...] = ()

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - pydantic reads it, nothing writes it


@dataclass(frozen=True)
class Known:
    """A model of the run, and what is known of it.

    Attributes:
        cell: its figures, and where it lies.
        recipe: of its poison; None for a clean one, or for a watermark that means nothing.
    """

    cell: CellResult
    recipe: Recipe | None


@dataclass(frozen=True)
class RunAuditResult:
    """The whole study.

    Attributes:
        spec: what was asked for.
        data: what the models were trained on, and where the audits' clean images are from.
        left_out: models that are not audited, each as "name: reason".
        figures: of all models.
        models: each of them.
    """

    spec: RunAuditSpec
    data: DataNote
    left_out: tuple[str, ...]
    figures: PartResult
    models: tuple[Judged, ...]
    study: Literal["audit-run"] = "audit-run"
    format: Literal[1] = 1

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - pydantic reads it, nothing writes it


def known_models(run: Path, train: ImageSource, architecture: str) -> tuple[list[Known], list[str]]:
    """The finished models of a run folder that can be audited, by name, and those that are left out, with reasons.

    Args:
        run: its folder.
        train: the images that they are to be trained on.
        architecture: what they are to be, a key of `MODELS`.

    Raises:
        InputError: no finished model there, or none that fits.
        DataError: a file of the run is damaged, or of another kind of study.
    """
    found, left_out = [], []
    for home in sorted((run / "models").glob("*/")):
        if not (home / RESULT).exists():
            left_out.append(f"{home.name}: not finished")
            continue
        if reason := _unfit(finished(home)[1], train, architecture):
            left_out.append(f"{home.name}: {reason}")
            continue
        result = read_json(CellResult, home / RESULT)
        recipe = None if result.plan is None else load_plan(home).recipe
        found.append(Known(result, None if recipe and isinstance(recipe.policy, Nobody) else recipe))
    if not found:
        why = f": {left_out[0]}" if left_out else ""
        raise InputError(f"{run} holds no finished {architecture} of {train.name}{why}; name the folder of a run")
    return found, left_out


def run(
    spec: RunAuditSpec, split: Split, population: Population, folder: RunFolder, place: Place, observer: Observer
) -> RunAuditResult:
    """Calibrate, audit every model of a run, and write a folder; killed or stopped, the same call goes on.

    A backdoor works as in `zoo.works`: at the accuracy of the run's honest model of the same seed, else of its most
    accurate honest one.

    Args:
        spec: what is asked for.
        split: what the models were trained on; audits take their clean images from the second half.
        population: clean reference models; their statistics are kept in their own folder.
        folder: of the audits.
        place: engine and device.
        observer: told what happens, and asked whether to stop.

    Raises:
        InputError: the folder holds other audits, or the run has no model that fits, or no honest one.
        DataError: as `known_models`.
        PartlyFailed: some audits have no result; the others are kept.
        Stopped: the observer said so.
        StorageError: a folder cannot be written.
    """
    models, left_out = known_models(Path(spec.run), split.train, population.recipe.architecture)
    honest = sorted((one.cell for one in models if not one.cell.plan), key=lambda cell: cell.result.clean_error.value)
    if not honest:
        raise InputError(f"{spec.run} holds no honest model to compare others with: use a run with a baseline")
    claim(folder, spec, split)
    audits = Audits(population, Options(alpha=spec.alpha, settings=spec.settings, skip=spec.skip), split.test)
    home, wanted = RunFolder(folder.path / "audits"), [(Path(spec.run), one.cell) for one in models]
    verdicts = audit_all(wanted, audits, home, place, observer)
    judged = tuple(_judged(one, honest, verdict) for one, verdict in zip(models, verdicts, strict=True))
    result = RunAuditResult(spec, DataNote.of(split), tuple(left_out), figures(PART, judged), judged)
    write_json(folder.result, result)
    return result


def _unfit(card: Card, train: ImageSource, architecture: str) -> str:
    """Why a model is not audited; empty for one that is."""
    model = card.job.model
    if card.job.data != train.digest or card.classes != train.classes:
        return f"trained on {card.job.data_name}, the audit was asked for with {train.name}"
    if not isinstance(model, ModelSpec) or model.name != architecture:
        name = model.name if isinstance(model, ModelSpec) else "a network of its own"
        return f"{name}, the references are {architecture}"
    if card.job.plan is None and card.job.inherited:
        return "trained on clean data from a model with a plan: whether it has a backdoor is not known"
    return ""


def _judged(one: Known, honest: list[CellResult], verdict: Verdict) -> Judged:
    clean_error, success = one.cell.result.clean_error.value, one.cell.result.attack_success
    if one.recipe is None:
        return Judged(PART, CLEAN, "", None, None, None, clean_error, verdict)
    twin = next((other for other in honest if other.seed == one.cell.seed), honest[0])
    policy, family = one.recipe.policy, one.recipe.trigger.kind
    return Judged(
        PART,
        family,
        policy.kind,
        policy,
        works(one.cell, twin),
        success.value if success else None,
        clean_error,
        verdict,
    )
