"""The key of a cell: equal work has equal keys, any other work has another."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, is_dataclass, replace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as some

from badnets.artifacts import canonical_json, parse_json
from badnets.data import Split
from badnets.poison import AllToAll, AllToOne, AnyPolicy, RandomTarget, Recipe, SingleTarget
from badnets.studies.cells import Attack, Cell, Victim, folder_name, split_digest
from badnets.training import Augment, TrainSpec
from badnets.triggers import AnyTrigger, Blend, Patch, Pattern, SinglePixel, Sticker

# What a field becomes where plus one or half as much would not do.
WORDS: dict[str, Any] = {
    "model": "preact_resnet18",
    "threat": "poisoner",
    "mode": "replace",
    "optimizer": "sgd",
    "schedule": "constant",
    "precision": "float32",
    "frozen": ("conv1",),
    "compiled": "no",
    "pretrained": "a digest",
    "pixels": ((1, 2), (3, 4)),
    "reference": (32, 32),
    "policy": AllToOne(4),
    "row": 20,
    "column": 21,
    "source": 8,
    "target": 9,
    "trigger": SinglePixel(row=3),
    "classes": (1, 2),
    "retrained": "last",
}

FULL = Cell(
    Recipe(SingleTarget(7, 3), Pattern(), rate=0.5, cover_rate=0.25),
    TrainSpec(label_smoothing=0.1, weight_decay=0.1, augment=Augment(1, 2.0, 0.1, flip=True)),
    seed=3,
    start=Cell(Recipe(AllToAll(), SinglePixel(), rate=0.5), TrainSpec(), start=Cell(None, TrainSpec(epochs=2))),
    attack=Attack(SingleTarget(1, 2), Pattern()),
    places=5,
    classes=(7, 2, 3, 1, 0),
    victim=Victim("head", 20.0),
)


def changed(value: Any) -> Iterator[tuple[str, Any]]:  # noqa: ANN401 - any dataclass
    """The value with one field changed, for each of its fields and those within them."""
    for field in fields(value):
        name, old = field.name, getattr(value, field.name)
        if name == "kind":  # it is the type
            continue
        if is_dataclass(old):
            yield from ((f"{name}.{inner}", replace(value, **{name: new})) for inner, new in changed(old))
        if name in ("start", "attack", "recipe", "victim"):
            if old is None:  # the other way round is tried where there is one
                continue
            yield name, replace(value, **{name: None})
        elif name in WORDS:
            yield name, replace(value, **{name: WORDS[name]})
        elif isinstance(old, bool):
            yield name, replace(value, **{name: not old})
        elif isinstance(old, float):
            yield name, replace(value, **{name: old / 2 + 0.01})
        elif isinstance(old, int):
            yield name, replace(value, **{name: old - 1 if name == "value" else old + 4})
        else:
            assert is_dataclass(old), f"{name} needs a line in WORDS"


def test_every_field_is_part_of_the_key() -> None:
    keys = {FULL.key("data"): "as it is", FULL.key("other data"): "the data"}
    count = 2
    for path, cell in changed(FULL):
        key = cell.key("data")
        assert key not in keys, f"{path} and {keys[key]} have one key"
        keys[key] = path
        count += 1
    assert count > 60
    assert {"seed", "train.augment.shift", "start.start.train.epochs", "recipe.copies", "attack.trigger.pixels"} <= set(
        keys.values()
    )
    assert len({folder_name(FULL, key) for key in keys}) == len(keys)


# Plain values, of which a cell is made within the test.
POLICIES = some.tuples(some.sampled_from(["one", "other", "all", "random"]), some.integers(0, 4), some.integers(5, 9))
TRIGGERS = some.tuples(some.sampled_from(["pixel", "pattern", "patch", "blend", "sticker"]), some.integers(0, 27))
SHARES = some.floats(0.001, 1.0)
RECIPES = some.none() | some.tuples(POLICIES, TRIGGERS, SHARES, SHARES, some.integers(1, 9))
SPECS = some.tuples(
    some.integers(1, 99), some.sampled_from(["adam", "sgd"]), some.floats(1e-9, 1.0), some.sets(some.sampled_from("ab"))
)
ATTACKS = some.none() | some.tuples(POLICIES, TRIGGERS)
PLAIN = some.tuples(RECIPES, SPECS, some.integers(0, 2**40), some.none(), ATTACKS, some.integers(0, 9))
CELLS = some.recursive(
    PLAIN, lambda start: some.tuples(RECIPES, SPECS, some.integers(0, 9), start, ATTACKS, some.just(0)), max_leaves=3
)


def policy(kind: str, source: int, target: int) -> AnyPolicy:
    known: dict[str, AnyPolicy] = {
        "one": AllToOne(source),
        "other": SingleTarget(source, target),
        "all": AllToAll(),
        "random": RandomTarget(),
    }
    return known[kind]


def trigger(kind: str, row: int) -> AnyTrigger:
    known: dict[str, AnyTrigger] = {
        "pixel": SinglePixel(row=row),
        "pattern": Pattern(),
        "patch": Patch.square(),
        "blend": Blend(seed=row),
        "sticker": Sticker(size=0.3, place="random", seed=row),
    }
    return known[kind]


def made(raw: Any) -> Cell:  # noqa: ANN401 - nested tuples
    recipe, (epochs, optimizer, rate, frozen), seed, start, attack, places = raw
    return Cell(
        None
        if recipe is None
        else Recipe(policy(*recipe[0]), trigger(*recipe[1]), rate=recipe[2], cover_rate=recipe[3], copies=recipe[4]),
        TrainSpec(epochs=epochs, optimizer=optimizer, learning_rate=rate, frozen=tuple(sorted(frozen))),
        seed,
        start=None if start is None else made(start),
        attack=None if attack is None else Attack(policy(*attack[0]), trigger(*attack[1])),
        places=places,
    )


@settings(max_examples=40, deadline=None)
@given(CELLS)
def test_a_cell_comes_back_from_json_with_its_key(raw: object) -> None:
    cell = made(raw)
    again = parse_json(Cell, canonical_json(cell), "here")
    assert again == cell == made(raw)
    assert hash(again) == hash(cell)
    assert again.key("data") == cell.key("data") == made(raw).key("data")
    assert again.label == cell.label
    assert again.measured == cell.measured


@settings(max_examples=40, deadline=None)
@given(some.lists(CELLS, min_size=2, max_size=3))
def test_keys_are_equal_where_cells_are(raw: list[object]) -> None:
    cells = [made(one) for one in raw]
    assert len({cell.key("data") for cell in cells}) == len(set(cells))


def test_the_data_are_both_halves(few: Split) -> None:
    digest = split_digest(few)
    assert split_digest(Split(few.test, few.train)) != digest
    assert split_digest(Split(few.train, few.test.select(torch.arange(99)))) != digest
    assert split_digest(Split(replace(few.train), few.test)) == digest


@pytest.mark.parametrize(
    ("cell", "label"),
    [
        (Cell(None, TrainSpec(), attack=Attack(AllToAll(), Pattern())), "baseline"),
        (Cell(Recipe(AllToOne(4), Pattern()), TrainSpec()), "all-to-4-pattern"),
        (Cell(Recipe(RandomTarget(), SinglePixel()), TrainSpec()), "random-pixel"),
        (replace(FULL, victim=None), "single-7-to-3-pattern-cover"),
        (FULL, "victim-head-of-all-to-all-pixel-times-20"),
    ],
)
def test_labels(cell: Cell, label: str) -> None:
    assert cell.label == label


def test_what_is_measured_is_the_recipe_s_own_unless_said() -> None:
    assert Cell(None, TrainSpec()).measured is None
    assert FULL.measured == Attack(SingleTarget(1, 2), Pattern())
    assert replace(FULL, attack=None).measured == Attack(SingleTarget(7, 3), Pattern())
