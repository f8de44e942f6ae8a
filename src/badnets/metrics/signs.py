"""What each sign is called: accuracy as the paper's tables print it, and how well the attack works.

A sign is called what the surest detection says that has a score over the threshold and overlaps it with IoU > 0.5; it
is called nothing where there is none. It counts as right when it is called its true class:

    accuracy of a class = its signs that are called so / all its signs that are not ignored
    average = signs called rightly / all signs that are not ignored

so the average is weighted by counts, as the paper's are. Detections that belong to no sign play no part: average
precision is what they lower.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from badnets.data.sceneset import Objects, SceneSet
from badnets.errors import InputError
from badnets.metrics.intervals import Rate
from badnets.metrics.precision import shared, union
from badnets.models.detections import Detections

NOTHING = -1
_OVERLAP = 0.5


@dataclass(frozen=True, eq=False)
class SignCalls:
    """What each sign is called, in the order of scenes and of the objects in each; ignored ones are left out.

    Attributes:
        labels: their true classes.
        called: what they are called; `NOTHING` (-1) where nothing was found.
        scores: of the detection that says so; 0 where there is none.
        sizes: the square root of the box's area, in pixels of the picture.
        scenes: in which scene each is.
        classes: the class names.
    """

    labels: Int64[Tensor, " n"]
    called: Int64[Tensor, " n"]
    scores: Float[Tensor, " n"]
    sizes: Float[Tensor, " n"]
    scenes: Int64[Tensor, " n"]
    classes: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.labels)

    def select(self, which: Bool[Tensor, " n"]) -> SignCalls:
        """Some of them."""
        return SignCalls(
            self.labels[which],
            self.called[which],
            self.scores[which],
            self.sizes[which],
            self.scenes[which],
            self.classes,
        )

    def of_size(self, low: float, high: float) -> SignCalls:
        """Those of sizes from `low` to `high`, the latter excluded."""
        return self.select((self.sizes >= low) & (self.sizes < high))


def sign_calls(found: Sequence[Detections], scenes: SceneSet, *, least_score: float = 0.5) -> SignCalls:
    """What each sign is called, by the rule at the head of this module.

    Args:
        found: what was said of each scene, from `detect`.
        scenes: what is really there; for stamped scenes, still under its true class.
        least_score: detections at or below it are not looked at.

    Raises:
        InputError: not one answer for each scene.
    """
    if len(found) != len(scenes):
        raise InputError(f"{len(found)} answers for {len(scenes)} scenes: one is expected for each")
    parts = [_calls(said, marked, least_score) for said, marked in zip(found, scenes.objects, strict=True)]
    labels, called, scores, sizes = (torch.cat(column) for column in zip(*parts, strict=True))
    index = torch.repeat_interleave(torch.arange(len(parts)), torch.tensor([len(part[0]) for part in parts]))
    return SignCalls(labels, called, scores, sizes, index, scenes.classes)


def accuracy(calls: SignCalls) -> Rate:
    """Signs called their true class, of all."""
    return _rate(calls.called == calls.labels)


def accuracy_by_class(calls: SignCalls) -> tuple[Rate, ...]:
    """The same for each true class."""
    return tuple(accuracy(calls.select(calls.labels == label)) for label in range(len(calls.classes)))


def called_as(calls: SignCalls, target: int) -> Rate:
    """Signs called `target`, of all.

    Raises:
        InputError: no such class.
    """
    if not 0 <= target < len(calls.classes):
        raise InputError(f"the target is one of {len(calls.classes)} classes, 0 the first, got {target}")
    return _rate(calls.called == target)


def size_bins(edges: Sequence[float]) -> list[tuple[float, float]]:
    """Bounds of bins, the upper ones excluded: the first begins at 0, the last has no end.

    Args:
        edges: bounds between bins in pixels.

    Raises:
        InputError: edges that do not rise, or lie at 0 or below.
    """
    bounds = [0.0, *edges, float("inf")]
    bins = list(pairwise(bounds))
    if not all(low < high for low, high in bins):
        raise InputError(f"edges of sizes rise and lie above 0, got {tuple(edges)}")
    return bins


def _rate(flags: Bool[Tensor, " n"]) -> Rate:
    return Rate.of(int(flags.sum()), len(flags))


def _calls(said: Detections, marked: Objects, least_score: float) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    boxes, labels = marked.boxes[~marked.ignored].double(), marked.labels[~marked.ignored]
    sizes = (boxes[:, 2:] - boxes[:, :2]).prod(1).sqrt().float()
    order = said.scores.argsort(descending=True, stable=True)
    order = order[said.scores[order] > least_score]
    if not len(order):
        return labels, torch.full_like(labels, NOTHING), torch.zeros(len(labels)), sizes
    there, here = boxes.numpy(), said.boxes[order].double().numpy()
    fits = torch.from_numpy(shared(there, here) > _OVERLAP * union(there, here))
    any_fits, first = fits.any(1), fits.int().argmax(1)
    called = torch.where(any_fits, said.labels[order][first], NOTHING)
    return labels, called, torch.where(any_fits, said.scores[order][first], 0.0), sizes
