"""Carries out the cells of studies on images: each once, whatever is stopped, killed or fails in between."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import nn

from badnets.artifacts import RunFolder
from badnets.data import ImageSet, ImageSource, Split
from badnets.errors import Stopped
from badnets.metrics import PositionMap, Predictions, Result, judge, position_map, predict
from badnets.models import ModelSpec, TwoParts, build, evaluating
from badnets.seeds import generator
from badnets.studies import pretrained
from badnets.studies.cells import Cell, CellResult, lineage, split_digest
from badnets.studies.queue import (
    FAILURE,
    RESULT,
    Assignment,
    Data,
    Kind,
    Observer,
    Place,
    carried_out_once,
    carry_out_all,
)
from badnets.studies.victims import handed_over
from badnets.training import Fit, Session, fit, load_model, victim
from badnets.training.features import FeatureCache, can_be_kept
from badnets.training.tasks import Hooks, Images
from badnets.triggers import Trigger

__all__ = ["FAILURE", "RESULT", "Assignment", "Observer", "Place", "carry_out_cell", "run_cells"]

# Of this process: workers carry out many cells, one after the other.
_FEATURES = FeatureCache()


def run_cells(
    cells: Sequence[Cell], split: Split[ImageSource], folder: RunFolder, place: Place, observer: Observer
) -> dict[Cell, CellResult]:
    """Carry out all cells and what they start from; those that are finished in `folder` are not done again.

    Args:
        cells: the work; equal cells are one.
        split: their data.
        folder: `metrics.jsonl` and `models/<cell>/` are written there.
        place: engine and device.
        observer: told what happens, and asked whether to stop.

    Raises:
        InputError: a recipe does not fit the data.
        PartlyFailed: some cells have no result; all others are finished, and the same call tries again.
        Stopped: the observer said so; the same call goes on.
        StorageError: the folder cannot be written.
    """
    everything = lineage(tuple(cells))
    for cell in everything:
        cell.check(len(split.train.classes))
    data = Data((split.train, split.test), split_digest(split))
    return carry_out_all(everything, Kind(carry_out_cell, CellResult), data, folder, place, observer)


def carry_out_cell(images: Images, task: Assignment, hooks: Hooks) -> CellResult:
    """The work of an engine: train one cell on the first image set, measure it on the second, and keep both.

    A finished cell is only read: after a kill between its last write and its report, nothing is done twice.
    """
    return carried_out_once(task, CellResult, lambda: _train_and_measure(images, task, hooks))


def _train_and_measure(images: Images, task: Assignment, hooks: Hooks) -> CellResult:
    cell = task.cell
    train, test = (cell.of(half) for half in images)
    data, made = cell.training_set(train)
    session = Session(
        task.home,
        device=task.device,
        threads=task.threads,
        on_progress=hooks.progress,
        stop=hooks.stop,
        features=_FEATURES,
    )
    trained = fit(_start(task, train, images[0]), data, cell.train, seed=cell.seed, session=session)
    return CellResult(
        name=cell.label,
        seed=cell.seed,
        key=task.key,
        folder=f"models/{task.home.name}",
        result=_measure(trained, cell, test, hooks),
        places=_places(task, trained.model, test, hooks),
        samples=len(data),
        poisoned=made.false_samples if made else 0,
        covered=made.covered if made else 0,
        plan=made.digest if made else None,
        weights=trained.card.sha256,
        seconds=trained.card.seconds,
        machine=trained.card.job.machine,
    )


def _measure(trained: Fit, cell: Cell, test: ImageSource, hooks: Hooks) -> Result:
    model, attack = trained.model, cell.measured
    images, trigger = cell.attacked(test, attack.trigger) if attack else (test, None)
    policy = attack.policy if attack else None
    if not isinstance(model, TwoParts) or not can_be_kept(model, cell.train):
        return judge(test, predict(model, test), predict(model, images, trigger=trigger) if attack else None, policy)
    # Many heads on one trunk see the same test images: what the trunk makes of them is kept, as in training.
    exact = replace(trained.card.job.machine, precision="float32")
    rows = torch.arange(len(test))

    def said(images: ImageSource, trigger: Trigger | None) -> Predictions:
        with torch.no_grad(), evaluating(model.head) as device:
            features = _FEATURES.of(model, images, rows, trigger, exact, hooks.stop)
            return Predictions.of(model.head(features.to(device)))

    return judge(test, said(test, None), said(images, trigger) if attack else None, policy)


def _places(task: Assignment, model: nn.Module, test: ImageSource, hooks: Hooks) -> PositionMap | None:
    attack, count = task.cell.measured, task.cell.places
    if attack is None or not count:
        return None
    picked = torch.randperm(len(test), generator=generator(task.cell.seed, "places"))[:count]

    def stop() -> None:
        if hooks.stop():
            raise Stopped("stopped while measuring; the same command goes on")

    rows = picked.sort().values
    chosen = ImageSet(test.take(rows), test.labels[rows], test.classes, test.name)
    return position_map(model, chosen, attack.trigger, attack.policy, stop=stop)


def _start(task: Assignment, train: ImageSource, everything: ImageSource) -> nn.Module:
    cell = task.cell
    if cell.start is not None and task.start is not None:
        base = load_model(task.start)[0]
        if cell.victim is None:
            return base
        handed = handed_over(base, cell.start, everything, cell.victim.gain)
        return victim(handed, len(train.classes), retrained=cell.victim.retrained, seed=cell.seed)
    model = build(ModelSpec.fitting(train, cell.model), seed=cell.seed)
    if cell.pretrained is not None and task.start is not None:
        pretrained.put(model, cell.pretrained, task.start)
    return model
