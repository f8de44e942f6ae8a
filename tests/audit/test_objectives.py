"""Which images count for an objective, and what it is content with."""

from __future__ import annotations

import pytest
import torch

from badnets.artifacts import canonical_json, parse_json
from badnets.audit.objectives import Objective, all_mappings, all_pairs, all_shifts, all_targets, untargeted
from badnets.errors import InputError

LABELS = torch.tensor([0, 1, 2, 2, 1])
SAID = torch.tensor([2, 2, 0, 2, 1])


@pytest.mark.parametrize(
    ("objective", "attacked", "reached", "words"),
    [
        (Objective("target", target=2), [1, 1, 0, 0, 1], [1, 1, 0, 1, 0], "all -> 2"),
        (Objective("pair", source=1, target=2), [0, 1, 0, 0, 1], [1, 1, 0, 1, 0], "1 -> 2"),
        (Objective("shift", shift=1), [1, 1, 1, 1, 1], [0, 1, 1, 0, 0], "i -> i + 1"),
        (Objective("untargeted"), [1, 1, 1, 1, 1], [1, 1, 1, 0, 0], "any change"),
    ],
)
def test_by_hand(objective: Objective, attacked: list[int], reached: list[int], words: str) -> None:
    assert objective.attacked(LABELS).int().tolist() == attacked
    assert objective.reached(SAID, LABELS, 3).int().tolist() == reached
    assert str(objective) == words
    assert parse_json(Objective, canonical_json(objective), "here") == objective


def test_builders_count() -> None:
    assert [len(all_targets(7)), len(all_shifts(7)), len(untargeted()), len(all_pairs(7))] == [7, 6, 1, 42]
    assert all_mappings(7) == (*all_targets(7), *all_shifts(7), *untargeted())
    assert len(set(all_pairs(7))) == 42
    for build in (all_targets, all_shifts, all_pairs, all_mappings):
        with pytest.raises(InputError, match="at least two classes"):
            build(1)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Objective("target"), "has target, got none"),
        (lambda: Objective("pair", target=1), "has source and target, got target"),
        (lambda: Objective("untargeted", shift=1), "has nothing else, got shift"),
        (lambda: Objective("shift", shift=0), "shifts from 1"),
        (lambda: Objective("target", target=-1), "count from 0"),
        (lambda: Objective("pair", source=2, target=2), "both class 2"),
        (lambda: Objective("target", target=3).check(3), "target 3 is out of range"),
    ],
)
def test_nonsense_is_refused(make: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        make()  # type: ignore[operator]
