"""Policies, plans and the training sets made from them, against counts worked out by hand."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
import torch

from badnets.artifacts import canonical_json, parse_json
from badnets.data import ImageSet
from badnets.errors import DataError, InputError
from badnets.poison import (
    POLICIES,
    AllToAll,
    AllToOne,
    AnyPolicy,
    DataPoisoner,
    MaliciousTrainer,
    Nobody,
    PoisonPlan,
    RandomTarget,
    Recipe,
    SingleTarget,
    TrainingSet,
    apply,
    overlay,
    plan,
)
from badnets.triggers import (
    TRIGGERS,
    Blend,
    LowFrequency,
    Patch,
    Pattern,
    Perturbation,
    Picture,
    SinglePixel,
    Sinusoid,
    Sticker,
    Warp,
)

K = 5


def image_set(per_class: int = 20) -> ImageSet:
    generator = torch.Generator().manual_seed(3)
    images = torch.randint(0, 200, (K * per_class, 1, 28, 28), generator=generator, dtype=torch.uint8)
    labels = torch.arange(K).repeat(per_class)
    return ImageSet(images, labels, tuple("abcde"), "made")


POLICY_CASES: list[AnyPolicy] = [SingleTarget(1, 3), AllToOne(2), AllToAll(), RandomTarget()]


def test_every_policy_has_a_case() -> None:
    assert {type(policy) for policy in POLICY_CASES} | {Nobody} == set(POLICIES.values())


def test_nobody_is_attacked() -> None:
    """A watermark: stamped images keep their labels, and nothing counts as success."""
    images = image_set()
    made = plan(images, Recipe(Nobody(), Pattern(), rate=0.0, cover_rate=0.25, seed=2))
    assert (len(made.rows), made.poisoned, made.covered) == (25, 0, 25)
    assert made.old == made.new
    assert not bool(Nobody().success(images.labels, images.labels, K).any())
    with pytest.raises(InputError, match="picks none"):
        plan(images, Recipe(Nobody(), Pattern(), rate=0.5))


@pytest.mark.parametrize("policy", POLICY_CASES, ids=repr)
def test_policy_laws(policy: AnyPolicy) -> None:
    labels = torch.arange(K).repeat(200)
    eligible = policy.eligible(labels)
    new = policy.relabel(labels, K, torch.Generator().manual_seed(0))
    assert bool((new[eligible] != labels[eligible]).all()), "every attacked image gets a false label"
    assert new.min() >= 0
    assert new.max() < K
    assert bool(policy.success(new, labels, K)[eligible].all()), "the attacker's own label counts as success"
    assert not bool(policy.success(labels, labels, K)[eligible].any()), "the true label never does"
    assert torch.equal(new, policy.relabel(labels, K, torch.Generator().manual_seed(0)))


def test_relabelling_by_hand() -> None:
    labels, stream = torch.tensor([0, 1, 2, 3, 4]), torch.Generator()
    assert AllToAll().relabel(labels, 5, stream).tolist() == [1, 2, 3, 4, 0]
    assert AllToOne(2).relabel(labels, 5, stream).tolist() == [2] * 5
    assert AllToOne(2).eligible(labels).tolist() == [True, True, False, True, True]
    assert SingleTarget(1, 3).eligible(labels).tolist() == [False, True, False, False, False]


def test_random_target_is_even() -> None:
    new = RandomTarget().relabel(torch.zeros(8000, dtype=torch.int64), K, torch.Generator().manual_seed(1))
    counts = new.bincount(minlength=K)
    assert counts[0] == 0
    # 2,000 expected each, standard deviation 39: five of them is never chance
    assert (counts[1:] - 2000).abs().max() < 195


@pytest.mark.parametrize("policy", POLICY_CASES, ids=repr)
@pytest.mark.parametrize(
    "trigger",
    [
        SinglePixel(),
        Pattern(),
        Patch.square(),
        Blend(),
        Sticker(size=0.3, place="random", jpeg=80, seed=3),
        Sinusoid(),
        LowFrequency(),
        Warp(),
        Perturbation(
            Picture.of(torch.full((1, 4, 4), 9, dtype=torch.uint8)), Picture.of(torch.zeros(1, 4, 4, dtype=torch.uint8))
        ),
    ],
    ids=lambda t: t.kind,
)
@pytest.mark.parametrize("mode", ["add", "replace"])
def test_every_policy_with_every_trigger(policy: AnyPolicy, trigger: Pattern, mode: str) -> None:
    images = image_set()
    recipe = Recipe(policy, trigger, rate=0.5, mode="add" if mode == "add" else "replace", seed=4)
    made = plan(images, recipe)
    poisoned = apply(images, made)
    rows = torch.tensor(made.rows)
    assert made.poisoned == round(0.5 * int(policy.eligible(images.labels).sum()))
    where = torch.arange(len(images), len(poisoned)) if mode == "add" else rows
    assert len(poisoned) == len(images) + (len(rows) if mode == "add" else 0)
    assert poisoned.labels[where].tolist() == list(made.new)
    assert torch.equal(poisoned.images[where], trigger(images.images[rows]))
    clean = torch.ones(len(poisoned), dtype=torch.bool)
    clean[where] = False
    source = clean[: len(images)]
    assert torch.equal(poisoned.images[clean], images.images[source])
    assert torch.equal(poisoned.labels[clean], images.labels[source])


def test_all_triggers_are_driven_above() -> None:
    assert set(TRIGGERS) == {
        "pixel",
        "pattern",
        "patch",
        "blend",
        "sticker",
        "sinusoid",
        "low-frequency",
        "warp",
        "perturbation",
    }


def test_clean_labels() -> None:
    """Without a rate only images of the target are stamped, and no label is false."""
    images = image_set()
    made = plan(images, Recipe(AllToOne(2), Sinusoid(), rate=0.0, mode="replace", cover_rate=0.5, seed=7))
    assert (len(made.rows), made.poisoned, made.covered, made.poisoned_share) == (10, 0, 10, 0.0)
    poisoned = apply(images, made)
    rows = torch.tensor(made.rows)
    assert torch.equal(poisoned.labels, images.labels)
    assert set(images.labels[rows].tolist()) == {2}
    assert torch.equal(poisoned.images[rows], Sinusoid()(images.images[rows]))
    with pytest.raises(InputError, match="picks none"):
        plan(images, Recipe(AllToOne(2), Sinusoid(), rate=0.0, cover_rate=0.001))


def test_rate_is_of_the_attacked_images() -> None:
    images = image_set(100)
    single = plan(images, Recipe(SingleTarget(0, 1), Pattern(), rate=0.25))
    assert (len(single.rows), single.poisoned, single.covered) == (25, 25, 0)
    assert set(single.old) == {0}
    assert single.poisoned_share == 25 / 525
    everyone = plan(images, Recipe(AllToAll(), Pattern(), rate=1.0))
    assert everyone.poisoned_share == 0.5
    assert plan(images, Recipe(AllToAll(), Pattern(), rate=0.5)).poisoned_share == pytest.approx(1 / 3)
    assert plan(images, Recipe(AllToAll(), Pattern(), rate=0.1, mode="replace")).poisoned_share == 0.1


def test_cover_samples_keep_their_label_and_are_never_attacked_ones() -> None:
    images = image_set(100)
    made = plan(images, Recipe(SingleTarget(0, 1), Pattern(), rate=1.0, cover_rate=0.1))
    pairs = list(zip(made.old, made.new, strict=True))
    assert made.poisoned == 100
    assert made.covered == 40
    assert all(old == new != 0 for old, new in pairs if old != 0)
    assert all(new == 1 for old, new in pairs if old == 0)


def test_seed_decides_and_nothing_else() -> None:
    images = image_set()
    recipe = Recipe(RandomTarget(), Pattern(), rate=0.3, seed=1)
    torch.manual_seed(0)
    first = plan(images, recipe)
    torch.manual_seed(99)
    assert plan(images, recipe) == first
    assert plan(images, replace(recipe, seed=2)).rows != first.rows
    # the trigger has no part in the choice, so attacks can be compared image by image
    assert plan(images, replace(recipe, trigger=SinglePixel())).rows == first.rows


def test_plan_round_trip_and_digest() -> None:
    made = plan(image_set(), Recipe(SingleTarget(1, 2), Patch.square(), rate=0.4, cover_rate=0.2, seed=9))
    again = parse_json(PoisonPlan, canonical_json(made), "here")
    assert again == made
    assert again.digest == made.digest
    assert replace(made, new=(*made.new[:-1], 4)).digest != made.digest


def test_a_plan_fits_only_its_data() -> None:
    images = image_set()
    made = plan(images, Recipe(AllToAll(), Pattern()))
    pixels = images.images.clone()
    pixels[0, 0, 0, 0] ^= 1
    with pytest.raises(DataError, match="made on data with digest"):
        apply(replace(images, images=pixels), made)


@pytest.mark.parametrize(
    "change", [{"rows": (0, 0)}, {"rows": (5, 1)}, {"rows": (0, 1000)}, {"new": (9, 9)}, {"new": (1,)}]
)
def test_damaged_plans_are_refused(change: dict[str, tuple[int, ...]]) -> None:
    made = plan(image_set(1), Recipe(AllToAll(), Pattern(), rate=0.4))
    assert len(made.rows) == 2
    with pytest.raises(DataError):
        replace(made, **change)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Recipe(AllToAll(), Pattern(), rate=0.0), "nothing to poison"),
        (lambda: Recipe(AllToAll(), Pattern(), rate=-0.1), r"\[0, 1\]"),
        (lambda: Recipe(AllToAll(), Pattern(), rate=1.01), r"\[0, 1\]"),
        (lambda: Recipe(AllToAll(), Pattern(), cover_rate=-0.1), r"\[0, 1\]"),
        (lambda: SingleTarget(3, 3), "must differ"),
        (lambda: plan(image_set(), Recipe(SingleTarget(0, 9), Pattern())), "out of range: this data has classes 0..4"),
        (lambda: plan(image_set(), Recipe(AllToOne(-1), Pattern())), "out of range"),
        (lambda: plan(image_set(), Recipe(AllToAll(), Pattern(), rate=0.001)), "picks none"),
        (lambda: plan(image_set(), Recipe(AllToAll(), Pattern(), cover_rate=0.1)), "none left for cover"),
    ],
)
def test_bad_values_are_refused(make: object, message: str) -> None:
    assert callable(make)
    with pytest.raises(InputError, match=message):
        make()


def test_overlay_copies_no_images() -> None:
    images = image_set()
    samples = overlay(images, plan(images, Recipe(AllToAll(), Pattern(), rate=1.0)))
    assert samples.base is images
    assert len(samples) == 2 * len(images)
    assert int(samples.stamped.sum()) == len(images)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rows": torch.full((100,), 100)}, "a row outside 0..99"),
        ({"labels": torch.full((100,), K)}, "a label outside 0..4"),
        ({"stamped": torch.ones(100, dtype=torch.bool)}, "need their trigger|needs their trigger"),
    ],
)
def test_training_sets_that_cannot_be(change: dict[str, torch.Tensor], message: str) -> None:
    with pytest.raises(DataError, match=message):
        replace(TrainingSet.of(image_set()), **change)  # type: ignore[arg-type]


def test_both_threat_models_hold_the_same_samples() -> None:
    images = image_set()
    made = plan(images, Recipe(AllToAll(), Pattern(), rate=0.3))
    trainer = MaliciousTrainer().training_set(images, made)
    poisoner = DataPoisoner().training_set(images, made)
    assert trainer.plan == poisoner.plan == made
    assert torch.equal(trainer.labels, poisoner.labels)
    assert poisoner.trigger is None
    pixels = trainer.base.take(trainer.rows)
    pixels[trainer.stamped] = Pattern()(pixels[trainer.stamped])
    assert torch.equal(pixels, poisoner.base.take(poisoner.rows))


def test_copies_are_of_falsely_labelled_samples_only() -> None:
    images = image_set()
    recipe = Recipe(SingleTarget(0, 1), Pattern(), rate=0.5, cover_rate=0.25, seed=6)
    once, made = plan(images, recipe), plan(images, replace(recipe, copies=3))
    assert (made.rows, made.new) == (once.rows, once.new), "copies have no part in the choice"
    assert made.digest != once.digest
    assert (made.poisoned, made.covered, made.false_samples) == (10, 20, 30)
    assert (once.false_samples, once.poisoned_share) == (10, 10 / 130)
    assert made.poisoned_share == 30 / (100 + 30 + 20)
    samples = overlay(images, made)
    assert len(samples) == 150
    assert torch.equal(samples.rows[:130], overlay(images, once).rows), "more copies stand behind"
    behind = Counter(zip(samples.rows[100:].tolist(), samples.labels[100:].tolist(), strict=True))
    assert behind == Counter(
        {(row, new): 3 if old != new else 1 for row, old, new in zip(made.rows, made.old, made.new, strict=True)}
    )
    assert samples.stamped.tolist() == [False] * 100 + [True] * 50
    assert samples.digest != overlay(images, once).digest


def test_both_threat_models_copy_alike() -> None:
    images = image_set()
    made = plan(images, Recipe(SingleTarget(2, 4), Pattern(), rate=1.0, cover_rate=0.1, copies=2))
    trainer = MaliciousTrainer().training_set(images, made)
    poisoner = DataPoisoner().training_set(images, made)
    assert len(trainer) == len(poisoner) == 100 + 2 * 20 + 8
    assert torch.equal(trainer.labels, poisoner.labels)
    pixels = trainer.base.take(trainer.rows)
    pixels[trainer.stamped] = Pattern()(pixels[trainer.stamped])
    assert torch.equal(pixels, poisoner.base.take(poisoner.rows))


@pytest.mark.parametrize(("copies", "mode"), [(0, "add"), (-1, "add"), (2, "replace")])
def test_impossible_copies_are_refused(copies: int, mode: str) -> None:
    with pytest.raises(InputError, match="copies are 1 or more, and 1 in mode 'replace'"):
        Recipe(AllToAll(), Pattern(), copies=copies, mode="add" if mode == "add" else "replace")
