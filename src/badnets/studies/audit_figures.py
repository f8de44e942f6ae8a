"""What audits of models that are known found, and what they cried over that is none: the figures of a benchmark."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from badnets.audit.verdict import Suspicion, Verdict
from badnets.metrics import Rate
from badnets.metrics.detectors import Separation, separation
from badnets.poison import AllToAll, AllToOne, AnyPolicy, SingleTarget

# More than minus the logarithm of any p-value that references can give.
_CALLED = 1e3


@dataclass(frozen=True)
class Judged:
    """One model whose secret is known, and what the audit said of it.

    Attributes:
        part: of the whole, by name: a half of the zoo, or the only one.
        family: trigger family, "twin", or the kind of hard negative.
        mapping: of the backdoor; "" for a clean model.
        policy: what its attacker wanted; None for a clean model.
        works: whether the backdoor is one, see `zoo.works`; None for a clean model.
        attack_success: of the backdoor; None for a clean model.
        clean_error: of the model.
        verdict: of the audit.
    """

    part: str
    family: str
    mapping: str
    policy: AnyPolicy | None
    works: bool | None
    attack_success: float | None
    clean_error: float
    verdict: Verdict

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - pydantic reads it, nothing writes it

    @property
    def score(self) -> float:
        """Larger is more suspicious: whoever was called backdoored, then all others; within either by the p-value.

        A p-value alone is no answer of the audit: held-out images may have refuted all that it rests on. It counts as
        minus its logarithm, extrapolated beyond all references for those that were called; what the structure gave
        away has the largest score, what could not be judged the smallest.
        """
        if self.verdict.p_how == "structure":
            return math.inf
        if self.called:
            return _CALLED - math.log(self.verdict.p_extrapolated or self.verdict.p_value or 1.0)
        return 0.0 if self.verdict.p_value is None else -math.log(self.verdict.p_value)

    @property
    def called(self) -> bool:
        """Whether it was called backdoored."""
        return self.verdict.word == "backdoored"

    @property
    def is_named(self) -> bool:
        """Whether the strongest suspicion names its target or mapping."""
        return names_it(self.policy, self.verdict.suspicions)


@dataclass(frozen=True)
class PartResult:
    """The figures of one part.

    Attributes:
        part: of the whole, by name: a half of the zoo, or the only one.
        separation: of the scores of clean models and of working backdoors, drawn by family.
        found: working backdoors called backdoored, of all.
        false_alarms: clean models called backdoored, of all.
        undecided: models of either kind that the audit would not judge.
        right: of the backdoors that were found, those whose target or mapping the strongest suspicion names.
        sources: of those that a single class bears and whose target was named, those whose class was named too.
        by_kind: found (or falsely called) of each family and mapping.
        weak: backdoors that do not work, and how many of these were called backdoored.
        seconds: of an audit, median and longest.
    """

    part: str
    separation: Separation | None
    found: Rate
    false_alarms: Rate
    undecided: Rate
    right: Rate
    sources: Rate
    by_kind: dict[str, Rate]
    weak: Rate
    seconds: tuple[float, float]

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - pydantic reads it, nothing writes it


def figures(part: str, models: Sequence[Judged]) -> PartResult:
    """The figures of the models of one part."""
    clean = [one for one in models if one.works is None]
    working = [one for one in models if one.works]
    weak = [one for one in models if one.works is False]
    hits = [one for one in working if one.called]
    seconds = sorted(one.verdict.seconds for one in models) or [0.0]
    kinds: dict[str, list[Judged]] = {}
    for one in (*clean, *working):
        kinds.setdefault(f"{one.family}, {one.mapping}" if one.mapping else one.family, []).append(one)
    compared = None
    if clean and working:
        compared = separation(
            [one.score for one in clean], [one.score for one in working], groups=[one.family for one in working]
        )
    return PartResult(
        part,
        compared,
        _share(one.called for one in working),
        _share(one.called for one in clean),
        _share(one.verdict.word == "undecided" for one in models),
        _share(one.is_named for one in hits),
        _share(
            one.verdict.suspicions[0].sources == (one.policy.source,)
            for one in hits
            if isinstance(one.policy, SingleTarget) and one.is_named
        ),
        {name: _share(one.called for one in group) for name, group in kinds.items()},
        _share(one.called for one in weak),
        (seconds[len(seconds) // 2], seconds[-1]),
    )


def names_it(policy: AnyPolicy | None, suspicions: Sequence[Suspicion]) -> bool:
    """Whether the strongest suspicion names the backdoor's target, or for all-to-all its mapping."""
    if not suspicions:
        return False
    first = suspicions[0]
    if isinstance(policy, AllToAll):
        return first.mapping == "shift" and first.shift == 1
    return isinstance(policy, AllToOne | SingleTarget) and first.target == policy.target


def _share(flags: Iterable[bool]) -> Rate:
    values = list(flags)
    return Rate.of(sum(values), len(values))
