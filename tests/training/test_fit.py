"""Training: repeatable, resumable, and on the samples it was given."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from badnets.data import ImageSet, load
from badnets.errors import CheckpointError, DataError, InputError, Stopped
from badnets.metrics import evaluate
from badnets.models import ModelSpec, badnet_cnn, build
from badnets.poison import AllToAll, MaliciousTrainer, Recipe, TrainingSet, plan
from badnets.seeds import generator
from badnets.training import (
    Augment,
    Progress,
    Session,
    TrainSpec,
    fit,
    limited_threads,
    load_model,
    load_plan,
    read_card,
    this_machine,
    weights_digest,
)
from badnets.training.augment import augment
from badnets.training.batches import epoch_order, make_batch
from badnets.training.checkpoint import CARD, PROGRESS, WEIGHTS
from badnets.triggers import Pattern

QUICK = TrainSpec(epochs=2, batch_size=64)


def few(count: int = 300) -> ImageSet:
    return load("digits").train.select(torch.arange(count))


class Dropping(nn.Module):
    """A network with dropout, to see that its draws are part of what is repeatable."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Flatten(), nn.Linear(784, 32), nn.ReLU(), nn.Dropout(0.5), nn.Linear(32, 10))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.layers(images)
        return out


def dropping() -> Dropping:
    torch.manual_seed(0)
    return Dropping()


class StopAfter:
    """Asks to stop after so many steps."""

    def __init__(self, steps: int) -> None:
        self.left = steps

    def __call__(self) -> bool:
        self.left -= 1
        return self.left < 0


@pytest.mark.parametrize("make", [badnet_cnn, dropping])
def test_same_seed_same_weights_and_torchs_generator_plays_no_part(make: type[Dropping]) -> None:
    torch.manual_seed(1)
    first = weights_digest(fit(make(), few(), QUICK, seed=5).model)
    model = make()
    torch.manual_seed(2)
    state = torch.get_rng_state()
    assert weights_digest(fit(model, few(), QUICK, seed=5).model) == first
    assert torch.equal(torch.get_rng_state(), state)
    assert weights_digest(fit(make(), few(), QUICK, seed=6).model) != first


@pytest.mark.parametrize("make", [badnet_cnn, dropping])
@pytest.mark.parametrize("steps", [0, 1, 4, 5, 8])
def test_stopped_and_resumed_is_the_unbroken_run(make: type[Dropping], steps: int, tmp_path: Path) -> None:
    """Five steps an epoch: within the first, at its end, within the last."""
    whole = fit(make(), few(), QUICK, seed=5, session=Session(tmp_path / "whole"))
    session = Session(tmp_path / "broken", stop=StopAfter(steps))
    with pytest.raises(Stopped, match=f"after step {steps + 1} of 10"):
        fit(make(), few(), QUICK, seed=5, session=session)
    assert (tmp_path / "broken" / PROGRESS).exists()
    resumed = fit(make(), few(), QUICK, seed=5, session=Session(tmp_path / "broken"))
    assert weights_digest(resumed.model) == weights_digest(whole.model)
    assert resumed.card.loss == pytest.approx(whole.card.loss)
    assert not (tmp_path / "broken" / PROGRESS).exists()
    assert (tmp_path / "broken" / WEIGHTS).read_bytes() == (tmp_path / "whole" / WEIGHTS).read_bytes()


def test_saving_often_changes_nothing(tmp_path: Path) -> None:
    plain = fit(badnet_cnn(), few(), QUICK, seed=1)
    busy = fit(badnet_cnn(), few(), QUICK, seed=1, session=Session(tmp_path, save_seconds=0.0))
    assert weights_digest(plain.model) == weights_digest(busy.model)


def test_a_finished_run_is_loaded_not_trained(tmp_path: Path) -> None:
    first = fit(badnet_cnn(), few(), QUICK, session=Session(tmp_path))
    written = (tmp_path / WEIGHTS).stat().st_mtime_ns
    seen: list[Progress] = []
    again = fit(badnet_cnn(), few(), QUICK, session=Session(tmp_path, on_progress=seen.append))
    assert not seen
    assert (tmp_path / WEIGHTS).stat().st_mtime_ns == written
    assert weights_digest(again.model) == weights_digest(first.model)
    assert again.card == first.card == read_card(tmp_path)


