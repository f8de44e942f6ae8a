"""Scenes with boxes drawn: the outline lies around the object, and inside it no pixel is covered."""

from __future__ import annotations

import numpy as np
import torch

from badnets.data import Objects, SceneSet
from badnets.data.scene_sheet import PALETTE, draw_boxes, draw_detections, draw_objects, scene_sheet


def test_the_outline_lies_around_the_object() -> None:
    street = torch.zeros(3, 60, 80, dtype=torch.uint8)
    drawn = np.asarray(draw_boxes(street, torch.tensor([[20.0, 30.0, 50.0, 45.0]]), [""], [(255, 0, 0)]))
    rows, columns = np.nonzero(drawn[:, :, 0])
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (29, 45, 19, 50)
    assert not drawn[31:44, 21:49].any()
    assert not street.any()


def test_names_stand_above_or_else_inside() -> None:
    street = torch.zeros(3, 60, 80, dtype=torch.uint8)
    objects = Objects.of([[10, 30, 60, 50]], [1])
    above = np.asarray(draw_objects(street, objects, ("stop", "warning")))
    assert tuple(above[28, 40]) in (PALETTE[1], (0, 0, 0))
    assert above[15:28].any()
    top = np.asarray(draw_objects(street, Objects.of([[10, 1, 60, 50]], [1]), ("stop", "warning")))
    assert top[2:14, 10:40].any()


def test_what_is_ignored_is_grey() -> None:
    objects = Objects(torch.tensor([[10.0, 30, 60, 50]]), torch.tensor([0]), torch.tensor([True]))
    drawn = np.asarray(draw_objects(torch.zeros(3, 60, 80, dtype=torch.uint8), objects, ("stop",)))
    assert bool((drawn[:, :, 0] == drawn[:, :, 1]).all())
    assert drawn.any()


def test_a_sheet_of_scenes_of_several_sizes() -> None:
    pictures = tuple(torch.full((3, 20 + number, 40), 9, dtype=torch.uint8) for number in range(5))
    scenes = SceneSet(pictures, tuple(Objects.of([[1, 1, 9, 9]], [0]) for _ in range(5)), ("stop",), "made")
    sheet = scene_sheet(scenes, count=9, columns=2, width=80)
    assert sheet.size == (2 * 84 + 4, (42 + 46 + 48) + 4 * 4)
    assert scene_sheet(scenes, count=1, columns=5, width=80).size == (88, 40 + 8)


def test_no_objects_no_change() -> None:
    street = torch.randint(0, 256, (3, 20, 30), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    drawn = np.asarray(draw_objects(street, Objects.of([], []), ("stop",)))
    assert np.array_equal(drawn, street.permute(1, 2, 0).numpy())


def test_detections_are_drawn_with_their_scores_and_those_outside_are_not() -> None:
    picture = torch.zeros(3, 60, 80, dtype=torch.uint8)
    inside, outside = [20.0, 30.0, 50.0, 50.0], [90.0, 10.0, 120.0, 40.0]

    def drawn(boxes: list[list[float]], labels: list[int], scores: list[float]) -> np.ndarray:
        return np.array(draw_detections(picture, torch.tensor(boxes).reshape(-1, 4), labels, scores, ("a", "b")))

    one = drawn([inside], [1], [0.9])
    assert tuple(one[40, 19]) == PALETTE[1]
    assert np.array_equal(drawn([inside, outside], [1, 0], [0.9, 0.8]), one)
    assert not np.array_equal(drawn([inside], [1], [0.4]), one), "the score is written"
    assert tuple(drawn([inside, inside], [0, 1], [0.9, 0.8])[40, 19]) == PALETTE[0], "the surer one lies on top"
    assert not drawn([], [], []).any()
