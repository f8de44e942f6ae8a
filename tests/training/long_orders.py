"""Two trainings that take a while, for a script and for the test that finishes its work."""

from __future__ import annotations

from pathlib import Path

import torch

from badnets.data import load
from badnets.models import badnet_cnn
from badnets.poison import TrainingSet
from badnets.training import Augment, Order, TrainSpec


def orders(folder: Path) -> tuple[Order, ...]:
    data = TrainingSet.of(load("digits").train.select(torch.arange(160)))
    spec = TrainSpec(epochs=40, batch_size=16, augment=Augment())
    return tuple(Order(badnet_cnn(seed), data, spec, seed=seed, folder=folder / str(seed)) for seed in (0, 1))
