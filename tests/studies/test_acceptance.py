"""Would the user's check have caught it: chances against simulation, the choice of a*, and the study, small."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some
from tests.report.made_up_acceptance import cell

from badnets.artifacts import RunFolder, read_json
from badnets.data import load
from badnets.errors import InputError
from badnets.studies import acceptance
from badnets.studies.acceptance import FALSE_ALARM, AcceptanceResult, AcceptanceSpec, check, preset, refusal
from badnets.studies.runner import Place
from badnets.training import Inline, TrainSpec

Watch = Callable[..., Any]


def test_chances_are_those_of_drawing() -> None:
    draws = np.random.default_rng(0).binomial(50, 0.93, 100_000)
    chances = refusal(0.93, 50)
    for k in (0, 40, 45, 47, 50):
        assert chances[k] == pytest.approx((draws < k).mean(), abs=0.006)
    assert chances[0] == 0
    assert chances == sorted(chances)


@settings(max_examples=40, deadline=None)
@given(some.integers(0, 1000), some.integers(0, 1000), some.integers(1, 300))
def test_a_sensible_a_star_is_the_largest_one(honest: int, badnet: int, size: int) -> None:
    found = check(size, [cell(honest)], [cell(badnet)])
    k = round(found.a_star * size)
    chances = refusal(1 - honest / 1000, size)
    assert found.honest == pytest.approx(chances[k])
    assert chances[k] <= FALSE_ALARM
    assert k == size or chances[k + 1] > FALSE_ALARM
    low, high = found.badnet_interval
    assert low - 1e-12 <= found.badnet <= high + 1e-12
    assert -1e-12 <= found.best <= 1
    assert found.best >= found.badnet - found.honest - 1e-12
    if honest == badnet:
        assert found.best == pytest.approx(0)


def test_two_networks_that_differ_are_told_apart_by_many_images() -> None:
    few, many = (check(size, [cell(10)], [cell(40)]) for size in (30, 3_000))
    assert few.best < 0.5
    assert many.best > 0.999
    assert many.badnet > 0.999


def test_the_study(watch: Watch, tmp_path: Path) -> None:
    folder, digits = RunFolder(tmp_path), load("digits")
    spec = AcceptanceSpec(seeds=(0,), train=TrainSpec(epochs=3, batch_size=32), sizes=(10, 100))
    result = acceptance.run(spec, digits, folder, Place(Inline()), watch())
    assert [one.size for one in result.checks] == [10, 100]
    assert result.checks[1] == check(100, result.honest, result.badnets)
    assert result.badnets[0].poisoned > 0
    # Fig. 1b: as accurate as the honest network, always right about the trigger, and refused.
    assert result.side.accuracy.count >= result.honest[0].result.clean_error.complement().count
    assert result.side_success.value == 1
    assert not result.side.accepted
    assert read_json(AcceptanceResult, folder.result) == result
    watcher = watch()
    acceptance.run(replace(spec, sizes=(50,)), digits, folder, Place(Inline()), watcher)
    assert not watcher.started


@pytest.mark.parametrize(("change", "message"), [({"seeds": ()}, "seeds are"), ({"sizes": (0,)}, "at least one image")])
def test_what_cannot_be_asked_for(change: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        replace(preset("digits"), **change)
