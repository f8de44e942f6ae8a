"""Our numbers beside those of SciPy, torchmetrics and scikit-learn."""

from __future__ import annotations

import pytest
import torch
from scipy.stats import binomtest
from sklearn.metrics import confusion_matrix
from torchmetrics.functional.classification import multiclass_accuracy

from badnets.data import load
from badnets.errors import InputError
from badnets.metrics import Rate, evaluate, mean_rate, predict
from badnets.models import badnet_cnn


@pytest.mark.parametrize(
    ("count", "total"), [(0, 1), (0, 1135), (1, 1135), (50, 10_000), (9_999, 10_000), (7, 7), (3, 8)]
)
def test_interval_is_scipys(count: int, total: int) -> None:
    expected = binomtest(count, total).proportion_ci(0.95, method="exact")
    rate = Rate.of(count, total)
    assert rate.low == pytest.approx(expected.low, abs=1e-12)
    assert rate.high == pytest.approx(expected.high, abs=1e-12)
    flipped, direct = rate.complement(), Rate.of(total - count, total)
    assert flipped.low == pytest.approx(direct.low)
    assert flipped.high == pytest.approx(direct.high)


def test_mean_over_seeds_does_not_pool_and_does_not_round() -> None:
    mean = mean_rate([Rate.of(1, 50), Rate.of(0, 50), Rate.of(0, 50)])
    assert mean.value == pytest.approx(1 / 150)
    assert mean.total == 50
    low, high = Rate.of(0, 50), Rate.of(1, 50)
    assert low.high < mean.high < high.high
    whole = mean_rate([Rate.of(3, 50), Rate.of(5, 50)])
    assert whole.low == pytest.approx(Rate.of(4, 50).low)
    assert whole.high == pytest.approx(Rate.of(4, 50).high)
    with pytest.raises(InputError, match="one test set"):
        mean_rate([Rate.of(1, 50), Rate.of(1, 51)])


def test_clean_error_is_torchmetrics_and_sklearns() -> None:
    test, model = load("digits").test, badnet_cnn(seed=3)
    result = evaluate(model, test)
    said = predict(model, test.images).classes
    accuracy = multiclass_accuracy(said, test.labels, 10, average="micro")
    assert 1 - result.clean_error.value == pytest.approx(float(accuracy))
    table = confusion_matrix(test.labels.numpy(), said.numpy(), labels=range(10))
    for label in range(10):
        rate = result.clean_by_class[label]
        assert (rate.count, rate.total) == (table[label].sum() - table[label, label], table[label].sum())


def test_prediction_does_not_depend_on_the_batch() -> None:
    test, model = load("digits").test, badnet_cnn(seed=3)
    whole = predict(model, test.images)
    single = torch.cat([predict(model, image[None]).classes for image in test.images[:40]])
    assert torch.equal(whole.classes[:40], single)
