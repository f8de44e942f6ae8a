"""Reference models: the same whatever is interrupted, grown without being trained again, never mixed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tests.audit.made_up import blocks
from torch import nn

from badnets.artifacts import sha256_json
from badnets.audit import Options, Recipe, Settings, audit, choose, open_population, train_population
from badnets.audit.stages import Findings, Stage
from badnets.errors import CheckpointError, InputError, Stopped
from badnets.training import ManySession, weights_digest

IMAGES = blocks(3, count=20)
RECIPE = Recipe("tiny", IMAGES.digest, IMAGES.name, images=30, epochs=4)
ALONE = ManySession(workers=1)


def tiny(seed: int) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 3))


def trained(folder: Path, models: int, session: ManySession = ALONE) -> list[str]:
    made = train_population(folder, RECIPE, IMAGES, tiny, models, session)
    return [weights_digest(made.model(number)) for number in made.numbers]


def test_models_differ_and_come_out_the_same_again(tmp_path: Path) -> None:
    one, other = trained(tmp_path / "one", 3), trained(tmp_path / "other", 3)
    assert one == other
    assert len(set(one)) == 3


def test_recipes_vary() -> None:
    specs = {RECIPE.spec(number) for number in range(19)}
    assert len(specs) >= 15
    assert {spec.optimizer for spec in specs} == {"adam", "sgd"}
    assert replace(RECIPE, seed=1).spec(0) != RECIPE.spec(0) or replace(RECIPE, seed=1).spec(1) != RECIPE.spec(1)


def test_how_many_images_models_see_varies_within_bounds() -> None:
    varied = replace(RECIPE, images=0, least_share=0.25)
    counts = [varied.count(number, 60_000) for number in range(200)]
    assert min(counts) >= 15_000
    assert max(counts) <= 60_000
    assert len(set(counts)) > 150
    # Evenly on a logarithmic scale: half of them see less than half.
    assert 80 < sum(count < 30_000 for count in counts) < 120
    assert {replace(varied, images=100).count(number, 60_000) <= 100 for number in range(20)} == {True}
    assert [RECIPE.count(number, 60) for number in range(3)] == [30] * 3
    assert [varied.spec(number) for number in range(5)] == [replace(RECIPE, images=0).spec(n) for n in range(5)]
    for share in (0.0, 1.5):
        with pytest.raises(InputError, match="least share"):
            replace(RECIPE, least_share=share)


def test_populations_from_before_shares_varied_keep_their_key() -> None:
    old = {
        "architecture": "tiny",
        "data": IMAGES.digest,
        "data_name": IMAGES.name,
        "images": 30,
        "epochs": 4,
        "seed": 0,
    }
    assert RECIPE.key == sha256_json(old)
    assert replace(RECIPE, least_share=0.5).key != RECIPE.key


def test_stopped_and_grown_it_is_the_unbroken_population(tmp_path: Path) -> None:
    def after(count: int) -> Iterator[bool]:
        yield from (False for _ in range(count))
        while True:
            yield True

    moments = after(3)
    with pytest.raises(Stopped):
        trained(tmp_path / "broken", 4, replace(ALONE, stop=lambda: next(moments)))
    small = trained(tmp_path / "broken", 2)
    times = [file.stat().st_mtime_ns for file in sorted((tmp_path / "broken").rglob("model.safetensors"))]
    grown = trained(tmp_path / "broken", 4)
    assert grown[:2] == small
    assert grown == trained(tmp_path / "unbroken", 4)
    files = sorted((tmp_path / "broken").rglob("model.safetensors"))
    assert [file.stat().st_mtime_ns for file in files][: len(times)] == times


def test_a_folder_holds_one_population(tmp_path: Path) -> None:
    trained(tmp_path, 2)
    with pytest.raises(InputError, match="another population"):
        train_population(tmp_path, replace(RECIPE, seed=1), IMAGES, tiny, 2, ALONE)
    with pytest.raises(InputError, match="a population of tiny"):
        open_population(tmp_path, tiny, "badnet_cnn")
    with pytest.raises(InputError, match="holds no population"):
        open_population(tmp_path / "nowhere", tiny, "tiny")
    with pytest.raises(InputError, match="other images"):
        train_population(tmp_path, RECIPE, blocks(3, count=19), tiny, 2, ALONE)
    with pytest.raises(InputError, match="at least 2"):
        train_population(tmp_path, RECIPE, IMAGES, tiny, 1, ALONE)
    with pytest.raises(CheckpointError):
        open_population(tmp_path, lambda _: nn.Linear(2, 2), "tiny").model(0)


def test_statistics_are_kept_by_test_and_settings(tmp_path: Path) -> None:
    trained(tmp_path, 2)
    made = open_population(tmp_path, tiny, "tiny")
    ran = []

    def run(case: object, stop: object) -> Findings:
        del stop
        ran.append(case)
        return Findings({"family": {"name": float(len(ran))}})

    stage, settings = Stage("counted", run), Settings(samples=3)
    clean = choose(IMAGES, settings)
    first = made.statistics(stage, clean, settings)
    assert first == made.statistics(stage, clean, settings) == [{"family": {"name": 1.0}}, {"family": {"name": 2.0}}]
    other = Settings(samples=4)
    made.statistics(stage, choose(IMAGES, other), other)
    made.statistics(replace(stage, version=2), clean, settings)
    assert len(ran) == 6


def test_an_audit_with_trained_references(tmp_path: Path) -> None:
    trained(tmp_path, 3)
    options = Options(alpha=0.3, settings=Settings(samples=6), skip=("inversion", "pairs", "dormant"))
    found = audit(tiny(5), IMAGES, population=open_population(tmp_path, tiny, "tiny"), options=options)
    assert found.verdict.p_how in ("conformal", "none")
    assert "cannot be compared" not in found.verdict.reason
    assert found.verdict.calibration.population == 3
    assert found.verdict.calibration.key == RECIPE.key
    assert found.verdict.word == "undecided"


def test_choice_of_images_is_the_same_each_time_and_held_out_ones_are_others() -> None:
    one, other = (choose(IMAGES, Settings(samples=6)) for _ in range(2))
    assert one.digest == other.digest
    assert torch.equal(one.search.pixels, other.search.pixels)
    assert len(one.search) == 6
    assert len(one.held_out) == 12
    seen = {row.numpy().tobytes() for row in one.search.pixels}
    assert not seen & {row.numpy().tobytes() for row in one.held_out.pixels}
