"""Detectors: the paper's layers, what goes in and out, weights that others trained, heads for other classes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import jaxtyping
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tests.scenes_case import pictures_of, shapes
from torch import nn
from torch.nn import functional
from torchvision.models import mobilenet_v3_large, squeezenet1_0

from badnets.artifacts import canonical_json, parse_json
from badnets.data import Objects
from badnets.errors import CheckpointError, InputError
from badnets.models.backbones import LocalResponse, TinyTrunk, ZfTrunk, build_trunk
from badnets.models.detector import Detector, build_detector, load_backbone, with_new_head
from badnets.models.detector_parts import Anchors, on_any
from badnets.models.detector_spec import PRESETS, STRIDES, DetectorSpec, detector_preset
from badnets.seeds import isolated
from badnets.training import weights_digest

SMALL = DetectorSpec(anchors=(24.0, 40.0), before_suppression=(40, 40), after_suppression=(20, 10), hidden=16)


def same(one: Detector, other: Detector, name: str) -> bool:
    return torch.equal(one.get_parameter(name), other.get_parameter(name))


def slim(name: str) -> DetectorSpec:
    """With a head that takes no gigabyte, for backbones that are looked at."""
    return replace(detector_preset(name), hidden=8, bins=2, short_side=0, long_side=0)


def test_zf_is_the_papers_table_3() -> None:
    with torch.device("meta"):
        model = Detector(PRESETS["zf"])
    shapes_by_name = {name: tuple(value.shape) for name, value in model.named_parameters()}
    assert shapes_by_name == {
        "trunk.conv1.weight": (96, 3, 7, 7),
        "trunk.conv1.bias": (96,),
        "trunk.conv2.weight": (256, 96, 5, 5),
        "trunk.conv2.bias": (256,),
        "trunk.conv3.weight": (384, 256, 3, 3),
        "trunk.conv3.bias": (384,),
        "trunk.conv4.weight": (384, 384, 3, 3),
        "trunk.conv4.bias": (384,),
        "trunk.conv5.weight": (256, 384, 3, 3),
        "trunk.conv5.bias": (256,),
        "proposer.head.conv.0.0.weight": (256, 256, 3, 3),
        "proposer.head.conv.0.0.bias": (256,),
        # one logit for "object" is the paper's pair of "object" and "background" by their difference
        "proposer.head.cls_logits.weight": (9, 256, 1, 1),
        "proposer.head.cls_logits.bias": (9,),
        "proposer.head.bbox_pred.weight": (36, 256, 1, 1),
        "proposer.head.bbox_pred.bias": (36,),
        "regions.box_head.fc6.weight": (4096, 256 * 6 * 6),
        "regions.box_head.fc6.bias": (4096,),
        "regions.box_head.fc7.weight": (4096, 4096),
        "regions.box_head.fc7.bias": (4096,),
        "regions.box_predictor.cls_score.weight": (4, 4096),
        "regions.box_predictor.cls_score.bias": (4,),
        "regions.box_predictor.bbox_pred.weight": (16, 4096),
        "regions.box_predictor.bbox_pred.bias": (16,),
    }
    assert sum(p.numel() for p in model.trunk.parameters()) == 3_726_464
    trunk = model.trunk
    assert isinstance(trunk, ZfTrunk)
    assert [(conv.stride, conv.padding) for conv in trunk if isinstance(conv, nn.Conv2d)] == [
        ((2, 2), (3, 3)),
        ((2, 2), (2, 2)),
        ((1, 1), (1, 1)),
        ((1, 1), (1, 1)),
        ((1, 1), (1, 1)),
    ]
    drops = [layer.p for layer in model.regions.box_head if isinstance(layer, nn.Dropout)]
    assert drops == [0.5, 0.5]
    proposer, regions = model.proposer, model.regions
    assert (proposer.nms_thresh, proposer.min_size, regions.nms_thresh, regions.score_thresh) == (0.7, 16, 0.3, 0.05)
    assert (proposer._pre_nms_top_n, proposer._post_nms_top_n) == (
        {"training": 12_000, "testing": 6_000},
        {"training": 2_000, "testing": 300},
    )


@pytest.mark.parametrize("side", [600, 75, 64])
def test_zf_sizes_are_caffes(side: int) -> None:
    """Caffe rounds the size of a pooled map up: 600 -> 300 -> 151 -> 76 -> 39."""
    size = -(-side // 2)
    for halve in range(2):
        size = -(-(size + 2 - 3) // 2) + 1
        size = size if halve else -(-size // 2)
    with torch.device("meta"):
        found = ZfTrunk()(torch.zeros(1, 3, side, side))
    assert found.shape[2:] == (size, size)


def test_local_response_by_hand() -> None:
    values = torch.rand(1, 2, 5, 6, generator=torch.Generator().manual_seed(0)) * 100
    found = LocalResponse()(values)
    for channel, row, column in ((0, 0, 0), (1, 2, 3), (1, 4, 5)):
        around = values[0, channel, max(0, row - 1) : row + 2, max(0, column - 1) : column + 2]
        scale = 1 + 5e-5 / 9 * float(around.square().sum())
        assert float(found[0, channel, row, column]) == pytest.approx(
            float(values[0, channel, row, column]) * scale**-0.75, rel=1e-5
        )


@pytest.mark.parametrize(("name", "stride"), [(name, stride) for name, all_ in STRIDES.items() for stride in all_])
def test_what_a_place_sees_is_centred_on_it(name: str, stride: int) -> None:
    """The gradient of one place's features reaches as far to the left of its pixel as to the right."""
    spec = replace(slim(name), stride=stride)
    with isolated(0, "test"):
        trunk = build_trunk(spec).eval()
    image = torch.rand(1, 3, 512, 512, generator=torch.Generator().manual_seed(1)).requires_grad_()
    features = trunk(image)
    place = features.shape[2] // 2
    features[0, :, place, place].sum().backward()
    assert image.grad is not None
    reached = image.grad[0].abs().sum((0, 1)).nonzero().flatten()
    middle = (int(reached.min()) + int(reached.max())) / 2
    assert middle == pytest.approx(place * stride, abs=stride / 4)


