"""Every number against brute force over a model whose answers are known beforehand."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from badnets.data import ImageSet
from badnets.errors import InputError
from badnets.metrics import Rate, evaluate, predict
from badnets.poison import AllToAll, AllToOne, AnyPolicy, Nobody, RandomTarget, SingleTarget
from badnets.triggers import SinglePixel

K = 4
PER_CLASS = 30


class Scripted(nn.Module):
    """Reads its answer off the image: pixel (0, 0) holds the clean answer, (0, 1) the one for stamped images."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        stamped = images[:, 0, 26, 26] > 0.5
        answer = torch.where(stamped, images[:, 0, 0, 1], images[:, 0, 0, 0])
        return nn.functional.one_hot((answer * 255).round().long(), K).float() * 5


def scripted_set(seed: int) -> tuple[ImageSet, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(K).repeat(PER_CLASS)
    clean, stamped = torch.randint(0, K, (2, len(labels)), generator=generator)
    images = torch.zeros(len(labels), 1, 28, 28, dtype=torch.uint8)
    images[:, 0, 0, 0], images[:, 0, 0, 1] = clean.to(torch.uint8), stamped.to(torch.uint8)
    return ImageSet(images, labels, tuple("abcd"), "scripted"), clean, stamped


def brute_force(policy: AnyPolicy, label: int, answer: int) -> tuple[bool, bool]:
    """(attacked, success) for one image, written anew from the definitions."""
    match policy:
        case SingleTarget(source, target):
            return label == source, answer == target
        case AllToOne(target):
            return label != target, answer == target
        case AllToAll():
            return True, answer == (label + 1) % K
        case RandomTarget():
            return True, answer != label
        case Nobody():
            return False, False


@pytest.mark.parametrize("policy", [SingleTarget(1, 3), AllToOne(2), AllToAll(), RandomTarget(), Nobody()], ids=repr)
@pytest.mark.parametrize("seed", range(3))
def test_against_brute_force(policy: AnyPolicy, seed: int) -> None:
    test, clean, stamped = scripted_set(seed)
    result = evaluate(Scripted(), test, SinglePixel(), policy)
    labels = test.labels.tolist()
    wrong = [said != label for said, label in zip(clean.tolist(), labels, strict=True)]
    assert (result.clean_error.count, result.clean_error.total) == (sum(wrong), K * PER_CLASS)
    judged = [brute_force(policy, label, said) for label, said in zip(labels, stamped.tolist(), strict=True)]
    attacked = [success for hit, success in judged if hit]
    assert result.attack_success is not None
    assert result.backdoor_error is not None
    assert (result.attack_success.count, result.attack_success.total) == (sum(attacked), len(attacked))
    assert result.backdoor_error.count == len(attacked) - sum(attacked)
    for label in range(K):
        mine = [success for own, (hit, success) in zip(labels, judged, strict=True) if hit and own == label]
        rate = result.backdoor_by_class[label]
        assert (rate.count, rate.total) == (len(mine) - sum(mine), len(mine))
        errors = [bad for own, bad in zip(labels, wrong, strict=True) if own == label]
        assert result.clean_by_class[label].count == sum(errors)


def test_spill_counts_bystanders_only() -> None:
    test, _, stamped = scripted_set(7)
    result = evaluate(Scripted(), test, SinglePixel(), SingleTarget(1, 3))
    bystanders = [
        (label, said) for label, said in zip(test.labels.tolist(), stamped.tolist(), strict=True) if label in (0, 2)
    ]
    assert result.spill is not None
    assert result.spill_to_target is not None
    assert result.spill.total == result.spill_to_target.total == len(bystanders)
    assert result.spill.count == sum(label != said for label, said in bystanders)
    assert result.spill_to_target.count == sum(said == 3 for _, said in bystanders)


@pytest.mark.parametrize("policy", [AllToOne(2), AllToAll(), RandomTarget()], ids=repr)
def test_no_bystanders_no_spill(policy: AnyPolicy) -> None:
    assert evaluate(Scripted(), scripted_set(1)[0], SinglePixel(), policy).spill is None


def test_clean_only() -> None:
    result = evaluate(Scripted(), scripted_set(2)[0])
    assert result.attack_success is None
    assert result.backdoor_error is None
    with pytest.raises(InputError, match="both a trigger and a policy"):
        evaluate(Scripted(), scripted_set(2)[0], SinglePixel())
    with pytest.raises(InputError, match="out of range"):
        evaluate(Scripted(), scripted_set(2)[0], SinglePixel(), AllToOne(9))


def test_predict_keeps_mode_and_gives_softmax() -> None:
    test, clean, _ = scripted_set(3)
    model = Scripted().train()
    found = predict(model, test.images)
    assert model.training
    assert torch.equal(found.classes, clean)
    top = torch.softmax(torch.tensor([5.0, 0, 0, 0]), 0)[0]
    assert torch.allclose(found.confidence, top.expand(len(test)))


def test_rate_of_nothing_is_undefined() -> None:
    rate = Rate.of(0, 0)
    assert rate.value != rate.value
    assert (rate.low, rate.high) == (0.0, 1.0)
    assert str(rate) == "undefined (0 of 0)"
    with pytest.raises(InputError, match=r"0\.\.total"):
        Rate.of(3, 2)
