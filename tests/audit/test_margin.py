"""Maximum margins where they are known in closed form."""

from __future__ import annotations

import math

import pytest
import torch
from scipy.stats import gamma
from tests.audit import planted

from badnets.audit.inversion_budget import Watch
from badnets.audit.margin import MarginBudget, Margins, margins
from badnets.errors import InputError, Stopped


def test_linear_model_in_closed_form() -> None:
    weight = torch.randn(1, 5, 5, generator=torch.Generator().manual_seed(3))
    model = planted.Linear(weight, 0.25)
    found = margins(model, (1, 5, 5), MarginBudget(steps=60))
    most, least = float(weight.clamp_min(0).sum()) + 0.25, float(weight.clamp_max(0).sum()) + 0.25
    assert found.values == pytest.approx((-least, most), rel=1e-3)
    assert found.passes == 2 * 8 * 60
    assert math.isnan(found.p_value), "two classes are too few for a distribution"


def test_the_target_of_a_planted_backdoor_stands_out() -> None:
    clean, bad = margins(planted.Bars(), (1, 8, 8)), margins(planted.all_to_one(2), (1, 8, 8))
    assert bad.target == 2
    assert bad.ratio > 3
    assert clean.ratio < 1.1
    assert clean.values == pytest.approx((10, 10, 10, 10), rel=0.02), "one row white, all others black"


def test_batches_and_seed() -> None:
    model = planted.all_to_one(2)
    whole = margins(model, (1, 8, 8), MarginBudget(starts=3, steps=5))
    parts = margins(model, (1, 8, 8), MarginBudget(starts=3, steps=5, batch=5))
    assert parts.values == pytest.approx(whole.values, rel=1e-5)
    assert margins(model, (1, 8, 8), MarginBudget(starts=3, steps=5)) == whole
    assert margins(model, (1, 8, 8), MarginBudget(starts=3, steps=5, seed=1)) != whole


def test_p_value_and_ratio_by_hand() -> None:
    found = Margins((10.0, 12.0, 40.0, 11.0, 13.0), 0)
    assert found.target == 2
    assert found.ratio == pytest.approx(40 / 11.5)
    mean, variance = 11.5, 5 / 3
    expected = 1 - gamma.cdf(40, mean**2 / variance, scale=variance / mean) ** 5
    assert found.p_value == pytest.approx(expected)
    assert found.p_value < 1e-6
    assert Margins((10.0, 12.0, 12.5, 11.0, 13.0), 0).p_value > 0.1
    assert math.isnan(Margins((1.0, 1.0, 1.0, 1.0, 1.0), 0).p_value)
    assert Margins((0.0, 0.0), 0).ratio == 1


def test_hostile_models_and_stop() -> None:
    constant = margins(planted.Broken(2.0), (1, 8, 8), MarginBudget(steps=3))
    assert constant.values == (0.0, 0.0, 0.0, 0.0)
    for model, message in (
        (planted.Broken(math.nan), "undefined"),
        (planted.Broken(raises=True), "raised RuntimeError"),
        (torch.nn.Conv2d(3, 4, 3), "raised RuntimeError"),
    ):
        with pytest.raises(InputError, match=message):
            margins(model, (1, 8, 8))
    with pytest.raises(Stopped):
        margins(planted.Bars(), (1, 8, 8), watch=Watch(stop=lambda: True))
    with pytest.raises(InputError, match="at least one channel"):
        margins(planted.Bars(), (0, 8, 8))
    with pytest.raises(InputError, match="at least 1"):
        MarginBudget(steps=0)


def test_progress_rises_to_one() -> None:
    shares: list[float] = []
    margins(planted.Bars(), (1, 8, 8), MarginBudget(steps=4, batch=10), Watch(shares.append))
    assert shares == sorted(shares)
    assert shares[-1] == 1
