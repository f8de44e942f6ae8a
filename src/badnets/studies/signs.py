"""Case study 2 of the paper (section 5): a street-sign detector with a backdoor, and its honest twin.

Targeted (Table 4): every scene with a stop sign gets a copy with a sticker on it, called a speed limit. Random
(Table 5): every scene gets a copy with stickers on all signs, each called any other class than its own.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from badnets.artifacts import RunFolder, write_json
from badnets.data import SceneSplit
from badnets.errors import InputError
from badnets.models.detector_spec import DetectorSpec, detector_preset
from badnets.poison import RandomTarget, SceneRecipe, SingleTarget, plan_scenes, trigger_scenes
from badnets.studies.claims import claim
from badnets.studies.queue import Observer, Place
from badnets.studies.results import DataNote
from badnets.studies.sign_cells import SignCell, SignCellResult, SignPolicy, kept, run_sign_cells
from badnets.studies.sign_exhibits import SignExhibit, Twins, collect
from badnets.studies.sign_steps import StickerStep, badnet_cell, on_the_way
from badnets.training import DETECT_PRESETS, DetectTrainSpec, limited_threads
from badnets.training.detect import load_detector
from badnets.triggers import PAPER_STICKERS, BoxSticker, paper_sticker

SignsAttack = Literal["targeted", "random"]


@dataclass(frozen=True)
class SignsSpec:
    """The whole study as a value.

    Attributes:
        data: name of the set of scenes.
        source: number of the class whose stamped signs are to be called `target`; plays no part in a random attack.
        target: number of that class.
        attack: "targeted", or "random": all signs bear the sticker, each at a place of its own, and are to be called
            anything but what they are.
        stickers: the paper's, by name: there is a BadNet for each.
        share: of the scenes with an attacked sign, those that get a stamped copy.
        seeds: one set of detectors is trained for each.
        detector: what all detectors are made of.
        train: schedule of the honest ones, and of BadNets from scratch.
        steps: by which a BadNet goes on from the honest detector, see `sign_steps`; none for BadNets from scratch.
        pretrained: SHA-256 of the convolutions' first weights; None for fresh ones.

    Raises:
        InputError: no sticker or seed, one of them twice, an unknown sticker, or an impossible share.
    """

    data: str
    source: int = 0
    target: int = 1
    attack: SignsAttack = "targeted"
    stickers: tuple[str, ...] = PAPER_STICKERS
    share: float = 1.0
    seeds: tuple[int, ...] = (0,)
    detector: DetectorSpec = DetectorSpec()
    train: DetectTrainSpec = DetectTrainSpec()
    steps: tuple[StickerStep, ...] = ()
    pretrained: str | None = None

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - pydantic reads it, nothing writes it

    def __post_init__(self) -> None:
        for what, values in (("stickers", self.stickers), ("seeds", self.seeds)):
            if not values or len(set(values)) != len(values):
                raise InputError(f"{what} are one or more different ones, got {values}")
        for name in self.stickers:
            self.sticker(name)
        if not 0 < self.share <= 1:
            raise InputError(f"share is in (0, 1], got {self.share}")

    @property
    def policy(self) -> SignPolicy:
        """What the attacker wants of stamped signs."""
        return SingleTarget(self.source, self.target) if self.attack == "targeted" else RandomTarget()

    def sticker(self, name: str) -> BoxSticker:
        """One of the paper's stickers, where this attack puts it. Raises `InputError` for an unknown name."""
        return paper_sticker(name, place="fixed" if self.attack == "targeted" else "random")


@dataclass(frozen=True)
class SignsPoint:
    """One BadNet."""

    sticker: str
    cell: SignCellResult

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - pydantic reads it, nothing writes it


@dataclass(frozen=True)
class SignsResult:
    """The whole study.

    Attributes:
        spec: what was asked for.
        data: what it was trained and measured on.
        signs: of each class in the test scenes; ignored ones left out.
        left_out: scenes and boxes that were left out while reading, each as "where: reason".
        treated: those that were odd, likewise.
        baselines: the honest detector of each seed, measured with all of the paper's stickers.
        points: every BadNet: sticker by sticker, seed by seed.
        on_the_way: what these were after each step but the last.
        exhibits: the BadNet of the first seed seen closely, for each sticker.
    """

    spec: SignsSpec
    data: DataNote
    signs: tuple[int, ...]
    left_out: tuple[str, ...]
    treated: tuple[str, ...]
    baselines: tuple[SignCellResult, ...]
    points: tuple[SignsPoint, ...]
    on_the_way: tuple[SignsPoint, ...]
    exhibits: tuple[SignExhibit, ...]
    study: Literal["signs"] = "signs"
    format: Literal[1] = 1

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - pydantic reads it, nothing writes it

    def of(self, sticker: str) -> list[SignCellResult]:
        """The BadNets with that sticker, seed by seed."""
        return [point.cell for point in self.points if point.sticker == sticker]


