"""The audit itself: from a foreign model and a few clean images to a verdict."""

from __future__ import annotations

import platform
import time
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version

import torch
from torch import nn

from badnets.artifacts import sha256_json
from badnets.audit.cases import Case, Chosen, Settings, choose
from badnets.audit.certificates import LARGEST, certify_case
from badnets.audit.conventions import Adapted, Convention, Found, find_convention
from badnets.audit.digest import tensors_digest
from badnets.audit.evidence import Evidence, calibration, twice
from badnets.audit.judging import conclude, weigh
from badnets.audit.population import Population
from badnets.audit.probes import STAGES
from badnets.audit.stages import Run, Watch
from badnets.audit.structure import Structure, inspect
from badnets.audit.suspicions import confirmed
from badnets.audit.verdict import Audited, Certified, CleanData, StageReport, Suspicion, Verdict
from badnets.data import ImageSource
from badnets.errors import InputError
from badnets.models import ModelSpec
from badnets.triggers import Trigger

# What no test here looks for, however it is set up.
BLIND_SPOTS = (
    "triggers that are neither a patch nor spread thinly over the image: warps, filters, another one for each image",
    "backdoors that only appear once the network is trained on (latent ones)",
    "backdoors hidden by cryptographic means, which no test of this kind can see",
)
# Its name among the tests; nothing that it proves decides the word.
CERTIFICATES = "certificates"


@dataclass(frozen=True)
class Options:
    """What an audit is asked for; nothing here says where or what a backdoor is.

    Attributes:
        alpha: level of the test, in (0, 1).
        skip: names of tests that are left out.
        budget: seconds after which no further test begins; None for no end.
        early_stop: look at the p-value after trigger inversion already, at half of alpha each time; it spares the scan
            of pairs where a backdoor was found, and asks for twice as many reference models.
        convention: of the model's pixels; None finds it on the clean images.
        settings: of the tests; those of the population, where its statistics are to be used again.
        certify: sides in pixels of patches of which it is proved where they cannot be; it takes a while, and only
            small networks of affine layers and ReLUs allow it.

    Raises:
        InputError: an alpha, a budget or a test that there is not.
    """

    alpha: float = 0.05
    skip: tuple[str, ...] = ()
    budget: float | None = None
    early_stop: bool = False
    convention: Convention | None = None
    settings: Settings = Settings()
    certify: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        known = tuple(stage.name for stage in STAGES)
        if not 0 < self.alpha < 1:
            raise InputError(f"alpha is between 0 and 1, got {self.alpha}")
        if self.budget is not None and not self.budget > 0:
            raise InputError(f"a budget is more than 0 seconds, got {self.budget}")
        if unknown := [name for name in self.skip if name not in known]:
            raise InputError(f"there is no test {unknown[0]!r} to skip: known are {', '.join(known)}")
        if wrong := [side for side in self.certify if not 1 <= side <= LARGEST]:
            raise InputError(f"patches of 1 to {LARGEST} pixels are certified, got {wrong[0]}")


@dataclass(frozen=True)
class Declared:
    """What a model is said to be.

    Attributes:
        architecture: as it was named; empty takes the name of its class.
        spec: the architecture that it must have; None where it has no name here.
        digest: canonical, of the file the weights came from; None computes that of the tensors.
    """

    architecture: str = ""
    spec: ModelSpec | None = None
    digest: str | None = None


@dataclass(frozen=True, eq=False)
class Audit:
    """What came out.

    Attributes:
        verdict: in words and numbers.
        triggers: recovered ones, by the name of the file that the verdict gives them.
        clean: the images that were used.
        adapted: the model as it was tested: pixels in [0, 1] to logits.
    """

    verdict: Verdict
    triggers: Mapping[str, Trigger]
    clean: Chosen
    adapted: nn.Module


