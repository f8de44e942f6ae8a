"""A victim's retraining: what stays, what is new, and kept features beside a pass through the trunk."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from badnets.data import ImageSet, load
from badnets.errors import InputError
from badnets.models import BadnetCnn, ModelSpec, build, mark_plans, plans_of
from badnets.training import Augment, Retrained, Session, TrainSpec, fit, frozen_by, load_model, transfer, victim

SPEC = TrainSpec(epochs=2, batch_size=32, augment=Augment(), frozen=("trunk",), precision="float32")


@pytest.fixture(scope="module")
def others() -> ImageSet:
    """Digits 5 to 9."""
    return load("digits").train.only((5, 6, 7, 8, 9)).select(torch.arange(200))


@pytest.fixture
def base() -> BadnetCnn:
    model = build(ModelSpec(classes=5), seed=1)
    assert isinstance(model, BadnetCnn)
    return model


@pytest.mark.parametrize("retrained", ["last", "head", "whole"])
def test_what_stays_and_what_is_new(base: BadnetCnn, others: ImageSet, retrained: Retrained) -> None:
    before = {name: value.clone() for name, value in base.state_dict().items()}
    spec = replace(SPEC, frozen=frozen_by(retrained))
    done = transfer(base, others, spec, retrained=retrained, seed=5).model
    found = {name.partition(".")[2]: value for name, value in done.state_dict().items()}
    same = {
        name for name in before if before[name].shape == found[name].shape and torch.equal(before[name], found[name])
    }
    conv = {f"{layer}.{part}" for layer in ("conv1", "conv2") for part in ("weight", "bias")}
    fixed = {name for name in before if name.startswith("normalize")}
    expected = {"head": conv, "last": conv | {"fc1.weight", "fc1.bias"}, "whole": set()}[retrained]
    assert same - fixed == expected
    assert all(torch.equal(value, before[name]) for name, value in base.state_dict().items()), "the download stays"


def test_features_once_are_the_pass_through_the_trunk(base: BadnetCnn, others: ImageSet) -> None:
    fast = transfer(base, others, SPEC, seed=5).model
    # The same network, cut nowhere, so that nothing is kept: every image passes the frozen convolutions every time.
    slow = build(ModelSpec(classes=5), seed=9)
    start = victim(base, 5, seed=5)
    slow.load_state_dict({name.partition(".")[2]: value for name, value in start.state_dict().items()})
    fit(slow, others, replace(SPEC, frozen=("conv1", "conv2")), seed=5)
    for (name, ours), (other, theirs) in zip(fast.state_dict().items(), slow.state_dict().items(), strict=True):
        assert name.endswith(other)
        assert torch.allclose(ours, theirs, atol=2e-5), name
    images = others.images[:50].float() / 255
    assert torch.equal(fast(images).argmax(1), slow.eval()(images).argmax(1))


def test_a_victims_network_is_kept_and_loaded(base: BadnetCnn, others: ImageSet, tmp_path: Path) -> None:
    mark_plans(base, ("ab" * 32,))
    done = transfer(base, others, SPEC, seed=5, session=Session(folder=tmp_path))
    assert done.card.job.inherited == ("ab" * 32,), "what the download was poisoned with is not forgotten"
    again, card = load_model(tmp_path)
    assert card.classes == ("5", "6", "7", "8", "9")
    assert plans_of(again) == ("ab" * 32,)
    images = others.images[:9].float() / 255
    assert torch.allclose(again(images), done.model(images), atol=1e-5)


def test_what_cannot_be_transferred(base: BadnetCnn, others: ImageSet) -> None:
    with pytest.raises(InputError, match=r"retrains 'whole' freezes \(\), got \('trunk',\)"):
        transfer(base, others, SPEC, retrained="whole")
    with pytest.raises(InputError, match=r"was not made by models\.build"):
        victim(BadnetCnn(classes=5), 5)
    with pytest.raises(InputError, match="is not one layer after the other"):
        victim(build(ModelSpec("preact_resnet18", 3, 32, 32)), 5)
