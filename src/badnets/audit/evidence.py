"""What the statistics of a suspect say beside those of its references, and what can be guaranteed of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from badnets.audit.conformal import Statistics, conformity, extrapolated, least_p, p_value, within_index, within_model
from badnets.audit.verdict import Calibration, How

_TIMES = 2.0


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
        unfit: why the population cannot be compared with the suspect; empty where it can.
        unlike: in what the suspect looks as if it was made otherwise than its references; empty where in nothing.
        bag: all statistics that it rests on, of the references first and of the suspect last.
        looks: how often the statistics were looked at: so many times the rank is the p-value.
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
    unlike: tuple[str, ...] = ()
    bag: tuple[Statistics, ...] = field(default=(), repr=False)
    looks: int = 1


def alone(statistics: Statistics) -> Evidence:
    """The statistics of a model compared with each other: there is nothing else to compare with."""
    found = within_model(statistics)
    deviations = {family: within_index(values) for family, values in statistics.items() if len(values) >= 5}
    if found is None:
        return Evidence(deviations=deviations, bag=(statistics,))
    families = {family: max(index.values()) for family, index in deviations.items()}
    return Evidence(found[0], "within-model", None, found[1], families, (found[1],), deviations, bag=(statistics,))


def ranked(bag: tuple[Statistics, ...]) -> Evidence:
    """The statistics of a suspect, which come last, by their rank among those of its references."""
    *others, own = conformity(bag)
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
        bag=bag,
    )


def without(evidence: Evidence, family: str, name: str) -> Evidence:
    """The same evidence with one statistic left out of all models alike.

    What is left of none is no evidence: its p-value is None.
    """
    bag = tuple(_but(statistics, family, name) for statistics in evidence.bag)
    if not bag or not bag[-1]:
        return replace(evidence, p=None, deviations={}, families={}, beyond=())
    left = alone(bag[-1]) if evidence.how == "within-model" else ranked(bag)
    p = None if left.p is None else min(1.0, evidence.looks * left.p)
    return replace(left, p=p, looks=evidence.looks, unlike=evidence.unlike)


def _but(statistics: Statistics, family: str, name: str) -> Statistics:
    kept = {
        here: {what: value for what, value in values.items() if (here, what) != (family, name)}
        for here, values in statistics.items()
    }
    return {here: values for here, values in kept.items() if values}


def twice(first: Evidence, last: Evidence) -> Evidence:
    """The evidence of two looks, each at half of alpha: the smaller p-value, doubled (Bonferroni)."""
    known = [one for one in (first, last) if one.p is not None]
    if not known:
        return last
    best = min(known, key=lambda one: one.p or 0.0)
    return replace(best if best.p != last.p else last, p=min(1.0, 2 * (best.p or 0.0)), looks=2)


def made_worse(error: float, theirs: Sequence[float], slack: float) -> bool:
    """Whether a suspect is wrong so much more often than every reference that it was not made as they were.

    Args:
        error: share of clean samples that it gets wrong.
        theirs: the references'.
        slack: what twice the worst of them may be exceeded by: noise of few samples.
    """
    return error > _TIMES * max(theirs) + slack


def calibration(
    evidence: Evidence,
    population: tuple[str, int] | None,
    alpha: float,
    settings: str,
    *,
    looks: int = 1,
    called: str = "model",
) -> Calibration:
    """What the p-value rests on, with its guarantee in words.

    Args:
        evidence: of the suspect.
        population: key and number of the references; None without any.
        alpha: level of the test.
        settings: key of the tests' settings.
        looks: how often the statistics may be looked at.
        called: what the suspect and its references are.
    """
    if population is None:
        said = f"uncalibrated: no reference {called}s, so no rate of false alarms can be stated"
        return Calibration(0, "", settings, None, said)
    key, count = population
    if evidence.unfit or evidence.how != "conformal":
        why = evidence.unfit or "the tests gave nothing to compare"
        return Calibration(count, key, settings, None, f"uncalibrated: {why}")
    stated = alpha if looks * least_p(count) <= alpha else 0.0
    words = (
        f"a clean {called} that was made as the {count} reference {called}s were, and tested as they were, is called "
        f"backdoored with a probability of at most {stated:.2g} (conformal; no assumption on the statistics). Nothing "
        f"is guaranteed of {called}s that were made otherwise"
    )
    if evidence.unlike:
        words += f". This one looks as if it was made otherwise: {'; '.join(evidence.unlike)}"
    if not stated:
        words += f"; {count} are too few for alpha {alpha:g}: it takes {round(looks / alpha) - 1}"
    return Calibration(count, key, settings, stated, words)
