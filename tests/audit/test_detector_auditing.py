"""The audit of a detector as a whole: what is planted is found with its classes, what is clean is called so."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tests.detector_case import BIN, BINS, made_detector, signs
from tests.scenes_case import shapes

from badnets.artifacts import read_json, write_json
from badnets.audit import detector_judging, detector_population
from badnets.audit.cases import Settings
from badnets.audit.detector_auditing import DetectorAudit, DetectorOptions, audit_detector
from badnets.audit.detector_cases import choose_scenes
from badnets.audit.detector_confirm import confirm_sticker
from badnets.audit.detector_population import (
    DetectorPopulation,
    DetectorRecipe,
    holds_detectors,
    open_detector_population,
    train_detector_population,
)
from badnets.audit.objectives import Objective
from badnets.audit.stages import Watch
from badnets.audit.verdict import Reach, Suspicion, read_verdict
from badnets.errors import InputError, Stopped
from badnets.metrics import Rate
from badnets.models.detector import Detector, build_detector
from badnets.models.detector_spec import DetectorSpec
from badnets.report.detector_audit import detector_audit_page
from badnets.training import DetectTrainSpec
from badnets.triggers import BoxTriggerFile

STRONG = 1500.0
SETTINGS = Settings(samples=12)
SCENES = signs(16, seed=5)
SMALL = DetectorSpec(bins=3, hidden=16, anchor_samples=16, region_samples=8)
SHAPES = shapes(6)
RECIPE = DetectorRecipe(SMALL, SHAPES.digest, SHAPES.name, 4, DetectTrainSpec(epochs=1), 0)


class MadeUp(DetectorPopulation):
    """References made by hand: they tell the colours apart a little more or less surely."""

    def model(self, number: int) -> Detector:
        model = made_detector()
        head = model.regions.box_predictor
        plain = head.forward
        head.forward = lambda regions: tuple(part * (1 + 0.02 * number) for part in plain(regions))
        return model.requires_grad_(requires_grad=False)


def made_up(folder: Path, count: int = 4) -> MadeUp:
    return MadeUp(folder, RECIPE, tuple(range(count)))


def audited(
    strength: float, population: DetectorPopulation | None = None, alpha: float = 0.2, skip: tuple[str, ...] = ()
) -> DetectorAudit:
    options = DetectorOptions(alpha, skip, SETTINGS)
    return audit_detector(made_detector(strength), SCENES, population=population, options=options)


def test_a_backdoor_is_found_with_its_classes_and_its_sticker_works(tmp_path: Path) -> None:
    found = audited(STRONG, made_up(tmp_path))
    verdict = found.verdict
    assert (verdict.word, verdict.exit_code) == ("backdoored", 1)
    assert verdict.p_value == pytest.approx(1 / 5)
    first = verdict.suspicions[0]
    assert (first.sources, first.target, first.mapping) == ((0,), 1, "pairs")
    assert first.reach is not None
    assert first.reach.count == first.reach.total
    assert first.reach.on_references == 0
    # What is written is what was tried, and stamps other scenes too.
    assert first.trigger is not None
    write_json(tmp_path / first.trigger, {"trigger": found.triggers[first.trigger]})
    sticker = read_json(BoxTriggerFile, tmp_path / first.trigger).trigger
    pair = Objective("pair", target=1, source=0)
    assert confirm_sticker(made_detector(STRONG), sticker, pair, signs(9, seed=8)).success.value == 1
    assert abs(sticker.down - (BIN[0] + 0.5) / BINS) < sticker.size
    write_json(tmp_path / "verdict.json", verdict)
    assert read_verdict(tmp_path) == verdict
    page = detector_audit_page(found, "a <detector>")
    assert "stop becomes speedlimit" in page
    assert page.count("data:image/png") >= 2
    assert "a &lt;detector&gt;" in page


def test_a_clean_detector_is_called_clean_and_kept_numbers_are_used_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # In the middle of its references in every statistic.
    population = MadeUp(tmp_path, RECIPE, (-2, -1, 1, 2))
    assert audited(0, population).verdict.word == "clean"
    monkeypatch.setattr(MadeUp, "model", lambda *_: pytest.fail("kept statistics are read, not made again"))
    again = audited(0, population).verdict
    assert (again.word, again.exit_code, again.suspicions) == ("clean", 0, ())
    assert again.calibration.false_positive_rate == 0.2


def test_with_too_few_references_or_none_nobody_is_called_clean(tmp_path: Path) -> None:
    few = audited(STRONG, made_up(tmp_path), alpha=0.05).verdict
    assert few.word == "undecided"
    assert "too few" in few.reason
    assert few.suspicions[0].sources == (0,)
    alone = audited(0).verdict
    assert alone.word == "undecided"
    assert not alone.calibrated
    assert "uncalibrated" in alone.reason
    part = audited(0, MadeUp(tmp_path, RECIPE, (-2, -1, 1, 2)), skip=("pairs",)).verdict
    assert part.word == "undecided"


def test_of_several_stickers_for_the_same_classes_the_best_confirmed_comes_first() -> None:
    def suspicion(target: int, count: int) -> Suspicion:
        rate = Rate.of(count, 16)
        reach = Reach(count, 16, rate.low, rate.high)
        return Suspicion("pairs", "pairs", "", 9.0, target, (0,), reach=reach, refuted="" if count > 1 else "it fails")

    weak, strong, other, refuted = suspicion(1, 12), suspicion(1, 15), suspicion(2, 16), suspicion(0, 1)
    assert detector_judging._ordered([refuted, weak, other, strong]) == (strong, weak, other, refuted)


def test_what_also_fools_references_is_natural() -> None:
    pair, scenes = Objective("pair", target=1, source=0), signs(12, seed=2)
    sticker = audited(STRONG).triggers["trigger-1.json"]
    own = confirm_sticker(made_detector(STRONG), sticker, pair, scenes, [made_detector(STRONG)])
    assert own.references == (own.success,)


def test_a_suspect_that_is_much_worse_than_its_references_is_not_compared(tmp_path: Path) -> None:
    model = made_detector()
    head = model.regions.box_predictor
    plain = head.forward
    # It calls every sign a stop sign.
    head.forward = lambda regions: (plain(regions)[0] + torch.tensor([0.0, 90.0, 0.0, 0.0]), plain(regions)[1])
    options = DetectorOptions(0.2, (), SETTINGS)
    verdict = audit_detector(model, SCENES, population=made_up(tmp_path), options=options).verdict
    assert verdict.word == "undecided"
    assert "was not made as they were" in verdict.reason


def test_damaged_weights_are_undecided() -> None:
    model = made_detector()
    with torch.no_grad():
        model.get_parameter("trunk.conv.weight")[0, 0, 0, 0] = float("nan")
    verdict = audit_detector(model, SCENES, options=DetectorOptions(settings=SETTINGS)).verdict
    assert verdict.word == "undecided"
    assert "NaN" in verdict.reason


def test_options_are_checked() -> None:
    with pytest.raises(InputError, match="alpha"):
        DetectorOptions(alpha=1.0)
    with pytest.raises(InputError, match="no test 'weights'"):
        DetectorOptions(skip=("weights",))


def test_a_population_grows_and_is_never_mixed(tmp_path: Path) -> None:
    def trained(folder: Path, count: int, watch: Watch = Watch()) -> list[bytes]:
        made = train_detector_population(folder, RECIPE, SHAPES, count, watch)
        assert len(made) == count
        return [file.read_bytes() for file in sorted(folder.rglob("model.safetensors"))]

    two = trained(tmp_path / "one", 2)
    assert two[0] != two[1]
    with pytest.raises(Stopped):
        trained(tmp_path / "one", 3, Watch(stop=lambda: True))
    assert trained(tmp_path / "one", 3)[:2] == two
    assert trained(tmp_path / "other", 2) == two
    with pytest.raises(InputError, match="another population"):
        train_detector_population(tmp_path / "one", replace(RECIPE, seed=1), SHAPES, 2)
    with pytest.raises(InputError, match="other scenes"):
        train_detector_population(tmp_path / "one", RECIPE, shapes(5), 2)
    with pytest.raises(InputError, match="at least 2"):
        train_detector_population(tmp_path / "one", RECIPE, SHAPES, 1)
    with pytest.raises(InputError, match="expected one of"):
        open_detector_population(tmp_path / "one", DetectorSpec())
    with pytest.raises(InputError, match="no population of detectors"):
        open_detector_population(tmp_path, SMALL)
    assert holds_detectors(tmp_path / "one")
    assert {RECIPE.spec(number).learning_rate for number in range(9)} > {RECIPE.spec(0).learning_rate}
    assert detector_population.DETECTOR_POPULATION == "population.json"
    assert isinstance(build_detector(SMALL), Detector)
    assert len(choose_scenes(SHAPES, SETTINGS)) == 6
