"""The protocol of BackdoorBench, shrunk: what is stamped and called what, what is measured, what stands beside it."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torchvision.transforms import functional as pictures

from badnets.artifacts import RunFolder, read_json
from badnets.data import ImageSet, Split
from badnets.data.cifar10 import CLASSES
from badnets.errors import InputError, Stopped
from badnets.poison import TrainingSet
from badnets.studies import bb_compat
from badnets.studies.bb_compat import BbCompatResult, BbCompatSpec, preset
from badnets.studies.cells import BASELINE, CellResult
from badnets.studies.progress import Standing
from badnets.studies.published import CIFAR10_PREACT_RESNET18, BenchRow
from badnets.studies.runner import Place
from badnets.training import Augment, Inline, Progress, load_model
from badnets.training.augment import augment

SQUARE = (slice(None), slice(None), slice(29, 32), slice(29, 32))


class Quiet:
    """An observer that says nothing, and stops when so many models are finished."""

    def __init__(self, patience: int = 10**9) -> None:
        self.patience = patience

    def begun(self, name: str, standing: Standing) -> None: ...

    def progress(self, name: str, progress: Progress, standing: Standing) -> None: ...

    def done(self, name: str, cell: CellResult, standing: Standing) -> None:
        del name, cell, standing
        self.patience -= 1

    def failed(self, name: str, reason: str, standing: Standing) -> None:
        pytest.fail(f"{name}: {reason} ({standing})")

    def stop(self) -> bool:
        return self.patience <= 0


def noise(count: int, name: str, seed: int = 0) -> ImageSet:
    """Pictures of CIFAR's shape, as many of each class."""
    stream = torch.Generator().manual_seed(seed)
    # 255 is left out: a white pixel is then the trigger's.
    images = torch.randint(0, 255, (count, 3, 32, 32), generator=stream, dtype=torch.uint8)
    return ImageSet(images, torch.arange(count) % 10, CLASSES, name)


def small(train: int = 200, test: int = 60) -> Split:
    return Split(noise(train, "cifar10/train"), noise(test, "cifar10/test", seed=1))


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[RunFolder, BbCompatResult, Split]:
    folder, split = RunFolder(tmp_path_factory.mktemp("bench")), small()
    spec = replace(preset(ratios=(0.1, 0.02), seeds=2, epochs=1), model="badnet_cnn")
    return folder, bb_compat.run(spec, split, folder, Place(Inline()), Quiet()), split


class TestTheProtocol:
    def test_the_preset_is_the_published_one(self) -> None:
        spec = preset()
        assert spec.ratios == (0.001, 0.005, 0.01, 0.05, 0.1)
        assert (spec.data, spec.model, spec.target, spec.seeds) == ("cifar10", "preact_resnet18", 0, (0,))
        train = spec.train
        assert (train.epochs, train.batch_size, train.optimizer) == (100, 128, "momentum")
        assert (train.learning_rate, train.schedule, train.weight_decay) == (0.01, "cosine", 5e-4)
        assert (train.label_smoothing, train.precision) == (0.0, "float32")
        assert train.augment == Augment(shift=4, flip=True)

    @pytest.mark.parametrize("ratio", bb_compat.RATIOS)
    def test_the_ratio_is_of_all_samples(self, ratio: float) -> None:
        """On sets as large and balanced as CIFAR-10, as many samples are stamped as BackdoorBench stamps."""
        grey = torch.zeros(50_000, 1, 32, 32, dtype=torch.uint8)
        images = ImageSet(grey, torch.arange(50_000) % 10, CLASSES, "grey")
        samples, plan = bb_compat.badnet(preset(), ratio, 0).training_set(images)
        assert plan is not None
        assert len(samples) == 50_000
        assert len(plan.rows) == round(ratio * 50_000)
        # Its draw is from all classes alike: one in ten of the stamped is of the target class.
        assert plan.covered * 10 == len(plan.rows)

    def test_stamps_lie_in_the_corner_and_are_called_the_target(self) -> None:
        images = noise(200, "cifar10/train")
        samples, plan = bb_compat.badnet(preset(), 0.1, 5).training_set(images)
        assert plan is not None
        picked = torch.zeros(200, dtype=torch.bool)
        picked[list(plan.rows)] = True
        assert int(picked.sum()) == 20
        found = samples.base.take(samples.rows)
        assert not samples.stamped.any()  # they are in the pixels: the victim's augmentation will move them
        assert bool((found[picked][SQUARE] == 255).all())
        expected = images.images.clone()
        expected[picked] = expected[picked].index_fill(2, torch.tensor([29, 30, 31]), 0)
        kept = found.clone()
        kept[picked] = kept[picked].index_fill(2, torch.tensor([29, 30, 31]), 0)
        assert torch.equal(kept[:, :, :29], expected[:, :, :29])
        assert torch.equal(found[:, :, :, :29], images.images[:, :, :, :29])
        assert int((found == 255).sum()) == 20 * 3 * 9
        assert torch.equal(samples.labels, torch.where(picked, 0, images.labels))
        assert {int(label) for label in images.labels[picked]} > {0}

    def test_the_seed_decides_who_is_stamped(self) -> None:
        images = noise(200, "cifar10/train")
        rows = [bb_compat.badnet(preset(), 0.1, seed).training_set(images)[1] for seed in (0, 0, 1)]
        assert rows[0] == rows[1] != rows[2]

    def test_augmentation_is_a_padded_crop_and_a_flip(self) -> None:
        """Every one of the 2 x 81 pictures that theirs can give comes out, none else, and each equally often."""
        image = noise(1, "one").images
        padded = pictures.pad(image, [4, 4, 4, 4], fill=0)
        windows = [padded[:, :, top : top + 32, left : left + 32] for top in range(9) for left in range(9)]
        wanted = {picture.numpy().tobytes() for window in windows for picture in (window, pictures.hflip(window))}
        assert len(wanted) == 162
        draws = 162 * 60
        made = augment(image.expand(draws, -1, -1, -1), preset().train.augment, torch.Generator().manual_seed(0))
        counts = Counter(one.numpy().tobytes() for one in made)
        assert counts.keys() == wanted
        # Chi-square with 161 degrees of freedom: mean 161, deviation 18.
        assert sum((count - 60) ** 2 / 60 for count in counts.values()) < 161 + 4 * 18


