"""The repair of a suspect model: what is unlearned, what is refused, and what is left alone."""

from __future__ import annotations

import inspect
from dataclasses import replace
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from tests.audit import planted
from tests.audit.test_verdict import BACKDOORED, CLEAN, SUSPICION
from tests.defenses.planted import TARGET, Planted, quadrants, right, success
from torch import nn

from badnets.artifacts import canonical_json, parse_json
from badnets.audit import Verdict
from badnets.audit.digest import tensors_digest
from badnets.audit.objectives import Objective
from badnets.audit.verdict import Reach, Suspicion
from badnets.data import ImageSet
from badnets.defenses.repair import REPAIRS, UnlearnSpec
from badnets.errors import InputError
from badnets.studies import repairing
from badnets.studies.recovering import AsPolicy, guess, objective_of, recover, remainders
from badnets.studies.repair_report import RepairOptions, RepairReport
from badnets.studies.repairing import Finding, Known, repair
from badnets.training import TrainSpec
from badnets.training.spec import Augment
from badnets.triggers import SinglePixel

CLEAN_IMAGES = quadrants(400)
TEST = quadrants(200, seed=9)
PIXEL = SinglePixel(27, 27)
OPTIONS = RepairOptions(images=200)


def finding(model: nn.Module, verdict: Verdict = BACKDOORED, **changes: Any) -> Finding:  # noqa: ANN401 - fields of a verdict
    suspicion = replace(SUSPICION, target=TARGET, reach=Reach(99, 100, 0.94, 1.0, 0.1))
    word = {"suspicions": (suspicion,)} if verdict.word == "backdoored" else {}
    digest = tensors_digest(model.state_dict())
    found = replace(verdict, model=replace(verdict.model, digest=digest), **(word | changes))
    return Finding(found, {"trigger-1.json": PIXEL})


@pytest.fixture
def audited_again(monkeypatch: pytest.MonkeyPatch) -> list[Verdict]:
    """What the audit says, each time it is asked; the last word stays."""
    words = [CLEAN]

    def audit(model: nn.Module, clean: object, **_: object) -> SimpleNamespace:
        del clean
        verdict = words[0] if len(words) == 1 else words.pop(0)
        return SimpleNamespace(verdict=finding(model, verdict).verdict, triggers={"trigger-1.json": PIXEL})

    monkeypatch.setattr(repairing, "audit", audit)
    return words


@pytest.fixture
def by_large_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """The planted weights are large, and no gradient leads to a channel that sleeps: what the audit found must do."""
    train = TrainSpec(epochs=60, batch_size=32, learning_rate=0.05, augment=Augment())
    monkeypatch.setattr(repairing, "UnlearnSpec", partial(UnlearnSpec, train=train))
    monkeypatch.setattr(repairing, "recover", lambda *_: ())


@pytest.mark.usefixtures("by_large_steps")
def test_what_the_audit_recovered_is_unlearned(audited_again: list[Verdict]) -> None:
    del audited_again
    model = Planted()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    options = replace(OPTIONS, loss=0.02)
    done = repair(model, CLEAN_IMAGES, known=Known(finding=finding(model)), options=options)
    report = done.report
    assert (report.outcome, report.method, report.exit_code) == ("repaired", "unlearning", 0), report.reason
    assert report.images == 200
    assert report.before.total == report.after.total == 240  # a fifth of 200 is held out, 200 are others
    (moved,) = report.moved
    assert moved.before.value == 1
    assert moved.after.value <= repairing.MOVED
    assert moved.before.total == 180
    assert report.relearned is not None
    assert isinstance(done.model, Planted)
    assert success(done.model, TEST) < 0.1
    assert right(done.model, TEST) > 0.97
    assert report.repaired == tensors_digest(done.model.state_dict()) != report.model
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    assert parse_json(RepairReport, canonical_json(report), "test") == report


def test_it_audits_first_and_again(audited_again: list[Verdict]) -> None:
    audited_again[:] = [BACKDOORED, CLEAN]
    done = repair(Planted(), CLEAN_IMAGES, options=replace(OPTIONS, method="fine-pruning"))
    assert (done.report.first.word, done.report.outcome) == ("backdoored", "repaired"), done.report.reason
    assert done.report.second is not None
    assert done.report.second.word == "clean"
    assert done.report.moved[0].after.value < 0.05


def test_a_model_that_came_out_worse_is_refused(audited_again: list[Verdict]) -> None:
    """A few small steps do not reach the planted channel: the trigger works as before, and the audit finds it again."""
    audited_again[:] = [BACKDOORED]
    model = Planted()
    options = replace(OPTIONS, method="fine-tuning")
    done = repair(model, CLEAN_IMAGES, known=Known(finding=finding(model)), options=options)
    assert done.model is None
    assert (done.report.outcome, done.report.exit_code) == ("refused", 1)
    assert "still moves 100.0% of held-out images; the audit still finds a backdoor" in done.report.reason
    marked = repair(
        model, CLEAN_IMAGES, known=Known(finding=finding(model)), options=replace(options, even_if_worse=True)
    )
    assert isinstance(marked.model, Planted)
    assert (marked.report.outcome, marked.report.exit_code) == ("worse", 1)


