"""`badnets audit` and `badnets population` of detectors: what is told apart from classifiers, and how it is read."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from badnets.cli.datasets import report_odd
from badnets.errors import DataError, InputError

if TYPE_CHECKING:
    from badnets.audit.cases import Settings
    from badnets.audit.detector_auditing import DetectorAudit, DetectorOptions
    from badnets.audit.detector_population import DetectorPopulation
    from badnets.audit.stages import Watch
    from badnets.data import SceneSet, SceneSplit
    from badnets.models.detector import Detector
    from badnets.models.detector_spec import DetectorSpec

# The presets of detectors, and those that learn without somebody else's convolutions.
DETECTORS = ("tiny", "zf", "squeezenet", "mobilenet")
FROM_SCRATCH = ("tiny", "zf")
# What the audit of a classifier asks for and that of a detector has no use for.
_ONLY_CLASSIFIERS = ("--convention", "--budget", "--early-stop", "--certify")


def is_detector(weights: Path, arch: str | None, data: str) -> bool:
    """Whether a file is to be audited as a detector: by its folder's card, or by the name of the architecture.

    Raises:
        DataError: the card is damaged.
        InputError: neither says what it is, and the data are street scenes.
    """
    from badnets.data.scenes import is_scenes
    from badnets.models.detector_spec import DetectorSpec
    from badnets.training.checkpoint import WEIGHTS, read_card

    if arch is not None:
        return arch in DETECTORS
    folder = weights.parent if weights.name == WEIGHTS else weights
    card = read_card(folder) if folder.is_dir() else None
    if card is None and is_scenes(data):
        raise InputError(f"{weights} does not say which detector it is: name it with --arch ({', '.join(DETECTORS)})")
    return card is not None and isinstance(card.job.model, DetectorSpec)


def refuse_options(given: dict[str, object]) -> None:
    """Raise `InputError` if an option is set that means nothing for a detector."""
    if named := [name for name in _ONLY_CLASSIFIERS if given.get(name)]:
        raise InputError(f"{named[0]} is for classifiers: a detector brings its own pixels and has few tests")


def audit_detector_file(
    weights: Path, arch: str | None, clean: SceneSet, population: Path | None, options: DetectorOptions, watch: Watch
) -> DetectorAudit:
    """Read a detector and audit it.

    Raises:
        InputError: other classes than the scenes', or a population that does not fit.
        CheckpointError: damaged weights, or of another architecture.
        DataError: weights that cannot be read, or that the scan refuses.
    """
    from badnets.audit.detector_auditing import audit_detector
    from badnets.audit.detector_population import open_detector_population

    model, digest = _read(weights, arch, clean)
    references = None if population is None else open_detector_population(population, model.spec)
    return audit_detector(model, clean, digest=digest, population=references, options=options, watch=watch)


def scene_split(name: str, data_dir: Path | None) -> SceneSplit:
    """A set of scenes. Raises `InputError` if it is none."""
    from badnets.data import load_scenes
    from badnets.data.scenes import is_scenes

    if not is_scenes(name):
        raise InputError(f"detectors look at street scenes with boxes, not at {name}: see `badnets data list`")
    split = load_scenes(name, data_dir=data_dir)
    report_odd(split.train, split.test)
    return split


def population_of_detectors(
    preset: str, folder: Path, data: SceneSet, models: int, schedule: tuple[int, int | None, int], watch: Watch
) -> DetectorPopulation:
    """Train clean reference detectors.

    Args:
        preset: tiny or zf.
        folder: where they are kept.
        data: clean scenes to train on.
        models: how many there are to be.
        schedule: scenes that each sees (0 for all), epochs (None for the preset's), and seed.
        watch: who looks on.

    Raises:
        InputError: a preset that needs trained convolutions, or as `train_detector_population`.
    """
    from badnets.audit.detector_population import DetectorRecipe, train_detector_population
    from badnets.models.detector_spec import detector_preset
    from badnets.training import DETECT_PRESETS
    from badnets.training.scene_batches import KeptPictures

    if preset not in FROM_SCRATCH:
        raise InputError(f"{preset} starts from trained convolutions: a population is trained of tiny or zf only")
    train = replace(data, pictures=KeptPictures(data.pictures))
    scenes, epochs, seed = schedule
    spec = DETECT_PRESETS[preset] if epochs is None else replace(DETECT_PRESETS[preset], epochs=epochs)
    recipe = DetectorRecipe(detector_preset(preset, len(train.classes)), train.digest, train.name, scenes, spec, seed)
    return train_detector_population(folder, recipe, train, models, watch)


def measure_references(population: DetectorPopulation, clean: SceneSet, settings: Settings, watch: Watch) -> None:
    """Run the audit's tests on every reference, so that an audit finds their numbers there."""
    from badnets.audit.detector_cases import choose_scenes

    population.test(choose_scenes(clean, settings), settings, watch)


def _read(weights: Path, arch: str | None, clean: SceneSet) -> tuple[Detector, str | None]:
    """The detector, and the canonical digest of its file where that is known."""
    from badnets.models.detector_spec import detector_preset
    from badnets.training.checkpoint import WEIGHTS
    from badnets.training.detect import load_detector

    if arch is not None:
        return _built(weights / WEIGHTS if weights.is_dir() else weights, detector_preset(arch, len(clean.classes)))
    model, card = load_detector(weights)
    if card.classes != clean.classes:
        raise InputError(
            f"the detector's classes are {', '.join(card.classes)}, those of {clean.name} {', '.join(clean.classes)}: "
            "give clean scenes of its own classes with --data"
        )
    return model, None


def _built(file: Path, spec: DetectorSpec) -> tuple[Detector, str | None]:
    from badnets.cli.weights import read_weights_and_digest
    from badnets.models.detector import build_detector
    from badnets.training.checkpoint import put_weights

    if not file.is_file():
        raise InputError(f"there is no file {file}")
    weights, digest = read_weights_and_digest(file)
    if not weights:
        raise DataError(f"{file} holds no tensors")
    model = build_detector(spec)
    put_weights(model, weights, file)
    return model.eval(), digest
