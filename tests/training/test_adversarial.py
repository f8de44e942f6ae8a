"""Adversarial training: the worst images against a linear network's, and what the training is good for."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.nn import functional

from badnets.data import ImageSet, load
from badnets.errors import InputError
from badnets.models import badnet_cnn
from badnets.poison import TrainingSet
from badnets.seeds import isolated
from badnets.training import Augment, ManySession, Order, TrainSpec, fit
from badnets.training.adversarial import worst_nearby
from badnets.training.stacked import fit_stacked

RADIUS = 0.1
SPEC = TrainSpec(epochs=3, batch_size=64, augment=Augment(), precision="float32")


def digits(count: int) -> ImageSet:
    return load("digits").train.select(torch.arange(count))


def loss_of(model: nn.Module, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    return functional.cross_entropy(model(images), labels, reduction="none")


class TestWorstNearby:
    def test_a_linear_network_has_one_direction(self) -> None:
        """Of two classes the loss grows along the other class's weights less the own one's, whatever the start."""
        model = nn.Sequential(nn.Flatten(), nn.Linear(9, 2, bias=False))
        images, labels = torch.full((50, 1, 3, 3), 0.5), torch.arange(2).repeat(25)
        with isolated(3, "here"):
            found = worst_nearby(model, images, labels, RADIUS)
        weights = next(model.parameters()).detach()
        away = torch.stack([weights[1 - label] - weights[label] for label in labels.tolist()]).view_as(images).sign()
        moved = (found - images) * away
        assert moved.min() >= 0.25 * RADIUS - 1e-6  # from the far side a step of 1.25 radii ends here
        assert moved.max() <= RADIUS + 1e-6
        assert (moved > RADIUS - 1e-6).float().mean() > 0.55  # of even starts five in eight end at the bound

    def test_it_stays_near_and_in_range_and_costs_accuracy(self) -> None:
        data = digits(400)
        model = fit(badnet_cnn(seed=2), data, SPEC).model
        images, labels = data.images.float() / 255, data.labels
        before = images.clone()
        model.zero_grad()
        with isolated(0, "here"):
            found = worst_nearby(model, images, labels, RADIUS)
        assert torch.equal(images, before)
        assert (found - images).abs().max() <= RADIUS + 1e-6
        assert 0 <= found.min() <= found.max() <= 1
        noise = (images + RADIUS * torch.randn_like(images).sign()).clamp(0, 1)
        with torch.no_grad():
            plain, blind, aimed = (loss_of(model, some, labels).mean() for some in (images, noise, found))
        assert aimed > plain
        assert aimed > blind
        assert all(parameter.grad is None for parameter in model.parameters())


def test_it_makes_networks_robust() -> None:
    split = load("digits")
    plain, hardened = (
        fit(badnet_cnn(seed=1), split.train, replace(SPEC, epochs=6, adversarial=radius)).model
        for radius in (0.0, RADIUS)
    )
    images, labels = split.test.images.float() / 255, split.test.labels
    correct = {}
    for name, model in (("plain", plain), ("hardened", hardened)):
        with isolated(5, "attack"):
            attacked = worst_nearby(model, images, labels, RADIUS)
        with torch.no_grad():
            correct[name] = float((model(attacked).argmax(1) == labels).float().mean())
    assert correct["hardened"] > correct["plain"] + 0.05


def test_the_same_seed_gives_the_same_weights_single_and_among_many() -> None:
    data, spec = digits(128), replace(SPEC, epochs=1, adversarial=RADIUS)
    start = badnet_cnn(seed=4)
    one, two = (fit(copy.deepcopy(start), data, spec, seed=7).model.state_dict() for _ in range(2))
    order = Order(copy.deepcopy(start), TrainingSet.of(data), spec, seed=7)
    (stacked,) = fit_stacked([order], ManySession())
    for name, value in one.items():
        assert torch.equal(value, two[name])
        assert torch.equal(value, stacked.model.state_dict()[name])


@pytest.mark.parametrize("radius", [-0.1, 1.1, float("nan")])
def test_a_radius_is_a_share(radius: float) -> None:
    with pytest.raises(InputError, match="share of white"):
        TrainSpec(adversarial=radius)
