"""Poisoned sets of scenes: stamped copies beside all clean scenes, as the paper's second case study makes them.

1. Every scene with an object that the policy attacks can get one more copy of itself; all of these do, or a share.
2. In a copy all attacked objects carry the sticker and the attacker's label; the others keep theirs.
3. Objects to be ignored are left as they are.
4. Clean scenes stay, first and in their order. No pixel is stored: copies are stamped when they are looked at.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import torch
from jaxtyping import Bool, UInt8
from torch import Tensor

from badnets.artifacts import sha256_json
from badnets.data import Objects, SceneSet
from badnets.data.sceneset import Pictures
from badnets.errors import DataError, InputError
from badnets.poison.policies import AnyPolicy
from badnets.seeds import generator
from badnets.triggers import BoxSticker


@dataclass(frozen=True)
class SceneRecipe:
    """How to poison a set of scenes, before they are seen.

    Attributes:
        policy: what stamped objects are to be called: `SingleTarget` and `RandomTarget` are the paper's.
        sticker: what is stuck on them.
        share: of the scenes with an attacked object, those that get a stamped copy, in (0, 1]; the authors' smaller
            sets are 0.5 (p50) and 0.25 (p25). A smaller share picks some of those that a larger one picks.
        seed: of the choice, and of random labels.

    Raises:
        InputError: a share outside its range.
    """

    policy: AnyPolicy
    sticker: BoxSticker
    share: float = 1.0
    seed: int = 0

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - pydantic reads it, nothing writes it

    def __post_init__(self) -> None:
        object.__setattr__(self, "share", float(self.share))
        if not 0 < self.share <= 1:
            raise InputError(f"share is in (0, 1], got {self.share}")


@dataclass(frozen=True)
class ScenePlan:
    """A recipe carried out on one set of scenes.

    Attributes:
        recipe: how the choice was made.
        total: the number of scenes in that set.
        objects: the number of objects in it, ignored ones left out.
        rows: the scenes that get a stamped copy, ascending.
        old: the labels of all objects in each of these scenes.
        new: the same in its copy.
    """

    recipe: SceneRecipe
    total: int
    objects: int
    rows: tuple[int, ...]
    old: tuple[tuple[int, ...], ...]
    new: tuple[tuple[int, ...], ...]

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - pydantic reads it, nothing writes it

    def __post_init__(self) -> None:
        if not len(self.rows) == len(self.old) == len(self.new):
            raise DataError("a plan for scenes needs as many old and new lists of labels as rows")
        if any(len(old) != len(new) for old, new in zip(self.old, self.new, strict=True)):
            raise DataError("a plan for scenes needs a new label for every old one")
        if any(not 0 <= row < self.total for row in self.rows) or list(self.rows) != sorted(set(self.rows)):
            raise DataError(f"the rows of a plan for scenes are distinct, ascending and within 0..{self.total - 1}")

    @cached_property
    def digest(self) -> str:
        """SHA-256 of its canonical JSON."""
        return sha256_json(self)

    @property
    def poisoned_share(self) -> float:
        """Stamped copies over all scenes of the set that the plan leads to: p / (1 + p) for p copies per scene."""
        return len(self.rows) / (self.total + len(self.rows))

    @property
    def false_objects(self) -> int:
        """How many objects of that set have a false label."""
        return sum(
            before != after
            for old, new in zip(self.old, self.new, strict=True)
            for before, after in zip(old, new, strict=True)
        )


@dataclass(frozen=True, eq=False)
class TriggeredScenes:
    """Scenes to measure an attack on.

    Attributes:
        scenes: every scene that has an attacked object, stamped; its objects keep their **true** labels.
        stamped: which objects of each scene carry the sticker.
        rows: which scene of the clean set each one is.
    """

    scenes: SceneSet
    stamped: tuple[Bool[Tensor, " _"], ...]
    rows: tuple[int, ...]


def plan_scenes(scenes: SceneSet, recipe: SceneRecipe) -> ScenePlan:
    """Choose the scenes to copy, evenly among those with an attacked object, and the labels in the copies.

    Raises:
        InputError: the policy does not fit the classes, or no scene would be copied.
    """
    recipe.policy.check(len(scenes.classes))
    eligible = [row for row, marked in enumerate(scenes.objects) if _attacked(marked, recipe.policy).any()]
    order = torch.randperm(len(eligible), generator=generator(recipe.seed, "poison", "scenes")).tolist()
    rows = sorted(eligible[place] for place in order[: round(recipe.share * len(eligible))])
    if not rows:
        raise InputError(
            f"{scenes.name}: a share of {recipe.share} of {len(eligible)} scenes with an attacked object picks none"
        )
    old = [scenes.objects[row].labels for row in rows]
    new = [_relabelled(scenes.objects[row], row, recipe, len(scenes.classes)) for row in rows]
    return ScenePlan(
        recipe=recipe,
        total=len(scenes),
        objects=sum(int((~marked.ignored).sum()) for marked in scenes.objects),
        rows=tuple(rows),
        old=tuple(tuple(labels.tolist()) for labels in old),
        new=tuple(tuple(labels.tolist()) for labels in new),
    )


def apply_scenes(scenes: SceneSet, plan: ScenePlan) -> SceneSet:
    """The poisoned set: all scenes as they are, then the stamped copies in the order of the plan.

    Raises:
        DataError: the plan was made on other scenes: their number differs, or the labels in those that it copies.
    """
    known = [tuple(scenes.objects[row].labels.tolist()) for row in plan.rows if row < len(scenes)]
    if plan.total != len(scenes) or known != list(plan.old):
        raise DataError(f"this plan was made on other scenes than {scenes.name}: make a new plan")
    policy, sticker = plan.recipe.policy, plan.recipe.sticker
    marked = [scenes.objects[row] for row in plan.rows]
    copies = [
        replace(objects, labels=torch.tensor(new, dtype=torch.int64))
        for objects, new in zip(marked, plan.new, strict=True)
    ]
    boxes = [objects.boxes[_attacked(objects, policy)] for objects in marked]
    return replace(
        scenes,
        pictures=_Stamped(
            scenes.pictures,
            (*range(len(scenes)), *plan.rows),
            (*(_NOTHING for _ in scenes.objects), *boxes),
            sticker,
        ),
        objects=(*scenes.objects, *copies),
        name=f"{scenes.name} (poisoned)",
        skipped=(),
        treated=(),
    )


def poison_scenes(scenes: SceneSet, recipe: SceneRecipe) -> SceneSet:
    """The poisoned set of a recipe at once. Raises `InputError` as `plan_scenes`."""
    return apply_scenes(scenes, plan_scenes(scenes, recipe))


def trigger_scenes(scenes: SceneSet, policy: AnyPolicy, sticker: BoxSticker) -> TriggeredScenes:
    """What an attack is measured on: each scene that has an attacked object, the sticker on all of these.

    Raises:
        InputError: the policy does not fit the classes, or no scene has such an object.
    """
    policy.check(len(scenes.classes))
    stamped = [_attacked(marked, policy) for marked in scenes.objects]
    rows = tuple(row for row, hit in enumerate(stamped) if hit.any())
    if not rows:
        raise InputError(f"{scenes.name}: no scene has an object that the attack is after")
    boxes = tuple(scenes.objects[row].boxes[stamped[row]] for row in rows)
    chosen = scenes.select(rows, f"{scenes.name} (triggered)")
    pictures = _Stamped(scenes.pictures, rows, boxes, sticker)
    return TriggeredScenes(replace(chosen, pictures=pictures), tuple(stamped[row] for row in rows), rows)


def _attacked(marked: Objects, policy: AnyPolicy) -> Bool[Tensor, " n"]:
    return policy.eligible(marked.labels) & ~marked.ignored


def _relabelled(marked: Objects, row: int, recipe: SceneRecipe, classes: int) -> Tensor:
    """The labels in the copy of one scene; its own stream, so that they do not hang on which others are copied."""
    labels, hit = marked.labels.clone(), _attacked(marked, recipe.policy)
    stream = generator(recipe.seed, "poison", "scene labels", row)
    labels[hit] = recipe.policy.relabel(labels[hit], classes, stream)
    return labels


_NOTHING = torch.zeros(0, 4)


@dataclass(frozen=True, eq=False)
class _Stamped:
    """Pictures of others with the sticker on given boxes; as they are where there is no box."""

    base: Pictures
    rows: tuple[int, ...]
    boxes: tuple[Tensor, ...]
    sticker: BoxSticker

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> UInt8[Tensor, "3 h w"]:
        picture, boxes = self.base[self.rows[index]], self.boxes[index]
        return self.sticker(picture, boxes) if len(boxes) else picture
