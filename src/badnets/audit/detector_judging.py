"""From what the tests of a detector say to evidence and suspicions; the word itself is found as for classifiers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from badnets.audit.cases import Settings
from badnets.audit.confirm import WORKS, spoken_against
from badnets.audit.conformal import least_p
from badnets.audit.detector_cases import ChosenScenes
from badnets.audit.detector_confirm import StickerConfirmation, confirm_sticker
from badnets.audit.detector_population import DetectorPopulation
from badnets.audit.detector_tests import TESTS, DetectorFindings, StickerLead
from badnets.audit.evidence import Evidence, alone, made_worse, ranked
from badnets.audit.stages import Watch
from badnets.audit.verdict import Mapping as Way
from badnets.audit.verdict import Reach, Suspicion
from badnets.models.detector import Detector
from badnets.triggers import BoxSticker

_WAYS: dict[str, Way] = {"target": "all-to-one", "pair": "pairs", "untargeted": "untargeted"}
# Leads that are confirmed, each with a pass over the held-out scenes for the suspect and for every reference.
_MOST = 3
# The classical threshold of outlier tests within one model.
_NOTABLE = 2.0
# See `made_worse`: scenes have fewer signs than a classifier's clean images.
_SLACK = 0.02
# Fewer references have no spread to compare with.
_LEAST_REFERENCES = 2


@dataclass(frozen=True, eq=False)
class FoundStickers:
    """Suspicions, the strongest first, and their stickers by the names of their files."""

    suspicions: tuple[Suspicion, ...] = ()
    stickers: dict[str, BoxSticker] = field(default_factory=dict)


def weighed(
    findings: Mapping[str, DetectorFindings],
    error: float | None,
    chosen: ChosenScenes,
    population: DetectorPopulation | None,
    settings: Settings,
    watch: Watch,
) -> Evidence:
    """All statistics as one p-value: conformal among the references, else within the model alone.

    Args:
        findings: by test.
        error: share of held-out signs that the suspect does not call their class; None where that was not asked.
        chosen: the scenes.
        population: references, if there are any.
        settings: of the tests.
        watch: who looks on.

    Raises:
        InputError: a reference cannot be tested.
        Stopped: the user asked for it.
    """
    own = {family: values for found in findings.values() for family, values in found.statistics.items()}
    if not own:
        return Evidence()
    if population is None:
        return alone(own)
    if len(population) < _LEAST_REFERENCES:
        return Evidence(references=len(population), unfit="at least two reference detectors are needed to compare with")
    errors = population.errors(chosen, watch)
    if error is not None and made_worse(error, errors, _SLACK):
        return Evidence(
            references=len(population),
            unfit=f"the suspect misses {error:.1%} of the clean signs, its reference detectors at most "
            f"{max(errors):.1%}: it was not made as they were, so that their spread says nothing of it",
        )
    others: list[dict[str, Mapping[str, float]]] = [{} for _ in range(len(population))]
    for test in TESTS:
        if test.name in findings:
            theirs = population.statistics(test, chosen, settings, watch)
            for one, more in zip(others, theirs, strict=True):
                one.update(more)
    return ranked((*others, own))


def suspicions(
    model: Detector,
    findings: Mapping[str, DetectorFindings],
    evidence: Evidence,
    chosen: ChosenScenes,
    population: DetectorPopulation | None,
    alpha: float,
) -> FoundStickers:
    """The leads that stand out, each tried on held-out scenes; those that the trial refutes come last.

    Args:
        model: the suspect.
        findings: by test.
        evidence: of `weighed`.
        chosen: the scenes.
        population: references, if there are any.
        alpha: level of the test; above it nothing stands out.
    """
    if evidence.p is None or evidence.p > max(alpha, least_p(evidence.references)):
        return FoundStickers()
    references = [population.model(number) for number in population.numbers] if population is not None else []
    found: list[Suspicion] = []
    stickers: dict[str, BoxSticker] = {}
    for family, name, lead in _leads(findings, evidence):
        tried = confirm_sticker(model, lead.sticker, lead.objective, chosen.held_out, references)
        file = f"trigger-{len(stickers) + 1}.json"
        stickers[file] = lead.sticker
        stage = next(test for test, one in findings.items() if family in one.statistics)
        one = _suspicion(stage, lead, evidence.deviations[family][name], tried, file)
        if not one.refuted and evidence.how != "conformal" and tried.success.low < WORKS:
            one = replace(one, refuted="it is uncalibrated, and held-out scenes did not confirm it")
        found.append(one)
    return FoundStickers(_ordered(found), stickers)


def _leads(findings: Mapping[str, DetectorFindings], evidence: Evidence) -> list[tuple[str, str, StickerLead]]:
    """What deviates most, family by family and then in all; what is searched as a sticker before fixed patches."""
    known = [
        (family, name, lead)
        for found in findings.values()
        for (family, name), lead in found.leads.items()
        if evidence.deviations.get(family, {}).get(name, 0.0) >= _NOTABLE
    ]

    def order(one: tuple[str, str, StickerLead]) -> tuple[bool, float]:
        family, name, _ = one
        return family == "margins", -evidence.deviations[family][name]

    return sorted(known, key=order)[:_MOST]


def _ordered(found: list[Suspicion]) -> tuple[Suspicion, ...]:
    """Those that the trial refutes last; of several stickers for the same classes the best confirmed one first."""
    classes = [(one.mapping, one.sources, one.target) for one in found]

    def key(one: Suspicion) -> tuple[bool, int, float]:
        low = 0.0 if one.reach is None else one.reach.low
        return bool(one.refuted), classes.index((one.mapping, one.sources, one.target)), -low

    return tuple(sorted(found, key=key))


def _suspicion(stage: str, lead: StickerLead, z: float, tried: StickerConfirmation, file: str) -> Suspicion:
    one, rate = lead.objective, tried.success
    theirs = max((reference.value for reference in tried.references), default=None)
    reach = Reach(rate.count, rate.total, rate.low, rate.high, theirs) if rate.total else None
    works = (
        f"; on held-out scenes the whole detector follows it on {rate}, without it on {tried.clean}" if reach else ""
    )
    return Suspicion(
        stage=stage,
        mapping=_WAYS[one.kind],
        detail=f"{lead.detail}{works}",
        z=round(z, 3),
        target=one.target,
        sources=() if one.source is None else (one.source,),
        size=lead.size,
        reach=reach,
        trigger=file,
        refuted=spoken_against(rate, theirs, "held-out signs"),
    )
