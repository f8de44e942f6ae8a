"""The study of moved triggers: three models, each with a map of its own trigger."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from badnets.artifacts import RunFolder, read_json
from badnets.data import Split
from badnets.errors import InputError, Stopped
from badnets.metrics import evaluate
from badnets.poison import AllToAll
from badnets.seeds import generator
from badnets.studies import matrix, positions
from badnets.studies.cells import BASELINE
from badnets.studies.positions import PositionsResult, PositionsSpec
from badnets.studies.runner import RESULT, Place
from badnets.training import Inline, TrainSpec, load_model, read_card, weights_digest
from badnets.training.checkpoint import CARD
from badnets.triggers import AnyTrigger, Pattern, SinglePixel

Watch = Callable[..., Any]
TINY = TrainSpec(epochs=1, batch_size=64)
SPEC = PositionsSpec(seed=1, images=12, train=TINY, pixel=replace(TINY, batch_size=32))
HERE = Place(Inline())


@pytest.fixture
def cut(few: Split) -> Split:
    """The middle of each image: a third as many places."""
    train, test = (replace(half, images=half.images[:, :, 6:22, 6:22]) for half in (few.train, few.test))
    return Split(train, test)


def test_three_models_with_maps(cut: Split, watch: Watch, tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    # Stopped while the first map is made, its model finished: what is asked after each step is asked there too.
    watcher = watch(patience=100)
    with pytest.raises(Stopped, match="while measuring"):
        positions.run(SPEC, cut, folder, HERE, watcher)
    (card,) = folder.path.rglob(CARD)
    assert not (card.parent / RESULT).exists()

    result = positions.run(SPEC, cut, folder, HERE, watch())
    assert [cell.name for cell in result.cells] == [BASELINE, "all-to-all-pattern", "all-to-all-pixel"]
    assert {cell.seed for cell in result.cells} == {1}
    assert read_json(PositionsResult, folder.result) == result
    picked = cut.test.select(torch.randperm(100, generator=generator(1, "places"))[:12])
    triggers: tuple[AnyTrigger, ...] = (Pattern(), Pattern(), SinglePixel())
    for cell, trigger, home in zip(result.cells, triggers, ((12, 12), (12, 12), (14, 14)), strict=True):
        assert cell.places is not None
        assert (cell.places.home, cell.places.images) == (home, 12)
        model = load_model(folder.path / cell.folder)[0]
        alone = evaluate(model, picked, trigger, AllToAll()).attack_success
        assert alone is not None
        assert cell.places.at(*home) == alone
        assert (cell.plan is None) == (cell.name == BASELINE)
    pattern, pixel = (folder.path / cell.folder for cell in result.cells[1:])
    card_ = read_card(pixel)
    assert card_ is not None
    assert (card_.job.start, card_.job.spec) == (weights_digest(load_model(pattern)[0]), SPEC.pixel)

    again = watch(patience=0)
    assert positions.run(SPEC, cut, folder, HERE, again) == result
    assert not again.started
    for other in ({"images": 13}, {"seed": 0}, {"rate": 0.4}):
        with pytest.raises(InputError, match="other settings"):
            positions.run(replace(SPEC, **other), cut, folder, HERE, watch())


def test_presets_and_impossible_studies() -> None:
    usual = matrix.preset("digits", epochs=9)
    assert positions.preset("digits", images=7, epochs=9) == PositionsSpec(
        images=7, train=usual.train, pixel=usual.pixel
    )
    with pytest.raises(InputError, match="at least one image"):
        PositionsSpec(images=0)
