"""How soon a backdoor comes back: on a network that has forgotten it in one known weight."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest
import torch
from tests.defenses.planted import BACKDOOR, TARGET, Planted, quadrants

from badnets.errors import InputError
from badnets.metrics.relearning import ONE_EPOCH, relearned
from badnets.poison import AllToOne
from badnets.triggers import SinglePixel

PIXEL = SinglePixel(27, 27)  # of 28x28; the last pixel of any other size
CLEAN, TEST = quadrants(96), quadrants(80, seed=9)


def forgetful() -> Planted:
    model = Planted()
    with torch.no_grad():
        model.fc.weight.view(4, 4, 4)[:, BACKDOOR] = 0
    return model


def test_a_hidden_backdoor_comes_back_and_the_model_stays() -> None:
    model = forgetful()
    before = copy.deepcopy(model.state_dict())
    fast = replace(ONE_EPOCH, learning_rate=5.0)
    found = relearned(model, (CLEAN, TEST), (PIXEL, AllToOne(TARGET)), poisons=10, train=fast)
    assert found.attack_success is not None
    assert found.attack_success.total == 60
    assert found.attack_success.value > 0.5
    still = relearned(
        model, (CLEAN, TEST), (PIXEL, AllToOne(TARGET)), poisons=10, train=replace(ONE_EPOCH, learning_rate=1e-6)
    )
    assert still.attack_success is not None
    assert still.attack_success.value < 0.05
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


@pytest.mark.parametrize("poisons", [0, 73])
def test_there_must_be_so_many_images(poisons: int) -> None:
    with pytest.raises(InputError, match="has 72 images that are attacked"):
        relearned(forgetful(), (CLEAN, TEST), (PIXEL, AllToOne(TARGET)), poisons=poisons)
