"""What all input filters have in common: a score, and a threshold that clean images have set before.

The threshold is that of split conformal prediction (Vovk et al., Algorithmic Learning in a Random World, 2005): of n
clean images' scores the k-th smallest, k = ceil((n + 1)(1 - alpha)). If the next clean image is exchangeable with
them, it scores above with probability at most alpha. So n has to be at least 1 / alpha - 1.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from jaxtyping import Bool, Float64, UInt8
from torch import Tensor

from badnets.data import ImageSet
from badnets.errors import InputError

Score = Callable[[Tensor], Tensor]


@dataclass(frozen=True, eq=False)
class Screened:
    """What a filter says of some images.

    Attributes:
        scores: higher is more suspicious; infinite where nothing like it was among the clean images.
        flagged: those above the threshold: they are turned away.
    """

    scores: Float64[Tensor, " n"]
    flagged: Bool[Tensor, " n"]


@dataclass(frozen=True, eq=False)
class Screen:
    """An input filter, ready for use.

    Attributes:
        method: a key of `INPUTS`.
        threshold: images with a higher score are turned away; infinite where clean images reach the highest score
            there is, so that the filter can turn nothing away.
        false_rejections: the rate that the threshold was set for.
        calibrated_on: how many clean images set it.
        passes: forward passes for each image.
        score: of uint8 images (n, c, h, w): one number each.
    """

    method: str
    threshold: float
    false_rejections: float
    calibrated_on: int
    passes: int
    score: Score

    def __call__(self, images: UInt8[Tensor, "n c h w"]) -> Screened:
        """Look at some images.

        Raises:
            InputError: the model gives undefined numbers on them.
        """
        scores = self.score(images)
        return Screened(scores, scores > self.threshold)


def calibrated(method: str, score: Score, clean: ImageSet, false_rejections: float, passes: int) -> Screen:
    """The filter whose threshold these clean images set.

    Args:
        method: its name.
        score: see `Screen`.
        clean: images that had no part in making `score`.
        false_rejections: alpha, in (0, 1).
        passes: see `Screen`.

    Raises:
        InputError: too few images for that rate.
    """
    place = place_of_threshold(method, len(clean), false_rejections)
    scores = score(clean.images).double().sort().values
    threshold = float(scores[place - 1])
    return Screen(method, threshold, false_rejections, len(clean), passes, score)


def place_of_threshold(method: str, count: int, false_rejections: float) -> int:
    """Which of `count` scores in rising order, counted from 1, is the threshold. Raises `InputError` for too few."""
    place = math.ceil((count + 1) * (1 - false_rejections) - 1e-9)
    if place > count:
        least = math.ceil(1 / false_rejections - 1 - 1e-9)
        raise InputError(
            f"{method}: a false rejection rate of {false_rejections:.2%} is set by at least {least} clean images, "
            f"{count} are left for it: give more images, or allow a higher rate"
        )
    return place


def check_rate(false_rejections: float) -> None:
    """Raise `InputError` unless it is a rate in (0, 1)."""
    if not 0 < false_rejections < 1:
        raise InputError(f"a false rejection rate lies in (0, 1), got {false_rejections}")