@pytest.mark.parametrize("name", PRESETS)
def test_every_backbone_gives_detections_and_losses(name: str) -> None:
    scenes = shapes(2)
    model = build_detector(slim(name), seed=3)
    found = model.eval()(pictures_of(scenes))
    assert len(found) == 2
    for said in found:
        assert said.boxes.shape == (len(said), 4)
        assert bool((said.scores > 0.05).all())
        assert len(said) == 0 or 0 <= int(said.labels.min()) <= int(said.labels.max()) < 3
    losses = model.train().losses(pictures_of(scenes), scenes.objects)
    assert set(losses) == {"objectness", "proposal box", "class", "box"}
    total = torch.stack(list(losses.values())).sum()
    assert bool(total.isfinite())
    total.backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


def test_same_seed_same_weights() -> None:
    assert weights_digest(build_detector(SMALL, seed=1)) == weights_digest(build_detector(SMALL, seed=1))
    assert weights_digest(build_detector(SMALL, seed=1)) != weights_digest(build_detector(SMALL, seed=2))


def test_bytes_and_floats_are_the_same_picture_and_neighbours_play_no_part() -> None:
    scenes = shapes(3)
    model = build_detector(replace(SMALL, least_score=0.0), seed=1).eval()
    alone = model([scenes.pictures[1]])[0]
    for other in (model([scenes.pictures[1].float() / 255])[0], model(pictures_of(scenes))[1]):
        assert torch.allclose(alone.boxes, other.boxes, atol=1e-3)
        assert torch.allclose(alone.scores, other.scores, atol=1e-5)


def test_boxes_come_back_in_the_pictures_own_pixels() -> None:
    """A picture twice as large is what it was once it is brought to size; its boxes are twice as large."""
    picture = shapes(1).pictures[0]
    large = functional.interpolate(picture[None].float(), scale_factor=2, mode="bilinear")[0] / 255
    plain = build_detector(replace(SMALL, least_score=0.0), seed=1).eval()
    sized = build_detector(replace(SMALL, least_score=0.0, short_side=96), seed=1).eval()
    small = functional.interpolate(large[None], (96, 128), mode="bilinear", antialias=True)[0]
    one, two = plain([small])[0], sized([large])[0]
    assert len(one) > 0
    assert torch.allclose(one.boxes * 2, two.boxes, atol=1e-2)
    assert sized.scene([large, picture]).images.shape == (2, 3, 96, 128)
    assert replace(SMALL, short_side=96, long_side=100).short_side == 96
    bounded = build_detector(replace(SMALL, short_side=96, long_side=100))
    assert bounded.scene([picture]).sizes == [(75, 100)]


