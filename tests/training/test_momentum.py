"""Plain momentum beside Nesterov's, against formulas written out and against `torch.optim`, single and stacked."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Literal

import pytest
import torch
from torch.nn import functional

from badnets.data import ImageSet, load
from badnets.models import badnet_cnn
from badnets.poison import TrainingSet
from badnets.training import Augment, ManySession, Order, TrainSpec, fit
from badnets.training.batches import epoch_order
from badnets.training.optimizer import learning_rate, make_optimizer
from badnets.training.stacked import fit_stacked

SPEC = TrainSpec(
    epochs=2,
    batch_size=32,
    optimizer="momentum",
    learning_rate=0.02,
    schedule="cosine",
    weight_decay=5e-3,
    augment=Augment(),
    precision="float32",
)


def few(count: int = 80) -> ImageSet:
    return load("digits").train.select(torch.arange(count))


def by_torch(data: ImageSet, spec: TrainSpec, *, nesterov: bool) -> dict[str, torch.Tensor]:
    """The weights after the same batches, by the optimiser of torch as anybody calls it."""
    model = badnet_cnn(seed=1).train()
    optimizer = torch.optim.SGD(
        model.parameters(), spec.learning_rate, momentum=0.9, nesterov=nesterov, weight_decay=spec.weight_decay
    )
    steps = spec.epochs * -(-len(data) // spec.batch_size)
    step = 0
    for epoch in range(spec.epochs):
        for index in epoch_order(len(data), 3, epoch).split(spec.batch_size):
            for group in optimizer.param_groups:
                group["lr"] = learning_rate(spec, step, steps)
            optimizer.zero_grad()
            functional.cross_entropy(model(data.images[index].float() / 255), data.labels[index]).backward()
            optimizer.step()
            step += 1
    return model.state_dict()


@pytest.mark.parametrize(("name", "nesterov"), [("momentum", False), ("sgd", True)])
def test_fit_takes_the_steps_of_torch(name: Literal["momentum", "sgd"], *, nesterov: bool) -> None:
    data = few()
    spec = replace(SPEC, optimizer=name)
    expected, other = by_torch(data, spec, nesterov=nesterov), by_torch(data, spec, nesterov=not nesterov)
    found = fit(badnet_cnn(seed=1), data, spec, seed=3).model.state_dict()
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    # The test can tell them apart: the other kind of momentum lies further away by orders of magnitude.
    assert max(float((found[key] - other[key]).abs().max()) for key in found) > 1e-3


@pytest.mark.parametrize("name", ["adam", "sgd", "momentum"])
def test_stacked_models_take_the_steps_of_fit(name: Literal["adam", "sgd", "momentum"]) -> None:
    data = TrainingSet.of(few())
    spec = replace(SPEC, optimizer=name, learning_rate=0.02 if name != "adam" else 1e-3)
    orders = [Order(badnet_cnn(seed=seed), data, spec, seed) for seed in (0, 1)]
    # One ends early and has to rest while the other goes on.
    orders.append(Order(badnet_cnn(seed=2), data, replace(spec, epochs=1), 2))
    for order, stacked in zip(orders, fit_stacked(orders, ManySession()), strict=True):
        alone = fit(copy.deepcopy(order.model), order.data, order.spec, seed=order.seed)
        torch.testing.assert_close(stacked.model.state_dict(), alone.model.state_dict(), rtol=1e-4, atol=1e-4)


def test_two_steps_are_the_formula() -> None:
    weight = torch.nn.Parameter(torch.tensor([1.0, -2.0]))
    layer = torch.nn.Module()
    layer.register_parameter("weight", weight)
    optimizer = make_optimizer(layer, replace(SPEC, learning_rate=0.1, weight_decay=0.5))
    kept, velocity = weight.detach().clone(), torch.zeros(2)
    for gradient in (torch.tensor([0.3, 0.1]), torch.tensor([-0.2, 0.4])):
        weight.grad = gradient.clone()
        optimizer.step()
        velocity = 0.9 * velocity + gradient + 0.5 * kept
        kept = kept - 0.1 * velocity
        torch.testing.assert_close(weight.detach(), kept)
