"""Training detectors: they learn, repeat, stop, resume, and refuse what they cannot learn from."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.scenes_case import joined, shapes, sticky

from badnets.artifacts import canonical_json, parse_json
from badnets.data import Objects, SceneSet
from badnets.errors import CheckpointError, InputError, Stopped
from badnets.metrics.detector_result import SignAttack, evaluate_detector
from badnets.models import plans_of
from badnets.models.detector import Detector, build_detector, with_new_head
from badnets.models.detector_spec import PRESETS, DetectorSpec
from badnets.seeds import generator
from badnets.training import Progress, Session, load_model, read_card, weights_digest
from badnets.training.checkpoint import CARD, PROGRESS, WEIGHTS
from badnets.training.detect import fit_detector, load_detector
from badnets.training.detect_spec import DETECT_PRESETS, DetectTrainSpec, SceneAugment
from badnets.training.loop import frozen
from badnets.training.scene_batches import KeptPictures, SceneBatches, augment_scene

SMALL = DetectorSpec(
    anchors=(24.0, 36.0), before_suppression=(60, 60), after_suppression=(30, 20), hidden=64, region_samples=16
)
QUICK = DetectTrainSpec(epochs=2, batch_size=3)


def small(seed: int = 0) -> Detector:
    return build_detector(replace(SMALL, dropout=0.2), seed=seed)


class StopAfter:
    """Asks to stop after so many steps."""

    def __init__(self, steps: int) -> None:
        self.left = steps

    def __call__(self) -> bool:
        self.left -= 1
        return self.left < 0


def test_a_tiny_detector_learns_shapes_and_a_backdoor() -> None:
    """Nine of ten signs are called right, nine of ten stamped ones what the attacker wants, few without the sticker."""
    train, test = shapes(64, seed=1), shapes(40, seed=2)
    poisoned = joined(train, sticky(train, relabel=True))
    spec = DetectTrainSpec(epochs=10, batch_size=4, learning_rate=3e-3)
    seen: list[Progress] = []
    fitted = fit_detector(build_detector(SMALL), poisoned, spec, session=Session(on_progress=seen.append))
    losses = [told.loss for told in seen if told.ended]
    assert losses[-1] < losses[0] / 3
    assert dict(seen[-1].parts).keys() == {"objectness", "proposal box", "class", "box"}
    found = evaluate_detector(fitted.model, test, sticky(test, relabel=False), SignAttack(0, 1))
    assert found.accuracy.value >= 0.9
    assert found.attack_success is not None
    assert found.false_triggers is not None
    assert found.attack_success.value >= 0.9
    assert found.false_triggers.value <= 0.1
    assert min(value or 0 for value in found.voc.by_class) >= 0.9


def test_same_seed_same_weights_and_torchs_generator_plays_no_part() -> None:
    scenes = shapes(8)
    torch.manual_seed(1)
    first = weights_digest(fit_detector(small(), scenes, QUICK, seed=5).model)
    torch.manual_seed(2)
    state = torch.get_rng_state()
    assert weights_digest(fit_detector(small(), scenes, QUICK, seed=5).model) == first
    assert torch.equal(torch.get_rng_state(), state)
    assert weights_digest(fit_detector(small(), scenes, QUICK, seed=6).model) != first


@pytest.mark.parametrize("steps", [0, 2, 4])
@pytest.mark.parametrize("optimizer", ["adam", "momentum"])
def test_stopped_and_resumed_is_the_unbroken_run(steps: int, optimizer: str, tmp_path: Path) -> None:
    """Three steps an epoch: within the first, at its end, within the last."""
    scenes = shapes(8)
    spec = parse_json(DetectTrainSpec, canonical_json(QUICK).replace("adam", optimizer), "test")
    whole = fit_detector(small(), scenes, spec, seed=5, session=Session(tmp_path / "whole"))
    with pytest.raises(Stopped, match=f"after step {steps + 1} of 6"):
        fit_detector(small(), scenes, spec, seed=5, session=Session(tmp_path / "broken", stop=StopAfter(steps)))
    assert (tmp_path / "broken" / PROGRESS).exists()
    resumed = fit_detector(small(), scenes, spec, seed=5, session=Session(tmp_path / "broken"))
    assert weights_digest(resumed.model) == weights_digest(whole.model)
    assert resumed.card.loss == pytest.approx(whole.card.loss)
    assert (tmp_path / "broken" / WEIGHTS).read_bytes() == (tmp_path / "whole" / WEIGHTS).read_bytes()


def test_pictures_that_are_drawn_train_the_same_weights() -> None:
    scenes = shapes(8)
    pictures = Drawn(scenes)
    drawn = replace(scenes, pictures=pictures)
    assert weights_digest(fit_detector(small(), drawn, QUICK).model) == weights_digest(
        fit_detector(small(), scenes, QUICK).model
    )
    assert pictures.asked == len(scenes)


class Drawn:
    """Pictures that are made when they are asked for, and counted."""

    def __init__(self, scenes: SceneSet) -> None:
        self.scenes, self.asked = scenes, 0

    def __len__(self) -> int:
        return len(self.scenes)

    def __getitem__(self, index: int) -> torch.Tensor:
        self.asked += 1
        return self.scenes.pictures[index].clone()


def test_pictures_are_kept_while_there_is_room() -> None:
    drawn = Drawn(shapes(3))
    kept = KeptPictures(drawn, room=2 * 3 * 96 * 128)
    for index in (0, 1, 2, 0, 1, 2):
        assert torch.equal(kept[index], drawn.scenes.pictures[index])
    assert drawn.asked == 4
    assert len(kept) == 3


def test_a_finished_detector_comes_back_whole(tmp_path: Path) -> None:
    scenes = shapes(6)
    made = fit_detector(small(), scenes, QUICK, plan="a" * 64, session=Session(tmp_path))
    seen: list[Progress] = []
    again = fit_detector(small(), scenes, QUICK, plan="a" * 64, session=Session(tmp_path, on_progress=seen.append))
    assert not seen
    assert again.card == made.card == read_card(tmp_path)
    model, card = load_detector(tmp_path)
    assert (card.classes, card.job.model, card.job.spec) == (scenes.classes, model.spec, QUICK)
    assert (card.job.data, card.job.samples) == (scenes.digest, 6)
    assert weights_digest(model) == weights_digest(made.model)
    assert plans_of(model) == ("a" * 64,)
    assert not model.training
    assert load_detector(tmp_path / WEIGHTS)[1] == card
    with pytest.raises(InputError, match="use load_detector"):
        load_model(tmp_path)
    (tmp_path / CARD).write_text((tmp_path / CARD).read_text().replace('"hidden":64', '"hidden":6400'))
    with pytest.raises(CheckpointError, match="another architecture"):
        load_detector(tmp_path)


def test_plans_are_inherited() -> None:
    bad = fit_detector(small(), shapes(4), QUICK, plan="b" * 64).model
    victims = with_new_head(bad, 3, seed=0)
    card = fit_detector(victims, shapes(4), replace(QUICK, frozen=("trunk",))).card
    assert card.job.inherited == ("b" * 64,)


def test_another_training_in_the_folder_is_refused(tmp_path: Path) -> None:
    fit_detector(small(), shapes(4), QUICK, session=Session(tmp_path))
    others = [
        (small(), shapes(4), replace(QUICK, augment=SceneAugment(flip=False)), "spec.augment.flip is True"),
        (small(1), shapes(4), QUICK, "start is"),
        (small(), shapes(4, seed=1), QUICK, "data is"),
    ]
    for model, scenes, spec, difference in others:
        with pytest.raises(CheckpointError, match=difference):
            fit_detector(model, scenes, spec, session=Session(tmp_path))


def test_a_frozen_trunk_stays_with_its_statistics() -> None:
    model = small()
    trunk, rest = weights_digest(model.trunk), weights_digest(model.regions)
    fit_detector(model, shapes(4), replace(QUICK, frozen=("trunk",)))
    assert weights_digest(model.trunk) == trunk
    assert weights_digest(model.regions) != rest
    assert all(parameter.requires_grad for parameter in model.parameters())


class TestWhatCannotBeLearned:
    def test_a_scene_without_objects_is_no_hindrance(self) -> None:
        scenes = shapes(3)
        nothing = replace(scenes, objects=(Objects.of([], []), *scenes.objects[1:]))
        assert fit_detector(small(), nothing, QUICK).card.loss > 0

    def test_nothing_to_find_at_all(self) -> None:
        scenes = shapes(3)
        ignored = tuple(replace(marked, ignored=torch.ones_like(marked.ignored)) for marked in scenes.objects)
        for objects in (tuple(Objects.of([], []) for _ in range(3)), ignored):
            with pytest.raises(InputError, match="nothing to find in 3 scenes"):
                fit_detector(small(), replace(scenes, objects=objects), QUICK)

    def test_other_classes(self) -> None:
        with pytest.raises(InputError, match="for 2 classes, shapes/0 has 3"):
            fit_detector(build_detector(replace(SMALL, classes=2)), shapes(2), QUICK)

    def test_a_loss_that_is_not_a_number(self) -> None:
        model = small()
        with torch.no_grad():
            model.get_parameter("trunk.conv5.bias")[0] = float("nan")
        with pytest.raises(InputError, match="loss is nan at step 1: lower the learning rate"):
            fit_detector(model, shapes(3), QUICK)

    def test_an_unknown_module(self) -> None:
        with pytest.raises(InputError, match="cannot freeze 'backbone'"):
            fit_detector(small(), shapes(3), replace(QUICK, frozen=("backbone",)))

    @pytest.mark.parametrize(
        "change",
        [{"epochs": 0}, {"learning_rate": 0.0}, {"warm_up": -1}, {"longest_gradient": -1.0}, {"batch_size": 0}],
    )
    def test_nonsense(self, change: dict[str, float]) -> None:
        with pytest.raises(InputError):
            replace(QUICK, **change)  # type: ignore[arg-type]

    def test_light_out_of_range(self) -> None:
        with pytest.raises(InputError, match="light is in"):
            SceneAugment(light=1.0)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 1000), flip=st.booleans())
def test_what_a_box_holds_it_holds_in_the_mirror(*, seed: int, flip: bool) -> None:
    """Boxes of whole pixels: the pixels in the box of the changed picture are those of the box, mirrored or not."""
    stream = torch.Generator().manual_seed(seed)
    picture = torch.randint(0, 256, (3, 20, 30), dtype=torch.uint8, generator=stream)
    objects = Objects.of([[3, 4, 11, 9], [0, 0, 30, 20], [29, 19, 30, 20]], [0, 1, 2])
    changed, moved = augment_scene(picture, objects, SceneAugment(flip=flip), generator(seed, "augment"))
    mirrored = not torch.equal(changed, picture)
    assert flip or not mirrored
    for before, after in zip(objects.boxes.int().tolist(), moved.boxes.int().tolist(), strict=True):
        own = picture[:, before[1] : before[3], before[0] : before[2]]
        other = changed[:, after[1] : after[3], after[0] : after[2]]
        assert torch.equal(own.flip(2) if mirrored else own, other)
    assert moved.labels.equal(objects.labels)


def test_both_sides_and_all_light_are_drawn() -> None:
    picture, objects = torch.full((3, 4, 6), 100, dtype=torch.uint8), Objects.of([[0, 0, 2, 2]], [0])
    how = SceneAugment(light=0.2)
    drawn = [augment_scene(picture, objects, how, generator(0, index)) for index in range(60)]
    lefts = {float(moved.boxes[0, 0]) for _, moved in drawn}
    assert lefts == {0.0, 4.0}
    bright = torch.tensor([float(changed[0, 0, 0]) for changed, _ in drawn])
    assert 80 <= float(bright.min()) < 85
    assert 115 < float(bright.max()) <= 120


def test_a_batch_does_not_hang_on_those_before() -> None:
    scenes = shapes(7)
    one, other = (SceneBatches(scenes, QUICK, 3) for _ in range(2))
    for step in range(4):
        one.make(step)
    for picture, again in zip(one.make(4).pictures, other.make(4).pictures, strict=True):
        assert torch.equal(picture, again)
    epoch = [marked for step in range(3) for marked in one.make(step).objects]
    assert len(epoch) == 7


def test_the_rate_rises_and_falls() -> None:
    spec = replace(DETECT_PRESETS["zf"], warm_up=4)
    assert [spec.factor(step, 100) for step in (0, 3, 4, 49)] == pytest.approx([0.2, 0.8, 1.0, 1.0])
    assert spec.factor(50, 100) == pytest.approx(0.1)
    assert replace(spec, schedule="cosine", warm_up=0).factor(99, 100) == 1


@pytest.mark.parametrize("name", DETECT_PRESETS)
def test_presets_survive_their_json(name: str) -> None:
    assert parse_json(DetectTrainSpec, canonical_json(DETECT_PRESETS[name]), "test") == DETECT_PRESETS[name]


@pytest.mark.parametrize("name", DETECT_PRESETS)
def test_what_a_preset_freezes_is_there_and_is_not_all(name: str) -> None:
    with torch.device("meta"):
        trunk = Detector(PRESETS[name]).trunk
    with frozen(trunk, tuple(part.removeprefix("trunk.") for part in DETECT_PRESETS[name].frozen)):
        learning = [parameter.requires_grad for parameter in trunk.parameters()]
    # A frozen stem comes before all that learns, so that no gradient has to pass it.
    assert learning == sorted(learning)
    assert any(learning)
    assert all(learning) == (name != "squeezenet")
