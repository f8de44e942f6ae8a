"""What stands out, in the words of an attack, and whether held-out images confirm it."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import nn

from badnets.audit.cases import Case, Images
from badnets.audit.judging import FEATURES, Evidence
from badnets.audit.objectives import Objective
from badnets.audit.population import Population
from badnets.audit.stages import Lead, Run
from badnets.audit.verdict import Mapping, Reach, Suspicion
from badnets.metrics import Rate
from badnets.models import evaluating
from badnets.triggers import Trigger

_MOST = 5
# What explains more images is named first, where two families both lie beyond all reference models.
_GENERAL = ("shifts", "targets", "margins", "pairs", "untargeted")
# The classical threshold of outlier tests within one model.
_NOTABLE = 2.0
_ENOUGH = 500
_WAYS: dict[str, Mapping] = {"target": "all-to-one", "shift": "shift", "pair": "pairs", "untargeted": "untargeted"}


@dataclass(frozen=True, eq=False)
class Confirmed:
    """Suspicions, the strongest first, and their triggers by the names of their files."""

    suspicions: tuple[Suspicion, ...] = ()
    triggers: dict[str, Trigger] = field(default_factory=dict)


def confirmed(run: Run, evidence: Evidence, population: Population | None, alpha: float) -> Confirmed:
    """The leads that stand out, each tried on images that took no part in the search.

    A trigger that fools clean reference models as well is natural: a picture of the class, no secret of this model.

    Raises:
        Stopped: the user asked for it.
    """
    found: list[Suspicion] = []
    triggers: dict[str, Trigger] = {}
    references = [population.model(number) for number in population.numbers] if population is not None else []
    for family, name, lead in _leads(run, evidence, alpha):
        file = None
        reach = None
        if lead.trigger is not None:
            run.watch.check()
            reach = _reach(run.case, lead.objective, lead.trigger, references)
            file = f"trigger-{len(triggers) + 1}.json"
            triggers[file] = lead.trigger
        found.append(_suspicion(run, family, lead, evidence.deviations[family][name], reach, file))
    return Confirmed(tuple(found), triggers)


def _leads(run: Run, evidence: Evidence, alpha: float) -> list[tuple[str, str, Lead]]:
    if evidence.p is None or evidence.p > alpha:
        return []
    known = [
        (family, name, lead)
        for (family, name), lead in run.leads.items()
        if evidence.deviations.get(family, {}).get(name, 0.0) >= _NOTABLE
    ]

    def order(one: tuple[str, str, Lead]) -> tuple[bool, int, float]:
        family, name, _ = one
        general = _GENERAL.index(family) if family in _GENERAL else len(_GENERAL)
        # Shifts and targets explain as much as each other: the one that stands out more is first.
        rank = 0 if family in ("shifts", "targets") else general
        return family not in evidence.beyond, rank, -evidence.deviations[family][name]

    ordered = sorted(known, key=order)
    # The family that decides the p-value is never missing.
    top = [one for one in ordered if one[0] == evidence.family][:1] if evidence.family not in FEATURES else []
    picked = ordered[:_MOST]
    return picked if not top or top[0] in picked else [*picked[:-1], top[0]]


def _suspicion(run: Run, family: str, lead: Lead, z: float, reach: Reach | None, file: str | None) -> Suspicion:
    one = lead.objective
    works = "" if reach is None else f"; with it on, {Rate.of(reach.count, reach.total)} of held-out images follow"
    return Suspicion(
        stage=run.stage_of(family),
        mapping=_WAYS[one.kind],
        detail=f"{lead.detail}{works}",
        z=round(z, 3),
        target=one.target,
        sources=() if one.source is None else (one.source,),
        shift=one.shift,
        size=lead.size,
        reach=reach,
        trigger=file,
    )


def _reach(case: Case, objective: Objective, trigger: Trigger, references: list[nn.Module]) -> Reach | None:
    images = case.clean.held_out
    picked = objective.attacked(images.labels).nonzero()[:, 0][:_ENOUGH]
    if not len(picked):
        return None
    some = Images(images.pixels[picked], images.labels[picked])
    count = _count(case.model, some, objective, trigger, case.classes)
    rate = Rate.of(count, len(picked))
    theirs = [_count(model, some, objective, trigger, case.classes) / len(picked) for model in references]
    return Reach(count, len(picked), rate.low, rate.high, max(theirs, default=None))


@torch.no_grad()
def _count(model: nn.Module, images: Images, objective: Objective, trigger: Trigger, classes: int) -> int:
    with evaluating(model) as device:
        said = [model(trigger(part).to(device)).argmax(1).cpu() for part in images.pixels.split(256)]
    return int(objective.reached(torch.cat(said), images.labels, classes).sum())
