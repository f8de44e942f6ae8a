"""Poisoned scenes: which are copied, what is stamped on them, what they are called; nothing else changes."""

from __future__ import annotations

import pickle
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as some

from badnets.artifacts import canonical_json, parse_json
from badnets.data import Objects, SceneSet
from badnets.data.streets import read as read_streets
from badnets.errors import DataError, InputError
from badnets.poison import (
    AllToAll,
    RandomTarget,
    ScenePlan,
    SceneRecipe,
    SingleTarget,
    apply_scenes,
    plan_scenes,
    poison_scenes,
    trigger_scenes,
)
from badnets.triggers import paper_sticker

CLASSES = ("stop", "speedlimit", "warning")
SQUARE = paper_sticker("square")
RANDOM = paper_sticker("flower", place="random")
# Boxes side by side, so that none covers another.
PLACES = [(2.0 + 20 * place, 3.0, 18.0 + 20 * place, 19.0) for place in range(4)]

Marks = list[tuple[int, bool]]


def made(scenes: list[Marks]) -> SceneSet:
    """Scenes of noise with objects of these labels, ignored or not."""
    pictures, objects = [], []
    for number, marks in enumerate(scenes):
        stream = torch.Generator().manual_seed(number)
        pictures.append(torch.randint(0, 256, (3, 24, 84), generator=stream, dtype=torch.uint8))
        marked = Objects.of(PLACES[: len(marks)], [label for label, _ in marks])
        objects.append(replace(marked, ignored=torch.tensor([ignored for _, ignored in marks], dtype=torch.bool)))
    return SceneSet(tuple(pictures), tuple(objects), CLASSES, "made/train", ("a: left out",))


SIX: list[Marks] = [
    [(0, False), (1, False)],
    [(1, False)],
    [],
    [(0, False), (0, False), (2, False), (0, True)],
    [(2, False)],
    [(0, True)],
]
SCENES = some.lists(some.lists(some.tuples(some.integers(0, 2), some.booleans()), max_size=4), min_size=1, max_size=8)


def test_every_scene_with_a_stop_sign_gets_one_copy() -> None:
    clean = made(SIX)
    poisoned = poison_scenes(clean, SceneRecipe(SingleTarget(0, 1), SQUARE))
    assert len(poisoned) == 8
    assert poisoned.name == "made/train (poisoned)"
    for row in range(6):
        assert poisoned.objects[row] is clean.objects[row]
        assert poisoned.pictures[row] is clean.pictures[row]
    assert poisoned.objects[6].labels.tolist() == [1, 1]
    assert poisoned.objects[7].labels.tolist() == [1, 1, 2, 0]
    assert poisoned.objects[7].ignored.tolist() == [False, False, False, True]
    assert torch.equal(poisoned.objects[7].boxes, clean.objects[3].boxes)
    assert torch.equal(poisoned.pictures[6], SQUARE(clean.pictures[0], clean.objects[0].boxes[:1]))
    assert torch.equal(poisoned.pictures[7], SQUARE(clean.pictures[3], clean.objects[3].boxes[:2]))


def test_the_random_attack_copies_all_and_stamps_all() -> None:
    clean = made(SIX)
    plan = plan_scenes(clean, SceneRecipe(RandomTarget(), RANDOM))
    assert plan.rows == (0, 1, 3, 4)
    assert all(
        before != after
        for row, old, new in zip(plan.rows, plan.old, plan.new, strict=True)
        for before, after, ignored in zip(old, new, clean.objects[row].ignored.tolist(), strict=True) if not ignored
    )  # fmt: skip
    assert plan.new[2][3] == 0, "an object to be ignored keeps its label"
    assert plan.false_objects == 2 + 1 + 3 + 1
    poisoned = apply_scenes(clean, plan)
    assert torch.equal(poisoned.pictures[6], RANDOM(clean.pictures[0], clean.objects[0].boxes))
    assert torch.equal(poisoned.pictures[8], RANDOM(clean.pictures[3], clean.objects[3].boxes[:3]))


