"""The parts of torchvision's Faster R-CNN, with what we need otherwise: fixed strides, ignored objects, RoI pooling."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.roi_heads import RoIHeads
from torchvision.models.detection.rpn import RegionProposalNetwork, RPNHead
from torchvision.ops import roi_align, roi_pool

from badnets.models.detector_spec import DetectorSpec

# A target's label: classes count from 1, background is 0, and what is to be ignored is below.
IGNORED = -1
# Background that lies in an ignored object by this share of its own area is not blamed.
_EXCUSED = 0.5


class Anchors(AnchorGenerator):  # type: ignore[misc]
    """Anchors in the middle of every square of `stride` pixels.

    torchvision divides the picture's size by the map's and rounds down, which with 600 pixels and 39 places gives 15
    in place of 16 and puts the last anchors half a sign too far to the left.

    Args:
        spec: sizes, ratios, stride.
    """

    def __init__(self, spec: DetectorSpec) -> None:
        super().__init__((spec.anchors,), (spec.ratios,))
        self.stride = spec.stride
        self._made: tuple[tuple[int, int, torch.device], Tensor] | None = None

    def forward(self, image_list: ImageList, feature_maps: list[Tensor]) -> list[Tensor]:
        """The same anchors for each image."""
        height, width = feature_maps[0].shape[-2:]
        kind = (height, width, feature_maps[0].device)
        if self._made is None or self._made[0] != kind:
            self._made = kind, self._make(*kind)
        return [self._made[1]] * len(image_list.image_sizes)

    def _make(self, height: int, width: int, device: torch.device) -> Float[Tensor, "a 4"]:
        down, right = ((torch.arange(size, device=device) + 0.5) * self.stride for size in (height, width))
        rows, columns = torch.meshgrid(down, right, indexing="ij")
        centres = torch.stack([columns, rows, columns, rows], -1).view(-1, 1, 4)
        sides: Tensor = self.cell_anchors[0]
        return (centres + sides.to(device)).view(-1, 4)


class ProposalHead(RPNHead):  # type: ignore[misc]
    """A 3x3 convolution, then objectness and box of every anchor; boxes are always decoded in float32."""

    def forward(self, features: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        """Logits and offsets by map."""
        objectness, offsets = super().forward(features)
        return [value.float() for value in objectness], [value.float() for value in offsets]


class Proposer(RegionProposalNetwork):  # type: ignore[misc]
    """Where an object might be; anchors on ignored objects are no background."""

    def assign_targets_to_anchors(
        self, anchors: list[Tensor], targets: list[dict[str, Tensor]]
    ) -> tuple[list[Tensor], list[Tensor]]:
        """For each image the label of every anchor (1, 0, or -1 for neither) and the box that it should find."""
        kept = [{"boxes": target["boxes"][target["labels"] != IGNORED]} for target in targets]
        labels, boxes = super().assign_targets_to_anchors(anchors, kept)
        for label, here, target in zip(labels, anchors, targets, strict=True):
            excuse(label, here, target["boxes"], target["labels"])
        return labels, boxes


class Regions(RoIHeads):  # type: ignore[misc]
    """What is in each proposal; proposals on ignored objects are no background."""

    def assign_targets_to_proposals(
        self, proposals: list[Tensor], boxes: list[Tensor], labels: list[Tensor]
    ) -> tuple[list[Tensor], list[Tensor]]:
        """For each image the object that every proposal stands for, and its label.

        Ignored objects come last among `boxes`: so numbers among the others are numbers among all.
        """
        kept = [label != IGNORED for label in labels]
        found, given = super().assign_targets_to_proposals(
            proposals,
            [box[keep] for box, keep in zip(boxes, kept, strict=True)],
            [label[keep] for label, keep in zip(labels, kept, strict=True)],
        )
        for own, here, box, label in zip(given, proposals, boxes, labels, strict=True):
            excuse(own, here, box, label)
        return found, given


def excuse(own: Tensor, here: Tensor, boxes: Tensor, labels: Tensor) -> None:
    """Set `own` labels of 0 to -1 where `here` lies on an ignored one of `boxes`."""
    ignored = boxes[labels == IGNORED]
    if len(ignored):
        own[(own == 0) & on_any(here, ignored)] = -1


def on_any(boxes: Float[Tensor, "n 4"], others: Float[Tensor, "m 4"]) -> Bool[Tensor, " n"]:
    """Whether each of `boxes` lies in one of `others` by half of its own area."""
    corner = torch.maximum(boxes[:, None, :2], others[None, :, :2])
    opposite = torch.minimum(boxes[:, None, 2:], others[None, :, 2:])
    shared = (opposite - corner).clamp(min=0).prod(2)
    area = (boxes[:, 2:] - boxes[:, :2]).prod(1)
    return (shared >= _EXCUSED * area[:, None]).any(1)


class RegionPool(nn.Module):
    """The features in each box, brought to `bins` x `bins` places.

    Args:
        spec: pooling, bins, stride.
    """

    def __init__(self, spec: DetectorSpec) -> None:
        super().__init__()
        self.pooling, self.bins, self.scale = spec.pooling, spec.bins, 1 / spec.stride

    def forward(
        self, features: dict[str, Tensor], boxes: list[Tensor], _shapes: list[tuple[int, int]]
    ) -> Float[Tensor, "r c i j"]:
        """One row for each box, image after image; boxes in pixels of the network's input."""
        side = (self.bins, self.bins)
        values = features["0"]
        if self.pooling == "max":
            found: Tensor = roi_pool(values.float(), boxes, side, self.scale)
        else:
            found = roi_align(values.float(), boxes, side, self.scale, sampling_ratio=1)
        return found


