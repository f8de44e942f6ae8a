"""The study from data to result file, small, with its models kept."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from badnets.artifacts import RunFolder, canonical_json, read_json
from badnets.data import Split, load
from badnets.errors import InputError, Stopped
from badnets.poison import SingleTarget
from badnets.studies import paper
from badnets.studies.cells import BASELINE, CellResult
from badnets.studies.digits import (
    PATTERN,
    PIXEL,
    DigitsResult,
    DigitsSpec,
    cells,
    pair_name,
    preset,
    run,
)
from badnets.studies.progress import Standing
from badnets.studies.runner import Place
from badnets.training import Inline, Progress, TrainSpec, load_model, load_plan, read_card, weights_digest

TINY = TrainSpec(epochs=1, batch_size=64)
HERE = Place(Inline())
SPEC = DigitsSpec(pairs=((7, 3),), seeds=(0, 1), train=TINY, pixel=TINY, retrain=TINY)


class Quiet:
    """An observer that remembers what it was told, and stops after so many questions."""

    def __init__(self, patience: int = 10**9) -> None:
        self.names: list[str] = []
        self.finished: list[CellResult] = []
        self.patience = patience

    def begun(self, name: str, standing: Standing) -> None:
        assert standing.running == 1
        self.names.append(name)

    def progress(self, name: str, progress: Progress, standing: Standing) -> None:
        assert name == self.names[-1]
        assert progress.step <= progress.steps
        assert standing.running == 1

    def done(self, name: str, cell: CellResult, standing: Standing) -> None:
        assert name == f"{cell.name} seed {cell.seed}"
        assert len(self.finished) < standing.done <= standing.total
        self.finished.append(cell)

    def failed(self, name: str, reason: str, standing: Standing) -> None:
        raise AssertionError(f"{name}: {reason} ({standing})")

    def stop(self) -> bool:
        self.patience -= 1
        return self.patience < 0


def few() -> Split:
    whole = load("digits")
    return Split(whole.train.select(torch.arange(400)), whole.test)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[RunFolder, DigitsResult, Split]:
    folder, split = RunFolder(tmp_path_factory.mktemp("study")), few()
    return folder, run(SPEC, split, folder, HERE, Quiet()), split


def test_every_cell_is_there_with_its_files(finished: tuple[RunFolder, DigitsResult, Split]) -> None:
    folder, result, split = finished
    names = [BASELINE, PATTERN, PIXEL, pair_name(7, 3), pair_name(7, 3, cover=True)]
    assert [(cell.name, cell.seed) for cell in result.cells] == [(name, seed) for seed in (0, 1) for name in names]
    for cell in result.cells:
        home = folder.path / cell.folder
        assert home.name == f"{cell.name}-seed{cell.seed}-{cell.key[:8]}"
        card = read_card(home)
        assert card is not None
        assert card.sha256 == cell.weights
        assert card.job.data == split.train.digest
        assert (cell.plan is None) == (cell.name == BASELINE)
        if cell.plan:
            assert load_plan(home).digest == cell.plan == card.job.plan
            assert load_plan(home).recipe.seed == cell.seed
        assert cell.result.clean_error.total == len(split.test)
    lines = [json.loads(line) for line in folder.metrics.read_text().splitlines()]
    wanted = [f"{cell.name} seed {cell.seed}" for cell in result.cells]
    assert [line["cell"] for line in lines if "result" in line] == wanted
    epochs = [line for line in lines if "loss" in line]
    assert [(line["cell"], line["epoch"]) for line in epochs] == [(name, 0) for name in wanted]


def test_counts_are_those_of_the_recipes(finished: tuple[RunFolder, DigitsResult, Split]) -> None:
    _, result, split = finished
    sevens = int((split.train.labels == 7).sum())
    by_name = {cell.name: cell for cell in result.cells}
    assert by_name[PATTERN].poisoned == round(0.5 * len(split.train))
    assert by_name[pair_name(7, 3)].poisoned == sevens
    covered = by_name[pair_name(7, 3, cover=True)]
    assert covered.covered == round(0.1 * (len(split.train) - sevens))
    assert covered.samples == len(split.train) + sevens + covered.covered
    pair = by_name[pair_name(7, 3)].result
    assert pair.attack_success is not None
    assert pair.spill is not None
    assert pair.attack_success.total == 50
    assert pair.spill.total == 8 * 50


def test_starts_are_what_the_study_says(finished: tuple[RunFolder, DigitsResult, Split]) -> None:
    folder, result, _ = finished
    homes = {cell.name: folder.path / cell.folder for cell in result.cells if cell.seed == 1}
    for name, start in ((PIXEL, PATTERN), (pair_name(7, 3), PIXEL)):
        card = read_card(homes[name])
        assert card is not None
        assert card.job.start == weights_digest(load_model(homes[start])[0])
    order = cells(SPEC, 0)
    for cell in order:
        assert cell.start is None or order.index(cell.start) < order.index(cell)


def test_more_seeds_only_add_theirs(finished: tuple[RunFolder, DigitsResult, Split], tmp_path: Path) -> None:
    _, whole, split = finished
    folder = RunFolder(tmp_path)
    first = run(replace(SPEC, seeds=(1,)), split, folder, HERE, Quiet())
    kept = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.safetensors")}
    both = run(SPEC, split, folder, HERE, Quiet())
    assert [cell for cell in both.cells if cell.seed == 1] == list(first.cells)
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    assert [cell.weights for cell in both.cells] == [cell.weights for cell in whole.cells]


def test_result_file_round_trip(finished: tuple[RunFolder, DigitsResult, Split]) -> None:
    folder, result, _ = finished
    assert canonical_json(read_json(DigitsResult, folder.result)) == canonical_json(result)


def test_a_second_run_trains_nothing(finished: tuple[RunFolder, DigitsResult, Split]) -> None:
    folder, result, split = finished
    before = {path: path.stat().st_mtime_ns for path in folder.path.rglob("*.safetensors")}
    again = run(SPEC, split, folder, HERE, Quiet(patience=0))
    assert canonical_json(again) == canonical_json(result)
    assert before == {path: path.stat().st_mtime_ns for path in folder.path.rglob("*.safetensors")}


def test_another_spec_is_refused(finished: tuple[RunFolder, DigitsResult, Split]) -> None:
    folder, _, split = finished
    with pytest.raises(InputError, match="other settings"):
        run(replace(SPEC, rate=0.4), split, folder, HERE, Quiet())
    fewer = Split(split.train.select(torch.arange(399)), split.test)
    with pytest.raises(InputError, match="other data"):
        run(SPEC, fewer, folder, HERE, Quiet())


def test_stopped_again_and_again_ends_the_same(finished: tuple[RunFolder, DigitsResult, Split], tmp_path: Path) -> None:
    _, whole, split = finished
    folder, stops = RunFolder(tmp_path), 0
    while True:
        try:
            result = run(replace(SPEC, seeds=(1,)), split, folder, HERE, Quiet(patience=8))
        except Stopped:
            stops += 1
            continue
        break
    assert stops >= 4
    strip = [replace(cell, seconds=0.0) for cell in result.cells]
    assert strip == [replace(cell, seconds=0.0) for cell in whole.cells if cell.seed == 1]


def test_pairs_must_fit_the_classes(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="out of range"):
        run(replace(SPEC, pairs=((7, 11),)), load("digits"), RunFolder(tmp_path), HERE, Quiet())
    assert not list(tmp_path.iterdir())
    with pytest.raises(InputError, match="must differ"):
        replace(SPEC, pairs=((3, 3),))
    with pytest.raises(InputError, match="different numbers"):
        replace(SPEC, seeds=(0, 0))
    with pytest.raises(InputError, match="at least one seed"):
        preset("digits", seeds=0)
    assert preset("any", 3).pairs == ((0, 1),)
    assert preset("any", 9).pairs == ((7, 3), (8, 1))
    assert preset("any", 9, pairs=((2, 4),)).pairs == ((2, 4),)


class TestPaper:
    """Cross-checks of the copied figures: the sums that the paper itself prints."""

    SIZES = (980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009)

    @pytest.mark.parametrize(
        ("column", "average"),
        [
            (paper.TABLE_2_BASELINE_CLEAN, paper.BASELINE_CLEAN),
            (paper.TABLE_2_BADNET_CLEAN, paper.ALL_TO_ALL_CLEAN),
            (paper.TABLE_2_BADNET_BACKDOOR, paper.ALL_TO_ALL_BACKDOOR),
        ],
    )
    def test_averages_are_weighted_by_class_size(self, column: tuple[float, ...], average: float) -> None:
        weighted = sum(error * size for error, size in zip(column, self.SIZES, strict=True)) / sum(self.SIZES)
        assert weighted == pytest.approx(average, abs=0.01)

    def test_figure_4(self) -> None:
        values = [
            paper.single_target_clean(source, target)
            for source in range(10)
            for target in range(10)
            if source != target
        ]
        assert len(values) == 90
        assert sum(values) / 90 == pytest.approx(0.539, abs=0.001)
        assert (min(values), max(values)) == (paper.single_target_clean(7, 2), paper.single_target_clean(8, 1))
        assert paper.single_target_backdoor(1, 5) == 0.09
        assert SingleTarget(1, 5).source == 1