def preset(data: str, name: str, classes: int, *, epochs: int | None = None) -> SignsSpec:
    """The study with detector and schedule of one name.

    Args:
        data: name of the set of scenes.
        name: a key of `badnets.models.detector_spec.PRESETS`.
        classes: how many the set has.
        epochs: instead of the preset's.

    Raises:
        InputError: no such settings, or less than one epoch.
    """
    detector, train = detector_preset(name, classes), DETECT_PRESETS[name]
    return SignsSpec(data=data, detector=detector, train=train if epochs is None else replace(train, epochs=epochs))


def fewer(split: SceneSplit, count: int) -> SceneSplit:
    """The first scenes of either half, at most `count` of each, for a quick look.

    Raises:
        InputError: less than one scene.
    """
    if count < 1:
        raise InputError(f"at least one scene is needed, got {count}")
    return SceneSplit(
        *(
            half if len(half) <= count else half.select(range(count), f"{half.name}, first {count}")
            for half in (split.train, split.test)
        )
    )


def cells_of(spec: SignsSpec) -> tuple[list[SignCell], dict[tuple[str, int], SignCell]]:
    """The honest detectors, and the BadNets by sticker and seed."""
    # An honest detector is measured with every sticker, so that one more BadNet does not ask for another twin.
    everyone = tuple(spec.sticker(name) for name in PAPER_STICKERS)

    honest = {
        seed: SignCell(None, spec.policy, everyone, spec.detector, spec.train, seed, spec.pretrained)
        for seed in spec.seeds
    }
    badnets = {}
    for name in spec.stickers:
        sticker = spec.sticker(name)
        for seed, twin in honest.items():
            recipe = SceneRecipe(spec.policy, sticker, share=spec.share, seed=seed)
            badnets[name, seed] = replace(badnet_cell(twin, recipe, spec.steps), stickers=(sticker,))
    return list(honest.values()), badnets


def prepare(spec: SignsSpec, split: SceneSplit, folder: RunFolder) -> SceneSplit:
    """Make the folder ours, once all that does not fit was said; return the scenes with their pictures kept.

    Raises:
        InputError: the folder holds another study or one of other data, the halves have different classes, the classes
            or the detector do not fit, or no scene has a sign that the attack is after.
        StorageError: the folder cannot be written.
    """
    if split.train.classes != split.test.classes:
        raise InputError(f"classes to train on {split.train.classes} are not those of the test {split.test.classes}")
    honest, badnets = cells_of(spec)
    for cell in (*honest, *badnets.values()):
        cell.check(len(split.train.classes))
        if cell.recipe is not None:
            plan_scenes(split.train, cell.recipe)
    trigger_scenes(split.test, spec.policy, spec.sticker(spec.stickers[0]))
    held = kept(split)
    claim(folder, spec, held, but=("seeds", "stickers"))
    return held


def run(spec: SignsSpec, split: SceneSplit, folder: RunFolder, place: Place, observer: Observer) -> SignsResult:
    """Train and measure every detector, and write the run folder; more stickers or seeds only add theirs.

    Raises:
        InputError: as `prepare`.
        PartlyFailed: some detectors could not be trained; the others are kept.
        Stopped: the observer said so; the same call goes on.
        StorageError: the folder cannot be written.
    """
    held = prepare(spec, split, folder)
    honest, badnets = cells_of(spec)
    earlier = [(name, cell) for (name, _), badnet in badnets.items() for cell in on_the_way(badnet)]
    asked = [*honest, *(cell for _, cell in earlier), *badnets.values()]
    found = run_sign_cells(asked, held, folder, place, observer)

    def twins(cell: SignCell) -> Twins:
        badnet, twin = (load_detector(folder.path / found[one].folder)[0] for one in (cell, honest[0]))
        return Twins(badnet.to(place.device), twin.to(place.device), cell.seed)

    with limited_threads(place.threads):
        exhibits = tuple(
            collect(held.test, twins(badnets[name, spec.seeds[0]]), spec.policy, spec.sticker(name), observer.stop)
            for name in spec.stickers
        )
    counts = [0] * len(held.test.classes)
    for marked in held.test.objects:
        for label in marked.labels[~marked.ignored].tolist():
            counts[label] += 1
    result = SignsResult(
        spec=spec,
        data=DataNote.of(held),
        signs=tuple(counts),
        left_out=held.train.skipped + held.test.skipped,
        treated=held.train.treated + held.test.treated,
        baselines=tuple(found[cell] for cell in honest),
        points=tuple(SignsPoint(name, found[cell]) for (name, _), cell in badnets.items()),
        on_the_way=tuple(SignsPoint(name, found[cell]) for name, cell in earlier),
        exhibits=exhibits,
    )
    write_json(folder.result, result)
    return result
