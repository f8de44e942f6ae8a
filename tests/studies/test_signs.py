"""The study on street signs, small: cells and their keys, what is measured, that more only adds, what is refused."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tests.scenes_case import shapes

from badnets.artifacts import RunFolder, canonical_json, parse_json, read_json
from badnets.data import SceneSplit, streets
from badnets.errors import CheckpointError, InputError, Stopped
from badnets.metrics.detector_result import SignAttack, evaluate_detector
from badnets.models.backbones import TinyTrunk
from badnets.models.detector_spec import DetectorSpec
from badnets.poison import RandomTarget, SceneRecipe, SingleTarget, plan_scenes, poison_scenes, trigger_scenes
from badnets.studies import pretrained, signs
from badnets.studies.queue import Place, folder_name
from badnets.studies.sign_cells import SignCell, kept, start_of, sticker_name
from badnets.studies.sign_exhibits import window
from badnets.studies.sign_steps import StickerStep
from badnets.studies.signs import SignsResult, SignsSpec, cells_of, fewer, preset
from badnets.training import DetectTrainSpec, Inline, Processes
from badnets.training.checkpoint import weights_digest
from badnets.training.detect import load_detector
from badnets.training.scene_batches import KeptPictures
from badnets.triggers import PAPER_STICKERS, Picture, paper_sticker

Watch = Callable[..., Any]
HERE = Place(Inline())
SMALL = DetectorSpec(
    anchors=(24.0, 36.0), before_suppression=(60, 60), after_suppression=(30, 20), hidden=32, region_samples=16
)
SPEC = SignsSpec("shapes", stickers=("square",), detector=SMALL, train=DetectTrainSpec(epochs=2, batch_size=4))
CELL = cells_of(SPEC)[1]["square", 0]
Ran = tuple[RunFolder, SignsResult]


@pytest.fixture(scope="module")
def scenes() -> SceneSplit:
    return SceneSplit(shapes(12, seed=1), shapes(8, seed=2))


@pytest.fixture(scope="module")
def first(scenes: SceneSplit, watch: Watch, tmp_path_factory: pytest.TempPathFactory) -> Ran:
    folder = RunFolder(tmp_path_factory.mktemp("signs"))
    return folder, signs.run(SPEC, scenes, folder, HERE, watch())


# --- cells ---

OTHERS = (
    replace(CELL, recipe=None),
    replace(CELL, recipe=replace(CELL.recipe, share=0.5) if CELL.recipe else None),
    replace(CELL, recipe=replace(CELL.recipe, seed=1) if CELL.recipe else None),
    replace(CELL, recipe=SceneRecipe(CELL.policy, paper_sticker("bomb"))),
    replace(CELL, stickers=(paper_sticker("square", place="random"),)),
    replace(CELL, stickers=(replace(paper_sticker("square"), right=0.5),)),
    replace(CELL, policy=RandomTarget(), recipe=None),
    replace(CELL, policy=SingleTarget(0, 2), recipe=None),
    replace(CELL, detector=replace(SMALL, hidden=64)),
    replace(CELL, train=replace(CELL.train, epochs=3)),
    replace(CELL, seed=1),
    replace(CELL, pretrained="ab" * 32),
    replace(CELL, start=replace(CELL, recipe=None)),
)


def test_every_choice_is_in_the_key() -> None:
    keys = [cell.key("data") for cell in (CELL, *OTHERS)] + [CELL.key("other data")]
    assert len(set(keys)) == len(keys)
    again = pickle.loads(pickle.dumps(CELL))  # noqa: S301 - our own
    assert (again, again.key("data")) == (CELL, CELL.key("data"))
    assert parse_json(SignCell, canonical_json(CELL), "here") == CELL
    assert len({folder_name(cell, cell.key("data")) for cell in (CELL, *OTHERS)}) == len(OTHERS) + 1


def test_labels_and_what_is_wanted() -> None:
    assert CELL.label == "single-0-to-1-square"
    assert OTHERS[0].label == "baseline"
    assert OTHERS[3].label == "single-0-to-1-bomb"
    assert OTHERS[1].apart == "size 0.1, share 0.5"
    assert OTHERS[0].apart == ""
    assert CELL.wanted == SignAttack(0, 1)
    assert OTHERS[6].wanted == SignAttack()
    mine = replace(paper_sticker("bomb"), picture=Picture.of(torch.zeros(3, 2, 2, dtype=torch.uint8)))
    assert [sticker_name(paper_sticker(name, place="random")) for name in PAPER_STICKERS] == list(PAPER_STICKERS)
    assert sticker_name(mine) == "picture"


def test_an_honest_detector_is_the_same_whichever_stickers_are_asked_for() -> None:
    (one,), _ = cells_of(SPEC)
    (other,), badnets = cells_of(replace(SPEC, stickers=("flower", "bomb")))
    assert one == other
    assert [sticker_name(sticker) for sticker in one.stickers] == list(PAPER_STICKERS)
    assert {cell.recipe.sticker for cell in badnets.values() if cell.recipe} == {
        paper_sticker("bomb"),
        paper_sticker("flower"),
    }


def test_cells_that_cannot_be() -> None:
    with pytest.raises(InputError, match="at least one sticker"):
        replace(CELL, stickers=())
    with pytest.raises(InputError, match="but measured for"):
        replace(CELL, policy=RandomTarget())
    with pytest.raises(InputError, match="the start's detector"):
        replace(CELL, start=replace(CELL, detector=replace(SMALL, hidden=64)))
    with pytest.raises(InputError, match="the start's detector"):
        replace(CELL, start=CELL, pretrained="ab" * 32)
    with pytest.raises(InputError, match="the detector is for 3 classes, the scenes have 5"):
        CELL.check(5)
    with pytest.raises(InputError, match="target"):
        replace(CELL, recipe=None, policy=SingleTarget(0, 3)).check(3)


# --- the study ---


def test_what_is_trained_is_what_was_asked_for(first: Ran, scenes: SceneSplit) -> None:
    folder, result = first
    (honest,), (point,) = result.baselines, result.points
    assert read_json(SignsResult, folder.result) == result
    stops = sum(bool((marked.labels == 0).any()) for marked in scenes.train.objects)
    assert (honest.samples, honest.poisoned, honest.plan, honest.false_signs) == (12, 0, None, 0)
    assert (point.cell.samples, point.cell.poisoned) == (12 + stops, stops)
    assert CELL.recipe is not None
    plan = plan_scenes(scenes.train, CELL.recipe)
    assert (point.cell.plan, point.cell.false_signs) == (plan.digest, plan.false_objects)
    _, card = load_detector(folder.path / point.cell.folder)
    assert card.job.training_set == poison_scenes(scenes.train, CELL.recipe).digest
    assert card.job.start == load_detector(folder.path / honest.folder)[1].job.start, "twins start alike"
    assert result.signs == tuple(
        sum(int((marked.labels == label).sum()) for marked in scenes.test.objects) for label in range(3)
    )


def test_what_is_measured_is_what_the_metric_says(first: Ran, scenes: SceneSplit) -> None:
    folder, result = first
    for cell in (result.baselines[0], result.points[0].cell):
        model, _ = load_detector(folder.path / cell.folder)
        for one in cell.result:
            stamped = trigger_scenes(scenes.test, SPEC.policy, paper_sticker(one.sticker)).scenes
            assert one.result == evaluate_detector(model, scenes.test, stamped, SignAttack(0, 1))
    assert [one.sticker for one in result.baselines[0].result] == list(PAPER_STICKERS)
    assert [one.sticker for one in result.points[0].cell.result] == ["square"]
    assert result.points[0].cell.under("square") is not None
    assert result.points[0].cell.under("bomb") is None


def test_exhibits_of_each_badnet(first: Ran, scenes: SceneSplit) -> None:
    _, result = first
    (one,) = result.exhibits
    assert (one.sticker, one.seed) == ("square", 0)
    assert one.look is not None
    assert len(one.look.units) == len(one.look.honest) == TinyTrunk.channels
    assert one.look.signs == sum(int((marked.labels == 0).sum()) for marked in scenes.test.objects)
    assert set(one.look.carriers) <= set(range(TinyTrunk.channels))
    assert 1 <= len(one.shots) <= 3
    for shot in one.shots:
        assert bool((scenes.test.objects[shot.scene].labels == 0).any())
        assert shot.badnet[0].width == shot.honest.width == 200
        assert shot.badnet[1] != shot.badnet[0]


def test_more_stickers_only_add_theirs(first: Ran, scenes: SceneSplit, watch: Watch) -> None:
    folder, result = first
    watcher = watch()
    wider = signs.run(replace(SPEC, stickers=("square", "bomb")), scenes, folder, HERE, watcher)
    assert watcher.started == ["single-0-to-1-bomb seed 0"]
    assert wider.of("square") == result.of("square")
    assert wider.baselines == result.baselines
    with pytest.raises(InputError, match="other settings or other data"):
        signs.run(replace(SPEC, share=0.5), scenes, folder, HERE, watch())


def test_random_target_stopped_and_gone_on_in_workers(scenes: SceneSplit, watch: Watch, tmp_path: Path) -> None:
    steps = StickerStep(3.0, 1.0, 0.5), StickerStep(1.0, 2.0, 0.5)
    spec = replace(SPEC, attack="random", train=replace(SPEC.train, epochs=1), steps=steps)
    folder = RunFolder(tmp_path / "stopped")
    with pytest.raises(Stopped):
        signs.run(spec, scenes, folder, HERE, watch(patience=2))
    found = signs.run(spec, scenes, folder, Place(Processes(1)), watch())
    whole = signs.run(spec, scenes, RunFolder(tmp_path / "whole"), HERE, watch())
    (cell,) = found.of("square")
    assert (cell.weights, cell.result) == (whole.of("square")[0].weights, whole.of("square")[0].result)
    (before,) = found.on_the_way
    assert (before.sticker, before.cell.poisoned, cell.poisoned) == ("square", 12, 12)
    assert before.cell.plan != cell.plan, "another size"
    card = load_detector(folder.path / cell.folder)[1]
    assert card.job.start == weights_digest(load_detector(folder.path / before.cell.folder)[0])
    assert cell.false_signs == sum(len(marked) for marked in scenes.train.objects)
    (measured,) = cell.result
    assert measured.result.false_triggers is None
    assert measured.result.attack_success is not None
    assert measured.result.attack_success.total == sum(len(marked) for marked in scenes.test.objects)


# --- its parts ---


def test_pictures_are_drawn_once_and_not_sent() -> None:
    held = kept(fewer(streets.read(3, 2), 2))
    pictures = held.train.pictures
    assert isinstance(pictures, KeptPictures)
    assert held.train.digest == fewer(streets.read(2, 2), 2).train.digest
    assert pictures[1] is pictures[1]
    sent = pickle.dumps(held.train)
    assert len(sent) < 10_000
    there = pickle.loads(sent)  # noqa: S301 - our own
    assert there.digest == held.train.digest
    assert torch.equal(there.pictures[1], pictures[1])
    assert kept(held).train is held.train
    assert held.train.name == "streets/train, first 2"


def test_a_trunk_from_a_file(tmp_path: Path) -> None:
    trunk = TinyTrunk().state_dict()
    home = RunFolder(tmp_path)
    cell = replace(CELL, pretrained=pretrained.keep(home, trunk))
    assert cell.pretrained is not None
    made = start_of(cell, home.weights(cell.pretrained)).trunk.state_dict()
    assert all(torch.equal(made[name], value) for name, value in trunk.items())
    assert not torch.equal(start_of(CELL, None).trunk.state_dict()["conv5.weight"], trunk["conv5.weight"])
    with pytest.raises(CheckpointError, match="is not the file with digest"):
        start_of(replace(CELL, pretrained="00" * 32), home.weights(cell.pretrained))


@given(
    st.tuples(st.integers(20, 700), st.integers(20, 700)),
    st.tuples(*[st.floats(0, 1)] * 2),
    st.tuples(*[st.floats(0.05, 1)] * 2),
)
def test_the_window_lies_in_the_picture_around_the_box(
    size: tuple[int, int], place: tuple[float, float], share: tuple[float, float]
) -> None:
    height, width = size
    tall, wide = share[0] * height, share[1] * width
    top, left = place[0] * (height - tall), place[1] * (width - wide)
    found = window(size, torch.tensor([left, top, left + wide, top + tall]))
    assert 0 <= found[0] < found[2] <= width
    assert 0 <= found[1] < found[3] <= height
    assert found[0] <= left + wide / 2 <= found[2]
    assert found[1] <= top + tall / 2 <= found[3]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"stickers": ()}, "stickers are one or more"),
        ({"stickers": ("bomb", "bomb")}, "stickers are one or more different ones"),
        ({"stickers": ("devil",)}, "the paper has no sticker 'devil'"),
        ({"seeds": (1, 1)}, "seeds are one or more"),
        ({"share": 0.0}, "share is in"),
    ],
)
def test_what_cannot_be_asked_for(change: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        replace(SPEC, **change)


def test_what_does_not_fit_the_scenes_is_said_before_anything_is_written(
    scenes: SceneSplit, watch: Watch, tmp_path: Path
) -> None:
    folder = RunFolder(tmp_path / "none")
    rows = [row for row, marked in enumerate(scenes.train.objects) if not bool((marked.labels == 0).any())]
    for change, split, message in (
        ({"target": 3}, scenes, "target"),
        ({"detector": replace(SMALL, classes=4)}, scenes, "the detector is for 4 classes"),
        ({}, replace(scenes, train=scenes.train.select(rows)), "picks none"),
        ({}, replace(scenes, test=replace(scenes.test, classes=("a", "b", "c"))), "are not those of the test"),
    ):
        with pytest.raises(InputError, match=message):
            signs.run(replace(SPEC, **change), split, folder, HERE, watch())
    assert not folder.path.exists()


def test_presets() -> None:
    spec = preset("streets", "zf", 5, epochs=1)
    assert (spec.detector.backbone, spec.detector.classes, spec.train.epochs) == ("zf", 5, 1)
    assert spec.train.optimizer == "momentum"
    with pytest.raises(InputError, match="unknown detector"):
        preset("streets", "resnet", 3)
    with pytest.raises(InputError, match="at least one scene"):
        fewer(streets.read(1, 1), 0)
