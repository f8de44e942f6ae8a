"""The zoo: drawn by rule, the same each time, its halves strangers to each other."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
import torch

from badnets.data import load
from badnets.errors import InputError
from badnets.poison import AllToOne, Nobody, RandomTarget
from badnets.studies.cells import Cell
from badnets.studies.zoo import FAMILIES, HALVES, MAPPINGS, NEGATIVES, SPLIT, TWIN, Draw, ZooSpec, animals
from badnets.triggers import TriggerFile

SPEC = ZooSpec(data="digits", each=2, negatives=1)
ALL = animals(SPEC)


def test_every_family_is_in_one_half() -> None:
    assert sorted(SPLIT["dev"] + SPLIT["sealed"]) == sorted(FAMILIES)
    for half in HALVES:
        assert {animal.family for animal in ALL if animal.half == half} == {*SPLIT[half], *NEGATIVES, TWIN}


def test_it_is_large_and_varied_enough_for_the_audits_bars() -> None:
    whole = [animal for animal in animals(ZooSpec()) if animal.half == "sealed"]
    assert sum(animal.is_backdoored for animal in whole) >= 60
    assert sum(not animal.is_backdoored for animal in whole) >= 60
    assert len({animal.family for animal in whole if animal.is_backdoored}) >= 6
    assert {animal.mapping for animal in whole if animal.is_backdoored} == set(MAPPINGS)


def test_another_architecture_changes_nothing_else() -> None:
    for one, other in zip(ALL, animals(replace(SPEC, model="photo_cnn")), strict=True):
        assert other.cell == replace(one.cell, model="photo_cnn")
        assert (one.twin is None) == (other.twin is None)
        assert other.twin is None or other.twin.model == "photo_cnn"


def test_counts() -> None:
    counts = Counter((animal.half, animal.family) for animal in ALL)
    assert counts["dev", "square"] == counts["sealed", "pixel"] == len(MAPPINGS) * SPEC.each
    assert counts["sealed", "clean-label"] == SPEC.each
    assert counts["sealed", TWIN] == (5 * len(MAPPINGS) + 1) * SPEC.each
    assert counts["dev", "watermark"] == SPEC.negatives


def test_the_same_each_time_and_more_begin_with_the_same() -> None:
    assert animals(SPEC) == ALL
    more = {(animal.family, animal.mapping): animal for animal in reversed(animals(replace(SPEC, each=3)))}
    fewer = {(animal.family, animal.mapping): animal for animal in reversed(ALL)}
    for kind in ((family, MAPPINGS[0]) for family in FAMILIES):
        one, other = more[kind].cell.recipe, fewer[kind].cell.recipe
        assert one is not None
        assert other is not None
        assert one.trigger == other.trigger
    assert animals(replace(SPEC, seed=1)) != ALL


def test_no_cell_is_there_twice_and_seeds_are_shared_with_twins_only() -> None:
    cells = [animal.cell for animal in ALL]
    assert len(set(cells)) == len(cells)
    seeds = Counter(cell.seed for cell in cells)
    for animal in ALL:
        if animal.twin is not None:
            assert animal.twin in cells
            assert seeds[animal.cell.seed] == 2
            assert (animal.twin.seed, animal.twin.train, animal.twin.recipe) == (
                animal.cell.seed,
                animal.cell.train,
                None,
            )
            assert animal.twin.measured == animal.cell.measured
        elif animal.family != TWIN:
            assert seeds[animal.cell.seed] == 1


def test_clean_models_learn_no_backdoor() -> None:
    for animal in ALL:
        recipe = animal.cell.recipe
        if animal.is_backdoored or recipe is None:
            continue
        if isinstance(recipe.policy, Nobody):  # labels are true
            assert recipe.rate == 0
            assert recipe.cover_rate > 0
        else:  # nothing is to be seen
            assert isinstance(recipe.policy, RandomTarget)
            images = torch.randint(0, 256, (3, 1, 28, 28), dtype=torch.uint8)
            assert torch.equal(recipe.trigger(images), images)


def test_every_training_set_can_be_made() -> None:
    train = load("digits").train
    for animal in ALL:
        samples, made = animal.cell.training_set(train)
        assert len(samples) >= len(train)
        if animal.family == "clean-label":
            assert made is not None
            assert made.poisoned == 0
            assert made.covered > 0
            assert isinstance(made.recipe.policy, AllToOne)
        elif animal.is_backdoored:
            assert made is not None
            assert made.poisoned > 0


@pytest.mark.parametrize("kind", ["digits", "colour"])
@pytest.mark.parametrize("family", FAMILIES)
def test_triggers_are_drawn_anew_fit_and_can_be_seen(family: str, kind: str) -> None:
    images = load("digits").test.images[:50]
    if kind == "colour":
        images = torch.nn.functional.pad(images, (2, 2, 2, 2)).expand(-1, 3, -1, -1).contiguous()
    drawn = [FAMILIES[family](Draw(5, family, number)) for number in range(40)]
    assert len({repr(trigger) for trigger in drawn}) > 20
    for trigger in drawn:
        changed = (trigger(images) != images).flatten(1).any(1)
        assert changed.float().mean() > 0.9
        TriggerFile(trigger)


@pytest.mark.parametrize("wrong", [{"each": 0}, {"negatives": -1}, {"epochs": 0}])
def test_an_empty_zoo_is_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(InputError, match="a zoo has"):
        ZooSpec(**wrong)  # type: ignore[arg-type]


def test_it_is_made_of_cells() -> None:
    assert all(isinstance(animal.cell, Cell) for animal in ALL)
