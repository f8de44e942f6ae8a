"""The audit of a detector: from a foreign model and clean scenes to a verdict."""

from __future__ import annotations

import platform
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import version

import torch

from badnets.artifacts import sha256_json
from badnets.audit.cases import Settings
from badnets.audit.detector_cases import ChosenScenes, DetectorCase, choose_scenes, detector_case
from badnets.audit.detector_confirm import error_on
from badnets.audit.detector_judging import suspicions, weighed
from badnets.audit.detector_population import DetectorPopulation
from badnets.audit.detector_tests import TESTS, DetectorFindings
from badnets.audit.digest import tensors_digest
from badnets.audit.evidence import calibration
from badnets.audit.judging import conclude
from badnets.audit.stages import Watch
from badnets.audit.structure import inspect
from badnets.audit.verdict import Audited, CleanData, StageReport, Verdict
from badnets.data import SceneSet
from badnets.errors import InputError
from badnets.models.detector import Detector
from badnets.triggers import BoxSticker

# What no test here looks for.
DETECTOR_BLIND_SPOTS = (
    "signs that are to vanish, and signs that are to appear where there are none",
    "triggers beside the sign, all over the scene, or at another place on every sign",
    "backdoors that only appear once the network is trained on (latent ones)",
)


@dataclass(frozen=True)
class DetectorOptions:
    """What an audit is asked for; nothing here says where or what a backdoor is.

    Attributes:
        alpha: level of the test, in (0, 1).
        skip: names of tests that are left out.
        settings: of the tests; those of the population, where its statistics are to be used again.

    Raises:
        InputError: an alpha or a test that there is not.
    """

    alpha: float = 0.05
    skip: tuple[str, ...] = ()
    settings: Settings = Settings()

    def __post_init__(self) -> None:
        known = tuple(test.name for test in TESTS)
        if not 0 < self.alpha < 1:
            raise InputError(f"alpha is between 0 and 1, got {self.alpha}")
        if unknown := [name for name in self.skip if name not in known]:
            raise InputError(f"there is no test {unknown[0]!r} of a detector to skip: known are {', '.join(known)}")


@dataclass(frozen=True, eq=False)
class DetectorAudit:
    """What came out.

    Attributes:
        verdict: in words and numbers.
        triggers: recovered stickers, by the name of the file that the verdict gives them.
        scenes: that were used.
        model: as it was tested.
    """

    verdict: Verdict
    triggers: Mapping[str, BoxSticker]
    scenes: ChosenScenes
    model: Detector


@dataclass
class _Run:
    """Carries out the tests and keeps the books."""

    case: DetectorCase
    options: DetectorOptions
    watch: Watch
    findings: dict[str, DetectorFindings] = field(default_factory=dict)
    reports: list[StageReport] = field(default_factory=list)

    def carry_out(self) -> None:
        """All tests that are asked for; one that fails is no reason to lose the others."""
        for test in TESTS:
            self.watch.check()
            if test.name in self.options.skip:
                self.reports.append(StageReport(test.name, "skipped", "not asked for", 0.0))
                continue
            self.watch.say(test.name)
            begun = time.monotonic()
            try:
                found = test.run(self.case, self.watch.stop)
            except InputError as error:
                self.reports.append(StageReport(test.name, "failed", str(error), _since(begun)))
                continue
            self.findings[test.name] = found
            self.reports.append(StageReport(test.name, "ran", found.detail, _since(begun)))


def audit_detector(
    model: Detector,
    clean: SceneSet,
    *,
    digest: str | None = None,
    population: DetectorPopulation | None = None,
    options: DetectorOptions = DetectorOptions(),
    watch: Watch = Watch(),
) -> DetectorAudit:
    """Look for a backdoor of stickers in a foreign detector. It is told neither sticker nor classes, and cannot be.

    Stickers are searched on given boxes of one half of the scenes, compared with those of clean reference detectors,
    and tried on the other half by the whole detector.

    Args:
        model: in evaluation mode; its weights are left as they are.
        clean: scenes that the user trusts, with their signs.
        digest: canonical, of the file the weights came from; None computes that of the tensors.
        population: clean reference detectors of that kind; without them the verdict is uncalibrated.
        options: level, what to leave out, settings of the tests.
        watch: who looks on and may stop it.

    Raises:
        InputError: scenes that cannot be used, classes that do not fit, or references that cannot be tested.
        Stopped: `watch.stop` said so.
    """
    start = time.monotonic()
    chosen = choose_scenes(clean, options.settings)
    model.requires_grad_(requires_grad=False)
    begun = time.monotonic()
    structure = inspect(model)
    trouble = "; ".join(structure.unsound)
    looked = StageReport("structure", "ran", trouble or "all weights are there, and finite", _since(begun))
    run = _Run(detector_case(model, chosen, options.settings), options, watch)
    error: float | None = None
    if trouble:
        run.reports += [StageReport(test.name, "skipped", trouble, 0.0) for test in TESTS]
    else:
        run.carry_out()
        error = error_on(model, chosen.held_out)
    evidence = weighed(run.findings, error, chosen, population, options.settings, watch)
    found = suspicions(model, run.findings, evidence, chosen, population, options.alpha)
    settings = sha256_json({"settings": options.settings, "tests": [[test.name, test.version] for test in TESTS]})
    theirs = None if population is None else (population.recipe.key, len(population))
    given = calibration(evidence, theirs, options.alpha, settings, called="detector")
    stages = (looked, *run.reports)
    word, reason = conclude(evidence, found.suspicions, stages, options.alpha, given)
    if trouble:
        word, reason = "undecided", trouble
    verdict = Verdict(
        word=word,
        reason=reason,
        alpha=options.alpha,
        p_value=evidence.p,
        p_how=evidence.how,
        p_extrapolated=evidence.p_extrapolated,
        calibration=given,
        model=_audited(model, digest),
        data=CleanData(chosen.name, chosen.digest, len(chosen), None if error is None else 1 - error),
        suspicions=found.suspicions,
        stages=stages,
        not_tested=(
            *(f"{one.name}: {one.detail}" for one in stages if one.outcome != "ran"),
            *DETECTOR_BLIND_SPOTS,
        ),
        seed=options.settings.seed,
        versions={"badnets": version("badnets"), "torch": torch.__version__, "python": platform.python_version()},
        seconds=_since(start),
    )
    return DetectorAudit(verdict, found.stickers, chosen, model)


def _audited(model: Detector, digest: str | None) -> Audited:
    spec = model.spec
    return Audited(
        digest=digest or tensors_digest(model.state_dict()),
        architecture=f"Faster R-CNN on {spec.backbone}",
        parameters=sum(parameter.numel() for parameter in model.parameters()),
        classes=spec.classes,
        convention="0-1, normalised by the detector itself",
    )


def _since(begun: float) -> float:
    return round(time.monotonic() - begun, 3)
