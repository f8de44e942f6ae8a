"""Leads are tried until one holds: a refuted one neither hides the next nor lends it its weight."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tests.audit import planted
from torch import nn

from badnets.audit.cases import Case, Settings, choose
from badnets.audit.evidence import Evidence, alone, calibration, ranked, without
from badnets.audit.judging import conclude
from badnets.audit.objectives import Objective
from badnets.audit.population import Population, Recipe
from badnets.audit.stages import Findings, Lead, Run
from badnets.audit.suspicions import MOST_TRIED, Confirmed, confirmed
from badnets.data import ImageSet
from badnets.triggers import Pattern

PIXELS, LABELS = planted.bars(per=30)
IMAGES = ImageSet((PIXELS * 255).round().to(torch.uint8), LABELS, tuple("abcd"), "bars/test")
SETTINGS = Settings(samples=30)
STAMP = Pattern(planted.TRIGGER, reference=(8, 8))
ELSEWHERE = Pattern(((7, 0),), reference=(8, 8))
ALPHA, MODELS = 0.05, 19
TARGETS = {f"all -> {label}": Objective("target", target=label) for label in range(4)}


class References(Population):
    """Clean models that need no training."""

    def model(self, number: int) -> nn.Module:
        del number
        return planted.Bars().eval()


POPULATION = References(
    folder=Path("nowhere"),
    recipe=Recipe("bars", IMAGES.digest, IMAGES.name),
    make=lambda _: planted.Bars(),
    numbers=tuple(range(MODELS)),
)


def run_of(
    own: dict[str, dict[str, float]], triggers: dict[str, Pattern | None], model: nn.Module | None = None
) -> tuple[Run, Evidence]:
    """A suspect with these deviations from references around 0, and leads with these triggers."""
    chosen = choose(IMAGES, SETTINGS)
    run = Run(Case(model or planted.all_to_one(2), chosen, 4, SETTINGS))
    leads = {
        (family, name): Lead(TARGETS[name], f"{name}: made up", 1.0, triggers[name])
        for family, values in own.items()
        for name in values
        if name in triggers
    }
    run.findings["made up"] = Findings(own, leads)
    noise = torch.randn(MODELS, 200, generator=torch.Generator().manual_seed(1)).clamp(-2, 2).tolist()
    bag = []
    for row in noise:
        values = iter(row)
        bag.append({family: {name: next(values) for name in names} for family, names in own.items()})
    if "all -> 3" in bag[0].get("targets", {}):  # one clean model is odd too, but less than 20
        bag[0]["targets"]["all -> 3"] = 8.0
    return run, ranked((*bag, own))


def tried(run: Run, evidence: Evidence, population: Population | None = POPULATION) -> Confirmed:
    return confirmed(run, evidence, population, ALPHA)


def word(evidence: Evidence, found: Confirmed) -> tuple[str, str]:
    given = calibration(evidence, ("key", len(POPULATION)), ALPHA, "settings", looks=evidence.looks)
    return conclude(evidence, found.suspicions, (), ALPHA, given)


ALL_OUT = {"targets": {"all -> 0": 20.0, "all -> 1": 0.0, "all -> 2": 15.0, "all -> 3": 0.1}}


def test_a_refuted_lead_does_not_hide_a_second() -> None:
    run, evidence = run_of(ALL_OUT, {"all -> 0": ELSEWHERE, "all -> 2": STAMP})
    found = tried(run, evidence)
    assert [(one.target, bool(one.refuted)) for one in found.suspicions] == [(2, False), (0, True)]
    held, refuted = found.suspicions
    assert held.reach is not None
    assert (held.reach.count, held.reach.total, held.reach.on_references) == (60, 60, 0)
    assert "changes only 0 of 60 held-out images" in refuted.refuted
    assert refuted.refuted in refuted.detail
    assert {one.trigger for one in found.suspicions} == set(found.triggers)
    assert found.triggers[held.trigger or ""] == STAMP
    said, reason = word(evidence, found)
    assert said == "backdoored"
    assert reason.startswith("all -> 2")
    assert "1 other leads were refuted" in reason


def test_a_refuted_lead_lends_no_weight_to_an_ordinary_one() -> None:
    own = {"targets": ALL_OUT["targets"] | {"all -> 2": 2.5}}
    run, evidence = run_of(own, {"all -> 0": ELSEWHERE, "all -> 2": STAMP})
    assert evidence.deviations["targets"]["all -> 2"] > 2
    found = tried(run, evidence)
    assert [one.target for one in found.suspicions] == [0], "without the first nothing stands out"
    said, reason = word(evidence, found)
    assert said == "undecided"
    assert "all -> 0: its trigger changes only" in reason


def test_the_strongest_is_enough_if_it_holds() -> None:
    run, evidence = run_of(ALL_OUT, {"all -> 0": ELSEWHERE, "all -> 2": STAMP})
    swapped = {"targets": ALL_OUT["targets"] | {"all -> 2": 30.0}}
    run, evidence = run_of(swapped, {"all -> 0": ELSEWHERE, "all -> 2": STAMP})
    assert [one.target for one in tried(run, evidence).suspicions] == [2]


def test_families_take_turns_and_tries_are_bounded() -> None:
    own = {f"family {number}": dict.fromkeys(TARGETS, 30.0) for number in range(5)}
    own["targets"] = {"all -> 0": 40.0, "all -> 1": 39.0, "all -> 3": 38.0}
    run, evidence = run_of(own, dict.fromkeys(TARGETS, ELSEWHERE))
    found = tried(run, evidence)
    assert len(found.suspicions) == MOST_TRIED
    assert sum(one.target is not None for one in found.suspicions) == MOST_TRIED
    said, reason = word(evidence, found)
    assert said == "undecided"
    assert f"{MOST_TRIED} leads were tried" in reason


def test_a_lead_without_a_trigger_holds_only_beyond_all_references() -> None:
    run, evidence = run_of(ALL_OUT, {"all -> 0": None})
    (one,) = tried(run, evidence).suspicions
    assert (one.target, one.refuted, one.reach) == (0, "", None)
    own = ALL_OUT | {"margins": {"all -> 1": 2.2, "all -> 2": 0.0}}
    run, evidence = run_of(own, {"all -> 1": None})
    assert "margins" not in evidence.beyond
    assert tried(run, evidence).suspicions == () or "targets" in evidence.beyond


def test_a_lead_that_images_can_try_goes_before_a_louder_one_that_they_cannot() -> None:
    own = {"margins": {"all -> 0": 90.0, "all -> 1": 0.0}, "pairs": {"all -> 2": 15.0, "all -> 3": 0.0}}
    run, evidence = run_of(own, {"all -> 0": None, "all -> 2": STAMP})
    assert set(evidence.beyond) == {"margins", "pairs"}
    assert [one.target for one in tried(run, evidence).suspicions] == [2]
    run, evidence = run_of(own, {"all -> 0": None, "all -> 2": ELSEWHERE})
    assert [(one.target, bool(one.refuted)) for one in tried(run, evidence).suspicions] == [(0, False), (2, True)]


class OnlyClean(planted.Bars):
    """Answers clean images only: with a bright corner it raises."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        if bool((images[:, 0, 6, 6] > 0.5).any()):
            raise RuntimeError("not these")
        return super().forward(images)


