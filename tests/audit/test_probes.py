"""From what the searches find to statistics and leads."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import pytest
import torch
from tests.audit import planted

from badnets.audit import probes
from badnets.audit.cases import Case, Settings, choose
from badnets.audit.inversion import Inverted
from badnets.audit.inversion_budget import Budget
from badnets.audit.inversion_forms import FORMS
from badnets.audit.objectives import Objective
from badnets.audit.stages import Stage
from badnets.data import ImageSet

SIX = Settings(samples=6)
PIXELS, LABELS = planted.bars(per=6)
IMAGES = ImageSet((PIXELS * 255).round().to(torch.uint8), LABELS, tuple("abcd"), "bars/test")
CASE = Case(planted.Bars().eval(), choose(IMAGES, SIX), 4, SIX)


def made_up(monkeypatch: pytest.MonkeyPatch, sizes: dict[str, float]) -> list[Budget]:
    """Searches find triggers of these sizes, in shares of the largest possible one; returns the budgets asked for."""
    asked = []

    def invert(
        _: object, images: torch.Tensor, labels: object, objectives: Sequence[Objective], budget: Budget, watch: object
    ) -> tuple[Inverted, ...]:
        del labels, watch
        asked.append(budget)
        whole = FORMS[budget.form].largest((1, 8, 8))
        start = FORMS[budget.form].start(images.mean(0), torch.Generator())
        found = []
        for one in objectives:
            size = sizes.get(str(one), 1.0)
            found.append(Inverted(one, budget.form, size < 1, size * whole, (size * whole,), 1.0, 6, 1, 1, start))
        return tuple(found)

    monkeypatch.setattr(probes, "invert", invert)
    return asked


def stage(name: str) -> Stage:
    return next(one for one in probes.STAGES if one.name == name)


def test_what_is_huge_counts_as_what_was_not_found(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = made_up(monkeypatch, {"all -> 0": 0.1, "all -> 1": 0.25, "all -> 2": 0.6})
    found = stage("inversion").run(CASE, lambda: False)
    assert [budget.form for budget in asked] == ["patch", "additive", "blend"]
    for family, whole in (("targets", 64.0), ("targets (additive)", 8.0), ("targets (blend)", 1.0)):
        said = found.statistics[family]
        assert said["all -> 0"] == pytest.approx(-math.log(0.1 * whole))
        assert said["all -> 1"] == said["all -> 2"] == said["all -> 3"] == pytest.approx(-math.log(0.25 * whole))
        # It is a lead all the same: what it is worth, held-out images say.
        assert (family, "all -> 2") in found.leads
        assert (family, "all -> 3") not in found.leads


def test_many_classes_have_their_pairs_halved_and_the_planted_one_stands_out() -> None:
    """Of 420 pairs all get a few steps and few of them many; beside a clean twin the backdoor's is by far smallest."""
    classes = 21
    pixels, labels = planted.bars(per=6, classes=classes, rows=32)
    images = ImageSet((pixels * 255).round().to(torch.uint8), labels, tuple(map(str, range(classes))), "bars/test")
    chosen = choose(images, SIX)
    twin, suspect = (
        stage("pairs").run(Case(planted.Bars(mapping, classes).eval(), chosen, classes, SIX), lambda: False)
        for mapping in ({}, {(1, 3): 60.0})
    )
    more = {name: value - twin.statistics["pairs"][name] for name, value in suspect.statistics["pairs"].items()}
    first, second = sorted(more, key=lambda name: -more[name])[:2]
    assert len(more) == classes * (classes - 1)
    assert first == "1 -> 3"
    assert more[first] > more[second] + 1
    assert ("pairs", first) in suspect.leads


def test_pairs_whose_triggers_do_not_fit_in_memory_are_left_out() -> None:
    side = 2048
    images = ImageSet(torch.zeros(8, 1, side, side, dtype=torch.uint8), LABELS[:8], tuple("abcd"), "large/test")
    many = Case(planted.Bars().eval(), choose(images, Settings(samples=1)), 6, SIX)
    assert not stage("pairs").why_not(replace(many, classes=5))
    assert "do not fit in memory" in stage("pairs").why_not(many)


def test_pairs_are_looked_for_as_patches_and_spread_thinly(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = made_up(monkeypatch, {"1 -> 3": 0.05})
    found = stage("pairs").run(CASE, lambda: False)
    assert [(budget.form, len(budget.stages)) for budget in asked] == [("patch", 1), ("additive", 1)]
    assert {family: len(values) for family, values in found.statistics.items()} == {"pairs": 12, "pairs (additive)": 12}
    assert set(found.leads) == {("pairs", "1 -> 3"), ("pairs (additive)", "1 -> 3")}
    for values in found.statistics.values():
        assert max(values, key=lambda name: values[name]) == "1 -> 3"


def test_features_are_said_and_are_no_statistics() -> None:
    last = torch.nn.Linear(5, 4)
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 5), torch.nn.ReLU(), last)
    with torch.no_grad():
        # Every row has the mean 0, and the third the largest norm.
        last.weight.copy_(torch.tensor([1.0, -1.0, 0, 0, 0]) * torch.tensor([1.0, 1.0, 50.0, 1.0])[:, None])
    case = replace(CASE, model=model.eval())
    told = {name: stage(name).run(case, lambda: False) for name in ("weights", "dormant")}
    assert not any(found.statistics or found.leads for found in told.values())
    # Three rows of one norm and a loud one: (50 - mean) / deviation is 1.5 whatever the norms are.
    assert told["weights"].detail == "row norm stands out most of 2, by 1.5 deviations; it counts for nothing"
    assert told["dormant"].detail.endswith("they count for nothing")
    assert {one.name for one in probes.COUNTED} == {"margins", "inversion", "pairs"}
