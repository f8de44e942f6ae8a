"""Many audits as a queue takes them: the references tested first, each once, then every model."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from torch import nn

from badnets.artifacts import RunFolder, sha256_json
from badnets.audit.auditing import Declared, Options, audit
from badnets.audit.cases import Case, choose
from badnets.audit.population import Population
from badnets.audit.probes import COUNTED
from badnets.audit.stages import ACCURACY, Watch
from badnets.audit.verdict import Verdict
from badnets.data import ImageSource
from badnets.models import spec_of
from badnets.studies.cells import CellResult
from badnets.studies.queue import Assignment, Data, Kind, Observer, Place, carried_out_once, carry_out_all
from badnets.studies.single import Single
from badnets.training import load_model
from badnets.training.tasks import Hooks, Images


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
class Audits:
    """What all audits of a study have in common.

    Attributes:
        population: the references; their statistics are kept in its folder.
        options: level, tests and what they are asked for.
        images: clean ones, of which each audit takes some.
    """

    population: Population
    options: Options
    images: ImageSource

    @property
    def data(self) -> Data:
        """The images as the queue takes them."""
        return Data((self.images,), self.images.digest)


def calibrate(audits: Audits, home: RunFolder, place: Place, observer: Observer) -> None:
    """Run the tests on every reference model, side by side.

    Args:
        audits: the references, and what they are tested for.
        home: where the queue keeps its notes.
        place: engine and device.
        observer: told what happens, and asked whether to stop.

    Raises:
        PartlyFailed, Stopped, StorageError: as `carry_out_all`.
    """
    key = audits.population.recipe.key
    cells = [
        AuditCell(f"reference-{number}", f"{key}/{number}", audits.options, None, audits.population, number)
        for number in audits.population.numbers
    ]
    carry_out_all(cells, _KIND, audits.data, home, place, observer)


def audit_all(
    models: Sequence[tuple[Path, CellResult]], audits: Audits, home: RunFolder, place: Place, observer: Observer
) -> list[Verdict]:
    """Calibrate, and audit every model; what is finished in `home` is not done again.

    Args:
        models: each with the run folder that it lies in.
        audits: how.
        home: where verdicts are kept.
        place: engine and device.
        observer: told what happens, and asked whether to stop.

    Raises:
        PartlyFailed, Stopped, StorageError: as `carry_out_all`.
    """
    calibrate(audits, home, place, observer)
    cells = [
        AuditCell(Path(one.folder).name, one.weights, audits.options, run / one.folder, audits.population)
        for run, one in models
    ]
    found = carry_out_all(cells, _KIND, audits.data, home, place, observer)
    return [found[cell].result for cell in cells]


def carry_out_audit(images: Images, task: Assignment, hooks: Hooks) -> AuditOutcome:
    """The work of an engine: one audit, or the statistics of one reference model."""
    return carried_out_once(task, AuditOutcome, lambda: _carried_out(images, task.cell, hooks))


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


_KIND = Kind(carry_out_audit, AuditOutcome)
