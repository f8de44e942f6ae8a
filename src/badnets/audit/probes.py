"""The tests of the sequence, each as a `Stage`: what it measures, and what its numbers would mean."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from badnets.audit.cases import Case
from badnets.audit.inversion import Budget, Inverted, invert
from badnets.audit.inversion import Watch as Looking
from badnets.audit.inversion_search import Stage as Round
from badnets.audit.objectives import Objective, all_mappings, all_pairs
from badnets.audit.stages import Findings, Lead, Stage
from badnets.audit.weights import weight_features
from badnets.errors import InputError
from badnets.triggers import Trigger

Stop = Callable[[], bool]

# Trigger sizes below a twentieth of a pixel are as small as any.
_SMALLEST = 0.05
_FAMILIES = {"target": "targets", "shift": "shifts", "untargeted": "untargeted", "pair": "pairs"}
# Beyond so many classes a test would take hours: it is left out, and the verdict says so.
_MOST_MAPPINGS, _MOST_PAIRS = 50, 20


def _weights(case: Case, stop: Stop) -> Findings:
    del stop
    found = weight_features(case.model)
    return Findings({"weights": found} if found else {}, detail=f"{len(found)} features; they never alarm alone")


def _inversion(case: Case, stop: Stop) -> Findings:
    budget = Budget(stages=(Round(40, 8), Round(40, 20)), seed=case.settings.seed)
    return _inverted(case, all_mappings(case.classes), budget, stop)


def _pairs(case: Case, stop: Stop) -> Findings:
    budget = Budget(stages=(Round(40, 8),), seed=case.settings.seed)
    return _inverted(case, all_pairs(case.classes), budget, stop)


def _inverted(case: Case, objectives: Sequence[Objective], budget: Budget, stop: Stop) -> Findings:
    search = case.clean.search
    results = invert(case.model, search.pixels, search.labels, objectives, budget, Looking(stop=stop))
    statistics: dict[str, dict[str, float]] = {}
    leads = {}
    for one in results:
        family, name = _FAMILIES[one.objective.kind], str(one.objective)
        statistics.setdefault(family, {})[name] = -math.log(max(one.size, _SMALLEST))
        if one.found and one.tested:
            leads[family, name] = Lead(one.objective, _words(one), one.size, _trigger(one))
    found = [one for one in results if one.found]
    smallest = min(found, key=lambda one: one.size, default=None)
    least = "none found" if smallest is None else f"smallest {smallest.size:.1f} pixels, for {smallest.objective}"
    return Findings(statistics, leads, f"{len(results)} objectives, a trigger for {len(found)}; {least}")


def _words(one: Inverted) -> str:
    return f"{one.objective}: a trigger of {one.size:.1f} pixels moves {one.success:.0%} of the images it was made on"


def _trigger(one: Inverted) -> Trigger | None:
    try:
        return one.trigger
    except InputError:  # images that no picture can hold
        return None


def _no_images(case: Case) -> str:
    return "" if len(case.clean.search) else "it needs clean images, and none were given"


def _no_mappings(case: Case) -> str:
    if case.classes > _MOST_MAPPINGS:
        return f"{case.classes} classes are too many to look for every mapping: {_MOST_MAPPINGS} at most"
    return _no_images(case)


def _no_pairs(case: Case) -> str:
    if case.classes > _MOST_PAIRS:
        return f"{case.classes} classes are too many to look at every pair: {_MOST_PAIRS} at most"
    return _no_images(case)


# Cheap to dear; the names are those in a verdict.
STAGES: tuple[Stage, ...] = (
    Stage("weights", _weights),
    Stage("inversion", _inversion, _no_mappings),
    Stage("pairs", _pairs, _no_pairs),
)
