"""Maps of a frozen trunk: computed once, the same weights as through the trunk, and never more than there is room."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tests.scenes_case import shapes

from badnets.data import SceneSet
from badnets.errors import Stopped
from badnets.models.detector import Detector, build_detector
from badnets.models.detector_spec import DetectorSpec
from badnets.training import DetectTrainSpec, SceneAugment, Session, detect, weights_digest
from badnets.training.checkpoint import WEIGHTS
from badnets.training.detect import fit_detector
from badnets.training.kept_maps import KeptMaps, can_keep
from badnets.training.scene_batches import SceneBatch, SceneBatches

SMALL = DetectorSpec(
    anchors=(24.0, 36.0), before_suppression=(60, 60), after_suppression=(30, 20), hidden=32, region_samples=16
)
FROZEN = DetectTrainSpec(epochs=4, batch_size=3, frozen=("trunk",), precision="float32")


@contextmanager
def passes(model: Detector) -> Iterator[list[int]]:
    """How many pictures go through the trunk each time."""
    seen: list[int] = []
    hook = model.trunk.register_forward_hook(lambda _m, inputs, _o: seen.append(len(inputs[0])))
    try:
        yield seen
    finally:
        hook.remove()


def trained(scenes: SceneSet, spec: DetectTrainSpec = FROZEN) -> tuple[Detector, list[int]]:
    model = build_detector(SMALL, seed=1)
    with passes(model) as seen:
        fit_detector(model, scenes, spec, seed=5)
    return model, seen


@pytest.mark.parametrize("flip", [False, True])
def test_the_same_weights_as_through_the_trunk(monkeypatch: pytest.MonkeyPatch, *, flip: bool) -> None:
    scenes, spec = shapes(7), replace(FROZEN, augment=SceneAugment(flip=flip))
    kept, few = trained(scenes, spec)
    monkeypatch.setattr(detect, "can_keep", lambda _spec: False)
    through, many = trained(scenes, spec)
    start = build_detector(SMALL, seed=1).state_dict()
    for name, value in kept.state_dict().items():
        assert torch.allclose(value, through.state_dict()[name], atol=2e-5), name
        assert torch.equal(value, start[name]) or not name.startswith("trunk"), name
    assert weights_digest(kept.regions) != weights_digest(build_detector(SMALL, seed=1).regions)
    assert sum(many) == 7 * spec.epochs
    # Each view passes once: a scene has two of them at most.
    assert sum(few) == 7 if not flip else 7 <= sum(few) <= 14


def test_without_room_everything_is_computed_anew_to_the_same_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    scenes = shapes(7)
    spec = replace(FROZEN, augment=SceneAugment(flip=False))
    plenty, _ = trained(scenes, spec)
    one = 64 * 12 * 16 * 4  # channels, rows, columns, bytes
    for room, passed in ((0, 28), (3 * one, 3 + 4 * 4)):
        monkeypatch.setattr(detect, "KeptMaps", lambda model, room=room: KeptMaps(model, room))
        model, seen = trained(scenes, spec)
        assert sum(seen) == passed
        assert weights_digest(model) == weights_digest(plenty)


def test_pictures_of_several_sizes_pass_together() -> None:
    """Padded to one size, what a picture's border says hangs on its neighbours: nothing of it is kept."""
    small, large = shapes(1), shapes(1, size=(112, 128))
    pictures = small.pictures[0], large.pictures[0]
    model = build_detector(SMALL, seed=1).eval()
    maps = KeptMaps(model)
    both = SceneBatch(pictures, small.objects + large.objects, ((0, False), (1, False)))
    with torch.no_grad():
        expected = model.mapped(pictures)
    with passes(model) as seen:
        for _ in range(2):
            found = maps.of(both)
            assert torch.equal(found.values, expected.values)
            assert (found.sizes, found.scales) == (expected.sizes, expected.scales)
    assert seen == [2, 2]


def test_stopped_and_resumed_is_the_unbroken_run(tmp_path: Path) -> None:
    scenes = shapes(8)
    whole = fit_detector(build_detector(SMALL), scenes, FROZEN, seed=5, session=Session(tmp_path / "whole"))
    steps = iter([False] * 4 + [True])
    broken = Session(tmp_path / "broken", stop=lambda: next(steps))
    with pytest.raises(Stopped):
        fit_detector(build_detector(SMALL), scenes, FROZEN, seed=5, session=broken)
    fit_detector(build_detector(SMALL), scenes, FROZEN, seed=5, session=Session(tmp_path / "broken"))
    assert (tmp_path / "broken" / WEIGHTS).read_bytes() == (tmp_path / "whole" / WEIGHTS).read_bytes()
    assert whole.card.loss > 0


def test_when_maps_can_be_kept() -> None:
    assert can_keep(FROZEN)
    assert can_keep(replace(FROZEN, frozen=("trunk", "proposer.head")))
    assert not can_keep(replace(FROZEN, frozen=()))
    assert not can_keep(replace(FROZEN, frozen=("proposer.head",)))
    assert not can_keep(replace(FROZEN, augment=SceneAugment(light=0.1)))


def test_a_view_is_named_by_its_scene_and_its_side() -> None:
    scenes = shapes(5)
    batches = SceneBatches(scenes, FROZEN, 3)
    sides = set()
    for step in range(8):
        batch = batches.make(step)
        for (row, flipped), picture in zip(batch.views, batch.pictures, strict=True):
            own = scenes.pictures[row]
            assert torch.equal(picture, own.flip(2) if flipped else own)
            sides.add(flipped)
    assert sides == {True, False}
