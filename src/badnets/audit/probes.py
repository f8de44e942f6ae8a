"""The tests of the sequence, each as a `Stage`: what it measures, and what its numbers would mean."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from statistics import median

from badnets.audit.cases import Case
from badnets.audit.dormant import DormantBudget, dormant
from badnets.audit.inversion import Inverted, invert
from badnets.audit.inversion_budget import Budget
from badnets.audit.inversion_budget import Stage as Round
from badnets.audit.inversion_budget import Watch as Looking
from badnets.audit.inversion_forms import FORMS
from badnets.audit.margin import MarginBudget, margins
from badnets.audit.objectives import Objective, all_mappings, all_pairs
from badnets.audit.stages import Findings, Lead, Stage
from badnets.audit.weights import weight_features
from badnets.errors import InputError
from badnets.triggers import Trigger

Stop = Callable[[], bool]

# Trigger sizes below a twentieth of a pixel are as small as any. Above a quarter of the largest possible one they are
# as large as any: whether a search finds a huge one or none at all is luck, and no evidence.
_SMALLEST, _LARGEST = 0.05, 0.25
_FAMILIES = {"target": "targets", "shift": "shifts", "untargeted": "untargeted", "pair": "pairs"}
# Beyond so many classes a test would take hours: it is left out, and the verdict says so.
_MOST_MARGINS, _MOST_MAPPINGS, _MOST_PAIRS = 200, 50, 50
# A trigger of every pair is kept while the search runs: so many pixel values of all together are half a gigabyte.
_MOST_VALUES = 1 << 27
# How hard is looked for every pair, by patches and by additive triggers. Up to so many classes each gets the same.
_MOST_EQUAL = 20
_EQUAL = (Round(45, 10),), (Round(30, 10),)
# Beyond, by successive halving, as in K-Arm (Shen et al., ICML 2021): all get a few steps, and more effort goes to
# those that came out smallest. Only the model's own sizes decide which, so suspect and references are treated alike.
_HALVED = (Round(25, 6), Round(20, 10, keep=0.3), Round(30, 20, keep=0.1)), (Round(20, 6), Round(20, 10, keep=0.2))


def _weights(case: Case, stop: Stop) -> Findings:
    del stop
    found = weight_features(case.model)
    if not found:
        return Findings({}, detail="no layer to look at")
    first = max(found, key=lambda name: found[name])
    words = f"{first} stands out most of {len(found)}, by {math.exp(found[first]):.1f} deviations"
    return Findings({}, detail=f"{words}; it counts for nothing")


def _margins(case: Case, stop: Stop) -> Findings:
    starts = 8 if case.classes <= 20 else 2
    budget = MarginBudget(starts=starts, seed=case.settings.seed)
    found = margins(case.model, case.clean.shape, budget, Looking(stop=stop))
    logs = [math.log(max(value, _SMALLEST)) for value in found.values]
    # How loud a network is says how it was trained: what counts is by how much one class is louder than the others.
    usual = median(logs)
    statistics: dict[str, float] = {}
    leads: dict[tuple[str, str], Lead] = {}
    for label, value in enumerate(found.values):
        objective = Objective("target", target=label)
        statistics[str(objective)] = logs[label] - usual
        words = f"{objective}: some image gives its logit a margin of {value:.1f} above all others, {found.ratio:.1f} "
        leads["margins", str(objective)] = Lead(objective, f"{words}times that of the next class")
    return Findings({"margins": statistics}, leads, f"largest for class {found.target}, ratio {found.ratio:.2f}")


def _dormant(case: Case, stop: Stop) -> Findings:
    clean, budget = case.clean.all, DormantBudget()
    found = dormant(case.model, clean.pixels, clean.labels, budget, Looking(stop=stop))
    asleep = sum(len(layer.asleep) for layer in found.layers)
    gains = [gain for layer in found.layers if (gain := found.gain(layer.name, budget.broken)) is not None]
    broken = f"made {min(gains):.1f} times as strong they break it" if gains else "no gain on them breaks it"
    lift = max((found.lift(layer.name) for layer in found.layers), default=0.0)
    words = f"{asleep} sleeping channels, {broken}; one channel lifts a class by up to {lift:.1f} clean margins"
    return Findings({}, detail=f"{words}; they count for nothing")


def _inversion(case: Case, stop: Stop) -> Findings:
    """Patches with more effort, since they are what is mostly planted; then the two forms that cover the image."""
    objectives, seed = all_mappings(case.classes), case.settings.seed
    patch = Budget(stages=(Round(40, 8), Round(40, 20)), seed=seed)
    # On few images of all classes some change without a meaning suits them all, in one network and not in the next.
    others = [Budget(stages=(Round(40, 20),), form=form, seed=seed) for form in ("additive", "blend")]
    return _joined([_inverted(case, objectives, budget, stop) for budget in (patch, *others)])


def _pairs(case: Case, stop: Stop) -> Findings:
    """What finds a backdoor that only one source class bears.

    Each pair is calibrated with itself, since some are close by nature: a 1 becomes a 4 by a few strokes.
    """
    objectives, seed = all_pairs(case.classes), case.settings.seed
    patch, additive = _EQUAL if case.classes <= _MOST_EQUAL else _HALVED
    budgets = Budget(stages=patch, seed=seed), Budget(stages=additive, form="additive", seed=seed)
    return _joined([_inverted(case, objectives, budget, stop) for budget in budgets])


def _joined(found: Sequence[Findings]) -> Findings:
    return Findings(
        {family: values for one in found for family, values in one.statistics.items()},
        {key: lead for one in found for key, lead in one.leads.items()},
        "; ".join(one.detail for one in found),
    )


def _inverted(case: Case, objectives: Sequence[Objective], budget: Budget, stop: Stop) -> Findings:
    search = case.clean.search
    results = invert(case.model, search.pixels, search.labels, objectives, budget, Looking(stop=stop))
    largest = _LARGEST * FORMS[budget.form].largest(case.clean.shape)
    statistics: dict[str, dict[str, float]] = {}
    leads = {}
    for one in results:
        family, name = _FAMILIES[one.objective.kind], str(one.objective)
        family += "" if budget.form == "patch" else f" ({budget.form})"
        statistics.setdefault(family, {})[name] = -math.log(min(max(one.size, _SMALLEST), largest))
        if one.found and one.tested:
            leads[family, name] = Lead(one.objective, _words(one), one.size, _trigger(one))
    found = [one for one in results if one.found]
    smallest = min(found, key=lambda one: one.size, default=None)
    least = "" if smallest is None else f", the smallest ({_size(smallest)}) for {smallest.objective}"
    return Findings(statistics, leads, f"{budget.form}: triggers for {len(found)} of {len(results)}{least}")


def _words(one: Inverted) -> str:
    return f"{one.objective}: a trigger of {_size(one)} moves {one.success:.0%} of the images it was made on"


def _size(one: Inverted) -> str:
    return {"patch": f"{one.size:.1f} pixels", "blend": f"opacity {one.size:.2f}"}.get(one.form, f"norm {one.size:.2f}")


def _trigger(one: Inverted) -> Trigger | None:
    try:
        return one.trigger
    except InputError:  # images that no picture can hold
        return None


def _no_images(case: Case) -> str:
    return "" if len(case.clean.search) else "it needs clean images, and none were given"


def _no_margins(case: Case) -> str:
    many = case.classes > _MOST_MARGINS
    return f"{case.classes} classes are too many to climb for each: {_MOST_MARGINS} at most" if many else ""


def _no_mappings(case: Case) -> str:
    if case.classes > _MOST_MAPPINGS:
        return f"{case.classes} classes are too many to look for every mapping: {_MOST_MAPPINGS} at most"
    return _no_images(case)


def _no_pairs(case: Case) -> str:
    if case.classes > _MOST_PAIRS:
        return f"{case.classes} classes are too many to look at every pair: {_MOST_PAIRS} at most"
    if case.classes**2 * math.prod(case.clean.shape) > _MOST_VALUES:
        return f"triggers for every pair of {case.classes} classes, of such large images, do not fit in memory"
    return _no_images(case)


# Cheap to dear; the names are those in a verdict.
STAGES: tuple[Stage, ...] = (
    Stage("weights", _weights),
    Stage("margins", _margins, _no_margins, version=3),
    Stage("dormant", _dormant, _no_images),
    Stage("inversion", _inversion, _no_mappings, version=4),
    Stage("pairs", _pairs, _no_pairs, version=4),
)
# What a suspect is compared in with its references. Of the others a line is said, and nothing counts: on the paper's
# network the weights were at chance, and sleeping channels say as much of a training as of a backdoor.
COUNTED = tuple(stage for stage in STAGES if stage.name not in {"weights", "dormant"})
