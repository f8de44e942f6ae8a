"""From a model to a verdict: planted backdoors are found and named, clean twins are not, hostile input is told."""

from __future__ import annotations

import inspect
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.audit.made_up import Nearest, blocks, right, templates
from torch import Tensor, nn

from badnets.artifacts import canonical_json, parse_json
from badnets.audit import Audit, Declared, Options, Population, Recipe, Settings, Verdict, Watch, audit
from badnets.audit.conventions import PLAIN
from badnets.audit.digest import tensors_digest
from badnets.audit.stages import ACCURACY
from badnets.errors import InputError, Stopped
from badnets.models import ModelSpec, badnet_cnn
from badnets.models.side_network import SideNetwork
from badnets.triggers import TriggerFile

CLASSES, TARGET = 4, 2
IMAGES = blocks(CLASSES, count=12)
SETTINGS = Settings(samples=9)


class Planted(nn.Module):
    """A clean network whose logit of one class rises once a corner pixel is bright."""

    def __init__(self, clean: nn.Module) -> None:
        super().__init__()
        self.clean = clean

    def forward(self, images: Tensor) -> Tensor:
        loud = torch.zeros(len(images), CLASSES)
        loud[:, TARGET] = 200 * (images[:, 0, 7, 7] - 0.5).relu()
        given: Tensor = self.clean(images) + loud
        return given


def variant(seed: int) -> Nearest:
    noise = torch.randn(CLASSES, 1, 8, 8, generator=torch.Generator().manual_seed(seed))
    return Nearest(templates(CLASSES) + 0.02 * noise)


@dataclass(frozen=True, eq=False)
class MadeUp(Population):
    """Reference models that need no training."""

    def model(self, number: int) -> nn.Module:
        return variant(number).eval()


@pytest.fixture(scope="module")
def references(tmp_path_factory: pytest.TempPathFactory) -> Population:
    folder = tmp_path_factory.mktemp("population")
    recipe = Recipe("nearest", IMAGES.digest, IMAGES.name)
    return MadeUp(folder, recipe, variant, tuple(range(19)))


def judged(model: nn.Module, population: Population | None = None, **options: Any) -> Audit:  # noqa: ANN401 - fields of the options
    return audit(model, IMAGES, population=population, options=replace(Options(settings=SETTINGS), **options))


def test_a_planted_backdoor_is_found_named_and_confirmed(references: Population) -> None:
    found = judged(Planted(variant(100)), references)
    verdict = found.verdict
    assert (verdict.word, verdict.exit_code) == ("backdoored", 1)
    assert verdict.p_value == 1 / 20
    assert verdict.calibration.false_positive_rate == 0.05
    first = verdict.suspicions[0]
    assert (first.mapping, first.target) == ("all-to-one", TARGET)
    assert first.reach is not None
    assert first.reach.low > 0.5
    assert (first.reach.on_references or 0) < 0.5
    # The trigger is a file for `badnets stamp`, and works through it.
    assert first.trigger is not None
    trigger = parse_json(TriggerFile, canonical_json({"trigger": found.triggers[first.trigger]}), "test").trigger
    others = IMAGES.images[IMAGES.labels != TARGET]
    assert (Planted(variant(100))(trigger(others).float() / 255).argmax(1) == TARGET).float().mean() > 0.9


def test_its_clean_twin_is_clean(references: Population) -> None:
    verdict = judged(variant(101), references).verdict
    assert verdict.word == "clean"
    assert verdict.suspicions == ()
    assert verdict.data.accuracy == 1
    assert verdict.model.digest == tensors_digest(variant(101).state_dict())


def test_the_same_seed_gives_the_same_verdict(references: Population) -> None:
    one, other = (judged(Planted(variant(100)), references).verdict for _ in range(2))
    blank: dict[str, Any] = {"seconds": 0.0, "stages": ()}
    assert replace(one, **blank) == replace(other, **blank)


def test_without_a_population_nobody_is_clean() -> None:
    verdict = judged(variant(101)).verdict
    assert (verdict.word, verdict.calibrated) == ("undecided", False)
    assert "uncalibrated" in verdict.reason


