"""What detectors say."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Float32, Int64
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Detections:
    """What a detector says about one scene, surest first.

    Attributes:
        boxes: left, top, right, bottom in pixels of the picture as it was given.
        labels: the class of each, in 0..K-1.
        scores: how sure it is, in [0, 1].
    """

    boxes: Float32[Tensor, "n 4"]
    labels: Int64[Tensor, " n"]
    scores: Float32[Tensor, " n"]

    def __len__(self) -> int:
        return len(self.labels)
