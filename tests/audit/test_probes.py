"""From what the searches find to statistics and leads."""

from __future__ import annotations

import math
from collections.abc import Sequence

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


def test_pairs_are_looked_for_as_patches_and_spread_thinly(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = made_up(monkeypatch, {"1 -> 3": 0.05})
    found = stage("pairs").run(CASE, lambda: False)
    assert [(budget.form, len(budget.stages)) for budget in asked] == [("patch", 1), ("additive", 1)]
    assert {family: len(values) for family, values in found.statistics.items()} == {"pairs": 12, "pairs (additive)": 12}
    assert set(found.leads) == {("pairs", "1 -> 3"), ("pairs (additive)", "1 -> 3")}
    for values in found.statistics.values():
        assert max(values, key=lambda name: values[name]) == "1 -> 3"
