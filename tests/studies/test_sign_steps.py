"""BadNets that go on from an honest detector: in which order, with which sticker and schedule."""

from __future__ import annotations

from dataclasses import replace

import pytest

from badnets.errors import InputError
from badnets.models.detector_spec import DetectorSpec
from badnets.poison import AllToAll, RandomTarget, SceneRecipe, SingleTarget
from badnets.studies.cells import lineage
from badnets.studies.sign_cells import SignCell
from badnets.studies.sign_steps import RANDOM_STEPS, StickerStep, badnet_cell, on_the_way, step_schedules
from badnets.training import DetectTrainSpec
from badnets.triggers import paper_sticker

SQUARE = paper_sticker("square", place="random")
HONEST = SignCell(
    None, RandomTarget(), (SQUARE,), DetectorSpec(), DetectTrainSpec(epochs=5), seed=3, pretrained="ab" * 32
)
RECIPE = SceneRecipe(RandomTarget(), SQUARE, seed=3)


def test_without_steps_it_is_trained_like_its_twin() -> None:
    assert badnet_cell(HONEST, RECIPE, ()) == replace(HONEST, recipe=RECIPE)
    assert on_the_way(badnet_cell(HONEST, RECIPE, ())) == ()


def test_steps_go_on_from_the_honest_detector_and_end_with_the_sticker_as_it_is_measured() -> None:
    last = badnet_cell(HONEST, RECIPE, RANDOM_STEPS)
    first, *made = lineage((last,))
    assert (first, made[-1]) == (HONEST, last)
    assert last.recipe == RECIPE
    for cell, before, step in zip(made, (first, *made), RANDOM_STEPS, strict=False):
        sticker = replace(SQUARE, size=SQUARE.size * step.size)
        policy = AllToAll() if step.labels == "next" else RandomTarget()
        assert cell.recipe == replace(RECIPE, sticker=sticker, policy=policy)
        assert (cell.start, cell.policy, cell.stickers) == (before, RandomTarget(), HONEST.stickers)
        assert (cell.seed, cell.pretrained) == (3, None)
    assert [cell.train for cell in made] == [train for _, train in step_schedules(HONEST.train, RANDOM_STEPS)]
    assert on_the_way(last) == tuple(made[:-1])
    sizes = [step.size for step in RANDOM_STEPS]
    assert sizes == sorted(sizes, reverse=True)


def test_a_detector_is_poisoned_for_what_it_is_measured_by_or_on_the_way_there() -> None:
    with pytest.raises(InputError, match="poisoned for"):
        replace(HONEST, recipe=replace(RECIPE, policy=SingleTarget(0, 1)))
    targeted = replace(HONEST, policy=SingleTarget(0, 1))
    with pytest.raises(InputError, match="poisoned for"):
        replace(targeted, recipe=replace(RECIPE, policy=AllToAll()))
    on_it = replace(HONEST, recipe=replace(RECIPE, policy=AllToAll()))
    assert on_it.apart == "size 0.1, share 1, called the next class"
    assert replace(HONEST, recipe=RECIPE).apart == "size 0.1, share 1"


def test_schedules_are_multiples_of_the_honest_one_and_an_epoch_at_least() -> None:
    steps = StickerStep(2.0, 0.01, 0.5), StickerStep(1.0, 1.5, 1.0)
    made = [train for _, train in step_schedules(HONEST.train, steps)]
    assert [train.epochs for train in made] == [1, 8]
    assert [train.learning_rate for train in made] == [HONEST.train.learning_rate / 2, HONEST.train.learning_rate]
    assert replace(made[0], epochs=5, learning_rate=HONEST.train.learning_rate) == HONEST.train


def test_a_sticker_is_no_larger_than_the_sign() -> None:
    large = badnet_cell(HONEST, RECIPE, (StickerStep(30.0, 1.0, 1.0), StickerStep(1.0, 1.0, 1.0))).start
    assert large is not None
    assert large.recipe is not None
    assert large.recipe.sticker.size == 1


@pytest.mark.parametrize("values", [(0.0, 1.0, 1.0), (1.0, -1.0, 1.0), (1.0, 1.0, float("nan"))])
def test_impossible_steps(values: tuple[float, float, float]) -> None:
    with pytest.raises(InputError, match="above 0"):
        StickerStep(*values)


def test_the_last_step_has_the_sticker_in_its_own_size() -> None:
    with pytest.raises(InputError, match="own size, got 3 times"):
        badnet_cell(HONEST, RECIPE, RANDOM_STEPS[:1])
    with pytest.raises(InputError, match="labels that the attacker wants"):
        badnet_cell(HONEST, RECIPE, (StickerStep(1.0, 1.0, 1.0, "next"),))
