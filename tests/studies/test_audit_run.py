"""The audit on the models of a run: which of them, what is known of each, and the figures."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import nn

from badnets.artifacts import RunFolder, canonical_json, parse_json
from badnets.audit.cases import Settings
from badnets.audit.population import Population, Recipe, train_population
from badnets.data import Split, load
from badnets.errors import DataError, InputError
from badnets.models import ModelSpec, build
from badnets.poison import AllToAll, AllToOne, Nobody
from badnets.poison import Recipe as Poison
from badnets.studies.audit_run import RunAuditResult, RunAuditSpec, known_models, run
from badnets.studies.cells import Cell
from badnets.studies.queue import RESULT, Place
from badnets.studies.runner import run_cells
from badnets.training import Inline, ManySession, TrainSpec
from badnets.triggers import Pattern

from .conftest import Quiet

SHORT = TrainSpec(epochs=1, batch_size=32)
POISON = Poison(AllToOne(2), Pattern(), rate=0.5)
BADNET = Cell(POISON, SHORT)
MODELS = (
    Cell(None, SHORT),
    BADNET,
    Cell(replace(POISON, policy=AllToAll()), SHORT, start=BADNET),
    Cell(replace(POISON, policy=Nobody(), rate=0.0, cover_rate=0.1), SHORT),
    Cell(None, SHORT, seed=1, start=BADNET),
)


@pytest.fixture(scope="module")
def split() -> Split:
    whole = load("digits")
    return Split(whole.train.select(torch.arange(300)), whole.test.select(torch.arange(100)))


@pytest.fixture(scope="module")
def trained(split: Split, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("trained")
    run_cells(list(MODELS), split, RunFolder(path), Place(Inline()), Quiet())
    return path


@pytest.fixture(scope="module")
def references(split: Split, tmp_path_factory: pytest.TempPathFactory) -> Population:
    recipe = Recipe("badnet_cnn", split.train.digest, split.train.name, images=100, epochs=1)
    make = partial(_build, ModelSpec.fitting(split.train, "badnet_cnn"))
    return train_population(tmp_path_factory.mktemp("references"), recipe, split.train, make, 2, ManySession(1))


def _build(spec: ModelSpec, seed: int) -> nn.Module:
    return build(spec, seed=seed)


def _spec(path: Path, references: Population) -> RunAuditSpec:
    skip = ("dormant", "inversion", "pairs")
    return RunAuditSpec(str(path), references.recipe.key, len(references), settings=Settings(samples=1), skip=skip)


def test_what_is_known_of_each_model(trained: Path, split: Split) -> None:
    found, left_out = known_models(trained, split.train, "badnet_cnn")
    # By name: all-to-2, all-to-all, the honest one, the watermark. A victim's knowledge of its start is nobody's.
    assert [one.recipe.policy if one.recipe else None for one in found] == [AllToOne(2), AllToAll(), None, None]
    assert len(left_out) == 1
    assert left_out[0].startswith("baseline-seed1-")
    assert left_out[0].endswith(
        "trained on clean data from a model with a plan: whether it has a backdoor is not known"
    )


def test_the_whole_and_again(trained: Path, split: Split, references: Population, tmp_path: Path) -> None:
    spec, folder = _spec(trained, references), RunFolder(tmp_path)
    result = run(spec, split, references, folder, Place(Inline()), Quiet())
    assert [(one.family, one.mapping) for one in result.models] == [
        ("pattern", "all-to-one"), ("pattern", "all-to-all"), ("clean", ""), ("clean", ""),
    ]  # fmt: skip
    assert [one.works for one in result.models][2:] == [None, None]
    badnets = result.models[:2]
    assert all(one.works is not None and one.attack_success is not None for one in badnets)
    assert result.figures.false_alarms.total == 2
    assert result.figures.found.total + result.figures.weak.total == len(badnets)
    assert len(result.left_out) == 1
    assert parse_json(RunAuditResult, canonical_json(result), "here") == result
    again = Quiet()
    assert run(spec, split, references, folder, Place(Inline()), again) == result
    assert not again.started
    with pytest.raises(InputError, match="other settings"):
        run(replace(spec, alpha=0.1), split, references, folder, Place(Inline()), Quiet())


def test_a_backdoor_works_at_the_accuracy_of_the_honest_model_of_its_seed(
    trained: Path, split: Split, references: Population, tmp_path: Path
) -> None:
    path = tmp_path / "run"
    shutil.copytree(trained, path)
    (badnet,) = (path / "models").glob("all-to-2-*")
    text = (badnet / RESULT).read_text()
    honest = known_models(path, split.train, "badnet_cnn")[0][2].cell.result.clean_error
    for errors, works in ((honest.count, True), (honest.count + 2, False)):
        found = parse_json(dict, text, "here")
        # One of a hundred more is let through, two are not.
        found["result"]["clean_error"] |= {"count": errors, "total": honest.total}
        found["result"]["attack_success"] |= {"count": 90, "total": 100}
        (badnet / RESULT).write_text(canonical_json(found))
        result = run(_spec(path, references), split, references, RunFolder(tmp_path / "out"), Place(Inline()), Quiet())
        assert result.models[0].works is works


@pytest.mark.parametrize(
    ("spoil", "error", "words"),
    [
        (lambda path: shutil.rmtree(path / "models"), InputError, "holds no finished badnet_cnn"),
        (lambda path: _all(path, lambda home: (home / RESULT).unlink()), InputError, "not finished"),
        (lambda path: _all(path, lambda home: (home / RESULT).write_text("{}")), DataError, "CellResult"),
    ],
)
def test_a_run_that_does_not_do(
    trained: Path, split: Split, tmp_path: Path, spoil: Callable[[Path], None], error: type[Exception], words: str
) -> None:
    path = tmp_path / "run"
    shutil.copytree(trained, path)
    spoil(path)
    with pytest.raises(error, match=words):
        known_models(path, split.train, "badnet_cnn")


def test_without_an_honest_model_nothing_is_audited(
    trained: Path, split: Split, references: Population, tmp_path: Path
) -> None:
    shutil.copytree(trained, tmp_path / "run")
    _all(tmp_path / "run", lambda home: None if home.name.startswith(("all-to-2", "nobody")) else shutil.rmtree(home))
    spec, out = _spec(tmp_path / "run", references), tmp_path / "out"
    with pytest.raises(InputError, match="holds no honest model"):
        run(spec, split, references, RunFolder(out), Place(Inline()), Quiet())
    assert not out.exists()


def test_models_of_other_data_or_architecture_are_named(trained: Path, split: Split) -> None:
    with pytest.raises(InputError, match=r"trained on digits/train.*, the audit was asked for with digits/test"):
        known_models(trained, split.test, "badnet_cnn")
    with pytest.raises(InputError, match="badnet_cnn, the references are photo_cnn"):
        known_models(trained, split.train, "photo_cnn")


def _all(path: Path, do: Callable[[Path], object]) -> None:
    for home in (path / "models").iterdir():
        do(home)
