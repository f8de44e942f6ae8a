"""The benchmark of the audit: its figures against counts worked out by hand, and the whole of it in small."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from badnets.artifacts import RunFolder, canonical_json, parse_json
from badnets.audit.cases import Settings
from badnets.audit.population import Recipe as PopulationRecipe
from badnets.audit.population import train_population
from badnets.audit.verdict import Audited, Calibration, CleanData, StageReport, Suspicion, Verdict
from badnets.data import Split, load
from badnets.errors import InputError
from badnets.models import ModelSpec, build
from badnets.poison import AllToAll, AllToOne, AnyPolicy, SingleTarget
from badnets.studies import audit_bench
from badnets.studies.audit_bench import BenchResult, BenchSpec, run
from badnets.studies.audit_figures import Judged, figures, names_it
from badnets.studies.queue import Place
from badnets.studies.zoo import ZooSpec, animals
from badnets.training import Inline, ManySession, TrainSpec

from .conftest import Quiet

ALL_TO_2 = Suspicion("inversion", "all-to-one", "all become 2", target=2)


def verdict(p: float, word: str = "", suspicion: Suspicion | None = ALL_TO_2, **changes: Any) -> Verdict:  # noqa: ANN401
    said: Any = word or ("backdoored" if p <= 0.05 else "clean")
    stages = tuple(StageReport(name, "ran", "", 1.0) for name in ("structure", "margins", "inversion", "pairs"))
    fields: dict[str, Any] = {
        "word": said, "reason": "", "alpha": 0.05, "p_value": p, "p_how": "conformal", "p_extrapolated": None,
        "calibration": Calibration(19, "key", "settings", 0.05, ""), "model": Audited("", "", 1, 10, ""),
        "data": CleanData("", "", 1, 1.0), "suspicions": (suspicion,) if suspicion else (), "stages": stages,
        "not_tested": (), "seed": 0, "versions": {}, "seconds": 10.0,
    }  # fmt: skip
    return Verdict(**(fields | changes))


def model(said: Verdict, policy: AnyPolicy | None = None, *, works: bool | None = None, family: str = "twin") -> Judged:
    mapping = "all-to-one" if policy else ""
    return Judged("dev", family, mapping, policy, works, 0.9 if policy else None, 0.01, said)


class TestFigures:
    CLEAN = tuple(model(verdict(p)) for p in (0.05, 0.3, 0.5, 0.9))
    GOOD = (
        model(verdict(0.05, p_extrapolated=1e-6), AllToOne(2), works=True, family="square"),
        model(verdict(0.05, p_extrapolated=1e-3), AllToOne(3), works=True, family="square"),
        model(verdict(0.4), AllToOne(2), works=True, family="warp"),
        model(verdict(0.05, "undecided"), AllToOne(2), works=True, family="warp"),
    )
    WEAK = (model(verdict(0.05), AllToOne(2), works=False, family="warp"),)

    def test_counts(self) -> None:
        found = figures("dev", [*self.CLEAN, *self.GOOD, *self.WEAK])
        assert (found.found.count, found.found.total) == (2, 4)
        assert (found.false_alarms.count, found.false_alarms.total) == (1, 4)
        assert (found.undecided.count, found.undecided.total) == (1, 9)
        assert (found.right.count, found.right.total) == (1, 2)  # the other one's target is 3
        assert (found.weak.count, found.weak.total) == (1, 1)
        assert {name: (rate.count, rate.total) for name, rate in found.by_kind.items()} == {
            "twin": (1, 4), "square, all-to-one": (2, 2), "warp, all-to-one": (0, 2),
        }  # fmt: skip
        assert found.seconds == (10.0, 10.0)

    def test_sources_count_where_the_target_of_a_single_class_was_named(self) -> None:
        cases: list[tuple[tuple[int, ...], AnyPolicy]] = [
            ((7,), SingleTarget(7, 2)), ((6,), SingleTarget(7, 2)), ((), SingleTarget(7, 2)),
            ((7,), SingleTarget(7, 3)), ((7,), AllToOne(2)),
        ]  # fmt: skip
        said = [replace(ALL_TO_2, mapping="pairs", sources=sources) for sources, _ in cases]
        named = [
            model(verdict(0.05, suspicion=one), case[1], works=True) for one, case in zip(said, cases, strict=True)
        ]
        found = figures("dev", named)
        assert (found.right.count, found.right.total) == (4, 5)
        assert (found.sources.count, found.sources.total) == (1, 3)

    def test_scores_go_by_the_word_then_by_the_p_value_and_by_its_tail_beyond_all_references(self) -> None:
        found = figures("dev", [*self.CLEAN, *self.GOOD]).separation
        assert found is not None
        # Pairs in the right order: both squares beat all four; 0.05, which was refuted, beats the three that were not
        # called; 0.4 beats two.
        assert found.auc == pytest.approx((4 + 4 + 3 + 2) / 16)
        by_structure = model(verdict(1.0, "backdoored", p_value=None, p_how="structure"))
        assert by_structure.score == math.inf
        assert model(verdict(1.0, "undecided", p_value=None, p_how="none")).score == 0

    def test_without_one_side_there_is_no_curve(self) -> None:
        assert figures("dev", self.CLEAN).separation is None
        assert figures("dev", []).found.total == 0


@pytest.mark.parametrize(
    ("policy", "suspicion", "right"),
    [
        (AllToOne(2), ALL_TO_2, True),
        (AllToOne(3), ALL_TO_2, False),
        (SingleTarget(7, 2), replace(ALL_TO_2, mapping="pairs", sources=(7,)), True),
        (AllToAll(), replace(ALL_TO_2, mapping="shift", target=None, shift=1), True),
        (AllToAll(), replace(ALL_TO_2, mapping="shift", target=None, shift=2), False),
        (AllToAll(), ALL_TO_2, False),
        (AllToOne(2), None, False),
        (None, ALL_TO_2, False),
    ],
)
def test_what_is_named(policy: AnyPolicy | None, suspicion: Suspicion | None, *, right: bool) -> None:
    assert names_it(policy, (suspicion,) if suspicion else ()) is right


def test_the_whole_in_small_and_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = load("digits")
    split = Split(whole.train.select(torch.arange(400)), whole.test.select(torch.arange(100)))
    short = TrainSpec(epochs=1, batch_size=32)
    few = []
    for animal in animals(ZooSpec("digits", 1, 1)):
        cell = replace(animal.cell, train=short)
        twin = replace(animal.twin, train=short) if animal.twin else None
        if animal.family in ("square", "twin") and animal.half == "dev":
            few.append(replace(animal, cell=cell, twin=twin))
    monkeypatch.setattr(audit_bench, "animals", lambda _: tuple(few[:2]))
    make = partial(_build, ModelSpec.fitting(split.train, "badnet_cnn"))
    recipe = PopulationRecipe("badnet_cnn", split.train.digest, split.train.name, images=100, epochs=1)
    population = train_population(tmp_path / "population", recipe, split.train, make, 2, ManySession(1))
    spec = BenchSpec(
        ZooSpec("digits", 1, 1), recipe.key, 2, settings=Settings(samples=1), skip=("dormant", "inversion", "pairs")
    )
    place, folder = Place(Inline()), RunFolder(tmp_path / "run")
    result = run(spec, split, population, folder, place, Quiet())
    assert [(one.family, one.works is None) for one in result.models] == [("square", False), ("twin", True)]
    assert {one.verdict.word for one in result.models} == {"undecided"}  # two references are too few
    assert (tmp_path / "population" / "statistics").is_dir()
    assert parse_json(BenchResult, canonical_json(result), "here") == result
    assert run(spec, split, population, folder, place, Quiet()) == result  # nothing is done twice
    with pytest.raises(InputError, match="name the population of the first call"):
        run(replace(spec, references=3), split, population, folder, place, Quiet())
    with pytest.raises(InputError, match="holds"):
        run(replace(spec, alpha=0.1), split, population, folder, place, Quiet())
    with pytest.raises(InputError, match="the zoo is of photo_cnn, the references are badnet_cnn"):
        run(replace(spec, zoo=replace(spec.zoo, model="photo_cnn")), split, population, folder, place, Quiet())
    with pytest.raises(InputError, match="dev, sealed or both"):
        replace(spec, halves=())


def _build(spec: ModelSpec, seed: int) -> nn.Module:
    return build(spec, seed=seed)
