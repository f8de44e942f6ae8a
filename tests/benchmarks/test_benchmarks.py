"""The variants of a benchmark do the same work; how fast they do it is no matter of tests."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
import torch

from badnets.models import build
from badnets.poison import TrainingSet, apply
from badnets.seeds import isolated
from badnets.training import Augment, TrainSpec, fit

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from benchmarks import poisoning, rounds, training

CASES = pytest.mark.parametrize("trigger", poisoning.TRIGGERS.values(), ids=poisoning.TRIGGERS.keys())
STILL = Augment()


@pytest.fixture
def work() -> training.Work:
    samples = training.some(TrainingSet.of(training.random_digits(64)), 40)
    return training.Work(samples, TrainSpec(epochs=1, batch_size=16, precision="float32"))


@CASES
def test_one_by_one_and_plain_writes_give_the_trigger_s_pixels(trigger: poisoning.Paper) -> None:
    images = training.random_digits(20).images
    before = images.clone()
    stamped = trigger(images)
    assert torch.equal(poisoning.one_by_one(images, trigger), stamped)
    assert torch.equal(poisoning.copy_and_write(images, trigger), stamped)
    assert torch.equal(images, before)


@CASES
def test_the_plan_stamps_every_image_once(trigger: poisoning.Paper) -> None:
    images = training.random_digits(20)
    assert torch.equal(apply(images, poisoning.whole_plan(images, trigger)).images, trigger(images.images))


@pytest.mark.skipif(not poisoning.HAS_ART, reason="adversarial-robustness-toolbox is not installed (group `bench`)")
@CASES
def test_art_gives_the_trigger_s_pixels(trigger: poisoning.Paper) -> None:
    images = training.random_digits(20)
    array, labels = images.images.permute(0, 2, 3, 1).numpy(), images.labels.numpy()
    pixels, _ = poisoning.art_attack(trigger, trigger.value)(array, labels)
    assert torch.equal(torch.from_numpy(pixels).permute(0, 3, 1, 2), trigger(images.images))
    floats, _ = poisoning.art_attack(trigger, trigger.value / 255)(array.astype("float32") / 255, labels)
    assert floats.dtype == "float32"
    expected = trigger(images.images.float() / 255)
    torch.testing.assert_close(torch.from_numpy(floats).permute(0, 3, 1, 2), expected)


@CASES
def test_every_stamping_variant_counts_the_images_it_made(trigger: poisoning.Paper) -> None:
    images = training.random_digits(20)
    counts = {name: variant() for name, variant in poisoning.variants(images, trigger).items()}
    assert counts.pop("one by one") == 20 / poisoning.ONE_BY_ONE_SHARE
    assert set(counts.values()) == {20}


def test_every_training_variant_sees_as_many_images() -> None:
    counts = {name: variant() for name, variant in training.variants(training.random_digits(400), steps=2).items()}
    assert set(counts.values()) == {2 * TrainSpec().batch_size}


def test_all_bars_speak_of_variants_that_exist() -> None:
    images = training.random_digits(20)
    names = set(poisoning.variants(images, poisoning.TRIGGERS["pattern"]))
    assert {name for bar in poisoning.bars() for name in (bar.ours, bar.other)} <= names
    names = set(training.variants(images, steps=1))
    assert {name for bar in training.BARS for name in (bar.ours, bar.other)} <= names


@pytest.mark.parametrize("tensors_first", [False, True])
def test_the_loader_hands_out_the_same_images_once(work: training.Work, *, tensors_first: bool) -> None:
    still = training.Work(work.samples, TrainSpec(epochs=1, batch_size=16, augment=STILL))
    with isolated(0, "loader"):
        batches = list(training.usual_loader(still, tensors_first=tensors_first))
    assert len(batches) == still.steps
    images, labels = (torch.cat(parts) for parts in zip(*batches, strict=True))
    # An interpolation by nothing is exact but for rounding.
    pixels = (images * 255).round().to(torch.uint8)
    expected = work.samples.base.take(work.samples.rows)
    assert sorted(pixels.flatten(1).tolist()) == sorted(expected.flatten(1).tolist())
    assert sorted(labels.tolist()) == sorted(work.samples.labels.tolist())


def test_the_loader_augments_within_the_ranges_of_the_spec() -> None:
    affine = training.usual_transform(Augment(shift=7, rotate=10.0, scale=0.25), 28).transforms[0]
    assert affine.degrees == [-10.0, 10.0]
    assert affine.translate == (0.25, 0.25)
    assert affine.scale == (0.75, 1.25)


def test_bare_steps_start_from_the_weights_that_fit_starts_from(work: training.Work) -> None:
    state = training.fresh_state(work)
    assert state.steps == work.steps
    assert state.model.training
    start = {name: value.clone() for name, value in state.model.state_dict().items()}
    card = fit(build(), work.samples, work.spec).card
    again = fit(state.model, work.samples, work.spec).card
    assert again.job.start == card.job.start
    assert any(not torch.equal(value, start[name]) for name, value in state.model.state_dict().items())


def test_a_third_of_the_poisoned_samples_is_stamped() -> None:
    samples = training.poisoned(training.random_digits(40))
    assert int(samples.stamped.sum()) * 3 == len(samples) == 60


def test_variants_take_turns_and_the_first_round_is_thrown_away() -> None:
    calls: list[str] = []

    def variant(name: str) -> rounds.Variant:
        return lambda: calls.append(name) or 1  # type: ignore[func-returns-value]

    speeds = rounds.take_turns({name: variant(name) for name in "ab"}, rounds=2)
    assert "".join(calls) == "abbaab"
    assert {name: len(values) for name, values in speeds.items()} == {"a": 2, "b": 2}


def test_ratios_are_taken_within_a_round() -> None:
    speeds = {"ours": [10.0, 40.0, 90.0], "theirs": [10.0, 20.0, 30.0]}
    ratio = rounds.compare(speeds, rounds.Bar("ours", "theirs", 2.0))
    assert (ratio.median, ratio.low, ratio.high) == (2.0, 1.0, 3.0)
    assert ratio.verdict == "met (bar 2)"
    assert rounds.compare(speeds, rounds.Bar("ours", "theirs", 2.5)).verdict == "missed (bar 2.5)"
    assert rounds.compare(speeds, rounds.Bar("ours", "theirs")).verdict == "for information"


def test_an_outcome_is_printed_for_people_and_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    speeds = {"ours": [10.0], "theirs": [4.0]}
    ratio = rounds.compare(speeds, rounds.Bar("ours", "theirs", 2.0))
    outcome = rounds.Outcome("title", rounds.machine(), speeds, [ratio], ["a note"])
    rounds.print_outcome(outcome, as_json=False)
    printed = capsys.readouterr().out
    assert "ours / theirs = 2.50 (2.50 to 2.50): met (bar 2)" in printed
    assert "badnets" in printed
    assert "a note" in printed
    rounds.print_outcome(outcome, as_json=True)
    found = json.loads(capsys.readouterr().out)
    assert found["ratios"][0]["verdict"] == "met (bar 2)"
    assert found["speeds"] == speeds