def audit(
    model: nn.Module,
    clean: ImageSource,
    *,
    declared: Declared = Declared(),
    population: Population | None = None,
    options: Options = Options(),
    watch: Watch = Watch(),
) -> Audit:
    """Look for a backdoor in a foreign model. It is told neither trigger nor target, and cannot be.

    The tests go from cheap to dear: structure, weights, margins, dormant units, trigger inversion, pairs of classes.
    What they find is compared with a population of clean models, and confirmed on images that took no part in it. What
    can be proved of small networks is proved where it is asked for.

    Args:
        model: any network from images (n, c, h, w) to logits (n, k); it is left as it is.
        clean: images that the user trusts, with their classes; as many of each class are used as the settings say, with
            0 only their shape.
        declared: what it is said to be.
        population: clean reference models of that architecture; without them the verdict is uncalibrated.
        options: level, budget, what to leave out, settings of the tests.
        watch: who looks on and may stop it.

    Raises:
        InputError: options that make no sense, or a population that cannot be tested.
        Stopped: `watch.stop` said so.
    """
    start, settings = time.monotonic(), options.settings
    chosen = choose(clean, settings)
    given = chosen.all
    found = find_convention(model, given.pixels, given.labels, known=options.convention)
    adapted = Adapted(model, found.convention).eval()
    begun = time.monotonic()
    structure = inspect(model, declared.spec)
    looked = StageReport("structure", "ran", structure.detail, round(time.monotonic() - begun, 3))
    run = Run(
        Case(adapted, chosen, found.classes or len(chosen.classes), settings), options.skip, options.budget, watch,
        begun=start,
    )  # fmt: skip
    trouble = "; ".join((*structure.unsound, *structure.other, *filter(None, [found.trouble])))
    evidence = Evidence()
    if not trouble and not structure.extra:
        evidence = _tested(run, population, options)
    for stage in STAGES:
        if stage.name not in {report.name for report in run.reports}:
            run.note(stage.name, trouble or "the architecture alone refuses it")
    results = confirmed(run, evidence, population, options.alpha)
    certified = _certified(run, options.certify, trouble)
    stages = (looked, *run.reports)
    theirs = None if population is None else (population.recipe.key, len(population))
    settings_key = sha256_json(_settings(options))
    calibrated = calibration(evidence, theirs, options.alpha, settings_key, looks=1 + options.early_stop)
    suspicions = (*_structural(structure), *results.suspicions)
    word, reason = conclude(evidence, suspicions, stages, options.alpha, calibrated)
    if structure.extra:
        word, reason = "backdoored", suspicions[0].detail
    elif trouble:
        word, reason = "undecided", trouble
    verdict = Verdict(
        word=word,
        reason=reason,
        alpha=options.alpha,
        p_value=evidence.p,
        p_how="structure" if structure.extra else evidence.how,
        p_extrapolated=evidence.p_extrapolated,
        calibration=calibrated,
        model=_audited(model, declared, found, run.case.classes),
        data=CleanData(chosen.name, chosen.digest, len(chosen.all), found.accuracy),
        suspicions=suspicions,
        stages=stages,
        not_tested=(*(f"{one.name}: {one.detail}" for one in stages if one.outcome != "ran"), *BLIND_SPOTS),
        seed=settings.seed,
        versions={"badnets": version("badnets"), "torch": torch.__version__, "python": platform.python_version()},
        seconds=round(time.monotonic() - start, 3),
        certified=certified,
    )
    return Audit(verdict, results.triggers, chosen, adapted)


def _tested(run: Run, population: Population | None, options: Options) -> Evidence:
    """Run all tests and weigh what they found; with `early_stop` once before the last of them too."""
    first: Evidence | None = None
    for stage in STAGES:
        run.carry_out(stage)
        if options.early_stop and population is not None and stage.name == "inversion":
            first = weigh(run, population)
            if first.p is not None and first.p <= options.alpha / 2:
                for rest in STAGES[STAGES.index(stage) + 1 :]:
                    run.note(rest.name, "stopped early: what was found is enough")
                return twice(first, first)
    last = weigh(run, population)
    return last if first is None else twice(first, last)


def _certified(run: Run, sides: tuple[int, ...], trouble: str) -> tuple[Certified, ...]:
    """What can be proved; never a reason for a word."""
    spent = time.monotonic() - run.begun
    if trouble or not sides:
        run.note(CERTIFICATES, trouble or "not asked for")
        return ()
    if run.budget is not None and spent >= run.budget:
        run.note(CERTIFICATES, f"the budget of {run.budget:g} s was spent")
        return ()
    run.watch.say(CERTIFICATES)
    begun = time.monotonic()
    try:
        found = certify_case(run.case, sides, run.watch.check)
    except InputError as error:
        run.reports.append(StageReport(CERTIFICATES, "failed", str(error), round(time.monotonic() - begun, 3)))
        return ()
    words = "; ".join(one.words for one in found)
    run.reports.append(StageReport(CERTIFICATES, "ran", words, round(time.monotonic() - begun, 3)))
    return found


def _structural(structure: Structure) -> tuple[Suspicion, ...]:
    if not structure.extra:
        return ()
    return (Suspicion("structure", "unknown", f"parts that were not ordered: {'; '.join(structure.extra)}"),)


def _settings(options: Options) -> dict[str, object]:
    tests = [[stage.name, stage.version] for stage in STAGES if stage.name not in options.skip]
    return {"settings": options.settings, "tests": tests}


def _audited(model: nn.Module, declared: Declared, found: Found, classes: int) -> Audited:
    return Audited(
        digest=declared.digest or tensors_digest(model.state_dict()),
        architecture=declared.architecture or type(model).__name__,
        parameters=sum(parameter.numel() for parameter in model.parameters()),
        classes=classes,
        convention=str(found.convention) if found.classes else f"{found.convention} (assumed)",
    )
