"""Stacked models agree with single ones up to rounding.

Stated tolerance, in float32, after some tens of steps: a tensor's weights differ by 2e-5 on average at most and none by
more than 5e-3, the loss by 1e-4, and at least 99.5 % of images are called the same. (Adam divides a gradient by its own
size: where that is next to nothing, rounding decides on a whole step, which is 2e-3 here.)
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from badnets.data import ImageSet, load
from badnets.errors import InputError, Stopped
from badnets.metrics import predict
from badnets.models import badnet_cnn, plans_of
from badnets.poison import AllToAll, Recipe, SingleTarget, TrainingSet, overlay, plan
from badnets.training import (
    Fit,
    ManySession,
    Order,
    Progress,
    Session,
    TrainSpec,
    fit,
    load_model,
    load_plan,
    read_card,
    stacked,
    weights_digest,
)
from badnets.training.checkpoint import WEIGHTS
from badnets.training.stacked import fit_stacked
from badnets.triggers import Pattern, SinglePixel

MEAN, MOST, LOSS, SAME_CLASS = 2e-5, 5e-3, 1e-4, 0.995
SPEC = TrainSpec(epochs=4, batch_size=32, precision="float32")


def images(count: int = 200) -> ImageSet:
    return load("digits").train.select(torch.arange(count))


def first(samples: TrainingSet, count: int) -> TrainingSet:
    return replace(
        samples, rows=samples.rows[-count:], labels=samples.labels[-count:], stamped=samples.stamped[-count:]
    )


def orders(spec: TrainSpec) -> list[Order]:
    """Sets of 230, 129, 96 and 20 samples: other numbers of steps, last batches of 6, 1, 32 and the only one of 20."""
    base = images()
    every = overlay(base, plan(base, Recipe(AllToAll(), Pattern(), rate=0.5, seed=1)))
    pair = overlay(base, plan(base, Recipe(SingleTarget(3, 8), SinglePixel(), rate=1.0, cover_rate=0.1, copies=3)))
    return [
        Order(badnet_cnn(0), first(every, 230), spec, seed=7),
        Order(badnet_cnn(1), first(pair, 129), replace(spec, epochs=6), seed=8),
        Order(badnet_cnn(1), first(TrainingSet.of(base), 96), replace(spec, epochs=2), seed=8),
        Order(badnet_cnn(2), first(TrainingSet.of(base), 20), replace(spec, epochs=5), seed=9),
    ]


def singly(order: Order) -> Fit:
    model = badnet_cnn()
    model.load_state_dict(order.model.state_dict())
    return fit(model, order.data, order.spec, seed=order.seed)


def assert_close(stack: Fit, single: Fit) -> None:
    mine, theirs = stack.model.state_dict(), single.model.state_dict()
    assert mine.keys() == theirs.keys()
    for name, value in mine.items():
        apart = (value - theirs[name]).abs()
        assert float(apart.max()) <= MOST, name
        assert float(apart.mean()) <= MEAN, name
    assert stack.card.loss == pytest.approx(single.card.loss, abs=LOSS)
    assert replace(stack.card, loss=0.0, seconds=0.0) == replace(single.card, loss=0.0, seconds=0.0)
    test = load("digits").test.images
    same = predict(stack.model, test).classes == predict(single.model, test).classes
    assert float(same.float().mean()) >= SAME_CLASS
    assert not stack.model.training


@pytest.mark.parametrize(
    "spec",
    [
        SPEC,
        replace(SPEC, optimizer="sgd", learning_rate=0.02, schedule="cosine"),
        replace(SPEC, epochs=2, weight_decay=0.1, label_smoothing=0.1, frozen=("conv1", "fc1")),
        replace(
            SPEC,
            epochs=2,
            optimizer="sgd",
            learning_rate=0.01,
            weight_decay=0.01,
            frozen=("conv2",),
            schedule="constant",
        ),
    ],
    ids=["adam", "sgd", "adam-decay-smooth-frozen", "sgd-decay-frozen"],
)
def test_a_stack_agrees_with_single_models(spec: TrainSpec) -> None:
    made = orders(spec)
    before = [weights_digest(order.model) for order in made]
    done = fit_stacked(made, ManySession())
    for order, one in zip(made, done, strict=True):
        single = singly(order)
        assert_close(one, single)
        moved = [
            name
            for name, value in order.model.named_parameters()
            if not torch.equal(value, one.model.get_parameter(name))
        ]
        frozen = [name for name, _ in order.model.named_parameters() if name.split(".")[0] in spec.frozen]
        assert sorted(moved + frozen) == sorted(name for name, _ in order.model.named_parameters())
        assert all(parameter.requires_grad for parameter in one.model.parameters())
        assert plans_of(one.model) == ((order.data.plan.digest,) if order.data.plan else ())
    assert [weights_digest(order.model) for order in made] == before, "the orders' models are left as they are"


def test_those_alike_are_one_stack_the_others_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    make = stacked._Stack.__init__

    def counted(self: stacked._Stack, orders: list[Order], machine: object) -> None:
        sizes.append(len(orders))
        make(self, orders, machine)  # type: ignore[arg-type]

    monkeypatch.setattr(stacked._Stack, "__init__", counted)
    data = first(TrainingSet.of(images()), 40)
    short = replace(SPEC, epochs=1)
    held = badnet_cnn(3)
    held.conv1.requires_grad_(requires_grad=False)
    made = [
        Order(badnet_cnn(0), data, short),
        Order(badnet_cnn(1), data, replace(short, learning_rate=1e-3)),
        Order(badnet_cnn(2), data, replace(short, epochs=2), seed=1),
        Order(held, data, short),
    ]
    done = fit_stacked(made, ManySession())
    assert sorted(sizes) == [1, 1, 2]
    for order, one in zip(made[:3], done, strict=False):
        assert_close(one, singly(order))
    assert torch.equal(done[3].model.get_parameter("conv1.weight"), held.conv1.weight)
    assert not torch.equal(done[3].model.get_parameter("conv2.weight"), held.conv2.weight)


def layers(*middle: nn.Module) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(784, 16), *middle, nn.ReLU(), nn.Linear(16, 10))


class Tied(nn.Module):
    """One layer under two names."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = layers()
        self.again = self.layers[1]

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.layers(images)
        return out