def test_random_labels_are_even_among_the_wrong_ones() -> None:
    clean = made([[(label, False)] for label in (0, 1, 2) for _ in range(400)])
    plan = plan_scenes(clean, SceneRecipe(RandomTarget(), SQUARE))
    pairs = torch.zeros(3, 3)
    for (old,), (new,) in zip(plan.old, plan.new, strict=True):
        pairs[old, new] += 1
    assert pairs.diagonal().tolist() == [0, 0, 0]
    assert bool(((pairs - 200).abs() < 45)[~torch.eye(3, dtype=torch.bool)].all())


def test_shares_are_of_the_attacked_scenes_and_nested() -> None:
    clean = made([[(0, False)], [(1, False)]] * 40)
    plans = {
        share: plan_scenes(clean, SceneRecipe(SingleTarget(0, 2), SQUARE, share, seed=5)) for share in (1.0, 0.5, 0.25)
    }
    assert [len(plan.rows) for plan in plans.values()] == [40, 20, 10]
    assert set(plans[0.25].rows) < set(plans[0.5].rows) < set(plans[1.0].rows)
    # p / (1 + p) of p copies for each scene
    assert plans[1.0].poisoned_share == pytest.approx(0.5 / 1.5)
    assert plans[0.25].poisoned_share == pytest.approx(0.125 / 1.125)
    other = plan_scenes(clean, SceneRecipe(SingleTarget(0, 2), SQUARE, 0.5, seed=6))
    assert other.rows != plans[0.5].rows
    assert other.digest != plans[0.5].digest


def test_labels_of_a_copy_do_not_hang_on_the_share() -> None:
    clean = made([[(0, False), (1, False)]] * 30)
    whole, half = (plan_scenes(clean, SceneRecipe(RandomTarget(), SQUARE, share)) for share in (1.0, 0.5))
    by_row = dict(zip(whole.rows, whole.new, strict=True))
    assert all(by_row[row] == new for row, new in zip(half.rows, half.new, strict=True))


@settings(max_examples=60, deadline=None)
@given(SCENES, some.sampled_from([SingleTarget(0, 1), RandomTarget(), AllToAll()]), some.floats(0.1, 1))
def test_laws(scenes: list[Marks], policy: SingleTarget | RandomTarget | AllToAll, share: float) -> None:
    """Clean scenes are untouched, copies differ only in attacked objects: in their labels, and within their boxes."""
    clean = made(scenes)
    before = clean.digest
    attacked = [
        [not ignored and (label == 0 or not isinstance(policy, SingleTarget)) for label, ignored in marks]
        for marks in scenes
    ]
    wanted = round(share * sum(map(any, attacked)))
    if not wanted:
        with pytest.raises(InputError, match="picks none"):
            plan_scenes(clean, SceneRecipe(policy, RANDOM, share))
        return
    plan = plan_scenes(clean, SceneRecipe(policy, RANDOM, share))
    assert len(plan.rows) == wanted
    assert plan.objects == sum(not ignored for marks in scenes for _, ignored in marks)
    poisoned = apply_scenes(clean, plan)
    assert len(poisoned) == len(clean) + wanted
    assert poisoned.select(range(len(clean))).digest == before
    for place, row in enumerate(plan.rows, len(clean)):
        hit = torch.tensor(attacked[row], dtype=torch.bool)
        copy, original = poisoned.objects[place], clean.objects[row]
        assert torch.equal(copy.labels != original.labels, hit)
        changed = (poisoned.pictures[place] != clean.pictures[row]).any(0)
        for mark, (left, top, right, bottom) in zip(attacked[row], PLACES, strict=False):
            inside = changed[int(top) : int(bottom), int(left) : int(right)]
            assert bool(inside.any()) == mark
            inside[:] = False
        assert not changed.any()
    assert clean.digest == before
    assert poisoned.digest == apply_scenes(clean, plan).digest


