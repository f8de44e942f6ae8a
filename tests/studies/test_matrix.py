"""The matrix of pairs on three kinds of digits: what is trained on what, from what, and what may be added later."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import permutations, product
from pathlib import Path
from typing import Any

import pytest
import torch

from badnets.artifacts import RunFolder, canonical_json, read_json
from badnets.data import Split
from badnets.errors import InputError, Stopped
from badnets.poison import AllToAll, Recipe, SingleTarget
from badnets.studies import matrix
from badnets.studies.cells import BASELINE
from badnets.studies.matrix import MatrixResult, MatrixSpec
from badnets.studies.runner import Place
from badnets.training import Inline, Processes, TrainSpec, load_model, load_plan, read_card, weights_digest
from badnets.training.checkpoint import WEIGHTS
from badnets.triggers import Pattern, SinglePixel

Watch = Callable[..., Any]
Finished = tuple[RunFolder, MatrixResult]
TINY = TrainSpec(epochs=1, batch_size=64)
SPEC = MatrixSpec(
    triggers=("pixel",),
    seeds=(0,),
    cover_rate=0.2,
    copies=3,
    train=replace(TINY, epochs=2),
    pixel=TINY,
    retrain=replace(TINY, frozen=("conv1",)),
)
HERE = Place(Inline())
PAIRS = list(permutations(range(3), 2))


@pytest.fixture(scope="module")
def finished(three: Split, watch: Watch, tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """Both triggers and two seeds, in three goes."""
    folder = RunFolder(tmp_path_factory.mktemp("matrix"))
    first = matrix.run(SPEC, three, folder, HERE, watch())
    written = {path: path.stat().st_mtime_ns for path in folder.path.rglob(WEIGHTS)}
    watcher = watch()
    both = matrix.run(replace(SPEC, triggers=("pixel", "pattern")), three, folder, HERE, watcher)
    assert len(watcher.started) == 6, "the second trigger's pairs and nothing else: their start is there"
    assert both.pairs["pixel"] == first.pairs["pixel"]
    watcher = watch()
    whole = matrix.run(replace(SPEC, triggers=("pixel", "pattern"), seeds=(0, 1)), three, folder, HERE, watcher)
    assert len(watcher.started) == 3 + 2 * 6
    assert whole.baselines[:1] == both.baselines
    for name, pairs in both.pairs.items():
        assert whole.pairs[name][:6] == pairs
    assert {path: path.stat().st_mtime_ns for path in written} == written
    return folder, whole


def test_every_pair_of_every_trigger_and_seed(finished: Finished, three: Split) -> None:
    folder, result = finished
    assert [(cell.name, cell.seed) for cell in result.baselines] == [(BASELINE, 0), (BASELINE, 1)]
    assert list(result.pairs) == ["pixel", "pattern"]
    for name, pairs in result.pairs.items():
        wanted = [(seed, *pair) for seed, pair in product((0, 1), PAIRS)]
        assert [(pair.cell.seed, pair.source, pair.target) for pair in pairs] == wanted
        assert {pair.cell.name for pair in pairs} == {f"single-{i}-to-{j}-{name}-cover" for i, j in PAIRS}
    assert result.data.train == (three.train.name, three.train.digest, len(three.train))
    assert result.data.test == (three.test.name, three.test.digest, len(three.test))
    assert not result.data.on_mnist
    assert read_json(MatrixResult, folder.result) == result
    assert len(list(folder.path.rglob(WEIGHTS))) == 2 * (1 + 2 + 12)


def test_counts_are_those_of_the_recipes(finished: Finished, three: Split) -> None:
    folder, result = finished
    total, per_class = len(three.train), three.train.labels.bincount(minlength=3).tolist()
    tested = three.test.labels.bincount(minlength=3).tolist()
    for name, trigger in (("pixel", SinglePixel()), ("pattern", Pattern())):
        for pair in result.pairs[name]:  # type: ignore[index]
            cell = pair.cell
            plan = load_plan(folder.path / cell.folder)
            assert plan.recipe == Recipe(
                SingleTarget(pair.source, pair.target), trigger, rate=1.0, cover_rate=0.2, copies=3, seed=cell.seed
            )
            assert plan.digest == cell.plan
            assert cell.poisoned == 3 * per_class[pair.source]
            assert cell.covered == round(0.2 * (total - per_class[pair.source]))
            assert cell.samples == total + cell.poisoned + cell.covered
            measured = cell.result
            assert measured.attack_success is not None
            assert measured.spill is not None
            assert measured.attack_success.total == tested[pair.source]
            # Of the other classes' images, those of the target are called so anyway.
            assert measured.spill.total == sum(tested) - tested[pair.source] - tested[pair.target]


def test_pairs_start_from_the_all_to_all_model_of_their_trigger(finished: Finished) -> None:
    folder, result = finished
    for seed in (0, 1):
        starts = {}
        for name in ("pixel", "pattern"):
            (home,) = folder.path.glob(f"models/all-to-all-{name}-seed{seed}-*")
            starts[name] = load_model(home)[0]
            assert load_plan(home).recipe.policy == AllToAll()
        (pixel,) = folder.path.glob(f"models/all-to-all-pixel-seed{seed}-*")
        card = read_card(pixel)
        assert card is not None
        assert card.job.start == weights_digest(starts["pattern"])
        for name, start in starts.items():
            for pair in result.pairs[name]:  # type: ignore[index]
                if pair.cell.seed != seed:
                    continue
                model, card = load_model(folder.path / pair.cell.folder)
                assert card.job.start == weights_digest(start)
                assert card.job.spec == SPEC.retrain
                assert len(card.job.inherited) == (2 if name == "pixel" else 1)
                assert torch.equal(model.get_parameter("conv1.weight"), start.get_parameter("conv1.weight"))
                assert not torch.equal(model.get_parameter("conv2.weight"), start.get_parameter("conv2.weight"))


def test_worker_processes_give_the_same(finished: Finished, three: Split, watch: Watch, tmp_path: Path) -> None:
    def plain(result: MatrixResult) -> str:
        cells = [*result.baselines, *(pair.cell for pair in result.pairs["pixel"])]
        return canonical_json([replace(cell, seconds=0.0) for cell in cells if cell.seed == 0])

    folder, watcher = RunFolder(tmp_path), watch()
    alone = replace(SPEC, seeds=(0,))
    result = matrix.run(alone, three, folder, Place(Processes(2)), watcher)
    assert plain(result) == plain(finished[1])
    assert len(watcher.finished) == 3 + 6
    assert {name for name, progress in watcher.seen if progress.ended} == {name for name, _ in watcher.finished}
    again = watch()
    assert matrix.run(alone, three, folder, Place(Processes(2)), again) == result
    assert not again.started


def test_other_settings_and_other_data_are_refused(finished: Finished, three: Split, watch: Watch) -> None:
    folder, _ = finished
    for other in ({"rate": 0.4}, {"copies": 2}, {"retrain": TINY}, {"data": "mnist"}):
        with pytest.raises(InputError, match="other settings or other data"):
            matrix.run(replace(SPEC, **other), three, folder, HERE, watch())
    fewer = Split(three.train, three.test.select(torch.arange(20)))
    with pytest.raises(InputError, match="other settings or other data"):
        matrix.run(SPEC, fewer, folder, HERE, watch())


def test_stopped_before_anything_is_finished(three: Split, watch: Watch, tmp_path: Path) -> None:
    with pytest.raises(Stopped):
        matrix.run(SPEC, three, RunFolder(tmp_path), HERE, watch(patience=0))
    assert not RunFolder(tmp_path).result.exists()


def test_impossible_studies_are_refused() -> None:
    for wrong in ({"seeds": ()}, {"seeds": (1, 1)}, {"triggers": ()}, {"triggers": ("pixel", "pixel")}):
        with pytest.raises(InputError, match="one or more different"):
            MatrixSpec(**wrong)
    with pytest.raises(InputError, match="one or more different"):
        matrix.preset("digits", seeds=0)


def test_presets() -> None:
    assert matrix.preset("mnist") == MatrixSpec(data="mnist")
    assert matrix.preset("mnist", seeds=3).seeds == (0, 1, 2)
    assert matrix.preset("digits", epochs=7).train.epochs == 7
    assert matrix.preset("digits").train.batch_size == 32
    photographs = matrix.preset("cifar10")
    for spec in (photographs.train, photographs.pixel, photographs.retrain):
        assert (spec.augment.rotate, spec.augment.shift) == (0.0, 2)
