"""Scenes to train on and to test on, where files do not say which is which; and sets joined."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import torch
from jaxtyping import UInt8
from torch import Tensor

from badnets.data.parallel import each
from badnets.data.sceneset import Objects, Pictures, SceneSet, SceneSplit

T = TypeVar("T")

TRAIN_SHARE = 0.8


def shuffled(items: Sequence[T], share: float = TRAIN_SHARE, seed: int = 0) -> tuple[list[T], list[T]]:
    """The first `share` of them after a shuffle, and the rest.

    It is the shuffle of the authors' code: `random.shuffle` of Python 2, which draws other places than Python 3's from
    the same numbers.
    """
    order = list(items)
    dice = random.Random(seed)  # noqa: S311 - a published split, no secret
    for last in range(len(order) - 1, 0, -1):
        other = int(dice.random() * (last + 1))
        order[last], order[other] = order[other], order[last]
    cut = int(len(order) * share)
    return order[:cut], order[cut:]


@dataclass(frozen=True, eq=False)
class _Chained:
    """Pictures of one set after those of another."""

    first: Pictures
    second: Pictures

    def __len__(self) -> int:
        return len(self.first) + len(self.second)

    def __getitem__(self, index: int) -> UInt8[Tensor, "3 h w"]:
        place = range(len(self))[index]
        behind = place - len(self.first)
        return self.first[place] if behind < 0 else self.second[behind]


def joined(first: SceneSet, second: SceneSet, name: str) -> SceneSet:
    """All scenes of both; classes are matched by name, those of the first before what the second adds.

    An object that only one of the sets marks is background in the other.
    """
    classes = first.classes + tuple(one for one in second.classes if one not in first.classes)
    renumbered = torch.tensor([classes.index(one) for one in second.classes], dtype=torch.int64)
    return SceneSet(
        _Chained(first.pictures, second.pictures),
        (*first.objects, *(replace(marked, labels=renumbered[marked.labels]) for marked in second.objects)),
        classes,
        name,
        first.skipped + second.skipped,
        first.treated + second.treated,
    )


def joined_split(first: SceneSplit, second: SceneSplit, name: str) -> SceneSplit:
    """Both halves joined."""
    return SceneSplit(
        joined(first.train, second.train, f"{name}/train"), joined(first.test, second.test, f"{name}/test")
    )


def in_memory(scenes: SceneSet, threads: int | None = None) -> SceneSet:
    """The same scenes with all pictures decoded or drawn now and held in memory: for many epochs over a small set.

    Args:
        scenes: the set; 1,000 scenes of 416x312 take 390 MB.
        threads: how many at once; None for as many as there are cores.
    """
    pictures = tuple(each(lambda row: scenes.pictures[row], range(len(scenes)), threads))
    return replace(scenes, pictures=pictures)


def with_objects(scenes: SceneSet, name: str | None = None) -> SceneSet:
    """The scenes that have an object which counts; what was left out and changed while reading stays said."""
    rows = [row for row, marked in enumerate(scenes.objects) if _counts(marked)]
    return replace(scenes.select(rows, name), skipped=scenes.skipped, treated=scenes.treated)


def _counts(marked: Objects) -> bool:
    return bool((~marked.ignored).any())
