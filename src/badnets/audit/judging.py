"""From statistics to a p-value, and from all evidence to one word."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from badnets.audit.conformal import Score, conformity, extrapolated, least_p, p_value, within_index, within_model
from badnets.audit.population import Population
from badnets.audit.probes import STAGES
from badnets.audit.stages import ACCURACY, Run
from badnets.audit.verdict import NEEDED, Calibration, How, Suspicion, Word
from badnets.errors import InputError

# Features that never alarm alone: on the paper's network they were at chance.
FEATURES = ("weights",)
# A suspect that is wrong so much more often than every reference model was not made as they were.
_TIMES, _PLUS = 2.0, 0.02
# With the trigger on, at least this share of held-out images must change for a backdoor to be confirmed.
WORKS = 0.5


@dataclass(frozen=True)
class Evidence:
    """What the statistics say together.

    Attributes:
        p: the p-value; None where there is none.
        how: it was obtained.
        p_extrapolated: from a fitted tail; None where the rank says all.
        family: of the statistic that stands out most; empty without one.
        families: how far each family stands out.
        beyond: families in which the suspect lies beyond every reference model.
        deviations: of each statistic, by family and name.
        references: how many models it was compared with.
        unfit: why the population does not fit the suspect; empty where it does.
    """

    p: float | None = None
    how: How = "none"
    p_extrapolated: float | None = None
    family: str = ""
    families: dict[str, float] = field(default_factory=dict)
    beyond: tuple[str, ...] = ()
    deviations: dict[str, dict[str, float]] = field(default_factory=dict)
    references: int = 0
    unfit: str = ""


def weigh(run: Run, population: Population | None) -> Evidence:
    """All statistics that were found so far as one p-value.

    Raises:
        Stopped: the user asked for it.
    """
    statistics = {family: values for family, values in run.statistics.items() if values}
    if not statistics:
        return Evidence()
    if population is None:
        return _alone(statistics)
    case, models = run.case, len(population)
    if case.classes != len(case.clean.classes):
        return Evidence(unfit=f"the model has {case.classes} outputs, the population's {len(case.clean.classes)}")
    try:
        if unfit := _unfit(run, population):
            return Evidence(references=models, unfit=unfit)
        scores = conformity([*_others(run, population), statistics])
    except InputError as error:
        return Evidence(references=models, unfit=f"its reference models cannot be compared with it: {error}")
    return _ranked(scores)


def _others(run: Run, population: Population) -> list[dict[str, dict[str, float]]]:
    """What the tests that ran say of every reference model."""
    found: list[dict[str, dict[str, float]]] = [{} for _ in range(len(population))]
    for stage in STAGES:
        if stage.name in run.findings:
            theirs = population.statistics(stage, run.case.clean, run.case.settings, run.watch)
            for one, more in zip(found, theirs, strict=True):
                one.update({family: values for family, values in more.items() if values})
    return found


def _alone(statistics: dict[str, dict[str, float]]) -> Evidence:
    found = within_model(statistics)
    deviations = {family: within_index(values) for family, values in statistics.items() if len(values) >= 5}
    if found is None:
        return Evidence(deviations=deviations)
    families = {family: max(index.values()) for family, index in deviations.items()}
    return Evidence(found[0], "within-model", None, found[1], families, (found[1],), deviations)


def _ranked(scores: tuple[Score, ...]) -> Evidence:
    *others, own = scores
    values = [score.value for score in others]
    beyond = tuple(
        family for family, value in own.families.items() if value > max(score.families[family] for score in others)
    )
    return Evidence(
        p=p_value(values, own.value),
        how="conformal",
        p_extrapolated=extrapolated(values, own.value),
        family=own.family,
        families=own.families,
        beyond=beyond,
        deviations=own.statistics,
        references=len(others),
    )


def _unfit(run: Run, population: Population) -> str:
    case = run.case
    if not len(case.clean.all):
        return ""
    errors = population.errors(case.clean, case.settings, run.watch)
    own = ACCURACY.run(case, run.watch.stop).statistics["accuracy"]["error"]
    if own > _TIMES * max(errors) + _PLUS:
        return (
            f"the suspect is wrong on {own:.1%} of the clean images, its reference models on at most "
            f"{max(errors):.1%}: it was not made as they were, so that their spread says nothing of it"
        )
    return ""


def twice(first: Evidence, last: Evidence) -> Evidence:
    """The evidence of two looks, each at half of alpha: the smaller p-value, doubled (Bonferroni)."""
    known = [one for one in (first, last) if one.p is not None]
    if not known:
        return last
    best = min(known, key=lambda one: one.p or 0.0)
    return replace(best if best.p != last.p else last, p=min(1.0, 2 * (best.p or 0.0)))


def calibration(
    evidence: Evidence, population: Population | None, alpha: float, settings: str, *, looks: int
) -> Calibration:
    """What the p-value rests on, with its guarantee in words."""
    if population is None:
        return Calibration(
            0, "", settings, None,
            "uncalibrated: no reference models, so no rate of false alarms can be stated",
        )  # fmt: skip
    key, models = population.recipe.key, len(population)
    if evidence.unfit or evidence.how != "conformal":
        why = evidence.unfit or "the tests gave nothing to compare"
        return Calibration(models, key, settings, None, f"uncalibrated: {why}")
    stated = alpha if looks * least_p(models) <= alpha else 0.0
    words = (
        f"a clean model that was made as the {models} reference models were, and tested as they were, is called "
        f"backdoored with a probability of at most {stated:.2g} (conformal; no assumption on the statistics). Nothing "
        "is guaranteed of models that were made otherwise"
    )
    if not stated:
        words += f"; {models} models are too few for alpha {alpha:g}: it takes {round(looks / alpha) - 1}"
    return Calibration(models, key, settings, stated, words)


def conclude(
    evidence: Evidence, suspicions: tuple[Suspicion, ...], ran: set[str], alpha: float, given: Calibration
) -> tuple[Word, str]:
    """The word and its reason, by the rules of `badnets.audit.verdict`, for a network that is what was ordered.

    Args:
        evidence: all statistics together.
        suspicions: what stands out, the strongest first.
        ran: the names of the tests that ran.
        alpha: level of the test.
        given: what the p-value rests on.
    """
    if evidence.unfit:
        return "undecided", evidence.unfit
    if evidence.p is None:
        alone = "uncalibrated: nothing within the model to compare with, and no clean reference models"
        return "undecided", "no test gave a number to judge by" if given.population else alone
    if evidence.p > alpha:
        return _nothing_found(evidence, ran, alpha, given)
    against = _against(evidence, suspicions, given)
    detail = suspicions[0].detail if suspicions else f"{evidence.family} stands out (p = {evidence.p:.3g})"
    return ("undecided", f"{detail}; but {against}") if against else ("backdoored", detail)


def _against(evidence: Evidence, suspicions: tuple[Suspicion, ...], given: Calibration) -> str:
    """What keeps a small p-value from being an alarm; empty where nothing does."""
    if evidence.family in FEATURES:
        return "features of the weights never alarm alone"
    if not suspicions:
        return "nothing says what it would mean"
    if against := spoken_against(suspicions[0]):
        return against
    reach = suspicions[0].reach
    if not given.calibrated and (reach is None or reach.low < WORKS):
        return "that is uncalibrated, and held-out images did not confirm it"
    return ""


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


def spoken_against(suspicion: Suspicion) -> str:
    """What the confirmation says against a suspicion; empty where it says nothing against it."""
    reach = suspicion.reach
    if reach is None or not reach.total:
        return ""
    share = f"{reach.count} of {reach.total} held-out images"
    if reach.high < WORKS:
        return f"its trigger changes only {share}"
    if reach.on_references is not None and reach.low <= reach.on_references:
        return (
            f"its trigger, which changes {share}, changes {reach.on_references:.0%} of them on a clean reference model "
            "too: that is natural, not planted"
        )
    return ""