def test_lost_accuracy_is_refused(audited_again: list[Verdict], monkeypatch: pytest.MonkeyPatch) -> None:
    del audited_again
    fine_tuning = REPAIRS["fine-tuning"]

    def ruined(*args: Any, **options: Any) -> object:  # noqa: ANN401 - as the repair takes them
        done = fine_tuning(*args, **options)
        with torch.no_grad():
            done.model.get_parameter("model.fc.weight").zero_()
        return done

    monkeypatch.setitem(REPAIRS, "fine-tuning", ruined)
    model = Planted()
    options = replace(OPTIONS, method="fine-tuning")
    report = repair(model, CLEAN_IMAGES, known=Known(finding=finding(model)), options=options).report
    assert report.outcome == "refused"
    assert "points of accuracy, 1 are allowed" in report.reason
    assert report.loss > 0.4


def test_a_model_without_a_finding_is_left_alone(audited_again: list[Verdict]) -> None:
    model = Planted()
    done = repair(model, CLEAN_IMAGES, options=OPTIONS)
    assert done.model is model
    assert (done.report.outcome, done.report.method, done.report.repaired) == ("left", "", "")
    assert done.report.exit_code == 0
    assert done.report.loss == 0
    audited_again[:] = [replace(CLEAN, word="undecided")]
    assert repair(model, CLEAN_IMAGES, options=OPTIONS).report.exit_code == 2


def test_anyway_takes_a_method_that_needs_no_trigger(audited_again: list[Verdict]) -> None:
    del audited_again
    report = repair(Planted(), CLEAN_IMAGES, options=replace(OPTIONS, anyway=True, loss=1.0)).report
    assert (report.outcome, report.method) == ("repaired", repairing.TRIGGER_FREE)
    assert report.moved == ()
    assert report.relearned is None


@pytest.mark.parametrize(
    ("changes", "options", "message"),
    [
        ({"suspicions": (replace(SUSPICION, mapping="unknown"),)}, {"method": "unlearning"}, "nothing to unlearn: try"),
        ({}, {"method": "anp"}, "anp works on batch normalisation, and this network has none"),
        ({"p_how": "structure"}, {}, "no repair of weights removes"),
    ],
)
def test_what_cannot_be_repaired_is_told_in_one_line(
    changes: dict[str, Any], options: dict[str, Any], message: str, audited_again: list[Verdict]
) -> None:
    del audited_again
    model = Planted()
    with pytest.raises(InputError, match=message):
        repair(model, CLEAN_IMAGES, known=Known(finding=finding(model, **changes)), options=replace(OPTIONS, **options))


def test_a_verdict_of_another_model_is_refused() -> None:
    other = finding(nn.Linear(2, 2))
    with pytest.raises(InputError, match="the verdict is of another model"):
        repair(Planted(), CLEAN_IMAGES, known=Known(finding=other), options=OPTIONS)


def test_nobody_can_hand_it_the_attack() -> None:
    names = set(inspect.signature(repair).parameters)
    assert names == {"model", "clean", "known", "options", "watch"}
    fields = set(Known.__dataclass_fields__) | set(RepairOptions.__dataclass_fields__)
    assert not {"trigger", "policy", "target", "attack", "test"} & fields


@pytest.mark.parametrize(
    "wrong", [{"method": "prayer"}, {"loss": 2.0}, {"images": 1}, {"poisons": 0}, {"loss": float("nan")}]
)
def test_options_that_make_no_sense(wrong: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        RepairOptions(**wrong)


def suspicion(mapping: str, **fields: Any) -> Suspicion:  # noqa: ANN401 - fields of a suspicion
    return Suspicion("inversion", mapping, "", **fields)  # type: ignore[arg-type]


def test_suspicions_become_objectives_and_policies() -> None:
    assert objective_of(suspicion("all-to-one", target=3)) == Objective("target", target=3)
    assert objective_of(suspicion("shift", shift=2)) == Objective("shift", shift=2)
    assert objective_of(suspicion("pairs", target=3, sources=(7,))) == Objective("pair", target=3, source=7)
    assert objective_of(suspicion("untargeted")) == Objective("untargeted")
    for silent in (suspicion("unknown"), suspicion("all-to-one"), suspicion("pairs", target=1, sources=(2, 3))):
        assert objective_of(silent) is None
    labels, stream = torch.arange(10).repeat(20), torch.Generator().manual_seed(0)
    shift = AsPolicy(Objective("shift", shift=3))
    wanted = shift.relabel(labels, 10, stream)
    assert torch.equal(wanted, (labels + 3) % 10)
    assert bool(shift.success(wanted, labels, 10).all())
    anything = AsPolicy(Objective("untargeted")).relabel(labels, 10, stream)
    assert bool((anything != labels).all())
    assert len(anything.unique()) == 10


@pytest.mark.parametrize(
    ("model", "objective"),
    [
        (planted.all_to_one(2), Objective("target", target=2)),
        (planted.all_to_all(), Objective("shift", shift=1)),
        (planted.one_pair(1, 3), Objective("pair", source=1, target=3)),
    ],
    ids=["all-to-one", "all-to-all", "pair"],
)
def test_the_mapping_is_guessed_recovered_and_gone_once_repaired(model: nn.Module, objective: Objective) -> None:
    images, labels = planted.bars(per=12)
    names = tuple("abcd")
    clean = ImageSet((255 * images).round().to(torch.uint8), labels, names, "bars")
    assert guess(model, clean, 0) == objective
    found = recover(model, clean, (objective,), 0)
    assert {one.form for one in found} == {"patch", "additive"}
    search = remainders((objective,), found, 0)
    assert search(model, clean, 1)
    # Without a backdoor a brighter row still does it, a change hardly larger than the planted one; no small patch does.
    assert not [one for one in search(planted.Bars(), clean, 1) if one.form == "patch"]
