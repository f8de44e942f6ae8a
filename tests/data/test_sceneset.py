"""Scenes with boxes: what is refused, picked and told apart."""

from __future__ import annotations

import jaxtyping
import pytest
import torch

from badnets.data import Objects, SceneSet
from badnets.errors import DataError


def scenes(*, value: int = 0, label: int = 1, shift: float = 0.0) -> SceneSet:
    pictures = tuple(torch.full((3, 8 + index, 10), value + index, dtype=torch.uint8) for index in range(3))
    objects = (
        Objects.of([[1 + shift, 1, 4, 5]], [label]),
        Objects.of([], []),
        Objects.of([[0, 0, 2, 2], [3, 3, 9, 9]], [0, 1]),
    )
    return SceneSet(pictures, objects, ("stop", "warning"), "made")


def test_scenes_keep_their_own_sizes_and_may_hold_nothing() -> None:
    made = scenes()
    assert [tuple(picture.shape) for picture, _ in made] == [(3, 8, 10), (3, 9, 10), (3, 10, 10)]
    assert [len(marked) for marked in made.objects] == [1, 0, 2]
    assert repr(made) == "SceneSet('made', 3 scenes, 3 objects, 2 classes)"


def test_some_scenes_are_picked_in_the_order_asked_for() -> None:
    picked = scenes().select([2, 0], "picked")
    assert (picked.name, len(picked)) == ("picked", 2)
    assert [int(picture[0, 0, 0]) for picture, _ in picked] == [2, 0]
    assert [len(marked) for marked in picked.objects] == [2, 1]
    assert picked.select([1]).pictures[0].equal(scenes().pictures[0])


def test_one_digest_means_the_same_scenes() -> None:
    assert scenes().digest == scenes().digest
    others = [scenes(value=1), scenes(label=0), scenes(shift=0.5), scenes().select([0, 1])]
    assert len({scenes().digest, *(other.digest for other in others)}) == 5


def test_boxes_without_area_or_of_another_shape_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)  # it would speak first
    with pytest.raises(DataError, match="no area"):
        Objects.of([[4, 1, 4, 5]], [0])
    with pytest.raises(DataError, match="expected boxes"):
        Objects.of([[0, 0, 1, 1]], [0, 1])


def test_labels_outside_the_classes_and_missing_pictures_are_refused() -> None:
    with pytest.raises(DataError, match=r"labels 0\.\.2 do not fit 2 classes"):
        scenes(label=2)
    with pytest.raises(DataError, match="0 pictures but 1 lists"):
        SceneSet((), (Objects.of([], []),), ("stop",), "made")