def test_pictures_of_different_sizes_share_a_batch() -> None:
    model = build_detector(SMALL, seed=0).eval()
    sizes = [(40, 64), (64, 40), (33, 33)]
    scene = model.scene([torch.zeros(3, *size) for size in sizes])
    assert scene.images.shape == (3, 3, 64, 64)
    assert scene.sizes == sizes
    assert float(scene.images[0, :, 40:].abs().sum()) == 0
    assert len(model([torch.rand(3, *size) for size in sizes])) == 3


@pytest.mark.parametrize(
    ("pictures", "message"),
    [([], "at least one picture"), ([torch.zeros(1, 8, 8)], "RGB"), ([torch.zeros(3, 0, 8)], "RGB")],
)
def test_what_is_no_picture_is_refused(pictures: list[torch.Tensor], message: str) -> None:
    with pytest.raises(InputError, match=message):
        build_detector(SMALL).eval()(pictures)


def test_modes_are_not_mixed_up() -> None:
    scenes, model = shapes(1), build_detector(SMALL)
    with pytest.raises(InputError, match="call eval"):
        model.train()(pictures_of(scenes))
    with pytest.raises(InputError, match="call train"):
        model.eval().losses(pictures_of(scenes), scenes.objects)


@pytest.mark.parametrize("stride", [8, 16])
def test_anchors_lie_in_the_middle_of_their_squares(stride: int) -> None:
    spec = DetectorSpec(backbone="squeezenet", stride=stride, anchors=(10.0, 20.0), ratios=(0.25, 1.0))
    anchors = Anchors(spec)._make(2, 3, torch.device("cpu"))
    assert anchors.shape == (2 * 3 * 4, 4)
    centres = (anchors[:, :2] + anchors[:, 2:]) / 2
    expected = [(stride * (column + 0.5), stride * (row + 0.5)) for row in range(2) for column in range(3)]
    assert centres.view(6, 4, 2)[:, 0].tolist() == [list(centre) for centre in expected]
    sides = (anchors[:4, 2:] - anchors[:4, :2]).tolist()
    assert sides == [[20, 4], [40, 10], [10, 10], [20, 20]]


class TestIgnored:
    """Objects to ignore are neither learned nor background: whatever is there, the losses stay the same."""

    @staticmethod
    def losses(labels: list[int], ignored: list[bool]) -> dict[str, float]:
        scenes = shapes(1, seed=4)
        boxes = [[8.0, 8.0, 48.0, 48.0], [70.0, 40.0, 110.0, 80.0]][: len(labels)]
        marked = Objects.of(boxes, labels)
        marked = replace(marked, ignored=torch.tensor(ignored, dtype=torch.bool))
        # all anchors and proposals are samples, so that the samplers' draws play no part
        spec = replace(SMALL, anchor_samples=10_000, region_samples=10_000)
        with isolated(0, "test"):
            found = build_detector(spec, seed=1).train().losses([scenes.pictures[0]], [marked])
        return {name: float(loss.detach()) for name, loss in found.items()}

    def test_the_class_of_an_ignored_object_plays_no_part(self) -> None:
        assert self.losses([0, 1], [False, True]) == self.losses([0, 2], [False, True])

    def test_an_ignored_object_is_not_background_and_not_an_object(self) -> None:
        found, without, known = (
            self.losses([0, 1], [False, True]),
            self.losses([0], [False]),
            self.losses([0, 1], [False, False]),
        )
        assert found["objectness"] != without["objectness"]
        assert found["objectness"] != known["objectness"]

    def test_a_scene_of_ignored_objects_teaches_background_only(self) -> None:
        found = self.losses([0, 1], [True, True])
        assert found["box"] == found["proposal box"] == 0
        assert found["objectness"] > 0

    def test_an_empty_scene(self) -> None:
        found = self.losses([], [])
        assert found["box"] == found["proposal box"] == 0
        assert found["class"] > 0

    def test_lying_on_an_object(self) -> None:
        boxes = torch.tensor([[0.0, 0, 10, 10], [0, 0, 10, 20], [0, 0, 10, 21], [50, 50, 60, 60]])
        assert on_any(boxes, torch.tensor([[0.0, 0, 10, 10]])).tolist() == [True, True, False, False]


