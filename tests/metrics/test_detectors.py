"""Separation of scores against scikit-learn and counts worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some
from sklearn.metrics import roc_auc_score

from badnets.errors import InputError
from badnets.metrics.detectors import auc, separation

SCORES = some.lists(some.integers(-5, 5).map(float), min_size=1, max_size=30)


@given(clean=SCORES, backdoored=SCORES)
def test_auc_is_scikit_learns(clean: list[float], backdoored: list[float]) -> None:
    truth = [0] * len(clean) + [1] * len(backdoored)
    expected = roc_auc_score(truth, clean + backdoored)
    assert auc(np.array(clean), np.array(backdoored)) == pytest.approx(expected, abs=1e-12)


def test_a_threshold_leaves_one_clean_model_in_twenty_above_it() -> None:
    found = separation([float(n) for n in range(20)], [17.5, 18.0, 18.5, 25.0])
    assert found.threshold == 18.0  # 19 lies above, no other
    assert (found.hits.count, found.hits.total) == (2, 4)
    none_allowed = separation([float(n) for n in range(19)], [17.5, 18.5, 25.0])
    assert none_allowed.threshold == 18.0
    assert none_allowed.hits.count == 2


def test_the_interval_holds_the_figure_and_is_wider_over_families() -> None:
    draw = np.random.default_rng(1)
    clean = draw.normal(0, 1, 60).tolist()
    # Families differ far more than the models within them.
    families = [name for name in "abcdef" for _ in range(10)]
    backdoored = [float(draw.normal(2 * (name in "abc"), 0.1)) for name in families]
    models, whole = separation(clean, backdoored), separation(clean, backdoored, groups=families)
    assert models.auc == whole.auc
    for found in (models, whole):
        assert found.auc_low <= found.auc <= found.auc_high
    assert whole.auc_high - whole.auc_low > models.auc_high - models.auc_low
    assert separation(clean, backdoored, groups=families) == whole


def test_perfect_separation_is_one() -> None:
    found = separation([0.0, 1.0], [2.0, 3.0])
    assert (found.auc, found.auc_low, found.auc_high, found.hits.value) == (1, 1, 1, 1)


@pytest.mark.parametrize(
    ("clean", "backdoored", "groups"),
    [([], [1.0], ()), ([1.0], [], ()), ([float("nan")], [1.0], ()), ([1.0], [1.0, 2.0], ("a",))],
)
def test_what_cannot_be_compared_is_refused(
    clean: list[float], backdoored: list[float], groups: tuple[str, ...]
) -> None:
    with pytest.raises(InputError, match=r"scores of|groups for"):
        separation(clean, backdoored, groups=groups)
