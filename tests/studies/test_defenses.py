"""All defenses over a network whose backdoor is known: figures with their counts."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from sklearn.metrics import roc_auc_score
from tests.audit import planted
from tests.defenses.planted import TARGET, Planted, corner, quadrants
from tests.defenses.test_repair import Guess

from badnets.audit.objectives import Objective
from badnets.data import ImageSet
from badnets.defenses import FILTERS, REPAIRS
from badnets.defenses.repair import Recovered, UnlearnSpec
from badnets.errors import InputError
from badnets.poison import AllToOne
from badnets.studies.cells import Attack
from badnets.studies.defenses import Defended, auroc, filter_inputs, repair_all, sift, unlearn_what_is_found
from badnets.triggers import SinglePixel

# Triggers speak of 28x28: the pixel is the last but one there, and the last here.
PIXEL = SinglePixel(27, 27)


def case() -> Defended:
    return Defended(
        name="planted",
        model=Planted(),
        attack=Attack(AllToOne(TARGET), PIXEL),
        backdoored=True,
        clean=quadrants(240),
        test=quadrants(80, seed=9),
    )


def test_the_trigger_is_the_planted_one() -> None:
    images = quadrants(4).images
    assert torch.equal(PIXEL(images), corner(images))


def test_areas_are_scikit_learns() -> None:
    stream = torch.Generator().manual_seed(0)
    scores = torch.randint(0, 5, (60,), generator=stream).double()
    poison = torch.rand(60, generator=stream) < 0.3
    assert auroc(scores, poison) == pytest.approx(roc_auc_score(poison.numpy(), scores.numpy()))
    assert math.isnan(auroc(scores, torch.zeros(60, dtype=torch.bool)))
    assert auroc(torch.tensor([math.inf, 1.0]), torch.tensor([True, False])) == 1


def test_input_filters_with_their_counts() -> None:
    strip, ted = filter_inputs(case(), names=("strip", "ted"))
    assert strip.hits.total == ted.hits.total == 60
    assert strip.false_alarms.total == 80
    assert strip.hits.value == ted.hits.value == 1
    assert ted.auroc == 1
    assert ted.at_five is not None
    assert ted.at_five.value == 1
    assert ted.milliseconds > 0
    with pytest.raises(InputError, match="no defense is called 'sieve'"):
        filter_inputs(case(), names=("sieve",))


def test_training_sets_with_and_without_poison() -> None:
    images = quadrants(200, seed=3)
    stamped = images.images.clone()
    bad = (torch.arange(200) < 20) & (images.labels != TARGET)
    stamped[bad] = corner(stamped[bad])
    suspect = ImageSet(stamped, torch.where(bad, TARGET, images.labels), images.classes, "suspect")
    figures = sift(case(), suspect, bad)
    assert [one.defense for one in figures] == list(FILTERS)
    assert all(one.hits.total == int(bad.sum()) for one in figures)
    assert figures[0].hits.value == 1
    clean = sift(case(), images, torch.zeros(200, dtype=torch.bool), names=("activation-clustering",))[0]
    assert clean.hits.total == 0
    assert clean.auroc is None
    assert clean.at_five is None
    with pytest.raises(InputError, match="one flag for each"):
        sift(case(), images, torch.zeros(3, dtype=torch.bool))


def test_repairs_with_damage_and_relearning() -> None:
    figures = repair_all(case(), names=("fine-pruning", "clp"), recover=lambda *_: UnlearnSpec((Guess(),)))
    pruned, refused = figures
    assert pruned.before.attack_success is not None
    assert pruned.after.attack_success is not None
    assert pruned.relearned is not None
    assert pruned.before.attack_success.value == 1
    assert pruned.after.attack_success.value < 0.05
    assert pruned.damage == pytest.approx(0)
    assert pruned.relearned.total == 60
    assert refused.refused.startswith("clp works on batch normalisation")
    assert refused.relearned is None
    honest = repair_all(
        replace(case(), backdoored=False), names=("unlearning",), recover=lambda *_: UnlearnSpec((Guess(),))
    )
    assert honest[0].relearned is None
    assert set(REPAIRS) >= {one.defense for one in (*figures, *honest)}


def test_what_inversion_recovers_is_what_unlearning_takes() -> None:
    images, labels = planted.bars(per=12)
    clean = ImageSet((255 * images).round().to(torch.uint8), labels, tuple("abcd"), "bars")
    spec = unlearn_what_is_found(planted.all_to_one(2), clean, 0)
    found = spec.recovered
    assert found
    assert all(isinstance(one, Recovered) and one.objective == Objective("target", target=2) for one in found)
    assert spec.search is not None
    assert found[0].trigger(clean.images[:8]).shape == (8, 1, 8, 8)