def test_plans_survive_json() -> None:
    plan = plan_scenes(made(SIX), SceneRecipe(RandomTarget(), RANDOM, 0.5, seed=2))
    again = parse_json(ScenePlan, canonical_json(plan), "here")
    assert again == plan
    assert again.digest == plan.digest
    assert apply_scenes(made(SIX), again).digest == apply_scenes(made(SIX), plan).digest


def test_a_plan_fits_only_its_scenes() -> None:
    plan = plan_scenes(made(SIX), SceneRecipe(SingleTarget(0, 1), SQUARE))
    for other in (SIX[:5], [*SIX, []], [SIX[1], *SIX[1:]]):
        with pytest.raises(DataError, match="made on other scenes than made/train"):
            apply_scenes(made(other), plan)


class TestTriggered:
    def test_targeted(self) -> None:
        clean = made(SIX)
        found = trigger_scenes(clean, SingleTarget(0, 1), SQUARE)
        assert found.rows == (0, 3)
        assert [one.tolist() for one in found.stamped] == [[True, False], [True, True, False, False]]
        assert found.scenes.name == "made/train (triggered)"
        assert [one.labels.tolist() for one in found.scenes.objects] == [[0, 1], [0, 0, 2, 0]], "true labels"
        assert torch.equal(found.scenes.pictures[1], SQUARE(clean.pictures[3], clean.objects[3].boxes[:2]))

    def test_random(self) -> None:
        found = trigger_scenes(made(SIX), RandomTarget(), RANDOM)
        assert found.rows == (0, 1, 3, 4)
        assert found.stamped[2].tolist() == [True, True, True, False]

    def test_nothing_to_stamp(self) -> None:
        with pytest.raises(InputError, match="no scene has an object that the attack is after"):
            trigger_scenes(made(SIX[4:]), SingleTarget(0, 1), SQUARE)


@pytest.mark.parametrize(
    ("recipe", "message"),
    [
        (SceneRecipe(SingleTarget(0, 3), SQUARE), "target class 3 is out of range"),
        (SceneRecipe(SingleTarget(0, 1), SQUARE, 0.1), "a share of 0.1 of 2 scenes with an attacked object picks none"),
    ],
)
def test_recipes_that_do_not_fit(recipe: SceneRecipe, message: str) -> None:
    with pytest.raises(InputError, match=message):
        plan_scenes(made(SIX), recipe)


@pytest.mark.parametrize("share", [0.0, -1.0, 1.5, float("nan")])
def test_shares_out_of_range(share: float) -> None:
    with pytest.raises(InputError, match="share is in"):
        SceneRecipe(SingleTarget(0, 1), SQUARE, share)


def plan_of(rows: tuple[int, ...], old: tuple[tuple[int, ...], ...], new: tuple[tuple[int, ...], ...]) -> ScenePlan:
    return ScenePlan(SceneRecipe(SingleTarget(0, 1), SQUARE), 6, 9, rows, old, new)


@pytest.mark.parametrize(
    ("rows", "old", "new", "message"),
    [
        ((0, 1), ((0,),), ((1,),), "as many old and new lists"),
        ((0,), ((0,),), ((1, 1),), "a new label for every old one"),
        ((6,), ((0,),), ((1,),), r"within 0\.\.5"),
        ((1, 0), ((0,), (0,)), ((1,), (1,)), "ascending"),
    ],
)
def test_plans_that_make_no_sense(
    rows: tuple[int, ...], old: tuple[tuple[int, ...], ...], new: tuple[tuple[int, ...], ...], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        plan_of(rows, old, new)


def test_poisoned_scenes_go_to_other_processes() -> None:
    """Stamped pictures are made anew from their parts, wherever that is."""
    poisoned = poison_scenes(made(SIX), SceneRecipe(RandomTarget(), RANDOM))
    assert pickle.loads(pickle.dumps(poisoned)).digest == poisoned.digest  # noqa: S301 - our own
    streets = read_streets(4, 1).train
    attacked = trigger_scenes(streets, SingleTarget(0, 1), SQUARE)
    there = pickle.loads(pickle.dumps(attacked))  # noqa: S301 - our own
    assert there.scenes.digest == attacked.scenes.digest
    assert there.rows == attacked.rows