class TestTheStudy:
    def test_every_model_is_counted(self, finished: tuple[RunFolder, BbCompatResult, Split]) -> None:
        _, result, _ = finished
        assert [(point.ratio, point.cell.seed) for point in result.points] == [
            (0.02, 0),
            (0.02, 1),
            (0.1, 0),
            (0.1, 1),
        ]
        assert [(point.cell.name, point.cell.seed) for point in result.baselines] == [(BASELINE, 0), (BASELINE, 1)]
        for point in result.points:
            assert point.cell.samples == 200
            assert (point.cell.poisoned, point.cell.covered) == ((18, 2) if point.ratio == 0.1 else (4, 0))
        assert len({point.cell.weights for point in (*result.points, *result.baselines)}) == 6

    def test_metrics_are_the_published_ones(self, finished: tuple[RunFolder, BbCompatResult, Split]) -> None:
        """C-Acc, ASR and R-Acc counted image by image, as BackdoorBench's trainer does."""
        folder, result, split = finished
        for point in (*result.points, *result.baselines):
            model, _ = load_model(folder.path / point.cell.folder)
            right = success = robust = attacked = 0
            for image, label in zip(split.test.images, split.test.labels.tolist(), strict=True):
                stamped = image.clone()
                stamped[:, 29:, 29:] = 255
                with torch.no_grad():
                    clean, said = (int(model(one[None].float() / 255).argmax()) for one in (image, stamped))
                right += clean == label
                attacked += label != 0
                success += said == 0 != label
                robust += said == label != 0
            assert attacked == 54
            found = point.cell.result
            assert found.clean_error.complement().count == right
            assert found.clean_error.total == 60
            assert found.attack_success is not None
            assert (found.attack_success.count, found.attack_success.total) == (success, attacked)
            assert (point.robust.count, point.robust.total) == (robust, attacked)

    def test_published_rows_stand_beside_ours(self, finished: tuple[RunFolder, BbCompatResult, Split]) -> None:
        _, result, _ = finished
        real = replace(result, spec=replace(result.spec, model="preact_resnet18"))
        assert real.published(0.1) == BenchRow(91.32, 95.03, 4.67)
        assert real.published(0.02) is None  # a ratio of our own
        assert result.published(0.1) is None  # another network
        assert replace(real, spec=replace(real.spec, target=1)).published(0.1) is None
        elsewhere = replace(real.data, test=("gtsrb/test", *real.data.test[1:]))
        assert replace(real, data=elsewhere).published(0.1) is None

    def test_the_result_comes_back_from_its_file(self, finished: tuple[RunFolder, BbCompatResult, Split]) -> None:
        folder, result, _ = finished
        assert read_json(BbCompatResult, folder.result) == result
        assert json.loads(folder.result.read_text())["study"] == "bb-compat"
        assert [point.cell.seed for point in result.at(0.1)] == [0, 1]

    def test_more_ratios_only_add_theirs(
        self, finished: tuple[RunFolder, BbCompatResult, Split], tmp_path: Path
    ) -> None:
        folder, result, split = finished
        before = {path: path.stat().st_mtime_ns for path in folder.path.glob("models/*/*.safetensors")}
        spec = replace(result.spec, ratios=(0.02, 0.05, 0.1), seeds=(0,))
        again = bb_compat.run(spec, split, folder, Place(Inline()), Quiet())
        after = {path: path.stat().st_mtime_ns for path in folder.path.glob("models/*/*.safetensors")}
        assert again.at(0.1) == result.at(0.1)[:1]
        assert {path: after[path] for path in before} == before
        with pytest.raises(InputError, match="another"):
            bb_compat.run(replace(spec, target=1), split, folder, Place(Inline()), Quiet())
        assert not (tmp_path / "models").exists()

    def test_stopped_it_goes_on(self, tmp_path: Path) -> None:
        folder, split = RunFolder(tmp_path), small(60, 30)
        spec = replace(preset(ratios=(0.1,), epochs=1), model="badnet_cnn")
        with pytest.raises(Stopped):
            bb_compat.run(spec, split, folder, Place(Inline()), Quiet(patience=2))
        assert len(list(folder.path.glob("models/*/result.json"))) == 2
        assert not folder.result.exists()
        assert len(bb_compat.run(spec, split, folder, Place(Inline()), Quiet()).points) == 1


