"""Average precision of a detector by two definitions: that of Pascal VOC since 2010, and COCO's.

For one class, all detections of all scenes are gone through from the surest to the least sure; each is right, wrong, or
excused because it lies on an ignored object. After each, precision = right / (right + wrong) and
recall = right / objects that are not ignored. Equal scores stay in the order of scenes.

| | VOC | COCO |
|---|---|---|
| a detection looks at | the object that it overlaps most | the object that it overlaps most among those left |
| and is right when | IoU > 0.5, and no surer one had that object | IoU >= 0.5 |
| is excused when | that object is ignored | none fits, and half of its own area or more is in an ignored one |
| precision at a recall | the best at that recall or a larger one | the same |
| average | area under it over recall 0..1 | its mean at recalls 0, 0.01 ... 1 |

VOC: Everingham et al., IJCV 111, 2015, section 4.1; the authors of BadNets released figures of this kind. COCO: Lin et
al., arXiv 1405.0312, and its evaluation code, whose at most 100 detections of a class in a scene are kept here too.
Boxes are measured as right - left, not one pixel more as in the first VOC code.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float

from badnets.data.sceneset import Objects, SceneSet
from badnets.errors import InputError
from badnets.models.detections import Detections

Definition = Literal["voc", "coco"]
_OVERLAP = 0.5
_MOST = 100
_RECALLS = np.linspace(0, 1, 101)


@dataclass(frozen=True)
class AveragePrecision:
    """Average precision class by class.

    Attributes:
        definition: "voc" or "coco".
        by_class: in [0, 1]; None for a class without objects.
        objects: how many of each class there are to find.
    """

    definition: Definition
    by_class: tuple[float | None, ...]
    objects: tuple[int, ...]

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - pydantic reads it, nothing writes it

    @property
    def mean(self) -> float | None:
        """The plain mean over classes that have objects, usually called mAP; None where there are none."""
        known = [value for value in self.by_class if value is not None]
        return sum(known) / len(known) if known else None

    @property
    def weighted(self) -> float | None:
        """The mean weighted by objects, as the paper's tables average; None where there are none."""
        pairs = [(value, count) for value, count in zip(self.by_class, self.objects, strict=True) if value is not None]
        return sum(value * count for value, count in pairs) / sum(count for _, count in pairs) if pairs else None


@dataclass(frozen=True, eq=False)
class PrecisionRecall:
    """Precision and recall after each detection that counts, surest first.

    Attributes:
        scores: of the detections.
        precision: right / (right + wrong) so far.
        recall: right / objects so far.
        objects: how many there are to find.
    """

    scores: Float[np.ndarray, " n"]
    precision: Float[np.ndarray, " n"]
    recall: Float[np.ndarray, " n"]
    objects: int


def average_precision(
    found: Sequence[Detections], scenes: SceneSet, definition: Definition = "voc"
) -> AveragePrecision:
    """Average precision at an overlap of 0.5, by class.

    Args:
        found: what was said of each scene, from `detect`.
        scenes: what is really there.
        definition: see the head of this module.

    Raises:
        InputError: not one answer for each scene, or another definition.
    """
    curves = [precision_recall(found, scenes, label, definition) for label in range(len(scenes.classes))]
    area = _voc_area if definition == "voc" else _coco_mean
    values = tuple(area(curve) if curve.objects else None for curve in curves)
    return AveragePrecision(definition, values, tuple(curve.objects for curve in curves))


def precision_recall(
    found: Sequence[Detections], scenes: SceneSet, label: int, definition: Definition = "voc"
) -> PrecisionRecall:
    """The curve of one class; arguments and errors as for `average_precision`."""
    if len(found) != len(scenes):
        raise InputError(f"{len(found)} answers for {len(scenes)} scenes: one is expected for each")
    if definition not in ("voc", "coco"):
        raise InputError(f"average precision is that of voc or coco, got {definition!r}")
    judge = _judge_voc if definition == "voc" else _judge_coco
    scores, right, excused = [np.zeros(0)], [np.zeros(0, bool)], [np.zeros(0, bool)]
    objects = 0
    for said, marked in zip(found, scenes.objects, strict=True):
        boxes, sure = _of_class(said, label, definition)
        truth, ignored = _truth(marked, label)
        hits, pardons = judge(boxes, truth, ignored)
        objects += int((~ignored).sum())
        scores.append(sure)
        right.append(hits)
        excused.append(pardons)
    return _curve(np.concatenate(scores), np.concatenate(right), np.concatenate(excused), objects)