class RegionHead(nn.Sequential):
    """fc6 and fc7, each with ReLU and dropout.

    Args:
        inputs: features of a region.
        spec: hidden units and dropout.
    """

    def __init__(self, inputs: int, spec: DetectorSpec) -> None:
        super().__init__()
        self.flatten = nn.Flatten()
        self.fc6 = nn.Linear(inputs, spec.hidden)
        self.relu6 = nn.ReLU()
        self.drop6 = nn.Dropout(spec.dropout)
        self.fc7 = nn.Linear(spec.hidden, spec.hidden)
        self.relu7 = nn.ReLU()
        self.drop7 = nn.Dropout(spec.dropout)


class Predictor(FastRCNNPredictor):  # type: ignore[misc]
    """Logits of background and classes, and for each of them a box; in float32 whatever comes in."""

    def forward(self, values: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (r, k + 1) and offsets (r, 4 (k + 1))."""
        logits, offsets = super().forward(values)
        return logits.float(), offsets.float()


def build_proposer(spec: DetectorSpec, channels: int) -> Proposer:
    """The region proposal network: anchors over 0.7 IoU are objects, under 0.3 background."""
    head = ProposalHead(channels, len(spec.anchors) * len(spec.ratios))
    before, after = (
        dict(zip(("training", "testing"), pair, strict=True))
        for pair in (spec.before_suppression, spec.after_suppression)
    )
    proposer = Proposer(Anchors(spec), head, 0.7, 0.3, spec.anchor_samples, 0.5, before, after, spec.proposal_overlap)
    proposer.min_size = spec.smallest
    return proposer


def build_regions(spec: DetectorSpec, channels: int) -> Regions:
    """Pooling, fully connected layers, classes and boxes: proposals over 0.5 IoU are objects, others background."""
    settings: dict[str, Any] = {"bbox_reg_weights": (10.0, 10.0, 5.0, 5.0)}
    return Regions(
        RegionPool(spec),
        RegionHead(channels * spec.bins**2, spec),
        Predictor(spec.hidden, spec.outputs),
        0.5,
        0.5,
        spec.region_samples,
        spec.object_share,
        score_thresh=spec.least_score,
        nms_thresh=spec.overlap,
        detections_per_img=spec.most,
        **settings,
    )