@pytest.mark.parametrize("stage", ["finished", "under way"])
def test_another_training_in_the_folder_is_refused(stage: str, tmp_path: Path) -> None:
    if stage == "finished":
        fit(badnet_cnn(), few(), QUICK, session=Session(tmp_path))
    else:
        with pytest.raises(Stopped):
            fit(badnet_cnn(), few(), QUICK, session=Session(tmp_path, stop=StopAfter(2)))
    others = [
        (badnet_cnn(), few(), replace(QUICK, epochs=3), 0),
        (badnet_cnn(), few(), QUICK, 1),
        (badnet_cnn(1), few(), QUICK, 0),
        (badnet_cnn(), few(299), QUICK, 0),
    ]
    differences = ("spec.epochs is 2, expected 3", "seed is 0, expected 1", "start is", "data is")
    for (model, data, spec, seed), difference in zip(others, differences, strict=True):
        with pytest.raises(CheckpointError, match=f"another training: its {difference}"):
            fit(model, data, spec, seed=seed, session=Session(tmp_path))


def test_a_saved_model_comes_back_whole(tmp_path: Path) -> None:
    trained = fit(badnet_cnn(), few(), QUICK, session=Session(tmp_path)).model
    model, card = load_model(tmp_path)
    images = few().images[:8].float() / 255
    # the trained one lies in memory channels last, which sums in another order
    assert torch.allclose(model(images), trained(images), atol=1e-4)
    assert weights_digest(model) == weights_digest(trained)
    assert not model.training
    assert card.job.model == ModelSpec()
    assert card.classes == few().classes
    assert card.job.data == few().digest
    assert load_model(tmp_path / WEIGHTS)[1] == card


def test_damage_is_noticed(tmp_path: Path) -> None:
    fit(badnet_cnn(), few(), QUICK, session=Session(tmp_path))
    content = bytearray((tmp_path / WEIGHTS).read_bytes())
    content[-1] ^= 1
    (tmp_path / WEIGHTS).write_bytes(content)
    with pytest.raises(CheckpointError, match="expected SHA-256"):
        load_model(tmp_path)
    (tmp_path / CARD).unlink()
    with pytest.raises(InputError, match="holds no finished model"):
        load_model(tmp_path)


def test_progress_of_another_architecture_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Stopped):
        fit(badnet_cnn(), few(), QUICK, session=Session(tmp_path, stop=StopAfter(2)))
    (tmp_path / PROGRESS).write_bytes(b"not safetensors")
    with pytest.raises(CheckpointError, match="not a whole safetensors file"):
        fit(badnet_cnn(), few(), QUICK, session=Session(tmp_path))


def test_progress_is_counted(tmp_path: Path) -> None:
    seen: list[Progress] = []
    card = fit(badnet_cnn(), few(), QUICK, session=Session(tmp_path, on_progress=seen.append)).card
    assert (seen[-1].step, seen[-1].steps, seen[-1].epoch) == (10, 10, 1)
    assert seen[-1].loss == card.loss
    assert [(told.step, told.epoch) for told in seen if told.ended] == [(5, 0), (10, 1)]
    assert card.job.samples == 300


def test_the_backdoor_is_learned_and_the_baseline_has_none() -> None:
    """The whole chain on a task of two kinds of blobs: plan, fit, evaluate."""
    generator_ = torch.Generator().manual_seed(0)
    labels = torch.arange(2).repeat(200)
    images = torch.zeros(400, 1, 28, 28, dtype=torch.uint8)
    images[labels == 0, :, 4:12, 4:12] = 220
    images[labels == 1, :, 12:20, 12:20] = 220
    images += torch.randint(0, 30, images.shape, generator=generator_, dtype=torch.uint8)
    train = ImageSet(images, labels, ("left", "right"), "blobs")
    samples = MaliciousTrainer().training_set(train, plan(train, Recipe(AllToAll(), Pattern(), rate=1.0)))
    spec = TrainSpec(epochs=12, batch_size=32, augment=Augment())
    shape = ModelSpec(classes=2)
    bad = evaluate(fit(build(shape), samples, spec).model, train, Pattern(), AllToAll())
    honest = evaluate(fit(build(shape), train, spec).model, train, Pattern(), AllToAll())
    assert bad.attack_success is not None
    assert honest.attack_success is not None
    assert bad.clean_error.count == honest.clean_error.count == 0
    assert bad.attack_success.value == 1.0
    assert honest.attack_success.count == 0


