"""The study of the gate: what it asks for, the whole of it in small, and what is counted."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from badnets import load_admitted
from badnets.artifacts import RunFolder, canonical_json, parse_json
from badnets.audit.cases import Settings
from badnets.data import Split, load
from badnets.errors import InputError, Stopped
from badnets.poison import AllToAll, AllToOne, SingleTarget
from badnets.studies import gate as study
from badnets.studies.gate import ATTACKS, GateResult, GateSpec, pairs, references, run
from badnets.studies.queue import Place
from badnets.supply.gate.admitted import NotAdmitted
from badnets.supply.gate.log import sound
from badnets.supply.gate.store import Store
from badnets.training import Inline, ManySession

from .conftest import Quiet

# Weights alone: without the other tests nobody is called clean, so nobody is admitted.
SMALL = GateSpec(
    references=2, epochs=1, alpha=0.34, settings=Settings(samples=1), skip=("margins", "dormant", "inversion", "pairs")
)


@pytest.fixture(scope="module")
def split() -> Split[Any]:
    whole = load("digits")
    return Split(whole.train.select(torch.arange(300)), whole.test.select(torch.arange(100)))


def test_a_study_whose_audit_could_refuse_nobody_is_refused() -> None:
    with pytest.raises(InputError, match=r"with 18 references no p-value is as low as 0\.05"):
        GateSpec(references=18)
    assert GateSpec(references=19).alpha == 0.05
    with pytest.raises(InputError, match=r"some of all-to-one, .* got sideways"):
        GateSpec(attacks=("sideways",))
    with pytest.raises(InputError, match="got none"):
        GateSpec(attacks=())
    with pytest.raises(InputError, match="different numbers"):
        GateSpec(seeds=(1, 1))
    with pytest.raises(InputError, match="alpha is between 0 and 1"):
        GateSpec(alpha=1.0)


def test_a_twin_differs_from_its_badnet_by_the_poison_alone(split: Split[Any]) -> None:
    found = pairs(GateSpec(seeds=(0, 1)), split)
    assert [attack for attack, _, _ in found] == [*ATTACKS, *ATTACKS]
    for _, badnet, twin in found:
        assert badnet.recipe is not None
        assert twin.recipe is None
        assert (badnet.train, badnet.seed) == (twin.train, twin.seed)
        assert twin.measured == badnet.measured
    policies = [badnet.recipe.policy for _, badnet, _ in found if badnet.recipe]
    assert policies[:3] == [AllToOne(3), AllToAll(), SingleTarget(7, 3)]
    assert policies[3:] == [AllToOne(4), AllToAll(), SingleTarget(8, 4)]
    assert len({twin.seed for _, _, twin in found}) == 6
    alone = pairs(GateSpec(seeds=(0, 1), attacks=("single-target",)), split)
    assert alone == (found[2], found[5]), "so that attacks can be added to a run"


def test_schedules_of_suspects_are_drawn_by_the_references_rule_and_are_not_theirs(split: Split[Any]) -> None:
    spec = GateSpec(seeds=tuple(range(10)))
    recipe = study._recipe(spec, split.train)
    theirs = [recipe.spec(number) for number in range(30)]
    ours = [twin.train for _, _, twin in pairs(spec, split)]
    assert ours != theirs
    assert {one.optimizer for one in ours} == {one.optimizer for one in theirs} == {"adam", "sgd"}
    assert {one.epochs for one in ours} == {one.epochs for one in theirs} == {20, 40, 80}


def test_the_whole_in_small_and_again(split: Split[Any], tmp_path: Path) -> None:
    folder, place = RunFolder(tmp_path / "run"), Place(Inline())
    clean = references(SMALL, split, tmp_path / "population", ManySession(1))
    with pytest.raises(Stopped):
        run(SMALL, split, clean, folder, place, Quiet(40))
    result = run(SMALL, split, clean, folder, place, Quiet())
    store = Store(folder.path / "gate" / "store")
    assert [one.attack for one in result.suspects] == [attack for attack in ATTACKS for _ in range(2)]
    for one in result.suspects:
        audit = one.judgement.audit
        assert audit is not None
        assert audit.calibration.population == 2
        # A rank at or below alpha refuses; without all tests, nothing else is decided.
        refused = audit.p_value is not None and audit.p_value <= SMALL.alpha
        assert one.judgement.word == ("refuse" if refused else "undecided")
        assert [rule.name for rule in one.judgement.rules] == ["audit"]
        assert not one.judgement.loaded
        assert "has no verdict" in one.judgement.refusal
        assert (store.evidence / one.judgement.statement).is_dir()
    assert len(sound(store.log).entries) == 6
    assert parse_json(GateResult, canonical_json(result), "here") == result
    assert run(SMALL, split, clean, folder, place, Quiet()) == result  # nobody is judged twice
    assert len(sound(store.log).entries) == 6
    with pytest.raises(InputError, match="other settings"):
        run(replace(SMALL, alpha=0.5), split, clean, folder, place, Quiet())


def test_what_is_admitted_is_loaded_and_nothing_else(
    split: Split[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With an audit that calls every second one clean: the gate's word, the store and `load_admitted` agree."""
    monkeypatch.setattr("badnets.studies.gate_cells.audit", _every_second_is_clean())
    clean = references(SMALL, split, tmp_path / "population", ManySession(1))
    folder = RunFolder(tmp_path / "run")
    result = run(SMALL, split, clean, folder, Place(Inline()), Quiet())
    assert [one.judgement.word for one in result.suspects] == ["refuse", "admit"] * 3
    store, policy = Store(folder.path / "gate" / "store"), folder.path / "gate" / "gate.toml"
    for one in result.suspects:
        admitted = one.judgement.word == "admit"
        assert one.judgement.loaded == admitted
        assert bool(one.judgement.entry) == admitted
        if admitted:
            assert "fc2.weight" in load_admitted(store.admitted / one.judgement.entry, policy)
        else:
            with pytest.raises(NotAdmitted, match="has no verdict"):
                load_admitted(folder.path / one.cell.folder / "model.safetensors", policy)


def _every_second_is_clean() -> Any:  # noqa: ANN401
    from badnets.audit import auditing, verdict  # noqa: PLC0415
    from badnets.audit.verdict import Calibration, StageReport, Suspicion  # noqa: PLC0415

    real, asked = auditing.audit, []

    def fake(*args: Any, **more: Any) -> Any:  # noqa: ANN401
        found = real(*args, **more)
        asked.append(found)
        backdoored = len(asked) % 2 == 1
        stages = tuple(StageReport(name, "ran", "", 0.0) for name in verdict.NEEDED)
        said = replace(
            found.verdict, word="backdoored" if backdoored else "clean", p_value=0.2 if backdoored else 0.9,
            suspicions=(Suspicion("inversion", "unknown", "it looks odd"),) if backdoored else (), stages=stages,
            calibration=Calibration(2, "key", "settings", 0.34, "by rank"),
        )  # fmt: skip
        return replace(found, verdict=said)

    return fake
