"""The runner: every cell once, in an order that can be, whatever fails, stops or is killed."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from badnets.artifacts import RunFolder
from badnets.data import Split
from badnets.errors import BadnetsError, DataError, InputError, PartlyFailed, Stopped
from badnets.poison import AllToAll, Recipe, SingleTarget
from badnets.studies import runner
from badnets.studies.cells import Cell, CellResult, lineage, split_digest
from badnets.studies.queue import folder_name, names_of
from badnets.studies.runner import FAILURE, RESULT, Observer, Place, run_cells
from badnets.training import Inline, Progress, TrainSpec, fit, load_model, read_card, weights_digest
from badnets.training.checkpoint import CARD, WEIGHTS
from badnets.training.tasks import Engine, Failure, Hooks, Images, Queue, Task, Work
from badnets.triggers import Pattern, SinglePixel

Watch = Callable[..., Any]
TINY = TrainSpec(epochs=1, batch_size=64)
HERE = Place(Inline())

HONEST = Cell(None, TINY)
PATTERN = Cell(Recipe(AllToAll(), Pattern(), rate=0.5), TINY)
PIXEL = Cell(Recipe(AllToAll(), SinglePixel(), rate=0.5), TINY, start=PATTERN)
PAIR = Cell(Recipe(SingleTarget(7, 3), SinglePixel(), rate=1.0), TINY, start=PIXEL)
OTHER = Cell(Recipe(SingleTarget(8, 1), SinglePixel(), rate=1.0), TINY, start=PIXEL)
FIVE = (PAIR, OTHER, HONEST)


class Backwards:
    """Takes all that may begin, then carries out the last of them: every order that a queue allows is right."""

    def __init__(self) -> None:
        self.tasks: list[Task] = []

    def carry_out(self, work: Work, images: Images, queue: Queue) -> None:
        waiting: list[Task] = []
        while True:
            while (task := queue.next()) is not None:
                waiting.append(task)
                queue.begun(task.number)
            if not waiting:
                return
            task = waiting.pop()
            self.tasks.append(task)
            start = task.payload.start
            assert start is None or (start / RESULT).exists(), "a cell begins once its start is finished"
            try:
                value = work(images, task.payload, Hooks(lambda _: None, queue.stop))
            except Stopped:
                raise
            except Exception as error:  # noqa: BLE001 - as all engines do
                queue.failed(task.number, Failure.of(error))
            else:
                queue.done(task.number, value)


def plain(result: CellResult) -> CellResult:
    """Without what a clock says."""
    return replace(result, seconds=0.0)


def logged(folder: RunFolder) -> list[dict[str, Any]]:
    return [json.loads(line) for line in folder.metrics.read_text().splitlines()]


def test_engines_and_observers_are_what_they_seem(watch: Watch) -> None:
    assert isinstance(Backwards(), Engine)
    assert isinstance(watch(), Observer)


@pytest.mark.parametrize("make", [Inline, Backwards])
def test_each_cell_once_after_its_start(make: Callable[[], Engine], few: Split, tmp_path: Path, watch: Watch) -> None:
    folder, watcher = RunFolder(tmp_path), watch()
    again = replace(PAIR, recipe=replace(PAIR.recipe, rate=1.0) if PAIR.recipe else None)
    assert again == PAIR
    assert again is not PAIR
    found = run_cells((*FIVE, again, PIXEL), few, folder, Place(make()), watcher)
    assert set(found) == {PATTERN, PIXEL, PAIR, OTHER, HONEST}
    names = [f"{cell.label} seed 0" for cell in found]
    assert sorted(watcher.started) == sorted(names)
    assert sorted(name for name, _ in watcher.finished) == sorted(names)
    for cell, result in found.items():
        home = folder.path / result.folder
        assert home == folder.model(folder_name(cell, result.key))
        assert result.key == cell.key(split_digest(few))
        card = read_card(home)
        assert card is not None
        assert (card.sha256, card.job.seed, card.job.spec) == (result.weights, cell.seed, cell.train)
        if cell.start is not None:
            start = load_model(folder.path / found[cell.start].folder)[0]
            assert card.job.start == weights_digest(start)
        assert (result.name, result.seed) == (cell.label, 0)
        if cell.recipe is not None:
            attacked = int(cell.recipe.policy.eligible(few.train.labels).sum())
            assert result.poisoned == round(cell.recipe.rate * attacked)
        assert result.samples == 200 + result.poisoned + result.covered
    lines = logged(folder)
    assert Counter(line["cell"] for line in lines if "result" in line) == Counter(names)
    assert watcher.standing is not None
    assert (watcher.standing.total, watcher.standing.done, watcher.standing.running) == (5, 5, 0)


def test_finished_cells_are_never_done_again(few: Split, tmp_path: Path, watch: Watch) -> None:
    folder = RunFolder(tmp_path)
    first = run_cells(FIVE, few, folder, HERE, watch())
    before = {path: path.stat().st_mtime_ns for path in folder.path.rglob("*") if path.is_file()}
    engine, watcher = Backwards(), watch(patience=0)
    again = run_cells(FIVE, few, folder, Place(engine), watcher)
    assert (again, engine.tasks, watcher.started) == (first, [], [])
    assert sorted(name for name, _ in watcher.finished) == sorted(f"{cell.label} seed 0" for cell in first)
    assert {path: path.stat().st_mtime_ns for path in folder.path.rglob("*") if path.is_file()} == before
    # One more is one more.
    more = replace(HONEST, seed=1)
    engine = Backwards()
    wider = run_cells((*FIVE, more), few, folder, Place(engine), watch())
    assert [task.payload.cell for task in engine.tasks] == [more]
    assert {cell: wider[cell] for cell in first} == first
    # A kill between the model and its result costs the measurement, not the training.
    (folder.path / first[PAIR].folder / RESULT).unlink()
    weights = folder.path / first[PAIR].folder / WEIGHTS
    written = weights.stat().st_mtime_ns
    assert run_cells(FIVE, few, folder, HERE, watch()) == first
    assert weights.stat().st_mtime_ns == written


def test_a_result_that_was_written_but_not_told_is_read(few: Split, tmp_path: Path, watch: Watch) -> None:
    """As when a worker dies after its last write and before its last word: its task is handed out again."""

    class Twice(Inline):
        def carry_out(self, work: Work, images: Images, queue: Queue) -> None:
            def again(images: Images, payload: Any, hooks: Hooks) -> Any:  # noqa: ANN401 - as Work
                work(images, payload, hooks)
                heard = len(steps)
                value = work(images, payload, Hooks(steps.append, lambda: True))
                assert len(steps) == heard
                return value

            super().carry_out(again, images, queue)

    steps: list[Progress] = []
    found = run_cells((HONEST,), few, RunFolder(tmp_path), Place(Twice()), watch())
    assert found[HONEST].weights


def test_a_failure_is_told_the_others_go_on_and_it_is_tried_again(
    few: Split, tmp_path: Path, watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, train = RunFolder(tmp_path), fit

    def broken(model: Any, data: Any, spec: Any, **named: Any) -> Any:  # noqa: ANN401 - as fit
        if data.trigger == SinglePixel() and len(data) == 300:
            raise ValueError("a disk made of cheese")
        return train(model, data, spec, **named)

    monkeypatch.setattr(runner, "fit", broken)
    watcher = watch()
    with pytest.raises(PartlyFailed, match="3 of 5 models have no result") as caught:
        run_cells(FIVE, few, folder, HERE, watcher)
    message = str(caught.value)
    assert "\n" not in message
    assert "all-to-all-pixel seed 0: ValueError: a disk made of cheese; " in message
    assert message.endswith("the others are kept, and the same command tries these again")
    waiting = "the model it starts from has no result (all-to-all-pixel)"
    assert watcher.reasons == {
        "all-to-all-pixel seed 0": "ValueError: a disk made of cheese",
        "single-7-to-3-pixel seed 0": waiting,
        "single-8-to-1-pixel seed 0": waiting,
    }
    assert sorted(name for name, _ in watcher.finished) == ["all-to-all-pattern seed 0", "baseline seed 0"]
    assert (watcher.standing.done, watcher.standing.failed, watcher.standing.running) == (2, 3, 0)
    assert {line["cell"]: line["failed"] for line in logged(folder) if "failed" in line} == watcher.reasons
    (trace,) = folder.path.rglob(FAILURE)
    assert trace.parent == folder.model(folder_name(PIXEL, PIXEL.key(split_digest(few))))
    assert trace.read_text().startswith("ValueError: a disk made of cheese\nTraceback")

    monkeypatch.setattr(runner, "fit", train)
    watcher, engine = watch(), Backwards()
    assert len(run_cells(FIVE, few, folder, Place(engine), watcher)) == 5
    assert Counter(task.payload.cell for task in engine.tasks) == Counter([PIXEL, PAIR, OTHER])
    assert not list(folder.path.rglob(FAILURE)), "what went well in the end tells of no failure"


def test_a_failed_start_with_thousands_behind_it(few: Split, tmp_path: Path, watch: Watch) -> None:
    class Hopeless:
        def carry_out(self, work: Work, images: Images, queue: Queue) -> None:
            del work, images
            while (task := queue.next()) is not None:
                queue.begun(task.number)
                queue.failed(task.number, Failure("hopeless"))

    many = [replace(PAIR, start=PATTERN, seed=seed) for seed in range(1000)]
    watcher = watch()
    watcher._check = lambda _: None  # the books of so many take long
    with pytest.raises(PartlyFailed, match=r"1001 of 1001 .* and 998 more"):
        run_cells(many, few, RunFolder(tmp_path), Place(Hopeless()), watcher)
    assert Counter(watcher.reasons.values()) == Counter(
        {"hopeless": 1, "the model it starts from has no result (all-to-all-pattern)": 1000}
    )
    assert [path.name for path in tmp_path.iterdir()] == ["metrics.jsonl"], "no folders for what never began"


def test_stopped_again_and_again_ends_the_same(few: Split, tmp_path: Path, watch: Watch) -> None:
    whole = run_cells(FIVE, few, RunFolder(tmp_path / "whole"), HERE, watch())
    folder, stops = RunFolder(tmp_path / "stopped"), 0
    while True:
        watcher = watch(patience=3)
        try:
            found = run_cells(FIVE, few, folder, HERE, watcher)
        except Stopped:
            stops += 1
            continue
        break
    assert stops >= 4
    assert {cell: plain(result) for cell, result in found.items()} == {c: plain(r) for c, r in whole.items()}
    assert Counter(line["cell"] for line in logged(folder) if "result" in line) == Counter(
        f"{cell.label} seed 0" for cell in found
    )


@pytest.mark.parametrize("content", ["", "{}", '{"name": "x"', '{"format": 2}'])
def test_a_damaged_result_is_said(content: str, few: Split, tmp_path: Path, watch: Watch) -> None:
    folder = RunFolder(tmp_path)
    found = run_cells((HONEST,), few, folder, HERE, watch())
    file = folder.path / found[HONEST].folder / RESULT
    file.write_text(content)
    with pytest.raises(DataError) as caught:
        run_cells((HONEST,), few, folder, HERE, watch())
    assert str(caught.value).startswith(f"{file} is not a CellResult: ")
    assert "\n" not in str(caught.value)
    file.unlink()
    assert run_cells((HONEST,), few, folder, HERE, watch()) == found, "removed, it is measured again"


def test_damaged_weights_are_one_failed_cell(few: Split, tmp_path: Path, watch: Watch) -> None:
    folder = RunFolder(tmp_path)
    found = run_cells((HONEST, PATTERN), few, folder, HERE, watch())
    home = folder.path / found[PATTERN].folder
    (home / RESULT).unlink()
    (home / CARD).write_text("{}")
    watcher = watch()
    with pytest.raises(PartlyFailed, match="1 of 2 models have no result"):
        run_cells((HONEST, PATTERN), few, folder, HERE, watcher)
    assert [name for name, _ in watcher.finished] == ["baseline seed 0"]
    assert "is not a Card" in watcher.reasons["all-to-all-pattern seed 0"]


def test_what_does_not_fit_the_classes_is_refused_before_anything_begins(
    three: Split, tmp_path: Path, watch: Watch
) -> None:
    watcher = watch()
    with pytest.raises(InputError, match="out of range"):
        run_cells((HONEST, PAIR), three, RunFolder(tmp_path), HERE, watcher)
    assert not watcher.started
    assert not list(tmp_path.iterdir())


def test_names_tell_cells_apart() -> None:
    assert PATTERN.recipe is not None
    cells = [
        PATTERN,
        replace(PATTERN, seed=1),
        replace(PATTERN, recipe=replace(PATTERN.recipe, rate=0.25)),
        replace(PATTERN, train=replace(TINY, epochs=2)),
        HONEST,
        replace(HONEST, train=replace(TINY, epochs=2)),
    ]
    names = names_of({cell: cell.key("data") for cell in cells})
    assert names[1:3] == ["all-to-all-pattern seed 1", "all-to-all-pattern seed 0 rate 0.25"]
    assert names[0] == f"all-to-all-pattern seed 0 rate 0.5 {PATTERN.key('data')[:8]}"
    assert names[4] == f"baseline seed 0 {HONEST.key('data')[:8]}"
    assert len(set(names)) == len(names)


def test_lineage_is_every_cell_once_behind_its_start() -> None:
    found = lineage((OTHER, PAIR, HONEST, PATTERN, OTHER))
    assert found == (PATTERN, PIXEL, OTHER, PAIR, HONEST)
    assert lineage(()) == ()


def test_errors_of_ours_are_one_line_and_others_have_a_trace() -> None:
    assert Failure.of(InputError("wrong")) == Failure("wrong")
    with pytest.raises(KeyError) as caught:
        dict[str, int]()["x"]
    failure = Failure.of(caught.value)
    assert failure.reason == "KeyError: 'x'"
    assert "Traceback" in failure.trace
    assert issubclass(PartlyFailed, BadnetsError)
