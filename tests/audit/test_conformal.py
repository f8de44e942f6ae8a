"""The p-value: its rank against brute force, its guarantee by simulation, its limits."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from badnets.audit.conformal import (
    conformity,
    extrapolated,
    least_p,
    p_value,
    within_model,
)
from badnets.errors import InputError


def drawn(noise: np.random.Generator, models: int, shift: float = 0.0) -> list[dict[str, dict[str, float]]]:
    """Statistics of clean models that depend on each other; the last one is moved in one of them."""
    common = noise.standard_t(3, (models, 1))
    found = []
    for row in range(models):
        small, many = noise.normal(size=3) + common[row], noise.normal(size=30) - 0.5 * common[row]
        found.append({
            "targets": {str(k): float(value) for k, value in enumerate(small)},
            "pairs": {str(k): float(value) for k, value in enumerate(many)},
        })  # fmt: skip
    found[-1]["targets"]["1"] += shift
    return found


def p_of_last(models: list[dict[str, dict[str, float]]]) -> float:
    scores = [score.value for score in conformity(models)]
    return p_value(scores[:-1], scores[-1])


def test_scores_are_those_of_plain_leave_one_out() -> None:
    models = drawn(np.random.default_rng(0), 8)
    tops: dict[str, list[float]] = {"targets": [], "pairs": []}
    for family, kept in tops.items():
        for row in range(8):
            others = [models[k][family] for k in range(8) if k != row]
            kept.append(float(max(
                (value - np.mean([o[name] for o in others])) / np.std([o[name] for o in others], ddof=1)
                for name, value in models[row][family].items()
            )))  # fmt: skip
    for row, score in enumerate(conformity(models)):
        for family, kept in tops.items():
            others_tops = kept[:row] + kept[row + 1 :]
            expected = (kept[row] - np.mean(others_tops)) / np.std(others_tops, ddof=1)
            assert score.families[family] == pytest.approx(expected)
        assert score.value == max(score.families.values())


def test_scores_change_places_with_their_models() -> None:
    models = drawn(np.random.default_rng(1), 9, shift=5)
    order = [3, 8, 0, 1, 7, 2, 6, 5, 4]
    plain = [score.value for score in conformity(models)]
    moved = [score.value for score in conformity([models[k] for k in order])]
    assert moved == pytest.approx([plain[k] for k in order])


def test_clean_models_are_called_backdoored_at_most_at_the_stated_rate() -> None:
    noise = np.random.default_rng(2)
    small = sum(p_of_last(drawn(noise, 20)) <= 0.05 for _ in range(600))
    assert binomtest(small, 600, 0.05, alternative="greater").pvalue > 1e-3
    # Nor is the test empty: with continuous statistics the rate is met.
    assert binomtest(small, 600, 0.05, alternative="less").pvalue > 1e-3


def test_an_outlier_has_the_least_p_value() -> None:
    noise = np.random.default_rng(3)
    found = [p_of_last(drawn(noise, 20, shift=60)) for _ in range(20)]
    assert np.mean([p == least_p(19) for p in found]) >= 0.95


@given(st.lists(st.integers(0, 5), min_size=1, max_size=30), st.integers(0, 5))
def test_p_is_the_rank_and_ties_count_against_the_alarm(scores: list[int], score: int) -> None:
    plain = [float(one) for one in scores]
    expected = (1 + sum(one >= score for one in scores)) / (len(scores) + 1)
    assert p_value(plain, float(score)) == pytest.approx(expected)
    assert p_value(plain, float(score), [2.0] * (len(scores) + 1)) == pytest.approx(expected)


def test_weights_restore_the_rate_under_covariate_shift() -> None:
    # References: an easy kind in 9 of 10; suspects: always of the other kind, whose scores are larger.
    noise, small = np.random.default_rng(4), {"plain": 0, "weighted": 0}
    for _ in range(1000):
        kinds = noise.random(60) < 0.5
        scores = noise.normal(size=60) + 2 * kinds
        weights = [*np.where(kinds, 2.0, 0.0), 2.0]
        suspect = float(noise.normal() + 2)
        small["plain"] += p_value(list(scores), suspect) <= 0.1
        small["weighted"] += p_value(list(scores), suspect, weights) <= 0.1
    assert small["plain"] > 150
    assert binomtest(small["weighted"], 1000, 0.1, alternative="greater").pvalue > 1e-3


def test_what_cannot_be_compared_is_refused() -> None:
    models = drawn(np.random.default_rng(5), 4)
    with pytest.raises(InputError, match="at least two others"):
        conformity(models[:2])
    with pytest.raises(InputError, match="different names"):
        conformity([*models, {"targets": {"0": 0.0}}])
    with pytest.raises(InputError, match="not finite"):
        conformity([*models[1:], {**models[0], "targets": {"0": float("inf"), "1": 0.0, "2": 0.0}}])
    with pytest.raises(InputError, match="needs reference models"):
        p_value([], 1.0)
    with pytest.raises(InputError, match="weights"):
        p_value([1.0], 1.0, [1.0])


def test_extrapolation_goes_on_where_ranks_end() -> None:
    scores = list(np.random.default_rng(6).normal(size=19))
    assert extrapolated(scores, 0.0) is None
    assert extrapolated(scores[:9], 50.0) is None
    near, far = extrapolated(scores, max(scores) + 0.1), extrapolated(scores, 30.0)
    assert near is not None
    assert far is not None
    assert 0 < far < near <= least_p(19)


def test_within_a_model_only_what_stands_out_far_is_small() -> None:
    noise = np.random.default_rng(7)
    quiet = {"targets": {str(k): float(v) for k, v in enumerate(noise.normal(size=10))}}
    found = within_model(quiet)
    assert found is not None
    assert found[0] > 0.05
    loud = {"targets": quiet["targets"] | {"4": 40.0}}
    found = within_model(loud)
    assert found is not None
    assert found[0] < 0.05
    assert found[1:] == ("targets", "4")
    assert within_model({"targets": {"0": 1.0, "1": 9.0}}) is None


def test_false_alarms_within_a_model_are_rare_on_gaussian_classes() -> None:
    noise = np.random.default_rng(8)
    small = 0
    for _ in range(500):
        values = {"targets": {str(k): float(v) for k, v in enumerate(noise.normal(size=10))}}
        found = within_model(values)
        small += found is not None and found[0] <= 0.05
    assert small <= 35


def test_what_is_equal_in_all_models_but_one_does_not_hide_a_backdoor() -> None:
    """No clean network has a small trigger for a shift of labels; one that has a huge one is odd, and no backdoor."""
    draw = np.random.default_rng(5)

    def model(shift: float = -6.66, target: float | None = None) -> dict[str, dict[str, float]]:
        sizes = {f"all -> {label}": float(draw.normal(-4.0, 0.1)) for label in range(10)}
        if target is not None:
            sizes["all -> 3"] = target
        return {"targets": sizes, "shifts": {f"i + {step}": -6.66 for step in range(1, 9)} | {"i + 9": shift}}

    references = [model(-5.7), *(model() for _ in range(18))]
    *others, backdoored = conformity([*references, model(target=-1.4)])
    assert backdoored.family == "targets"
    assert p_value([one.value for one in others], backdoored.value) == 1 / 20
    *others, odd = conformity([*(model() for _ in range(19)), model(-5.7)])
    assert odd.family == "shifts"
    assert odd.value < backdoored.value