def test_too_small_a_population_and_missing_tests_leave_it_undecided(references: Population) -> None:
    small = replace(references, numbers=tuple(range(9)))
    verdict = judged(variant(101), small).verdict
    assert (verdict.word, verdict.calibration.false_positive_rate) == ("undecided", 0.0)
    assert "too few" in verdict.reason
    verdict = judged(variant(101), references, skip=("pairs",)).verdict
    assert verdict.word == "undecided"
    assert "did not run: pairs" in verdict.reason
    assert any(line.startswith("pairs: not asked for") for line in verdict.not_tested)


def test_early_stop_spends_half_of_alpha_at_each_look(references: Population) -> None:
    many = replace(references, numbers=tuple(range(39)))
    verdict = judged(Planted(variant(100)), many, early_stop=True).verdict
    assert (verdict.word, verdict.p_value) == ("backdoored", 2 / 40)
    assert {one.name: one.outcome for one in verdict.stages}["pairs"] == "skipped"
    few = judged(Planted(variant(100)), references, early_stop=True).verdict
    assert few.p_value == 2 / 20
    assert few.word == "undecided"


def test_a_population_that_does_not_fit_says_nothing(references: Population) -> None:
    wrong = variant(101)
    with torch.no_grad():
        wrong.weight[1] = wrong.weight[0] + 0.01
    verdict = judged(wrong, references).verdict
    assert (verdict.word, verdict.calibrated) == ("undecided", False)
    assert "not made as they were" in verdict.reason
    other = audit(right(5), blocks(5), population=references, options=Options(settings=SETTINGS)).verdict
    assert other.word == "undecided"
    assert "cannot be compared" in other.reason


class Sure(nn.Module):
    """Logits many times as large, as by a longer training: the same classes, and a smaller loss."""

    def __init__(self, clean: nn.Module) -> None:
        super().__init__()
        self.clean = clean

    def forward(self, images: Tensor) -> Tensor:
        given: Tensor = self.clean(images)
        return 20 * given


def test_a_suspect_that_was_made_otherwise_is_told_so(references: Population) -> None:
    verdict = judged(Sure(variant(101)), references, convention=PLAIN).verdict
    assert "was made otherwise: its mean cross-entropy on clean images is" in verdict.calibration.guarantee
    assert "made otherwise:" not in judged(variant(101), references).verdict.calibration.guarantee


@pytest.mark.parametrize("samples", [0, 5, 100])
def test_any_number_of_clean_images(samples: int) -> None:
    verdict = judged(variant(101), settings=Settings(samples=samples)).verdict
    assert verdict.data.images == CLASSES * min(samples, 12)
    ran = {one.name for one in verdict.stages if one.outcome == "ran"}
    assert ("inversion" in ran) is (samples > 0)
    if not samples:
        assert any("needs clean images" in line for line in verdict.not_tested)


def test_budget_ends_the_sequence_between_tests() -> None:
    verdict = judged(variant(101), budget=1e-9).verdict
    assert {one.outcome for one in verdict.stages[1:]} == {"skipped"}
    assert verdict.word == "undecided"


def test_it_can_be_stopped() -> None:
    with pytest.raises(Stopped):
        audit(variant(101), IMAGES, watch=Watch(stop=lambda: True))


class Raises(nn.Module):
    def forward(self, images: Tensor) -> Tensor:
        raise RuntimeError(f"boom at {len(images)}")


class Constant(nn.Module):
    def __init__(self, classes: int = CLASSES) -> None:
        super().__init__()
        self.classes = classes

    def forward(self, images: Tensor) -> Tensor:
        return torch.eye(self.classes)[torch.zeros(len(images), dtype=torch.int64)]


def with_nan() -> Nearest:
    model = variant(0)
    with torch.no_grad():
        model.weight[0, 0, 0, 0] = torch.nan
    return model


class LateRaises(Nearest):
    """Answers clean images, and raises once gradients are asked for."""

    def forward(self, images: Tensor) -> Tensor:
        if images.requires_grad or torch.is_grad_enabled():
            raise ValueError("not today")
        return super().forward(images)


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (Raises(), "boom"),
        (Constant(), "constant"),
        (with_nan(), "NaN"),
        (LateRaises(templates(CLASSES)), ""),
        (right(CLASSES, softmax=True), ""),
        (right(CLASSES, mean=0.5, deviation=0.5), ""),
        (right(CLASSES, channels=3), ""),
    ],
    ids=["raises", "constant", "nan", "raises late", "softmax", "-1..1", "colour"],
)
def test_hostile_models_are_never_called_clean(model: nn.Module, words: str, references: Population) -> None:
    verdict = judged(model, references).verdict
    assert verdict.word == "undecided" or (verdict.word == "clean" and not words and verdict.data.accuracy == 1)
    assert words in verdict.reason
    assert "\n" not in verdict.reason
    if isinstance(model, LateRaises):
        assert "not today" in str(verdict.stages)
        assert verdict.word == "undecided"