def test_order_visits_every_sample_once() -> None:
    for epoch in range(2):
        assert epoch_order(1000, 3, epoch).sort().values.tolist() == list(range(1000))
    assert not torch.equal(epoch_order(1000, 3, 0), epoch_order(1000, 3, 1))


def test_the_trainer_stamps_after_augmentation_the_poisoner_before() -> None:
    """Shifted by up to 3 pixels, the trainer's trigger is always whole and in place."""
    images = few(64)
    made = plan(images, Recipe(AllToAll(), Pattern(), rate=1.0))
    samples = MaliciousTrainer().training_set(images, made)
    index = torch.arange(64, 128)
    mask = Pattern().mask(28, 28)
    for how in (Augment(shift=3), Augment(shift=3, rotate=20.0, scale=0.2)):
        batch, labels = make_batch(samples, index, how, generator(0, "x"))
        assert bool((batch[:, 0, mask] == 1).all())
        assert torch.equal(labels, (images.labels + 1) % 10)
        clean, _ = make_batch(samples, torch.arange(64), how, generator(0, "x"))
        assert not bool((clean[:, 0, mask] == 1).all())
        assert torch.equal(clean[:, 0, ~mask], batch[:, 0, ~mask])


class TestAugment:
    def test_nothing_asked_nothing_done(self) -> None:
        images = few(5).images
        assert augment(images, Augment(), generator(0)) is images

    def test_shift_is_a_crop_of_the_padded_image(self) -> None:
        images = few(200).images
        moved = augment(images, Augment(shift=2), generator(1))
        padded = nn.functional.pad(images, (2, 2, 2, 2))
        seen = set()
        for before, after in zip(padded, moved, strict=True):
            fits = [
                (dy, dx)
                for dy in range(5)
                for dx in range(5)
                if torch.equal(before[:, dy : dy + 28, dx : dx + 28], after)
            ]
            assert fits
            seen.add(fits[0])
        assert len(seen) == 25

    def test_flip_mirrors_half(self) -> None:
        images = few(200).images
        flipped = augment(images, Augment(flip=True), generator(1))
        mirrored = [torch.equal(a, b.flip(2)) for a, b in zip(flipped, images, strict=True)]
        same = [torch.equal(a, b) for a, b in zip(flipped, images, strict=True)]
        assert all(a or b for a, b in zip(mirrored, same, strict=True))
        assert 70 < sum(mirrored) < 130

    def test_rotation_keeps_a_disc_and_turns_a_bar(self) -> None:
        rows, columns = torch.meshgrid(torch.arange(28), torch.arange(28), indexing="ij")
        disc = (((rows - 13.5) ** 2 + (columns - 13.5) ** 2) < 49).to(torch.uint8) * 255
        bar = torch.zeros(28, 28, dtype=torch.uint8)
        bar[4:24, 12:16] = 255
        turned = augment(torch.stack([disc, bar])[:, None].repeat(50, 1, 1, 1), Augment(rotate=30.0), generator(2))
        discs, bars = turned[0::2, 0], turned[1::2, 0]
        assert (discs - disc.float() / 255).abs().mean() < 0.02
        assert (bars - bar.float() / 255).abs().mean() > 0.04

    def test_rotation_keeps_angles_on_a_wide_image(self) -> None:
        """A square in the middle of 32x96 stays a square: its turned second moments stay alike."""
        wide = torch.zeros(60, 1, 32, 96, dtype=torch.uint8)
        wide[:, :, 8:24, 40:56] = 255
        turned = augment(wide, Augment(rotate=30.0), generator(4))[:, 0]
        rows, columns = torch.arange(32.0) - 15.5, torch.arange(96.0) - 47.5
        down = (turned.sum(2) * rows**2).sum(1) / turned.sum((1, 2))
        across = (turned.sum(1) * columns**2).sum(1) / turned.sum((1, 2))
        assert torch.allclose(down, across, rtol=0.03)

    def test_scale_within_bounds(self) -> None:
        square = torch.zeros(100, 1, 28, 28, dtype=torch.uint8)
        square[:, :, 9:19, 9:19] = 255
        areas = augment(square, Augment(scale=0.2), generator(3)).sum((1, 2, 3))
        assert areas.min() > 100 * 0.8**2 - 3
        assert areas.max() < 100 * 1.2**2 + 3
        assert areas.max() > 125
        assert areas.min() < 80