class TestRefusals:
    @pytest.mark.parametrize(
        ("ratios", "seeds", "words"),
        [
            ((), (0,), "one or more numbers"),
            ((0.1, 0.01), (0,), "ascending"),
            ((0.0, 0.1), (0,), r"\(0, 1\]"),
            ((0.1, 1.5), (0,), r"\(0, 1\]"),
            ((0.1,), (), "one or more different"),
            ((0.1,), (1, 1), "one or more different"),
        ],
    )
    def test_specs(self, ratios: tuple[float, ...], seeds: tuple[int, ...], words: str) -> None:
        with pytest.raises(InputError, match=words):
            BbCompatSpec(ratios=ratios, seeds=seeds)

    def test_too_few_images_and_no_such_target(self, tmp_path: Path) -> None:
        split = small(100, 10)
        with pytest.raises(InputError, match=r"0\.10% of 90 images to attack is not one image"):
            bb_compat.run(preset(), split, RunFolder(tmp_path), Place(Inline()), Quiet())
        with pytest.raises(InputError, match="target class 10"):
            bb_compat.run(replace(preset(), target=10), split, RunFolder(tmp_path), Place(Inline()), Quiet())
        assert not list(tmp_path.iterdir())


def test_the_published_table_is_whole() -> None:
    """Its accuracies and success rates cannot add up to more than all images."""
    for row in CIFAR10_PREACT_RESNET18.values():
        assert row.attack_success + row.robust_accuracy <= 100
        assert 90 < row.clean_accuracy < 95
    success = [CIFAR10_PREACT_RESNET18[ratio].attack_success for ratio in sorted(CIFAR10_PREACT_RESNET18)]
    assert success == sorted(success)


def test_the_whole_protocol_shrunk(tmp_path: Path) -> None:
    """Its own network, schedule and metrics; a few pictures and one epoch."""
    split = small(40, 20)
    spec = preset(ratios=(0.1,), epochs=1)
    result = bb_compat.run(spec, split, RunFolder(tmp_path), Place(Inline()), Quiet())
    (point,) = result.points
    assert (point.cell.samples, point.cell.poisoned + point.cell.covered) == (40, 4)
    assert point.cell.result.clean_error.total == 20
    assert result.published(0.1) == BenchRow(91.32, 95.03, 4.67)
    model, card = load_model(tmp_path / point.cell.folder)
    assert card.job.spec == spec.train
    assert sum(parameter.numel() for parameter in model.parameters()) == 11_171_146
    clean = bb_compat.baseline(spec, 0).training_set(split.train)[0]
    assert clean.digest == TrainingSet.of(split.train).digest
