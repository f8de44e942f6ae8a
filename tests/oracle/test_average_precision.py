"""Average precision beside COCO's own code, and VOC's beside a brute force that knows nothing of ours."""

from __future__ import annotations

import contextlib
import io
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from badnets.data import Objects, SceneSet
from badnets.errors import InputError
from badnets.metrics.precision import average_precision, precision_recall
from badnets.models.detections import Detections

CLASSES = ("stop", "speedlimit", "warning")
BLACK = torch.zeros(3, 40, 40, dtype=torch.uint8)
Found = tuple[Detections, ...]


CASES = given(
    seed=st.integers(0, 2**32 - 1),
    scenes=st.integers(1, 5),
    ignoring=st.sampled_from([0.0, 0.3, 1.0]),
    levels=st.sampled_from([3, 1000]),
)


def answered(seed: int, scenes: int, ignoring: float, levels: int) -> tuple[SceneSet, Found]:
    """Some scenes and what was said of them: boxes near each other, with few levels equal scores, some ignored."""
    stream = np.random.default_rng(seed)
    objects, found = [], []
    for _ in range(scenes):
        truth = _boxes(stream, int(stream.integers(0, 6)))
        labels = stream.integers(0, len(CLASSES), len(truth))
        ignored = stream.random(len(truth)) < ignoring
        objects.append(Objects(_float(truth), torch.from_numpy(labels), torch.from_numpy(ignored)))
        near = truth[stream.integers(0, len(truth), 6)] + stream.normal(0, 2, (6, 4)) if len(truth) else truth
        boxes = np.concatenate([near, _boxes(stream, int(stream.integers(0, 4)))])
        boxes = boxes[(boxes[:, 2:] > boxes[:, :2] + 0.1).all(1)]
        said = stream.integers(0, len(CLASSES), len(boxes))
        scores = (stream.integers(1, levels, len(boxes)) / levels).astype(np.float32)
        found.append(Detections(_float(boxes), torch.from_numpy(said), torch.from_numpy(scores)))
    return SceneSet((BLACK,) * scenes, tuple(objects), CLASSES, "random"), tuple(found)


def _boxes(stream: np.random.Generator, count: int) -> np.ndarray:
    corner = stream.uniform(0, 24, (count, 2))
    return np.concatenate([corner, corner + stream.uniform(3, 16, (count, 2))], 1)


def _float(boxes: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(boxes.astype(np.float32)).reshape(-1, 4)


def cocos(scenes: SceneSet, found: Found) -> list[float]:
    """What COCO's own code says at an overlap of 0.5, class by class; -1 for a class without objects."""
    truth = COCO()
    truth.dataset = {
        "info": {},
        "images": [{"id": number} for number in range(1, len(scenes) + 1)],
        "categories": [{"id": number} for number in range(1, len(CLASSES) + 1)],
        "annotations": [
            {
                "image_id": number,
                "category_id": label + 1,
                "bbox": box,
                "area": box[2] * box[3],
                "iscrowd": int(ignored),
            }
            for number, marked in enumerate(scenes.objects, 1)
            for box, label, ignored in zip(
                _sized(marked.boxes), marked.labels.tolist(), marked.ignored.tolist(), strict=True
            )
        ],
    }
    for number, annotation in enumerate(truth.dataset["annotations"], 1):
        annotation["id"] = number
    said = [
        {"image_id": number, "category_id": label + 1, "bbox": box, "score": score}
        for number, one in enumerate(found, 1)
        for box, label, score in zip(_sized(one.boxes), one.labels.tolist(), one.scores.tolist(), strict=True)
    ]
    with contextlib.redirect_stdout(io.StringIO()):
        truth.createIndex()
        judge = COCOeval(truth, truth.loadRes(said), "bbox")
        judge.params.iouThrs = np.array([0.5])
        judge.evaluate()
        judge.accumulate()
    precision = judge.eval["precision"]  # overlaps, recalls, classes, areas, most detections
    return [float(precision[0, :, label, 0, -1].mean()) for label in range(len(CLASSES))]


def _sized(boxes: torch.Tensor) -> list[list[float]]:
    return [[left, top, right - left, bottom - top] for left, top, right, bottom in boxes.double().tolist()]


@settings(max_examples=150, deadline=None)
@CASES
def test_cocos_definition_is_cocos(seed: int, scenes: int, ignoring: float, levels: int) -> None:
    made, found = answered(seed, scenes, ignoring, levels)
    if not any(len(one) for one in found):
        return  # COCO's code cannot read an empty list
    own = average_precision(found, made, "coco").by_class
    for expected, value in zip(cocos(made, found), own, strict=True):
        assert (-1 if value is None else value) == pytest.approx(expected, abs=1e-6)


def overlap(one: list[float], other: list[float]) -> Fraction:
    """Exact, in whole numbers: of two boxes that are fractions of a pixel."""
    a, b = ([Fraction(side) for side in box] for box in (one, other))
    wide, tall = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    both = max(wide, Fraction(0)) * max(tall, Fraction(0))
    return both / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - both)


