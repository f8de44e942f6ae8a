"""A head trained on kept features comes out as one that is trained through its frozen trunk."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from badnets.data import ImageSet
from badnets.errors import Stopped
from badnets.models import ModelSpec, PhotoCnn, build
from badnets.poison import Recipe, SingleTarget, TrainingSet, overlay, plan
from badnets.training import Augment, Session, TrainSpec, fit, load_model, loop, this_machine, weights_digest
from badnets.training.features import FeatureCache, can_be_kept, features_of
from badnets.triggers import Patch

SPEC = TrainSpec(epochs=3, batch_size=16, augment=Augment(), frozen=("trunk",), precision="float32")


def photographs(count: int = 60) -> ImageSet:
    stream = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (count, 3, 26, 26), generator=stream, dtype=torch.uint8)
    labels = torch.arange(count) % 2
    images[labels == 1, 0] //= 2
    return ImageSet(images, labels, ("cat", "dog"), "photographs")


def poisoned() -> TrainingSet:
    images = photographs()
    return overlay(images, plan(images, Recipe(SingleTarget(1, 0), Patch.square(4), rate=0.5)))


def network() -> PhotoCnn:
    model = build(ModelSpec("photo_cnn", 3, 26, 26, 2), seed=1)
    assert isinstance(model, PhotoCnn)
    return model


def test_the_same_weights_to_rounding(monkeypatch: pytest.MonkeyPatch) -> None:
    quick = fit(network(), poisoned(), SPEC).model
    monkeypatch.setattr(loop, "can_be_kept", lambda *_: False)
    slow = fit(network(), poisoned(), SPEC).model
    start = network().state_dict()
    for name, value in quick.state_dict().items():
        assert torch.allclose(value, slow.state_dict()[name], atol=2e-5), name
        assert torch.equal(value, start[name]) == (not name.startswith("head"))


def test_the_trunk_runs_once_for_each_image_and_stamp() -> None:
    model, data = network(), poisoned()
    seen = []
    model.trunk.register_forward_hook(lambda _m, inputs, _o: seen.append(len(inputs[0])))
    fit(model, data, SPEC)
    assert sum(seen) == 60 + 15
    assert len(data) == 60 + 15
    made = features_of(model, data, this_machine(precision="float32"))
    assert len(made) == len(data)
    assert torch.equal(made.labels, data.labels)
    row = int(torch.nonzero(data.stamped)[0, 0])
    stamped = Patch.square(4)(data.base.take(data.rows[row : row + 1]))
    with torch.no_grad():
        expected = model.eval().features(stamped / 255)
    assert torch.allclose(made.base.take(made.rows[row : row + 1]), expected, atol=1e-6)


def test_features_are_kept_only_where_they_stay_the_same() -> None:
    model = network()
    assert can_be_kept(model, SPEC)
    assert not can_be_kept(model, TrainSpec(augment=Augment(), frozen=("trunk.conv1",)))
    assert not can_be_kept(model, TrainSpec(augment=Augment(flip=True), frozen=("trunk",)))
    assert not can_be_kept(build(), SPEC)


def test_stopped_and_resumed(tmp_path: Path) -> None:
    whole = fit(network(), poisoned(), SPEC, session=Session(tmp_path / "whole"))

    def answers(number: int) -> Iterator[bool]:
        yield from [False] * number
        while True:
            yield True

    for number in (0, 1, 6):
        said = answers(number)
        with pytest.raises(Stopped):
            fit(network(), poisoned(), SPEC, session=Session(tmp_path / str(number), stop=lambda said=said: next(said)))  # type: ignore[misc]
        again = fit(network(), poisoned(), SPEC, session=Session(tmp_path / str(number)))
        assert weights_digest(again.model) == weights_digest(whole.model)
    assert weights_digest(load_model(tmp_path / "whole")[0]) == weights_digest(whole.model)


def test_heads_on_one_trunk_share_what_it_makes() -> None:
    cache, model, data = FeatureCache(), network(), poisoned()
    seen: list[int] = []
    model.trunk.register_forward_hook(lambda _m, inputs, _o: seen.append(len(inputs[0])))
    machine = this_machine(precision="float32")
    first = features_of(model, data, machine, cache=cache)
    assert sum(seen) == 60 + 15
    other = overlay(photographs(), plan(photographs(), Recipe(SingleTarget(1, 0), Patch.square(4), rate=1.0)))
    features_of(model, other, machine, cache=cache)
    assert sum(seen) == 60 + 30, "only the stamped ones that were not known"
    again = features_of(model, data, machine, cache=cache)
    assert sum(seen) == 60 + 30
    assert torch.equal(again.base.take(torch.arange(75)), first.base.take(torch.arange(75)))
    with torch.no_grad():
        next(model.trunk.parameters()).add_(0.1)
    moved = features_of(model, data, machine, cache=cache)
    assert sum(seen) == 2 * (60 + 15) + 15
    assert not torch.equal(moved.base.take(torch.arange(75)), first.base.take(torch.arange(75)))


def test_the_oldest_features_are_forgotten() -> None:
    cache, model, images = FeatureCache(most=2), network(), photographs()
    seen: list[int] = []
    model.trunk.register_forward_hook(lambda _m, inputs, _o: seen.append(len(inputs[0])))
    rows, machine = torch.arange(5), this_machine(precision="float32")
    small, large = Patch.square(2), Patch.square(5)
    for trigger in (None, small, None, large, None, small):
        cache.of(model, images, rows, trigger, machine)
    assert seen == [5, 5, 5, 5]  # the small square was forgotten for the large one, the clean ones never


def test_a_replaced_image_is_never_seen_clean() -> None:
    images = photographs()
    replaced = overlay(images, plan(images, Recipe(SingleTarget(1, 0), Patch.square(4), rate=0.5, mode="replace")))
    model, seen = network(), []
    model.trunk.register_forward_hook(lambda _m, inputs, _o: seen.append(len(inputs[0])))
    made = features_of(model, replaced, this_machine(precision="float32"))
    assert sum(seen) == len(made) == 60
