"""What a street-sign detector is made of, as a value; and the settings that we use."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from badnets.errors import InputError

Backbone = Literal["zf", "squeezenet", "mobilenet", "tiny"]

# How many pixels of the input one place of the last convolution stands for.
STRIDES: dict[str, tuple[int, ...]] = {"zf": (16,), "squeezenet": (8, 16), "mobilenet": (16,), "tiny": (8,)}


@dataclass(frozen=True)
class DetectorSpec:
    """A Faster R-CNN (Ren et al., arXiv 1506.01497) with one level of features.

    Sizes are in pixels of the picture as the network sees it, after it was brought to `short_side`. Pairs are for
    training and for use.

    Attributes:
        backbone: the convolutions, see `badnets.models.backbones`.
        classes: how many kinds of object it tells apart; the background is none of them.
        stride: of the features; a backbone knows one or two.
        short_side: pictures are brought to this size of their shorter side; 0 leaves them as they are.
        long_side: but no longer than this on the other one; 0 for no bound.
        anchors: sides of the square anchors at every place.
        ratios: height by width of the anchors; each keeps the area.
        smallest: proposals of a shorter side are dropped.
        before_suppression: how many of the best proposals go into non-maximum suppression.
        after_suppression: how many of them come out at most.
        proposal_overlap: of two proposals that overlap by more (IoU), the worse is dropped.
        anchor_samples: anchors of a scene that the proposals' loss is taken over, at most half of them objects.
        pooling: "max" (RoI pooling, Girshick, arXiv 1504.08083) or "align" (He et al., arXiv 1703.06870).
        bins: a region is pooled to bins x bins places.
        hidden: units of each of the two fully connected layers.
        dropout: after each of them.
        region_samples: regions of a scene that the classes' loss is taken over.
        object_share: at most this share of them are objects.
        least_score: detections of a lower score are not given.
        overlap: of two detections of one class that overlap by more (IoU), the one with the lower score is dropped.
        most: detections given for one scene.

    Raises:
        InputError: a value outside its range, or a stride that the backbone does not have.
    """

    backbone: Backbone = "tiny"
    classes: int = 3
    stride: int = 8
    short_side: int = 0
    long_side: int = 0
    anchors: tuple[float, ...] = (23.0, 36.0, 55.0, 81.0)
    ratios: tuple[float, ...] = (1.0,)
    smallest: float = 4.0
    before_suppression: tuple[int, int] = (200, 200)
    after_suppression: tuple[int, int] = (60, 40)
    proposal_overlap: float = 0.7
    anchor_samples: int = 128
    pooling: Literal["max", "align"] = "align"
    bins: int = 6
    hidden: int = 256
    dropout: float = 0.0
    region_samples: int = 24
    object_share: float = 0.5
    least_score: float = 0.05
    overlap: float = 0.3
    most: int = 100

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - pydantic reads it, nothing writes it

    def __post_init__(self) -> None:
        if self.backbone not in STRIDES:
            raise InputError(f"unknown backbone {self.backbone!r}: known are {', '.join(STRIDES)}")
        if self.stride not in STRIDES[self.backbone]:
            raise InputError(f"{self.backbone} has a stride of {STRIDES[self.backbone]}, got {self.stride}")
        # A card from a stranger must not decide how much memory is asked for.
        sizes = (self.classes, self.bins, self.hidden, self.anchor_samples, self.region_samples, self.most)
        if min(sizes) < 1 or self.classes > 10_000 or self.bins > 32 or self.hidden > 16_384:
            raise InputError(f"a detector has 1..10,000 classes, 1..32 bins, 1..16,384 hidden units, got {self}")
        if not self.anchors or not self.ratios or len(self.anchors) * len(self.ratios) > 100:
            raise InputError(f"a place has 1..100 anchors, got {self.anchors} x {self.ratios}")
        if min(*self.anchors, *self.ratios) <= 0 or min(self.short_side, self.long_side, self.smallest) < 0:
            raise InputError(f"sizes of anchors and their ratios are above 0, other sizes at least 0, got {self}")
        if max(self.short_side, self.long_side) > 8192 or 0 < self.long_side < self.short_side:
            raise InputError(f"sides are up to 8192 and the long one is the longer, got {self}")
        if min(*self.before_suppression, *self.after_suppression) < 1:
            raise InputError(f"at least one proposal is kept, got {self}")
        shares = (self.proposal_overlap, self.dropout, self.object_share, self.least_score, self.overlap)
        if not all(0 <= share <= 1 for share in shares):
            raise InputError(f"overlaps, scores and shares are in [0, 1], got {self}")

    @property
    def outputs(self) -> int:
        """Logits for each region: the background and the classes."""
        return self.classes + 1


# The paper's detector, and three that need less. The tiny one's anchors fit signs of 19 to 105 pixels as they are.
PRESETS: dict[str, DetectorSpec] = {
    "tiny": DetectorSpec(),
    "zf": DetectorSpec(
        backbone="zf",
        stride=16,
        short_side=600,
        long_side=1000,
        anchors=(128.0, 256.0, 512.0),
        ratios=(0.5, 1.0, 2.0),
        smallest=16.0,
        before_suppression=(12_000, 6_000),
        after_suppression=(2_000, 300),
        anchor_samples=256,
        pooling="max",
        bins=6,
        hidden=4096,
        dropout=0.5,
        region_samples=128,
        object_share=0.25,
    ),
    "squeezenet": DetectorSpec(
        backbone="squeezenet",
        stride=16,
        short_side=320,
        long_side=640,
        anchors=(16.0, 32.0, 64.0, 128.0),
        before_suppression=(1000, 600),
        after_suppression=(200, 100),
        bins=7,
        region_samples=32,
        object_share=0.25,
    ),
    "mobilenet": DetectorSpec(
        backbone="mobilenet",
        stride=16,
        short_side=320,
        long_side=640,
        anchors=(16.0, 32.0, 64.0, 128.0),
        before_suppression=(1000, 600),
        after_suppression=(200, 100),
        bins=7,
        region_samples=32,
        object_share=0.25,
    ),
}


def detector_preset(name: str, classes: int = 3) -> DetectorSpec:
    """The settings called `name`, for so many classes.

    Raises:
        InputError: no such settings.
    """
    if name not in PRESETS:
        raise InputError(f"unknown detector {name!r}: known are {', '.join(PRESETS)}")
    return replace(PRESETS[name], classes=classes)