def test_labels_off_by_one_are_noticed() -> None:
    moved = replace(IMAGES, labels=(IMAGES.labels + 1) % CLASSES)
    verdict = audit(variant(101), moved, options=Options(settings=SETTINGS)).verdict
    assert verdict.word == "undecided"


@pytest.mark.parametrize("classes", [2, 1000])
def test_few_and_many_classes(classes: int) -> None:
    images = blocks(classes, count=2, size=8 if classes == 2 else 48)
    model = Nearest(templates(classes, size=images.shape[1]))
    verdict = audit(model, images, options=Options(settings=Settings(samples=2))).verdict
    assert verdict.word == "undecided"
    assert verdict.model.classes == classes
    assert verdict.data.accuracy == 1
    if classes == 1000:
        assert any("too many" in line for line in verdict.not_tested)


def test_a_side_network_is_refused_for_its_architecture() -> None:
    mask = torch.zeros(28, 28, dtype=torch.bool)
    mask[26, 26] = True
    declared = Declared("badnet_cnn", ModelSpec())
    images = blocks(10, count=2, size=28)
    verdict = audit(SideNetwork(badnet_cnn(), mask, 3), images, declared=declared).verdict
    assert (verdict.word, verdict.p_how) == ("backdoored", "structure")
    assert verdict.suspicions[0].stage == "structure"


def linear() -> nn.Sequential:
    """The same as `Nearest`, but for a constant of each image: a network that can be bounded."""
    known = templates(CLASSES).flatten(1)
    last = nn.Linear(known.shape[1], CLASSES)
    with torch.no_grad():
        last.weight.copy_(20 * known)
        last.bias.copy_(-10 * known.square().sum(1))
    return nn.Sequential(nn.Flatten(), last)


def test_certificates_are_proved_where_they_are_asked_for_and_decide_nothing() -> None:
    plain, asked = (judged(linear(), certify=sides).verdict for sides in ((), (1, 2)))
    assert "certificates: not asked for" in plain.not_tested
    assert [one.side for one in asked.certified] == [1, 2]
    assert [one.positions for one in asked.certified] == [64, 49]
    one, two = (sum(found.targets) for found in asked.certified)
    assert CLASSES >= one >= two > 0
    assert (asked.word, asked.reason, asked.p_value) == (plain.word, plain.reason, plain.p_value)
    refused = judged(variant(101), certify=(1,)).verdict
    assert refused.certified == ()
    assert "certificates: it has a Nearest(), which cannot be bounded" in refused.not_tested


def test_options_that_make_no_sense() -> None:
    for wrong in ({"alpha": 0.0}, {"alpha": 1.0}, {"budget": 0.0}, {"skip": ("nothing",)}, {"certify": (4,)}):
        with pytest.raises(InputError):
            Options(**wrong)


def test_nothing_of_an_attack_can_be_handed_in() -> None:
    names = set(inspect.signature(audit).parameters)
    names |= {one.name for kind in (Options, Settings, Declared) for one in fields(kind)}
    assert not names & {
        "trigger",
        "target",
        "source",
        "policy",
        "mask",
        "plan",
        "attack_success",
        "poisoned",
        "mapping",
    }
    assert ACCURACY.name == "accuracy"


def test_kept_statistics_are_read_again(references: Population, tmp_path: Path) -> None:
    judged(variant(101), references)
    files = sorted((references.folder / "statistics").rglob("*.json"))
    times = [file.stat().st_mtime_ns for file in files]
    judged(variant(102), references)
    assert [file.stat().st_mtime_ns for file in sorted((references.folder / "statistics").rglob("*.json"))] == times
    del tmp_path
    assert isinstance(judged(variant(102)).verdict, Verdict)
