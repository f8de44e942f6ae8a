"""What `benchmarks/many.py` times is what it says; how fast that is is no matter of tests."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest
import torch

from badnets.artifacts import read_json
from badnets.studies import matrix
from badnets.studies.cells import CellResult
from badnets.studies.runner import carry_out_cell
from badnets.training import Progress, TrainSpec

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from benchmarks import many, rounds, training

BATCH = TrainSpec().batch_size


def test_orders_are_different_models_of_as_many_steps() -> None:
    images = training.random_digits(2 * BATCH)
    work = many.orders(images, 3, steps=1)
    assert [len(order.data) for order in work] == [BATCH] * 3
    assert all(order.data.base is images for order in work)
    assert len({order.data.digest for order in work}) == len({order.seed for order in work}) == 3
    assert all(bool(order.data.stamped.any()) for order in work)


def news(meter: many.Meter, moment: float, number: int, step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "perf_counter", lambda: moment)
    meter.progress(number, Progress(step, 100, 0, ended=False, loss=1.0, rate=1.0))
    if step == 100:
        meter.done(number)


def test_the_pace_under_way_leaves_out_start_and_tail(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two workers: the second is first heard at 5 s, and the first has nothing more to do at 21 s."""
    meter = many.Meter()
    for moment, number, step in [
        (1.0, 0, 10),
        (3.0, 0, 100),
        (4.0, 1, 30),  # the second order, but still the first worker
        (5.0, 2, 2),  # from here on both are at it: 132 steps were done
        (11.0, 1, 100),
        (12.0, 3, 5),
        (20.0, 2, 99),
        (20.5, 3, 60),
        (21.0, 2, 100),  # one of four is left: 100 + 100 + 100 + 60 steps were done
        (30.0, 3, 100),
    ]:
        news(meter, moment, number, step, monkeypatch)
    assert meter.under_way(2) == (360 - 132, 16.0)
    assert meter.under_way(1) == (400 - 10, 29.0)


def test_workers_that_never_met_have_no_pace(monkeypatch: pytest.MonkeyPatch) -> None:
    meter = many.Meter()
    for moment, number, step in [(1.0, 0, 10), (3.0, 0, 100), (4.0, 1, 30), (5.0, 1, 100)]:
        news(meter, moment, number, step, monkeypatch)
    with pytest.raises(SystemExit, match="never at it together"):
        meter.under_way(2)


def test_one_worker_trains_all_orders() -> None:
    work = many.orders(training.random_digits(2 * BATCH), 4, steps=2)
    whole = many.trained(work, 1, whole=True)
    assert whole.amount == 4 * 2 * BATCH
    # The first news comes after one step at the earliest, the last after the last.
    under_way = many.trained(work, 1, whole=False)
    assert under_way.amount <= (4 * 2 - 1) * BATCH
    assert under_way.seconds > 0


@pytest.mark.skipif(sys.platform == "win32", reason="worker processes need Linux or macOS")
def test_two_workers_train_the_same_orders() -> None:
    work = many.orders(training.random_digits(4 * BATCH), 4, steps=3)
    assert many.trained(work, 2, whole=True).amount == 4 * 3 * BATCH


def test_the_pair_is_the_preset_s_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every epoch of the preset, from the start model, measured and kept; and the starts' part behind it."""
    train, test = training.random_digits(300), training.random_digits(100, seed=1)
    prepared = many.Matrix.prepare(train, test, tmp_path)
    done: list[CellResult] = []

    def watched(*given: object) -> CellResult:
        result: CellResult = carry_out_cell(*given)  # type: ignore[arg-type]
        assert read_json(CellResult, given[1].home / "result.json") == result  # type: ignore[attr-defined]
        done.append(result)
        return result

    monkeypatch.setattr(many, "carry_out_cell", watched)
    assert prepared.pair() == prepared.pair() == 60
    assert len(done) == 2
    for cell in done:
        sevens = int((train.labels == 7).sum())
        assert cell.poisoned == sevens * prepared.spec.copies
        assert cell.covered == round(prepared.spec.cover_rate * (300 - sevens))
        assert cell.result.clean_error.total == 100
        assert cell.result.attack_success is not None
    # Nothing of the first is left for the second, which would only read it.
    assert sorted(path.name for path in tmp_path.iterdir()) == ["s"]


def test_the_starts_are_shared_by_ninety_pairs() -> None:
    spec = matrix.preset("mnist")
    honest = spec.train.epochs * 60_000
    pattern = spec.train.epochs * 90_000
    pixel = spec.pixel.epochs * 90_000
    assert many.start_samples(spec, 60_000) * 90 == pytest.approx(honest + pattern + pixel)


def test_backdoorbox_s_samples_are_stamped_one_by_one() -> None:
    images = training.random_digits(200)
    box = many.BoxImages(images)
    assert len(box) == 200
    assert len(box.poisoned) == 10
    for position in range(200):
        picture, label = box[position]
        expected = images.images[position].clone()
        if position in box.poisoned:
            expected[:, 25:, 25:] = 255
        assert label == (1 if position in box.poisoned else int(images.labels[position]))
        assert torch.equal((picture * 255).round().to(torch.uint8), expected)


def test_an_epoch_of_its_loop_is_a_part_of_a_model(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    whole = many.BoxImages.__getitem__

    def counted(self: many.BoxImages, position: int) -> tuple[torch.Tensor, int]:
        seen.append(position)
        return whole(self, position)

    monkeypatch.setattr(many.BoxImages, "__getitem__", counted)
    assert many.box_epoch(training.random_digits(150)) * 200 == 60
    assert sorted(seen) == list(range(150))


def test_a_stack_and_a_loop_train_as_many_images() -> None:
    variants = many.stacking_variants(training.random_digits(2 * BATCH), "cpu", steps=1, count=2)
    assert {name: variant() for name, variant in variants.items()} == {
        "stack, cpu": 2 * BATCH,
        "loop, cpu": 2 * BATCH,
    }


def test_all_bars_speak_of_variants_that_exist(tmp_path: Path) -> None:
    images = training.random_digits(2 * BATCH)
    names = set(many.worker_variants(images, 2, 1)) | set(many.matrix_variants(images, images, tmp_path))
    assert {name for bar in (*many.WORKER_BARS, *many.MATRIX_BARS) for name in (bar.ours, bar.other)} <= names


def test_memory_is_what_each_further_model_takes() -> None:
    found = many.Memory("one worker", few=2, many=18, before=500.0, after=820.0)
    assert (found.each, found.verdict) == (20.0, "missed (bar 20 MB)")
    assert many.Memory("one worker", 2, 18, 500.0, 819.0).verdict == "met (bar 20 MB)"
    assert many.Memory("stack, cpu", 2, 18, 500.0, 900.0).verdict == "for information"
    assert many.peak("one worker", 1, images=2 * BATCH, steps=1) > 50


def test_a_variant_may_clock_itself() -> None:
    speeds = rounds.take_turns({"a": lambda: rounds.Clocked(30.0, 10.0)}, rounds=2)
    assert speeds == {"a": [3.0, 3.0]}
