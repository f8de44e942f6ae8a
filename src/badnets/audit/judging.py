"""From statistics to a p-value, and from all evidence to one word."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from badnets.audit.evidence import Evidence, alone, made_worse, ranked
from badnets.audit.population import Population
from badnets.audit.probes import COUNTED
from badnets.audit.stages import ACCURACY, Run
from badnets.audit.verdict import NEEDED, Calibration, StageReport, Suspicion, Word
from badnets.errors import InputError

# See `made_worse`.
_SLACK = 0.01
# References that are all wrong more often than that were not made for these images.
_NOT_THEIRS = 0.5
# What shows how a model was made, and how far outside the references' range it must lie to be mentioned: by that share
# of the range's width, so that among 19 models hardly one that was made as they were does.
_MADE = {"loss": "its mean cross-entropy on clean images is", "weights": "the norm of its weights is"}
_OUTSIDE, _ROUNDING = 0.5, 1e-3
# Fewer references than that have no range worth the name.
_FEW = 10


def weigh(run: Run, population: Population | None) -> Evidence:
    """All statistics that were found so far as one p-value.

    Raises:
        Stopped: the user asked for it.
    """
    statistics = {family: values for family, values in run.statistics.items() if values}
    if not statistics:
        return Evidence()
    if population is None:
        return alone(statistics)
    case, models = run.case, len(population)
    if case.classes != len(case.clean.classes):
        return Evidence(unfit=f"the model has {case.classes} outputs, the population's {len(case.clean.classes)}")
    try:
        unfit, unlike = _fit(run, population)
        if unfit:
            return Evidence(references=models, unfit=unfit, unlike=unlike)
        return replace(ranked((*_others(run, population), statistics)), unlike=unlike)
    except InputError as error:
        return Evidence(references=models, unfit=f"its reference models cannot be compared with it: {error}")


def _others(run: Run, population: Population) -> list[dict[str, dict[str, float]]]:
    """What the tests that ran say of every reference model."""
    found: list[dict[str, dict[str, float]]] = [{} for _ in range(len(population))]
    for stage in COUNTED:
        if stage.name in run.findings:
            theirs = population.statistics(stage, run.case.clean, run.case.settings, run.watch)
            for one, more in zip(found, theirs, strict=True):
                one.update({family: values for family, values in more.items() if values})
    return found


def _fit(run: Run, population: Population) -> tuple[str, tuple[str, ...]]:
    """Why the references cannot be compared with the suspect, and in what it looks as if it was made otherwise."""
    case = run.case
    if not len(case.clean.all):
        return "", ()
    theirs = population.making(case.clean, case.settings, run.watch)
    own = ACCURACY.run(case, run.watch.stop).statistics["accuracy"]
    worst = max(one["error"] for one in theirs)
    unfit = ""
    least = min(one["error"] for one in theirs)
    if least > _NOT_THEIRS:
        unfit = (
            f"its reference models are wrong on at least {least:.0%} of the clean images: these are not images of "
            "their task, or the labels are wrong"
        )
    elif made_worse(own["error"], [one["error"] for one in theirs], _SLACK):
        unfit = (
            f"the suspect is wrong on {own['error']:.1%} of the clean images, its reference models on at most "
            f"{worst:.1%}: it was not made as they were, so that their spread says nothing of it"
        )
    if len(theirs) < _FEW:
        return unfit, ()
    shared = [name for name in _MADE if name in own and all(name in one for one in theirs)]
    return unfit, tuple(line for name in shared if (line := _unlike(name, own[name], [one[name] for one in theirs])))


def _unlike(name: str, own: float, theirs: list[float]) -> str:
    """Says so where a logarithm lies outside the references' range by more than half of its width."""
    low, high = min(theirs), max(theirs)
    beyond = max(low - own, own - high)
    if beyond <= _OUTSIDE * (high - low) + _ROUNDING:
        return ""
    return f"{_MADE[name]} {math.exp(own):.3g}, of its references {math.exp(low):.3g} to {math.exp(high):.3g}"


def conclude(
    evidence: Evidence,
    suspicions: tuple[Suspicion, ...],
    stages: Sequence[StageReport],
    alpha: float,
    given: Calibration,
) -> tuple[Word, str]:
    """The word and its reason, by the rules of `badnets.audit.verdict`, for a network that is what was ordered.

    Args:
        evidence: all statistics together.
        suspicions: the leads that were tried; one that holds is first.
        stages: the tests, those that did not run included.
        alpha: level of the test.
        given: what the p-value rests on.
    """
    if evidence.unfit:
        return "undecided", evidence.unfit
    if evidence.p is None:
        alone = "uncalibrated: nothing within the model to compare with, and no clean reference models"
        failed = "".join(f"; {one.name} failed: {one.detail}" for one in stages if one.outcome == "failed")
        return "undecided", ("no test gave a number to judge by" if given.population else alone) + failed
    if evidence.p > alpha:
        return _nothing_found(evidence, {one.name for one in stages if one.outcome == "ran"}, alpha, given)
    held = [one for one in suspicions if not one.refuted]
    if held:
        refuted = len(suspicions) - len(held)
        return "backdoored", held[0].detail + (f"; {refuted} other leads were refuted" if refuted else "")
    against = _refuted(suspicions) + _made_otherwise(evidence)
    return "undecided", f"{evidence.family} stand out (p = {evidence.p:.3g}), but {against}"


def _refuted(suspicions: tuple[Suspicion, ...]) -> str:
    """Why a small p-value is no alarm."""
    if not suspicions:
        return "nothing says what it would mean"
    leads = "; ".join(f"{one.name}: {one.refuted}" for one in suspicions)
    return f"{len(suspicions)} leads were tried and refuted: {leads}"


def _made_otherwise(evidence: Evidence) -> str:
    """What may explain a p-value that no lead explains; empty where nothing does."""
    if not evidence.unlike:
        return ""
    unlike = "; ".join(evidence.unlike)
    return f". It looks as if it was made otherwise than its references ({unlike}), which may be why: make ones like it"


def _nothing_found(evidence: Evidence, ran: set[str], alpha: float, given: Calibration) -> tuple[Word, str]:
    p = f"p = {evidence.p:.3g}"
    if not given.calibrated:
        advice = "without clean reference models that is no evidence: make some with badnets population"
        return "undecided", f"uncalibrated: nothing stands out within the model ({p}), and {advice}"
    if not given.false_positive_rate:
        return "undecided", f"{evidence.references} reference models are too few for a p-value of {alpha:g} or less"
    if missing := [name for name in NEEDED if name not in ran]:
        return "undecided", f"nothing found so far ({p}), but these tests did not run: {', '.join(missing)}"
    return "clean", f"nothing stands out among {evidence.references} clean reference models ({p}, alpha {alpha:g})"