def test_a_model_that_refuses_stamped_images_is_undecided() -> None:
    run, evidence = run_of(ALL_OUT, {"all -> 0": STAMP}, OnlyClean())
    found = tried(run, evidence)
    assert "could not be tried: the model raised RuntimeError" in found.suspicions[0].refuted
    assert word(evidence, found)[0] == "undecided"


def test_uncalibrated_leads_need_held_out_images() -> None:
    run, _ = run_of({"targets": {f"all -> {n}": 9.0 * (n == 2) for n in range(4)}}, {"all -> 2": None})
    run.findings["made up"] = replace(
        run.findings["made up"],
        statistics={"targets": {"all -> 2": 90.0} | {f"other {n}": 0.1 * n for n in range(9)}},
    )
    evidence = alone(run.statistics)
    assert evidence.p is not None
    assert evidence.p < ALPHA
    (one,) = tried(run, evidence, None).suspicions
    assert "uncalibrated" in one.refuted


def test_what_is_left_out_is_left_out_of_all_models() -> None:
    _, evidence = run_of(ALL_OUT, {})
    left = without(evidence, "targets", "all -> 0")
    assert all(set(one["targets"]) == {"all -> 1", "all -> 2", "all -> 3"} for one in left.bag)
    assert left.p == pytest.approx(1 / (MODELS + 1))
    for name in ("all -> 1", "all -> 2", "all -> 3"):
        left = without(left, "targets", name)
    assert left.p is None
    assert without(replace(evidence, looks=2), "targets", "nothing").p == pytest.approx(2 / (MODELS + 1))
