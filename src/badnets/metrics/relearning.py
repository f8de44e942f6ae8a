"""How soon a repaired model learns its backdoor again: a repair may hide one rather than remove it.

After Zhu et al. (arXiv 2410.09838): attack success after one epoch on clean images and a handful of poisoned ones. It
knows the attack, so it is a metric and no part of any defense.
"""

from __future__ import annotations

import copy

import torch
from torch import nn

from badnets.data import ImageSet, ImageSource
from badnets.errors import InputError
from badnets.metrics.evaluate import Result, evaluate
from badnets.poison import LabelPolicy, TrainingSet
from badnets.seeds import generator
from badnets.training import TrainSpec, fit
from badnets.training.spec import Augment
from badnets.triggers import Trigger

ONE_EPOCH = TrainSpec(
    epochs=1,
    batch_size=32,
    learning_rate=1e-3,
    schedule="constant",
    augment=Augment(),
    precision="float32",
    compiled="no",
)


def relearned(
    model: nn.Module,
    data: tuple[ImageSet, ImageSource],
    attack: tuple[Trigger, LabelPolicy],
    *,
    poisons: int = 10,
    seed: int = 0,
    train: TrainSpec = ONE_EPOCH,
) -> Result:
    """The model's clean error and attack success after a copy of it saw a few poisoned images among clean ones.

    Args:
        model: stays as it is.
        data: clean images to train on, and those that are measured.
        attack: trigger and policy.
        poisons: how many stamped, falsely labelled copies are added.
        seed: of their choice, and of the order.
        train: schedule; one epoch of batches of 32.

    Raises:
        InputError: there are not so many images that the policy attacks.
    """
    (clean, test), (trigger, policy) = data, attack
    attacked = torch.nonzero(policy.eligible(clean.labels))[:, 0]
    if not 0 < poisons <= len(attacked):
        raise InputError(f"{clean.name} has {len(attacked)} images that are attacked, {poisons} poisons were asked for")
    stream = generator(seed, "relearning")
    rows = attacked[torch.randperm(len(attacked), generator=stream)[:poisons]]
    base = TrainingSet.of(clean)
    samples = TrainingSet(
        clean,
        rows=torch.cat([base.rows, rows]),
        labels=torch.cat([base.labels, policy.relabel(clean.labels[rows], len(clean.classes), stream)]),
        stamped=torch.cat([base.stamped, torch.ones(poisons, dtype=torch.bool)]),
        trigger=trigger,
    )
    return evaluate(fit(copy.deepcopy(model), samples, train, seed=seed).model, test, trigger, policy)