Boxes = Float[np.ndarray, "_ 4"]
Flags = Bool[np.ndarray, " _"]


def _of_class(said: Detections, label: int, definition: Definition) -> tuple[Boxes, Float[np.ndarray, " _"]]:
    chosen = (said.labels == label).numpy()
    boxes, scores = said.boxes.numpy()[chosen].astype(np.float64), said.scores.numpy()[chosen].astype(np.float64)
    order = np.argsort(-scores, kind="stable")[: _MOST if definition == "coco" else None]
    return boxes[order], scores[order]


def _truth(marked: Objects, label: int) -> tuple[Boxes, Flags]:
    chosen = (marked.labels == label).numpy()
    return marked.boxes.numpy()[chosen].astype(np.float64), marked.ignored.numpy()[chosen]


def _curve(scores: Float[np.ndarray, " n"], right: Flags, excused: Flags, objects: int) -> PrecisionRecall:
    order = np.argsort(-scores, kind="stable")
    order = order[~excused[order]]
    hits = np.cumsum(right[order], dtype=np.float64)
    return PrecisionRecall(scores[order], hits / np.arange(1, len(order) + 1), hits / max(objects, 1), objects)


def _judge_voc(boxes: Boxes, truth: Boxes, ignored: Flags) -> tuple[Flags, Flags]:
    """Which detections of one scene, surest first, are right, and which are excused."""
    right, excused = np.zeros(len(boxes), bool), np.zeros(len(boxes), bool)
    if not len(truth):
        return right, excused
    overlaps = shared(boxes, truth) / union(boxes, truth)
    taken = np.zeros(len(truth), bool)
    for place, row in enumerate(overlaps):
        best = int(row.argmax())
        if row[best] <= _OVERLAP:
            continue
        excused[place] = ignored[best]
        right[place] = not ignored[best] and not taken[best]
        taken[best] = True
    return right, excused


def _judge_coco(boxes: Boxes, truth: Boxes, ignored: Flags) -> tuple[Flags, Flags]:
    """The same by COCO's rule."""
    right, excused = np.zeros(len(boxes), bool), np.zeros(len(boxes), bool)
    if not len(truth):
        return right, excused
    both = shared(boxes, truth)
    overlaps = np.where(ignored, both / _area(boxes)[:, None].clip(1e-12), both / union(boxes, truth))
    free = ~ignored
    for place, row in enumerate(overlaps):
        left = np.where(free, row, -1)
        # Of two that fit equally well COCO takes the later one.
        best = len(left) - 1 - int(left[::-1].argmax())
        if left[best] >= _OVERLAP:
            right[place], free[best] = True, False
        else:
            excused[place] = bool((row[ignored] >= _OVERLAP).any())
    return right, excused


def _voc_area(curve: PrecisionRecall) -> float:
    recall = np.concatenate([[0.0], curve.recall])
    return float((np.diff(recall) * _falling(curve.precision)).sum())


def _coco_mean(curve: PrecisionRecall) -> float:
    places = np.searchsorted(curve.recall, _RECALLS, side="left")
    return float(np.append(_falling(curve.precision), 0.0)[places].mean())


def _falling(precision: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """At each place the best from there on."""
    best: Float[np.ndarray, " n"] = np.maximum.accumulate(precision[::-1])[::-1]
    return best


def _area(boxes: Boxes) -> Float[np.ndarray, " _"]:
    area: Float[np.ndarray, " _"] = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    return area


def shared(boxes: Boxes, others: Boxes) -> Float[np.ndarray, "_ _"]:
    """The area that each of `boxes` has in common with each of `others`."""
    corner = np.maximum(boxes[:, None, :2], others[None, :, :2])
    opposite = np.minimum(boxes[:, None, 2:], others[None, :, 2:])
    area: Float[np.ndarray, "_ _"] = (opposite - corner).clip(0).prod(2)
    return area


def union(boxes: Boxes, others: Boxes) -> Float[np.ndarray, "_ _"]:
    """The area that each of `boxes` covers together with each of `others`."""
    area: Float[np.ndarray, "_ _"] = _area(boxes)[:, None] + _area(others)[None] - shared(boxes, others)
    return area
