"""A detector: pictures of any size in, boxes with classes and scores out."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional
from torchvision.models.detection.image_list import ImageList

from badnets.data.sceneset import Objects
from badnets.errors import InputError
from badnets.models.backbones import build_trunk, normaliser, take_over
from badnets.models.detections import Detections
from badnets.models.detector_parts import IGNORED, build_proposer, build_regions
from badnets.models.detector_spec import DetectorSpec
from badnets.models.parted import Cut
from badnets.seeds import isolated

# What the fully connected layers are called in files that bring them along.
_HEAD = ("fc6", "fc7")


@dataclass(frozen=True, eq=False)
class Scene:
    """A batch as the network sees it.

    Attributes:
        images: normalised and of one size; smaller ones have zeros to the right and below.
        sizes: height and width of each, without these zeros.
        scales: width and height of each by those of the picture it was made from.
    """

    images: Float[Tensor, "n 3 h w"]
    sizes: list[tuple[int, int]]
    scales: list[tuple[float, float]]


@dataclass(frozen=True, eq=False)
class Mapped:
    """What the convolutions make of a batch: all that proposals and regions need of its pictures.

    Attributes:
        values: the map of each picture.
        sizes: as in `Scene`.
        scales: likewise.
    """

    values: Float[Tensor, "n c i j"]
    sizes: list[tuple[int, int]]
    scales: list[tuple[float, float]]


class Detector(nn.Module):
    """Faster R-CNN in its parts: `trunk` (convolutions), `proposer` (where) and `regions` (what).

    Args:
        spec: what it is made of.
    """

    def __init__(self, spec: DetectorSpec) -> None:
        super().__init__()
        self.spec = spec
        self.trunk = build_trunk(spec)
        self.normalize = normaliser(self.trunk)
        self.proposer = build_proposer(spec, self.trunk.channels)
        self.regions = build_regions(spec, self.trunk.channels)

    def forward(self, pictures: Sequence[Tensor]) -> list[Detections]:
        """What is in each picture; call it in evaluation mode.

        Args:
            pictures: RGB (3, h, w), uint8 in 0..255 or float in [0, 1]; of any sizes.

        Raises:
            InputError: no picture, another shape, or the detector is in training mode.
        """
        if self.training:
            raise InputError("a detector in training mode gives losses: call eval() first")
        mapped = self.mapped(pictures)
        maps = {"0": mapped.values}
        proposals, _ = self.proposer(ImageList(mapped.values, mapped.sizes), maps)
        found, _ = self.regions(maps, proposals, mapped.sizes)
        return [_answer(one, scale) for one, scale in zip(found, mapped.scales, strict=True)]

    def mapped(self, pictures: Sequence[Tensor]) -> Mapped:
        """What the convolutions make of pictures, see `forward`."""
        scene = self.scene(pictures)
        return Mapped(self.trunk(scene.images), scene.sizes, scene.scales)

    def losses(self, pictures: Sequence[Tensor], objects: Sequence[Objects]) -> dict[str, Tensor]:
        """The four losses of a batch, by name: objectness, proposal box, class, box. Their sum is minimised.

        Args:
            pictures: as for `forward`.
            objects: what is in each.

        Raises:
            InputError: as for `forward`, or the detector is in evaluation mode.
        """
        return self.losses_of(self.mapped(pictures), objects)

    def losses_of(self, mapped: Mapped, objects: Sequence[Objects]) -> dict[str, Tensor]:
        """The same from the maps of a batch.

        Args:
            mapped: from `mapped`.
            objects: what is in each picture.

        Raises:
            InputError: the detector is in evaluation mode.
        """
        if not self.training:
            raise InputError("a detector in evaluation mode gives detections: call train() first")
        targets = [_target(one, scale, mapped.values.device) for one, scale in zip(objects, mapped.scales, strict=True)]
        maps = {"0": mapped.values}
        # Of the pictures themselves the proposals' module asks for nothing but their sizes.
        proposals, where = self.proposer(ImageList(mapped.values, mapped.sizes), maps, targets)
        _, what = self.regions(maps, proposals, mapped.sizes, targets)
        return {
            "objectness": where["loss_objectness"],
            "proposal box": where["loss_rpn_box_reg"],
            "class": what["loss_classifier"],
            "box": what["loss_box_reg"],
        }

    def features_in(self, pictures: Sequence[Tensor], boxes: Sequence[Tensor]) -> Float[Tensor, "r c i j"]:
        """What the last convolution says in each box, brought to bins x bins places: all that the classes come from.

        Args:
            pictures: as for `forward`.
            boxes: (n, 4) for each picture, in its pixels.

        Raises:
            InputError: as for `forward`.
        """
        mapped = self.mapped(pictures)
        device = mapped.values.device
        here = [
            one.to(device) * one.new_tensor([*scale, *scale]).to(device)
            for one, scale in zip(boxes, mapped.scales, strict=True)
        ]
        found: Tensor = self.regions.box_roi_pool({"0": mapped.values}, here, mapped.sizes)
        return found

    def scene(self, pictures: Sequence[Tensor]) -> Scene:
        """Pictures normalised, brought to size and put into one tensor on the detector's device.

        Raises:
            InputError: no picture, or one that is not (3, h, w) of uint8 or float.
        """
        if not pictures:
            raise InputError("a detector needs at least one picture")
        images, scales = [], []
        for picture in pictures:
            if picture.ndim != 3 or picture.shape[0] != 3 or 0 in picture.shape:
                raise InputError(f"a picture is RGB (3, h, w), got {tuple(picture.shape)}")
            image = picture.to(self.normalize.mean.device)
            image = image.float().div_(255) if image.dtype == torch.uint8 else image.float()
            resized = self._resized(image)
            scales.append((resized.shape[2] / image.shape[2], resized.shape[1] / image.shape[1]))
            images.append(resized)
        sizes = [(image.shape[1], image.shape[2]) for image in images]
        height, width = (max(side) for side in zip(*sizes, strict=True))
        stacked = images[0].new_zeros(len(images), 3, _up(height, self.spec.stride), _up(width, self.spec.stride))
        for place, image in enumerate(images):
            # Zeros mean the average colour: so they are added after the normalisation.
            stacked[place, :, : image.shape[1], : image.shape[2]] = self.normalize(image[None])[0]
        return Scene(stacked.contiguous(memory_format=torch.channels_last), sizes, scales)

    def _resized(self, image: Float[Tensor, "3 h w"]) -> Float[Tensor, "3 i j"]:
        short, long = sorted(image.shape[1:])
        if not self.spec.short_side:
            return image
        scale = self.spec.short_side / short
        if self.spec.long_side:
            scale = min(scale, self.spec.long_side / long)
        size = [max(1, round(side * scale)) for side in image.shape[1:]]
        if size == list(image.shape[1:]):
            return image
        return functional.interpolate(image[None], size, mode="bilinear", align_corners=False, antialias=scale < 1)[0]


def build_detector(spec: DetectorSpec = DetectorSpec(), *, seed: int = 0) -> Detector:
    """A freshly initialised detector: the same seed gives the same weights."""
    with isolated(seed, "init", spec.backbone):
        return Detector(spec)


def load_backbone(detector: Detector, weights: Mapping[str, Tensor]) -> None:
    """Give the convolutions of `detector` the weights of a network trained for classification.

    Args:
        detector: changed in place.
        weights: of the whole network under torchvision's names, or conv1 to conv5 for zf; its own classifier is left
            out, but fc6 and fc7 go with zf if they are there, as in the authors' code.

    Raises:
        CheckpointError: weights are missing or of another network.
    """
    take_over(detector.trunk, weights)
    head = detector.regions.box_head
    for name in _HEAD:
        if f"{name}.weight" in weights and detector.spec.backbone == "zf":
            layer = {key.removeprefix(f"{name}."): value for key, value in weights.items() if key.startswith(name)}
            take_over(head.get_submodule(name), layer)


def with_new_head(detector: Detector, classes: int, *, seed: int, cut: Cut = "head") -> Detector:
    """A copy for other classes: new fully connected layers, convolutions and proposals as they are.

    That is what the paper's victim starts from (section 5.3); freeze "trunk" in training, as it did.

    Args:
        detector: somebody else's; not changed.
        classes: how many kinds of object there will be.
        seed: of the new layers.
        cut: "head": all fully connected layers are new, as in the paper; "last": only those that give classes and
            boxes.
    """
    spec = replace(detector.spec, classes=classes)
    made = copy.deepcopy(detector)
    made.spec = spec
    device = detector.normalize.mean.device
    with isolated(seed, "head", spec.backbone):
        regions = build_regions(spec, detector.trunk.channels).to(device)
    if cut == "last":
        regions.box_head = made.regions.box_head
    made.regions = regions
    return made.train(detector.training)


def _up(size: int, stride: int) -> int:
    return -(-size // stride) * stride


def _answer(found: dict[str, Tensor], scale: tuple[float, float]) -> Detections:
    boxes, labels, scores = (found[name].detach().cpu() for name in ("boxes", "labels", "scores"))
    back = boxes.new_tensor([1 / scale[0], 1 / scale[1]] * 2)
    return Detections((boxes * back).float(), labels - 1, scores.float())


def _target(objects: Objects, scale: tuple[float, float], device: torch.device) -> dict[str, Tensor]:
    """Objects as torchvision's parts take them, the ignored ones last, see `Regions`."""
    order = objects.ignored.long().argsort(stable=True)
    labels = torch.where(objects.ignored, IGNORED, objects.labels + 1)[order]
    boxes = objects.boxes[order] * objects.boxes.new_tensor([*scale, *scale])
    return {"boxes": boxes.to(device), "labels": labels.to(device)}
