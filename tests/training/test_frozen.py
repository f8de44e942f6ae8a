"""Frozen modules: held while a model is trained, and only then."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from badnets.data import ImageSet, load
from badnets.errors import CheckpointError, InputError, Stopped
from badnets.models import badnet_cnn
from badnets.training import Session, TrainSpec, fit, weights_digest

QUICK = TrainSpec(epochs=2, batch_size=64)


def few() -> ImageSet:
    return load("digits").train.select(torch.arange(300))


class StopAfter:
    """Asks to stop after so many steps."""

    def __init__(self, steps: int) -> None:
        self.left = steps

    def __call__(self) -> bool:
        self.left -= 1
        return self.left < 0


def changed(before: dict[str, torch.Tensor], model: nn.Module) -> set[str]:
    """The layers of which any parameter moved."""
    return {name.split(".")[0] for name, value in model.named_parameters() if not torch.equal(value, before[name])}


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_frozen_modules_stay_as_they_are(optimizer: str, tmp_path: Path) -> None:
    spec = replace(QUICK, optimizer="adam" if optimizer == "adam" else "sgd", weight_decay=0.1, frozen=("conv1", "fc1"))
    model = badnet_cnn()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    done = fit(model, few(), spec, session=Session(tmp_path))
    assert changed(before, done.model) == {"conv2", "fc2"}
    assert all(parameter.requires_grad for parameter in model.parameters()), "held for the time of the training only"
    assert done.card.job.spec.frozen == ("conv1", "fc1")
    with pytest.raises(CheckpointError, match=r"its spec\.frozen is"):
        fit(badnet_cnn(), few(), replace(spec, frozen=("conv1",)), session=Session(tmp_path))


def test_what_was_held_before_is_held_afterwards() -> None:
    model = badnet_cnn()
    model.conv2.requires_grad_(requires_grad=False)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    fit(model, few(), replace(QUICK, frozen=("conv1",)))
    assert changed(before, model) == {"fc1", "fc2"}
    held = {name for name, parameter in model.named_parameters() if not parameter.requires_grad}
    assert held == {"conv2.weight", "conv2.bias"}


@pytest.mark.parametrize("steps", [1, 5])
def test_frozen_stopped_and_resumed_is_the_unbroken_run(steps: int, tmp_path: Path) -> None:
    spec = replace(QUICK, frozen=("conv1",))
    whole = fit(badnet_cnn(), few(), spec, seed=2)
    model = badnet_cnn()
    with pytest.raises(Stopped):
        fit(model, few(), spec, seed=2, session=Session(tmp_path, stop=StopAfter(steps)))
    assert all(parameter.requires_grad for parameter in model.parameters())
    resumed = fit(badnet_cnn(), few(), spec, seed=2, session=Session(tmp_path))
    assert weights_digest(resumed.model) == weights_digest(whole.model)


class Normed(nn.Module):
    """Dropout and running statistics in a module that is frozen, and in one that is not."""

    def __init__(self) -> None:
        super().__init__()
        self.held = nn.Sequential(nn.Flatten(), nn.Linear(784, 16), nn.BatchNorm1d(16), nn.Dropout(0.5))
        self.free = nn.Sequential(nn.Linear(16, 16), nn.BatchNorm1d(16), nn.Linear(16, 10))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.free(self.held(images))
        return out


def test_frozen_statistics_stay_too() -> None:
    torch.manual_seed(0)
    model = Normed()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    fit(model, few(), replace(QUICK, frozen=("held",)))
    after = model.state_dict()
    moved = {name for name in after if not torch.equal(after[name], before[name])}
    assert moved == {name for name in after if name.startswith("free")}


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("conv3",), "cannot freeze 'conv3': BadnetCnn has normalize, conv1, "),
        (("conv1", ""), "cannot freeze '': BadnetCnn has"),
        (("conv1", "conv2", "fc1", "fc2"), "nothing is left to train with conv1, conv2, fc1, fc2 frozen"),
    ],
)
def test_impossible_freezing_is_refused(names: tuple[str, ...], message: str, tmp_path: Path) -> None:
    model = badnet_cnn()
    with pytest.raises(InputError, match=message):
        fit(model, few(), replace(QUICK, frozen=names), session=Session(tmp_path))
    assert not list(tmp_path.iterdir())
    assert all(parameter.requires_grad for parameter in model.parameters())