@pytest.mark.parametrize(
    "make",
    [lambda: layers(nn.Dropout(0.5)), lambda: layers(nn.BatchNorm1d(16)), Tied],
    ids=["dropout", "batch norm", "tied"],
)
def test_what_cannot_be_stacked_is_trained_by_itself(make: object, monkeypatch: pytest.MonkeyPatch) -> None:
    assert callable(make)
    monkeypatch.setattr(stacked, "_Stack", None)
    data = first(TrainingSet.of(images()), 40)
    told: list[int] = []
    done = fit_stacked([Order(make(), data, SPEC, seed=s) for s in (0, 1)], ManySession(on_done=told.append))
    assert told == [0, 1]
    for seed, one in enumerate(done):
        single = fit(make(), data, SPEC, seed=seed)
        assert weights_digest(one.model) == weights_digest(single.model)
        assert replace(one.card, seconds=0.0) == replace(single.card, seconds=0.0)


def test_folders_hold_models_that_are_loaded_next_time(tmp_path: Path) -> None:
    made = [replace(order, folder=tmp_path / f"{number}") for number, order in enumerate(orders(SPEC)[:3])]
    kept = fit(badnet_cnn(1), made[2].data, made[2].spec, seed=8, session=Session(made[2].folder))
    written = (tmp_path / "2" / WEIGHTS).stat().st_mtime_ns
    told: list[tuple[int, Progress]] = []
    finished: list[int] = []
    session = ManySession(on_progress=lambda number, progress: told.append((number, progress)), on_done=finished.append)
    done = fit_stacked(made, session)
    assert (done[2].card, (tmp_path / "2" / WEIGHTS).stat().st_mtime_ns) == (kept.card, written)
    assert sorted(finished) == [0, 1, 2]
    assert {number for number, _ in told} == {0, 1}
    for number, order in enumerate(made[:2]):
        steps = [progress for place, progress in told if place == number]
        assert [progress.step for progress in steps] == list(range(1, steps[0].steps + 1))
        assert [progress.epoch for progress in steps if progress.ended] == list(range(order.spec.epochs))
        model, card = load_model(tmp_path / f"{number}")
        assert card == done[number].card == read_card(tmp_path / f"{number}")
        assert weights_digest(model) == weights_digest(done[number].model)
        assert order.data.plan is not None
        assert load_plan(tmp_path / f"{number}") == order.data.plan
        assert plans_of(model) == (order.data.plan.digest,)
    told.clear()
    again = fit_stacked(made, session)
    assert not told
    assert [one.card for one in again] == [one.card for one in done]


def test_a_stack_stops_and_says_a_loss_that_is_none(tmp_path: Path) -> None:
    made = [replace(order, folder=tmp_path / f"{number}") for number, order in enumerate(orders(SPEC)[:2])]
    with pytest.raises(Stopped, match="stopped after step 0 of"):
        fit_stacked(made, ManySession(stop=lambda: True))
    assert not list(tmp_path.iterdir())
    hopeless = replace(SPEC, learning_rate=1e38, schedule="constant")
    with pytest.raises(InputError, match=r"the loss is (nan|inf)"):
        fit_stacked(orders(hopeless)[:2], ManySession())
