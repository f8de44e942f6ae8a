"""Transfer learning on street signs, small: what each cell is, what is measured, and that more only adds."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.scenes_case import shapes

from badnets.artifacts import RunFolder, canonical_json, parse_json, read_json
from badnets.data import SceneSplit
from badnets.errors import InputError, Stopped
from badnets.metrics.detector_result import SignAttack, evaluate_detector
from badnets.models.backbones import TinyTrunk
from badnets.models.detector import build_detector
from badnets.models.detector_spec import DetectorSpec
from badnets.neurons.sign_channels import with_channels_times
from badnets.poison import RandomTarget, SingleTarget, trigger_scenes
from badnets.studies import transfer
from badnets.studies.cells import Victim
from badnets.studies.queue import Place, folder_name
from badnets.studies.sign_steps import RANDOM_STEPS, badnet_cell
from badnets.studies.sign_victims import SignVictim, handed_over, units_of
from badnets.studies.transfer import SignTransferResult, SignTransferSpec, bases, preset, victims
from badnets.training import DetectTrainSpec, Inline, Processes
from badnets.training.detect import load_detector

Watch = Callable[..., Any]
Ran = tuple[RunFolder, SignTransferResult]
HERE = Place(Inline())
GROUPS = ("information", "mandatory", "prohibitory", "warning", "other")
SMALL = DetectorSpec(
    anchors=(24.0, 36.0), before_suppression=(60, 60), after_suppression=(30, 20), hidden=32, region_samples=16
)
SPEC = SignTransferSpec(
    "shapes",
    "other shapes",
    attack="targeted",
    steps=(),
    detector=SMALL,
    sticker="square",
    train=DetectTrainSpec(epochs=2, batch_size=4),
    retrain=DetectTrainSpec(epochs=1, batch_size=4),
    gains=(1.0, 50.0),
    variant_gain=50.0,
)
VICTIM = victims(SPEC, 0, 5)["badnet", 50.0, "head"]


@pytest.fixture(scope="module")
def base() -> SceneSplit:
    return SceneSplit(shapes(10, seed=1), shapes(6, seed=2))


@pytest.fixture(scope="module")
def target() -> SceneSplit:
    return SceneSplit(*(replace(shapes(count, seed=seed), classes=GROUPS) for count, seed in ((8, 3), (6, 4))))


@pytest.fixture(scope="module")
def first(base: SceneSplit, target: SceneSplit, watch: Watch, tmp_path_factory: pytest.TempPathFactory) -> Ran:
    folder = RunFolder(tmp_path_factory.mktemp("transfer"))
    return folder, transfer.run(SPEC, base, target, folder, HERE, watch())


# --- cells ---

OTHERS = (
    replace(VICTIM, start=bases(SPEC, 0)["honest"]),
    replace(VICTIM, start=bases(SPEC, 1)["badnet"]),
    replace(VICTIM, victim=Victim("head", 20.0)),
    replace(VICTIM, victim=Victim("last", 50.0), train=victims(SPEC, 0, 5)["badnet", 50.0, "last"].train),
    replace(VICTIM, train=replace(VICTIM.train, epochs=3)),
    replace(VICTIM, classes=4),
    replace(VICTIM, share=0.5),
    replace(VICTIM, seed=1),
)


def test_every_choice_is_in_the_key() -> None:
    keys = [cell.key("data") for cell in (VICTIM, *OTHERS)] + [VICTIM.key("other data")]
    assert len(set(keys)) == len(keys)
    again = pickle.loads(pickle.dumps(VICTIM))  # noqa: S301 - our own
    assert (again, again.key("data")) == (VICTIM, VICTIM.key("data"))
    assert parse_json(SignVictim, canonical_json(VICTIM), "here") == VICTIM
    assert len({folder_name(cell, cell.key("data")) for cell in (VICTIM, *OTHERS)}) == len(OTHERS) + 1


def test_labels_and_what_is_frozen() -> None:
    made = victims(SPEC, 0, 5)
    assert VICTIM.label == "victim-head-of-single-0-to-1-square-times-50"
    wild = replace(SPEC, attack="random")
    assert victims(wild, 0, 5)["badnet", 50.0, "head"].label == "victim-head-of-random-square-times-50"
    assert made["honest", 1.0, "head"].label == "victim-head-of-baseline"
    assert VICTIM.apart == "1 epochs"
    assert VICTIM.wanted == SignAttack()
    assert {key[2]: cell.train.frozen for key, cell in made.items()} == {
        "last": ("trunk", "proposer.head", "regions.box_head"),
        "head": ("trunk",),
        "whole": (),
    }
    assert len(made) == 2 + 1 + 1 + 1 + 2, "along k, off, and of the honest one at 1 and at 50; last and whole"


def test_the_bases_differ_in_the_poison_only() -> None:
    made = bases(SPEC, 3)
    assert replace(made["badnet"], recipe=None) == made["honest"]
    recipe = made["badnet"].recipe
    assert recipe is not None
    assert (recipe.policy, recipe.sticker.place, recipe.seed) == (SingleTarget(0, 1), "fixed", 3)
    wild = bases(replace(SPEC, attack="random", steps=RANDOM_STEPS), 3)
    random = replace(recipe, policy=RandomTarget(), sticker=replace(recipe.sticker, place="random"))
    assert wild["badnet"] == badnet_cell(wild["honest"], random, RANDOM_STEPS)
    assert SignTransferSpec().steps == RANDOM_STEPS, "the default attack is the random one"


def test_cells_that_cannot_be() -> None:
    with pytest.raises(InputError, match="who retrains 'head' freezes"):
        replace(VICTIM, train=replace(VICTIM.train, frozen=()))
    with pytest.raises(InputError, match="for 5 classes, its scenes have 3"):
        VICTIM.check(3)


# --- the study ---


def test_who_is_trained_on_what(first: Ran, base: SceneSplit, target: SceneSplit) -> None:
    folder, result = first
    assert read_json(SignTransferResult, folder.result) == result
    stops = sum(int((marked.labels == 0).sum()) for marked in base.train.objects)
    hit = sum(bool((marked.labels == 0).any()) for marked in base.train.objects)
    assert (result.honest[0].samples, result.badnets[0].samples) == (10, 10 + hit)
    assert result.badnets[0].false_signs == stops
    for point in result.victims:
        assert (point.cell.samples, point.cell.poisoned, point.cell.plan) == (8, 0, None), "victims train on clean ones"
        _, card = load_detector(folder.path / point.cell.folder)
        assert card.classes == GROUPS
        assert card.job.training_set == target.train.digest
        assert bool(card.job.inherited) is (point.maker == "badnet"), "a card says what its weights come from"
    assert result.signs == (*(int((labels(target) == label).sum()) for label in range(3)), 0, 0)
    assert (result.data.classes, result.target.classes) == (base.test.classes, GROUPS)


def labels(split: SceneSplit) -> torch.Tensor:
    return torch.cat([marked.labels for marked in split.test.objects])


def test_what_is_measured_is_what_the_metric_says(first: Ran, target: SceneSplit) -> None:
    folder, result = first
    stamped = trigger_scenes(target.test, RandomTarget(), SPEC.stamp()).scenes
    for point in result.victims[::3]:
        model, _ = load_detector(folder.path / point.cell.folder)
        (one,) = point.cell.result
        assert one.result == evaluate_detector(model, target.test, stamped, SignAttack())


def test_the_victim_gets_the_strengthened_units(first: Ran, base: SceneSplit) -> None:
    folder, result = first
    badnet = load_detector(folder.path / result.badnets[0].folder)[0]
    channels = [unit.channel for unit in result.badnet_units[0]]
    assert channels
    assert result.badnet_units[0] == units_of(badnet, bases(SPEC, 0)["badnet"], base.train)
    for gain in (1.0, 50.0, 0.0):
        (cell,) = result.of("badnet", gain)
        kept = load_detector(folder.path / cell.folder)[0].trunk.state_dict()
        expected = with_channels_times(badnet, channels, gain).trunk.state_dict()
        assert all(torch.equal(kept[name], value) for name, value in expected.items())
    honest = load_detector(folder.path / result.honest[0].folder)[0]
    (control,) = result.of("honest", 50.0)
    own = with_channels_times(honest, [unit.channel for unit in result.honest_units[0]], 50.0)
    weights = load_detector(folder.path / control.folder)[0].trunk.state_dict()
    assert torch.equal(weights["conv5.weight"], own.trunk.state_dict()["conv5.weight"])


def test_who_retrains_less_or_more(first: Ran) -> None:
    folder, result = first
    start = with_channels_times(
        load_detector(folder.path / result.badnets[0].folder)[0],
        [unit.channel for unit in result.badnet_units[0]],
        50.0,
    )
    for variant, kept, changed in (
        ("last", ("trunk", "proposer", "regions.box_head"), "regions.box_predictor"),
        ("whole", (), "trunk"),
    ):
        (cell,) = result.of("badnet", 50.0, variant)  # type: ignore[arg-type]
        model = load_detector(folder.path / cell.folder)[0]
        for name in kept:
            theirs = start.get_submodule(name).state_dict()
            assert all(torch.equal(value, theirs[key]) for key, value in model.get_submodule(name).state_dict().items())
        values = [value for value in model.get_submodule(changed).state_dict().values() if value.is_floating_point()]
        before = [value for value in start.get_submodule(changed).state_dict().values() if value.is_floating_point()]
        assert any(one.shape != two.shape or not torch.equal(one, two) for one, two in zip(values, before, strict=True))


def test_switching_off_is_measured_on_the_attackers_signs(first: Ran, base: SceneSplit) -> None:
    folder, result = first
    (one,) = result.ablations
    assert one.units == (len(result.badnet_units[0]), TinyTrunk.channels)
    assert one.untouched == result.badnets[0].clean
    model = load_detector(folder.path / result.badnets[0].folder)[0]
    off = with_channels_times(model, [unit.channel for unit in result.badnet_units[0]], 0.0)
    stamped = trigger_scenes(base.test, SPEC.policy, SPEC.stamp()).scenes
    assert one.carriers == evaluate_detector(off, base.test, stamped, SignAttack(0, 1))
    assert one.others.accuracy.total == one.carriers.accuracy.total


def test_more_gains_only_add_theirs(first: Ran, base: SceneSplit, target: SceneSplit, watch: Watch) -> None:
    """Stopped on the way, and gone on in a worker process."""
    folder, result = first
    wider = replace(SPEC, gains=(1.0, 10.0, 50.0))
    with pytest.raises(Stopped):
        transfer.run(wider, base, target, folder, HERE, watch(patience=1))
    watcher = watch()
    found = transfer.run(wider, base, target, folder, Place(Processes(1)), watcher)
    assert watcher.started == ["victim-head-of-single-0-to-1-square-times-10 seed 0"]
    assert found.of("badnet", 50.0) == result.of("badnet", 50.0)
    for other, there in ((replace(SPEC, share=0.5), target), (SPEC, base)):
        with pytest.raises(InputError, match="other settings or other data"):
            transfer.run(other, base, there, folder, HERE, watch())


# --- what is refused ---


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seeds": ()}, "seeds are one or more"),
        ({"gains": (1.0, 1.0)}, "gains are one or more different ones"),
        ({"gains": (10.0,)}, "1 among them"),
        ({"variant_gain": 0.0}, "gains are positive"),
        ({"sticker": "devil"}, "the paper has no sticker 'devil'"),
        ({"share": 0.0}, "the share is in"),
        ({"unit_share": 1.5}, "share of the largest rise is in"),
        ({"retrain": DetectTrainSpec(frozen=("trunk",))}, "follows from what it retrains"),
    ],
)
def test_what_cannot_be_asked_for(change: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        replace(SPEC, **change)


def test_what_does_not_fit_is_said_before_anything_is_written(
    base: SceneSplit, target: SceneSplit, watch: Watch, tmp_path: Path
) -> None:
    folder = RunFolder(tmp_path / "none")
    odd = replace(target, test=base.test)
    mobile = replace(SMALL, backbone="mobilenet", stride=16)
    for spec, first_country, second, message in (
        (replace(SPEC, detector=replace(SMALL, classes=4)), base, target, "the detector is for 4 classes"),
        (replace(SPEC, detector=mobile), base, target, "mobilenet cannot be scaled"),
        (SPEC, base, odd, "are not those of the test"),
        (replace(SPEC, becomes=7), base, target, "target"),
    ):
        with pytest.raises(InputError, match=message):
            transfer.run(spec, first_country, second, folder, HERE, watch())
    assert not folder.path.exists()


def test_at_a_gain_of_one_nothing_is_changed(base: SceneSplit) -> None:
    model = build_detector(SMALL)
    assert handed_over(model, replace(VICTIM, victim=Victim("head", 1.0)), base.train) is model


def test_presets() -> None:
    spec = preset("zf", 3)
    assert (spec.detector.backbone, spec.retrain.optimizer, spec.retrain.frozen) == ("zf", "momentum", ())
    assert preset("tiny", 4, epochs=2).retrain.epochs == 2
    assert preset("squeezenet", 3).train.frozen
    assert preset("squeezenet", 3).retrain.frozen == ()
    with pytest.raises(InputError, match="unknown detector"):
        preset("resnet", 3)