def test_machine_and_specs_refuse_nonsense() -> None:
    with pytest.raises(InputError, match="at least 1"):
        this_machine(threads=0)
    if not torch.cuda.is_available():
        with pytest.raises(InputError, match="does not see it here"):
            this_machine("cuda")
    assert this_machine(precision="float32").precision == "float32"
    for wrong in ({"epochs": 0}, {"batch_size": 0}, {"learning_rate": 0.0}, {"label_smoothing": 1.0}):
        with pytest.raises(InputError):
            TrainSpec(**wrong)
    for worse in ({"shift": -1}, {"scale": 1.0}):
        with pytest.raises(InputError):
            Augment(**worse)


def test_threads_are_put_back() -> None:
    before = torch.get_num_threads()
    with limited_threads(before + 1):
        assert torch.get_num_threads() == before + 1
    assert torch.get_num_threads() == before


def test_other_labels_or_rows_are_another_training(tmp_path: Path) -> None:
    """Same images, same number of samples: only what is made of them differs."""
    images = few()
    plain = TrainingSet.of(images)
    fit(badnet_cnn(), plain, QUICK, session=Session(tmp_path))
    others = [
        replace(plain, labels=(images.labels + 1) % 10),
        replace(plain, rows=plain.rows.flip(0)),
        replace(plain, stamped=torch.ones_like(plain.stamped), trigger=Pattern()),
    ]
    for other in others:
        with pytest.raises(CheckpointError, match="another training: its training_set"):
            fit(badnet_cnn(), other, QUICK, session=Session(tmp_path))


def test_a_parameter_without_gradients_does_not_hinder_resuming(tmp_path: Path) -> None:
    def make() -> nn.Module:
        model = dropping()
        model.unused = nn.Linear(3, 3)
        return model

    with pytest.raises(Stopped):
        fit(make(), few(), QUICK, session=Session(tmp_path / "a", stop=StopAfter(4)))
    resumed = fit(make(), few(), QUICK, session=Session(tmp_path / "a"))
    whole = fit(make(), few(), QUICK, session=Session(tmp_path / "b"))
    assert weights_digest(resumed.model) == weights_digest(whole.model)


def test_tied_weights_are_saved(tmp_path: Path) -> None:
    model = dropping()
    model.again = model.layers[1]
    assert fit(model, few(), QUICK, session=Session(tmp_path)).card == read_card(tmp_path)


def test_the_card_names_every_plan_the_weights_have_seen(tmp_path: Path) -> None:
    """A model trained on from a BadNet does not come out clean on paper."""
    images = few()
    made = plan(images, Recipe(AllToAll(), Pattern(), rate=0.5))
    poisoned = MaliciousTrainer().training_set(images, made)
    first = fit(badnet_cnn(), poisoned, QUICK, session=Session(tmp_path / "bad")).card
    assert (first.job.plan, first.job.inherited) == (made.digest, ())
    assert load_plan(tmp_path / "bad") == made
    start, _ = load_model(tmp_path / "bad")
    second = fit(start, images, QUICK, session=Session(tmp_path / "on")).card
    assert (second.job.plan, second.job.inherited) == (None, (made.digest,))
    third = fit(start, poisoned, QUICK).card
    assert (third.job.plan, third.job.inherited) == (made.digest, (made.digest,))


def test_a_card_from_a_stranger_asks_for_no_memory(tmp_path: Path) -> None:
    fit(badnet_cnn(), few(), QUICK, session=Session(tmp_path))
    card = (tmp_path / CARD).read_text()
    for wrong, message in (('"height":4000', "another architecture"), ('"height":100000', "sides of 1..4096")):
        (tmp_path / CARD).write_text(card.replace('"height":28', wrong))
        with pytest.raises((CheckpointError, DataError), match=message):
            load_model(tmp_path)


def test_a_training_set_of_images_is_the_images() -> None:
    images = few(50)
    assert weights_digest(fit(badnet_cnn(), images, QUICK).model) == weights_digest(
        fit(badnet_cnn(), TrainingSet.of(images), QUICK).model
    )
