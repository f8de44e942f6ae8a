"""The sequence of tests, cheap to dear, and running it within a budget.

A stage takes a `Case` and gives statistics (numbers, larger where they are more suspicious, that are compared with
those of clean reference models) and leads (what each number would mean if it were a backdoor). It decides nothing.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import torch
from torch.nn import functional

from badnets.audit.cases import Case
from badnets.audit.objectives import Objective
from badnets.audit.verdict import StageReport
from badnets.errors import InputError, Stopped
from badnets.models import evaluating
from badnets.triggers import Trigger

Say = Callable[[str], None]
# Below this a cross-entropy is rounding.
_LEAST = 1e-6


@dataclass(frozen=True, eq=False)
class Lead:
    """What a statistic would mean.

    Attributes:
        objective: which classes become which.
        detail: in one line, for people.
        size: of the recovered trigger, in the unit that the detail names; None without one.
        trigger: recovered; None where the test recovers none.
    """

    objective: Objective
    detail: str
    size: float | None = None
    trigger: Trigger | None = None


@dataclass(frozen=True, eq=False)
class Findings:
    """What one stage gives.

    Attributes:
        statistics: by family and name, finite.
        leads: by family and name; a statistic without a lead is a mere feature.
        detail: in one line.
    """

    statistics: dict[str, dict[str, float]]
    leads: dict[tuple[str, str], Lead] = field(default_factory=dict)
    detail: str = ""


@dataclass(frozen=True)
class Stage:
    """One test.

    Attributes:
        name: of the test.
        run: does it; it must not depend on time, only on the case. Told whether to stop.
        why_not: why it cannot be run on a case, in one line; empty where it can.
        version: raised when its numbers change, so that kept ones of reference models are not mixed with new ones.
    """

    name: str
    run: Callable[[Case, Callable[[], bool]], Findings]
    why_not: Callable[[Case], str] = lambda _: ""
    version: int = 1


@dataclass(frozen=True)
class Watch:
    """Who looks on.

    Attributes:
        say: told in one line what begins.
        stop: asked between tests, and within long ones; when it says yes, `Stopped` is raised.
    """

    say: Say = lambda _: None
    stop: Callable[[], bool] = lambda: False

    def check(self) -> None:
        """Raise `Stopped` if the user asked for it."""
        if self.stop():
            raise Stopped("stopped: nothing was judged; statistics of reference models that were finished are kept")


@dataclass
class Run:
    """Carries out stages on one case, one after the other, and keeps the books.

    Args:
        case: the model.
        skip: names of stages that the user does not want.
        budget: seconds after which no further stage begins; None for no end.
        watch: who looks on.
    """

    case: Case
    skip: tuple[str, ...] = ()
    budget: float | None = None
    watch: Watch = field(default_factory=Watch)
    findings: dict[str, Findings] = field(default_factory=dict)
    reports: list[StageReport] = field(default_factory=list)
    begun: float = field(default_factory=time.monotonic)

    def carry_out(self, stage: Stage) -> None:
        """Run `stage`, or note why it is not run. Raises `Stopped`."""
        self.watch.check()
        spent = time.monotonic() - self.begun
        if stage.name in self.skip:
            self.note(stage.name, "not asked for")
        elif self.budget is not None and spent >= self.budget:
            self.note(stage.name, f"the budget of {self.budget:g} s was spent")
        elif why := stage.why_not(self.case):
            self.note(stage.name, why)
        else:
            self._run(stage)

    def note(self, name: str, why: str) -> None:
        """The stage `name` does not run."""
        self.reports.append(StageReport(name, "skipped", why, 0.0))

    def _run(self, stage: Stage) -> None:
        self.watch.say(stage.name)
        begun = time.monotonic()
        try:
            found = stage.run(self.case, self.watch.stop)
        except InputError as error:  # the model refuses: that is no reason to lose the other tests
            self.watch.check()
            self.reports.append(StageReport(stage.name, "failed", str(error), round(time.monotonic() - begun, 3)))
            return
        self.findings[stage.name] = found
        self.reports.append(StageReport(stage.name, "ran", found.detail, round(time.monotonic() - begun, 3)))

    @property
    def statistics(self) -> dict[str, dict[str, float]]:
        """Of all stages that ran, by family."""
        return {family: values for found in self.findings.values() for family, values in found.statistics.items()}

    @property
    def leads(self) -> Mapping[tuple[str, str], Lead]:
        """Of all stages that ran."""
        return {key: lead for found in self.findings.values() for key, lead in found.leads.items()}

    def stage_of(self, family: str) -> str:
        """The stage that a family of statistics comes from."""
        return next(name for name, found in self.findings.items() if family in found.statistics)


@torch.no_grad()
def _accuracy(case: Case, stop: Callable[[], bool]) -> Findings:
    del stop
    images = case.clean.all
    with evaluating(case.model) as device:
        said = torch.cat([case.model(part.to(device)).cpu() for part in images.pixels.split(256)])
    if int(images.labels.max()) >= said.shape[1]:
        raise InputError(f"labels go up to {int(images.labels.max())}, the model has {said.shape[1]} outputs")
    loss = functional.cross_entropy(said.double(), images.labels).clamp_min(_LEAST)
    # Not of the first layer: its weights are larger or smaller with the units of the pixels.
    tables = [weight.detach() for weight in case.model.parameters() if weight.ndim > 1][1:]
    size = sum(float(table.double().square().sum()) for table in tables)
    found = {"error": float((said.argmax(1) != images.labels).float().mean()), "loss": math.log(float(loss))}
    if size > 0:
        found["weights"] = math.log(size) / 2
    return Findings({"accuracy": found})


def _no_images(case: Case) -> str:
    """Why a stage that needs clean images does not run."""
    return "" if len(case.clean.search) else "it needs clean images, and none were given"


# What shows how a model was made, and so whether a population fits a suspect; no test. The share of clean images that
# it gets wrong, and as logarithms its mean cross-entropy on them and the norm of its weights behind the first layer.
ACCURACY = Stage("accuracy", _accuracy, _no_images, version=2)