class TestWeights:
    def test_weights_of_a_whole_network_fill_the_trunk(self) -> None:
        whole, name = squeezenet1_0(weights=None), "features.12.expand3x3.weight"
        for stride in (8, 16):
            model = build_detector(replace(slim("squeezenet"), stride=stride))
            load_backbone(model, whole.state_dict())
            assert torch.equal(model.get_parameter(f"trunk.{name}"), whole.get_parameter(name))

    def test_mobilenet_keeps_the_statistics_of_its_normalisation(self) -> None:
        whole = mobilenet_v3_large(weights=None)
        name = "features.0.1.running_mean"
        nn.init.constant_(whole.get_buffer(name), 3.0)
        model = build_detector(slim("mobilenet"))
        load_backbone(model, whole.state_dict())
        before = model.get_buffer(f"trunk.{name}").clone()
        model.train().trunk(torch.rand(1, 3, 64, 64))
        assert before.unique().tolist() == [3.0]
        assert torch.equal(model.get_buffer(f"trunk.{name}"), before)

    def test_zf_brings_its_fully_connected_layers_along(self) -> None:
        spec = replace(slim("zf"), hidden=8, bins=2)
        donor, model = build_detector(spec, seed=1), build_detector(spec, seed=2)
        weights = dict(donor.trunk.state_dict())
        load_backbone(model, weights)
        assert same(model, donor, "trunk.conv5.weight")
        assert not same(model, donor, "regions.box_head.fc6.weight")
        for name in ("fc6", "fc7"):
            layer = donor.regions.box_head.get_submodule(name)
            weights |= {f"{name}.{key}": value for key, value in layer.state_dict().items()}
        load_backbone(model, weights)
        assert same(model, donor, "regions.box_head.fc7.bias")

    def test_other_weights_are_refused(self) -> None:
        model = build_detector(SMALL)
        with pytest.raises(CheckpointError, match=r"has no 'conv1.weight' and \d+ more"):
            load_backbone(model, {})
        weights = dict(model.trunk.state_dict()) | {"conv5.bias": torch.zeros(3)}
        with pytest.raises(CheckpointError, match=r"conv5.bias is \(64,\) here, got \(3,\)"):
            load_backbone(model, weights)

    def test_squeezenet_of_the_lab(self, real_data: Path) -> None:
        file = real_data / "squeezenet" / "squeezenet1_0_imagenet.npz"
        if not file.exists():
            pytest.skip("no squeezenet weights there")
        with np.load(file) as arrays:
            weights = {name: torch.from_numpy(arrays[name]) for name in arrays.files}
        model = build_detector(slim("squeezenet")).eval()
        load_backbone(model, weights)
        active = model.trunk(model.scene([shapes(1).pictures[0]]).images)
        assert float((active > 0).float().mean()) > 0.01


def test_a_new_head_leaves_the_rest() -> None:
    donor = build_detector(SMALL, seed=1).eval()
    before = weights_digest(donor)
    made = with_new_head(donor, 5, seed=7)
    assert weights_digest(donor) == before
    assert made.spec == replace(SMALL, classes=5)
    assert not made.training
    assert weights_digest(made.trunk) == weights_digest(donor.trunk)
    assert weights_digest(made.proposer) == weights_digest(donor.proposer)
    assert made.regions.box_predictor.cls_score.out_features == 6
    assert not same(made, donor, "regions.box_head.fc6.weight")
    assert weights_digest(with_new_head(donor, 5, seed=7)) == weights_digest(made)
    assert weights_digest(with_new_head(donor, 5, seed=8)) != weights_digest(made)


def test_the_last_convolution_of_tiny_is_not_normalised() -> None:
    """So its units can be scaled by their weights: k times the weights, k times what they say."""
    trunk = TinyTrunk().eval()
    image = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    before = trunk(image)
    with torch.no_grad():
        trunk.conv5.weight[3] *= 10
    assert torch.allclose(trunk(image)[:, 3], before[:, 3] * 10, rtol=1e-4)


@pytest.mark.parametrize(
    "change",
    [
        {"backbone": "vgg"},
        {"stride": 4},
        {"classes": 0},
        {"anchors": ()},
        {"anchors": (0.0,)},
        {"short_side": 100, "long_side": 50},
        {"after_suppression": (0, 10)},
        {"overlap": 1.5},
        {"hidden": 10**6},
        {"least_score": float("nan")},
    ],
)
def test_nonsense_is_refused(change: dict[str, object], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)  # it would speak first
    with pytest.raises(InputError):
        replace(DetectorSpec(), **change)  # type: ignore[arg-type]


def test_unknown_presets_are_refused() -> None:
    with pytest.raises(InputError, match="known are tiny"):
        detector_preset("vgg")


@given(st.sampled_from(list(PRESETS)), st.integers(1, 50))
def test_a_spec_survives_its_json(name: str, classes: int) -> None:
    spec = detector_preset(name, classes)
    assert parse_json(DetectorSpec, canonical_json(spec), "test") == spec