def vocs(scenes: SceneSet, found: Found, label: int) -> Fraction | None:
    """VOC by its words: at each recall that is reached, the best precision at that recall or a larger one."""
    said = [
        (score, number, box)
        for number, one in enumerate(found)
        for box, kind, score in zip(one.boxes.tolist(), one.labels.tolist(), one.scores.tolist(), strict=True)
        if kind == label
    ]
    total = sum(
        kind == label and not ignored
        for marked in scenes.objects
        for kind, ignored in zip(marked.labels.tolist(), marked.ignored.tolist(), strict=True)
    )
    if not total:
        return None
    had: set[tuple[int, int]] = set()
    right = wrong = 0
    points = []
    # sorted() keeps the order of equals
    for _, number, box in sorted(said, key=lambda one: -one[0]):
        marked = scenes.objects[number]
        there = [
            (overlap(box, truth), place)
            for place, (truth, kind) in enumerate(zip(marked.boxes.tolist(), marked.labels.tolist(), strict=True))
            if kind == label
        ]
        most = max((share for share, _ in there), default=Fraction(0))
        place = next((place for share, place in there if share == most), -1)
        if most > Fraction(1, 2) and bool(marked.ignored[place]):
            continue
        if most > Fraction(1, 2) and (number, place) not in had:
            had.add((number, place))
            right += 1
        else:
            wrong += 1
        points.append((right, Fraction(right, right + wrong)))
    best = [max(precision for reached, precision in points if reached >= step) for step in range(1, right + 1)]
    return sum(best, start=Fraction(0)) / int(total)


@settings(max_examples=150, deadline=None)
@CASES
def test_vocs_definition_is_vocs(seed: int, scenes: int, ignoring: float, levels: int) -> None:
    made, found = answered(seed, scenes, ignoring, levels)
    own = average_precision(found, made, "voc")
    for label, value in enumerate(own.by_class):
        expected = vocs(made, found, label)
        assert (value is None) == (expected is None)
        if value is not None and expected is not None:
            assert value == pytest.approx(float(expected), abs=1e-9)


def one_scene(boxes: list[list[float]], scores: list[float], truth: Objects) -> tuple[SceneSet, Found]:
    said = Detections(
        torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4),
        torch.zeros(len(boxes), dtype=torch.int64),
        torch.tensor(scores),
    )
    return SceneSet((BLACK,), (truth,), ("stop",), "one"), (said,)


class TestByHand:
    truth = Objects.of([[0, 0, 10, 10], [20, 20, 30, 30]], [0, 0])

    def test_perfect(self) -> None:
        scenes, found = one_scene([[0, 0, 10, 10], [20, 20, 30, 30]], [0.9, 0.8], self.truth)
        for definition in ("voc", "coco"):
            assert average_precision(found, scenes, definition).by_class == (1.0,)

    def test_a_second_detection_of_one_object_is_wrong(self) -> None:
        scenes, found = one_scene([[0, 0, 10, 10], [0, 0, 10, 9], [20, 20, 30, 30]], [0.9, 0.8, 0.7], self.truth)
        curve = precision_recall(found, scenes, 0)
        assert curve.precision.tolist() == pytest.approx([1, 1 / 2, 2 / 3])
        assert curve.recall.tolist() == pytest.approx([1 / 2, 1 / 2, 1])
        assert average_precision(found, scenes).by_class == pytest.approx((1 / 2 + 1 / 2 * 2 / 3,))

    def test_exactly_half_is_enough_for_coco_only(self) -> None:
        scenes, found = one_scene([[0, 0, 10, 5]], [0.9], Objects.of([[0, 0, 10, 10]], [0]))
        assert average_precision(found, scenes, "voc").by_class == (0.0,)
        assert average_precision(found, scenes, "coco").by_class == (1.0,)

    def test_nothing_said(self) -> None:
        scenes, found = one_scene([], [], self.truth)
        for definition in ("voc", "coco"):
            result = average_precision(found, scenes, definition)
            assert (result.by_class, result.objects, result.mean, result.weighted) == ((0.0,), (2,), 0, 0)

    @pytest.mark.parametrize("definition", ["voc", "coco"])
    def test_nothing_to_find(self, definition: str) -> None:
        everything = Objects(self.truth.boxes, self.truth.labels, torch.ones(2, dtype=torch.bool))
        for truth in (Objects.of([], []), everything):
            scenes, found = one_scene([[0, 0, 10, 10]], [0.9], truth)
            result = average_precision(found, scenes, definition)  # type: ignore[arg-type]
            assert (result.by_class, result.objects, result.mean, result.weighted) == ((None,), (0,), None, None)

    def test_averages_over_classes(self) -> None:
        truth = Objects.of([[0, 0, 10, 10], [20, 20, 30, 30], [0, 20, 10, 30]], [0, 0, 1])
        said = Detections(truth.boxes[:2], truth.labels[:2], torch.tensor([0.9, 0.8]))
        scenes = SceneSet((BLACK,), (truth,), CLASSES, "three")
        result = average_precision((said,), scenes)
        assert result.by_class == (1.0, 0.0, None)
        assert result.mean == pytest.approx(1 / 2)
        assert result.weighted == pytest.approx(2 / 3)

    def test_not_one_answer_for_each_scene(self) -> None:
        scenes, found = one_scene([], [], self.truth)
        with pytest.raises(InputError, match="2 answers for 1 scenes"):
            average_precision((*found, *found), scenes)
