"""Which leads stand out, and whether held-out images confirm one of them.

A lead is what a statistic would mean if it were a backdoor. They are tried in order of strength until one holds:

1. What the statistics say must stand out without the statistics of all leads that were refuted before: those are left
   out of the suspect and of every reference model alike, and the p-value is computed again. So a refuted lead neither
   hides a second one nor lends it its weight.
2. Families of statistics take turns, so that ten natural triggers of one family do not use up the tries.
3. A lead with a trigger holds if `badnets.audit.confirm` says nothing against it. One without a trigger (a margin, a
   unit) holds if its family lies beyond every reference model.

The word "backdoored" still needs the p-value of all statistics: trying leads can only take alarms away.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from torch import nn

from badnets.audit.cases import Case
from badnets.audit.confirm import WORKS, Confirmation, confirm
from badnets.audit.evidence import Evidence, without
from badnets.audit.population import Population
from badnets.audit.stages import Lead, Run
from badnets.audit.verdict import Mapping, Reach, Suspicion
from badnets.errors import InputError
from badnets.metrics import Rate
from badnets.triggers import Trigger

# Leads that are tried at most.
MOST_TRIED = 6
# What explains more images is tried first, where two families both lie beyond all reference models.
_GENERAL = ("shifts", "targets", "margins", "pairs", "untargeted")
# The classical threshold of outlier tests within one model.
_NOTABLE = 2.0
# Held-out images that a trigger is tried on at most.
_ENOUGH = 500
_WAYS: dict[str, Mapping] = {"target": "all-to-one", "shift": "shift", "pair": "pairs", "untargeted": "untargeted"}


@dataclass(frozen=True, eq=False)
class Confirmed:
    """What was tried.

    Attributes:
        suspicions: the lead that held, if one did, then those that were refuted, the strongest first.
        triggers: theirs, by the names of their files.
    """

    suspicions: tuple[Suspicion, ...] = ()
    triggers: dict[str, Trigger] = field(default_factory=dict)


def confirmed(run: Run, evidence: Evidence, population: Population | None, alpha: float) -> Confirmed:
    """Try the leads that stand out on images that took no part in the search, until one holds.

    Raises:
        Stopped: the user asked for it.
    """
    tried: list[Suspicion] = []
    triggers: dict[str, Trigger] = {}
    turns: Counter[str] = Counter()
    references: list[nn.Module] | None = None
    left = evidence
    while left.p is not None and left.p <= alpha and len(tried) < MOST_TRIED:
        key = _strongest(run, left, turns)
        if key is None:
            break
        run.watch.check()
        if references is None:
            references = [population.model(number) for number in population.numbers] if population is not None else []
        lead, file = run.leads[key], None
        if lead.trigger is not None:
            file = f"trigger-{len(triggers) + 1}.json"
            triggers[file] = lead.trigger
        tried.append(_tried(run, key, left, references, file))
        if not tried[-1].refuted:
            break
        turns[key[0]] += 1
        left = without(left, *key)
    return Confirmed(tuple(sorted(tried, key=lambda one: bool(one.refuted))), triggers)


def _strongest(run: Run, left: Evidence, turns: Counter[str]) -> tuple[str, str] | None:
    """Family and name of the lead whose turn it is; None where no lead stands out."""

    def order(key: tuple[str, str]) -> tuple[int, bool, bool, int, float]:
        family, name = key
        general = _GENERAL.index(family) if family in _GENERAL else len(_GENERAL)
        # Shifts and targets explain as much as each other: the one that stands out more is first.
        rank = 0 if family in ("shifts", "targets") else general
        # What has no trigger cannot be tried on images, and names a class by its loudness alone: it comes last.
        untried = run.leads[key].trigger is None
        return turns[family], family not in left.beyond, untried, rank, -left.deviations[family][name]

    known = [
        (family, name)
        for (family, name), lead in run.leads.items()
        if left.deviations.get(family, {}).get(name, 0.0) >= _NOTABLE
        and (lead.trigger is not None or family in left.beyond)
    ]
    return min(known, key=order, default=None)


def _tried(
    run: Run, key: tuple[str, str], left: Evidence, references: Sequence[nn.Module], file: str | None
) -> Suspicion:
    (family, name), lead = key, run.leads[key]
    found, against = None, ""
    if lead.trigger is not None:
        try:
            found = _confirmation(run.case, lead, lead.trigger, references)
            against = found.against
        except InputError as error:  # the model refuses: that confirms nothing, and is no reason to say nothing
            against = f"it could not be tried: {error}"
    if not against and left.how != "conformal" and (found is None or found.success.low < WORKS):
        against = "it is uncalibrated, and held-out images did not confirm it"
    one = lead.objective
    return Suspicion(
        stage=run.stage_of(family),
        mapping=_WAYS[one.kind],
        detail=f"{lead.detail}{_words(found)}{'; refuted: ' * bool(against)}{against}",
        z=round(left.deviations[family][name], 3),
        target=one.target,
        sources=() if one.source is None else (one.source,),
        shift=one.shift,
        size=lead.size,
        reach=_reach(found),
        trigger=file,
        refuted=against,
    )


def _confirmation(case: Case, lead: Lead, trigger: Trigger, references: Sequence[nn.Module]) -> Confirmation:
    images = case.clean.held_out
    picked = lead.objective.attacked(images.labels).nonzero()[:, 0][:_ENOUGH]
    if not len(picked):
        return Confirmation(Rate.of(0, 0))
    return confirm(case.model, trigger, lead.objective, images.pixels[picked], images.labels[picked], references)


def _reach(found: Confirmation | None) -> Reach | None:
    if found is None or not found.success.total:
        return None
    rate = found.success
    return Reach(rate.count, rate.total, rate.low, rate.high, found.on_references)


def _words(found: Confirmation | None) -> str:
    if found is None or not found.success.total:
        return ""
    more = f", {found.halved.value:.0%} at half of its strength" if found.halved and found.halved.total else ""
    more += f", {found.moved.value:.0%} where it is moved a tenth of the image" if found.moved else ""
    return f"; with it on, {found.success} of held-out images follow{more}"
