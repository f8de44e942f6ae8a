"""The user's check: accuracy against a*, and the ordered architecture; for both threat models."""

from __future__ import annotations

import pytest
import torch

from badnets.data import Split, load
from badnets.errors import InputError
from badnets.metrics import evaluate
from badnets.models import BadnetCnn, ModelSpec, build
from badnets.models.side_network import SideNetwork
from badnets.studies.threat_models import OutsourcedTraining, TransferLearning
from badnets.training import Augment, TrainSpec, fit
from badnets.triggers import Pattern

SPEC = TrainSpec(epochs=3, batch_size=32, augment=Augment())


@pytest.fixture(scope="module")
def digits() -> Split:
    return load("digits")


def test_accuracy_decides_and_so_does_the_architecture(digits: Split) -> None:
    model = fit(build(), digits.train, SPEC).model
    accuracy = evaluate(model, digits.test).clean_error.complement()
    for a_star, accepted in ((accuracy.value, True), (accuracy.value + 1e-9, False), (0.0, True)):
        found = OutsourcedTraining(ModelSpec(), a_star).check(model, digits.test)
        assert found.accuracy == accuracy
        assert found.accepted is accepted
    side = SideNetwork(model, Pattern().mask(28, 28), 0).eval()
    refused = OutsourcedTraining(ModelSpec(), 0.0).check(side, digits.test)
    assert not refused.accepted
    assert refused.differences


def test_a_download_retrained(digits: Split) -> None:
    low, high = (0, 1, 2, 3, 4), (5, 6, 7, 8, 9)
    five = ModelSpec(classes=5)
    download = fit(build(five), digits.train.only(low), SPEC).model
    user = TransferLearning(five, a_star=0.9, own_a_star=0.9)
    assert user.check_download(download, digits.test.only(low)).accepted
    assert not TransferLearning(ModelSpec(classes=6), 0.0, 0.0).check_download(download, digits.test.only(low)).accepted
    own = digits.train.only(high)
    done = user.retrain(download, own, TrainSpec(epochs=5, batch_size=32, augment=Augment(), frozen=("trunk",)))
    found = user.check(done, digits.test.only(high))
    assert found.differences == ()
    assert found.accuracy == evaluate(done.model, digits.test.only(high)).clean_error.complement()
    kept = done.model.state_dict()["trunk.conv2.weight"]
    assert isinstance(download, BadnetCnn)
    assert torch.equal(kept, download.conv2.weight)
    with pytest.raises(InputError, match="who retrains 'head' freezes"):
        user.retrain(download, own, SPEC)


def test_what_cannot_be_asked_for() -> None:
    with pytest.raises(InputError, match=r"a\* is in \[0, 1\], got 99"):
        OutsourcedTraining(ModelSpec(), 99.0)
    with pytest.raises(InputError, match=r"a\* is in \[0, 1\]"):
        TransferLearning(ModelSpec(), 0.9, -0.1)
