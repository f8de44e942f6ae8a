"""Signs cut out of clean scenes with enough around them that a box head says of them what it says in place.

A trigger on a sign changes only what the convolutions see there, so a search for one needs no whole scene. A window
that holds the sign and half the receptive field around it gives the features of its box: the same numbers as in the
whole scene. The tiny trunk, plain convolutions in a row, is run without padding, so that nothing is computed which the
box does not need; others keep their padding. What looks at the whole picture (squeeze-and-excitation of mobilenet) is
an approximation.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from badnets.data import SceneSet
from badnets.errors import InputError
from badnets.models.backbones import LocalResponse, TinyTrunk
from badnets.models.detector import Detector

# A sign: the number of its scene, and its own number there.
Place = tuple[int, int]


@dataclass(frozen=True, eq=False)
class SignCrops:
    """Windows of one size, each around one sign, as `BoxView` takes them.

    Attributes:
        images: normalised pixels.
        boxes: of the sign in its window: left, top, right, bottom in pixels.
        labels: its class.
    """

    images: Float[Tensor, "n 3 h w"]
    boxes: Float[Tensor, "n 4"]
    labels: Int64[Tensor, " n"]

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, rows: Int64[Tensor, " m"]) -> SignCrops:
        """Some of them, in this order."""
        return SignCrops(self.images[rows], self.boxes[rows], self.labels[rows])


class BoxView:
    """A detector as a function from windows with one given box each to the logits of its box head.

    Args:
        model: in evaluation mode; it is left as it is.
    """

    def __init__(self, model: Detector) -> None:
        self.model = model
        self.stride = model.spec.stride
        self.radius = receptive_radius(model.trunk)
        self._bare = isinstance(model.trunk, TinyTrunk)
        self.trunk = _without_padding(model.trunk) if self._bare else model.trunk
        # From the window's first pixel to the pixel that the first needed place of the map lies at.
        self.lead = self.radius if self._bare else math.ceil(self.radius / self.stride) * self.stride

    def logits(self, images: Float[Tensor, "n 3 h w"], boxes: Float[Tensor, "n 4"]) -> Float[Tensor, "n k"]:
        """Background first, then the classes; gradients go through to the images."""
        values = self.trunk(images)
        # Without padding the map begins at the first needed place, else with the window.
        here = boxes - self.lead if self._bare else boxes
        size = (images.shape[2], images.shape[3])
        regions = self.model.regions
        pooled = regions.box_roi_pool({"0": values}, list(here[:, None].unbind(0)), [size] * len(images))
        logits: Tensor = regions.box_predictor(regions.box_head(pooled))[0]
        return logits

    def fits(self, box: Float[Tensor, " 4"], height: int, width: int) -> bool:
        """Whether what the box head looks at in this box lies within a picture of that size."""
        first, last = self._span(box)
        lead, (right, bottom) = self.lead, (last * self.stride + self.lead + 1).tolist()
        return int(first.min()) * self.stride >= lead and right <= width and bottom <= height

    def crop(self, scenes: SceneSet, places: Sequence[Place]) -> SignCrops:
        """Cut signs that fit out of scenes, in windows of the size that the largest of them needs.

        Raises:
            InputError: no sign is named, or one does not fit.
        """
        if not places:
            raise InputError(f"{scenes.name}: there is no sign to look for a trigger on")
        signs = list(self._signs(scenes, places))
        cells = max(int((last - first).max()) + 1 for first, last in (self._span(box) for _, box, _ in signs))
        side = (cells - 1) * self.stride + 2 * self.lead + 1
        windows, boxes, labels = [], [], []
        for image, box, label in signs:
            left, top = self._corner(box, side, (image.shape[2], image.shape[1]))
            windows.append(image[:, top : top + side, left : left + side])
            boxes.append(box - box.new_tensor([left, top, left, top]))
            labels.append(label)
        return SignCrops(torch.stack(windows), torch.stack(boxes), torch.stack(labels))

    def _signs(self, scenes: SceneSet, places: Sequence[Place]) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        for scene, number in places:
            seen = self.model.scene([scenes.pictures[scene]])
            marked, image = scenes.objects[scene], seen.images[0]
            box = (marked.boxes[number] * marked.boxes.new_tensor([*seen.scales[0]] * 2)).to(image.device)
            if not self.fits(box, image.shape[1], image.shape[2]):
                raise InputError(f"{scenes.name}: sign {number} of scene {scene} lies too near to the border")
            yield image, box, marked.labels[number]

    def _span(self, box: Tensor) -> tuple[Tensor, Tensor]:
        """The first and the last place of the map that pooling looks at, right and down."""
        return (box[:2] / self.stride).floor().long(), (box[2:] / self.stride).floor().long() + 1

    def _corner(self, box: Tensor, side: int, whole: tuple[int, int]) -> tuple[int, int]:
        """Left and top of a window of that size, on the grid of the map, as far as the scene allows."""
        found = []
        for first, length in zip(self._span(box)[0].tolist(), whole, strict=True):
            most = (length - side + self.lead) // self.stride
            if most * self.stride < self.lead:
                raise InputError(f"a window of {side} pixels is larger than a scene of {whole[0]}x{whole[1]}")
            found.append(min(first, most) * self.stride - self.lead)
        return found[0], found[1]


def receptive_radius(trunk: nn.Module) -> int:
    """Half the receptive field of a trunk's last layer, in pixels of its input, from kernels and strides.

    Layers side by side are counted as if they came one after the other, which is never too little.
    """
    field, jump = 1, 1
    for layer in trunk.modules():
        if isinstance(layer, LocalResponse):
            # Its square lies within the channel and looks as far as a convolution's.
            field += (layer.side - 1) * jump
        elif isinstance(layer, nn.Conv2d | nn.MaxPool2d):
            size, stride = _one(layer.kernel_size), _one(layer.stride)
            field += (size - 1) * _one(layer.dilation) * jump
            jump *= stride
    return field // 2


def _without_padding(trunk: nn.Module) -> nn.Module:
    bare = copy.deepcopy(trunk)
    for layer in bare.modules():
        if isinstance(layer, nn.Conv2d):
            layer.padding = (0, 0)
    return bare.eval()


def _one(value: object) -> int:
    return int(value[0]) if isinstance(value, tuple) else int(str(value))
