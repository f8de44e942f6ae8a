"""One detector of the study on street signs as a value, and the work on it: poison, train, measure, keep."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, Protocol, runtime_checkable

from badnets.artifacts import RunFolder, sha256_json
from badnets.data import SceneSet, SceneSplit
from badnets.errors import InputError
from badnets.metrics.detect import detect
from badnets.metrics.detector_result import DetectorResult, SignAttack, judge_detector
from badnets.models.detector import Detector, build_detector, load_backbone
from badnets.models.detector_spec import DetectorSpec
from badnets.poison import (
    AllToAll,
    AnyPolicy,
    RandomTarget,
    SceneRecipe,
    SingleTarget,
    apply_scenes,
    plan_scenes,
    trigger_scenes,
)
from badnets.studies import pretrained
from badnets.studies.cells import BASELINE, lineage
from badnets.studies.queue import Assignment, Data, Kind, Observer, Place, carried_out_once, carry_out_all
from badnets.training import DetectTrainSpec, Machine, Session
from badnets.training.detect import fit_detector, load_detector
from badnets.training.scene_batches import KeptPictures
from badnets.training.tasks import Hooks, Images
from badnets.triggers import PAPER_STICKERS, BoxSticker, drawing

SignPolicy = SingleTarget | RandomTarget

# Bytes of decoded or drawn pictures that a process holds, for training and for the test.
_TRAIN_ROOM, _TEST_ROOM = 1 << 30, 1 << 28


@dataclass(frozen=True)
class SignCell:
    """One detector to be trained and measured.

    Attributes:
        recipe: how its scenes are poisoned; None for an honest detector.
        policy: what the attacker wants of stamped signs, measured of honest detectors too.
        stickers: that it is measured with, one after the other.
        detector: what it is made of.
        train: its schedule.
        seed: of its weights and its schedule.
        pretrained: SHA-256 of the weights that its convolutions start from, see `pretrained.keep`; None for fresh ones.
        start: the cell whose detector is trained on; None for a new one.

    Raises:
        InputError: no sticker, a recipe that wants something else, or a start of another detector.
    """

    recipe: SceneRecipe | None
    policy: SignPolicy
    stickers: tuple[BoxSticker, ...]
    detector: DetectorSpec
    train: DetectTrainSpec
    seed: int = 0
    pretrained: str | None = None
    start: SignCell | None = None

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - pydantic reads it, nothing writes it

    def __post_init__(self) -> None:
        if self.start is not None and (self.start.detector != self.detector or self.pretrained is not None):
            raise InputError("what is trained on is the start's detector, and needs no other weights")
        if not self.stickers:
            raise InputError("a detector is measured with at least one sticker")
        if self.recipe is not None and not self._leads_to(self.recipe.policy):
            raise InputError(f"poisoned for {self.recipe.policy!r}, but measured for {self.policy!r}")

    def _leads_to(self, policy: AnyPolicy) -> bool:
        """Whether `policy` is what is measured, or a step on the way: the next class is any other than its own."""
        return policy == self.policy or (isinstance(policy, AllToAll) and isinstance(self.policy, RandomTarget))

    @property
    def label(self) -> str:
        """What it is called within a study, the same for every seed."""
        if self.recipe is None:
            return BASELINE
        policy = self.policy
        words = f"single-{policy.source}-to-{policy.target}" if isinstance(policy, SingleTarget) else policy.kind
        return f"{words}-{sticker_name(self.recipe.sticker)}"

    @property
    def apart(self) -> str:
        """What tells it from others of its label, in words."""
        if self.recipe is None:
            return ""
        named = "" if self.recipe.policy == self.policy else ", called the next class"
        return f"size {self.recipe.sticker.size:.3g}, share {self.recipe.share:.3g}{named}"

    @property
    def wanted(self) -> SignAttack:
        """What the attacker wants, as it is measured."""
        if isinstance(self.policy, SingleTarget):
            return SignAttack(self.policy.source, self.policy.target)
        return SignAttack()

    def key(self, data: str) -> str:
        """SHA-256 over the whole cell and the digest of its data: equal keys are the same work."""
        return sha256_json({"sign cell": self, "data": data})

    def check(self, classes: int) -> None:
        """Raise `InputError` unless its policy and its detector make sense among that many classes."""
        self.policy.check(classes)
        if self.detector.classes != classes:
            raise InputError(f"the detector is for {self.detector.classes} classes, the scenes have {classes}")


@runtime_checkable
class Attacked(Protocol):
    """What of a cell decides how its detector is measured."""

    @property
    def policy(self) -> SignPolicy:
        """What the attacker wants of stamped signs."""
        ...

    @property
    def stickers(self) -> tuple[BoxSticker, ...]:
        """That it is measured with, one after the other."""
        ...

    @property
    def wanted(self) -> SignAttack:
        """What the attacker wants, as it is measured."""
        ...


@dataclass(frozen=True)
class Measured:
    """A detector measured with one sticker: its name and what came out."""

    sticker: str
    result: DetectorResult

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - pydantic reads it, nothing writes it


@dataclass(frozen=True)
class SignCellResult:
    """What came out of one cell.

    Attributes:
        name: its label.
        seed: of its weights, its plan and its schedule.
        key: see `SignCell.key`.
        folder: of its detector, within the run folder.
        result: on the test scenes, clean and with each of its stickers; the clean part is the same in all.
        samples: scenes in its training set.
        poisoned: of these, stamped and falsely labelled.
        signs: in its training set; ignored ones left out.
        false_signs: of these, falsely labelled.
        plan: digest of its poison plan.
        weights: digest of its model file.
        seconds: spent training.
        machine: where it was trained.
    """

    name: str
    seed: int
    key: str
    folder: str
    result: tuple[Measured, ...]
    samples: int
    poisoned: int
    signs: int
    false_signs: int
    plan: str | None
    weights: str
    seconds: float
    machine: Machine
    format: Literal[1] = field(default=1)

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - pydantic reads it, nothing writes it

    @property
    def covered(self) -> int:
        """Stamped copies under their true labels: there are none."""
        return 0

    @property
    def clean(self) -> DetectorResult:
        """What was measured; its clean part does not depend on the sticker."""
        return self.result[0].result

    @property
    def said(self) -> str:
        """The gist of it in a few words."""
        attacks = [
            f"{one.sticker} works on {one.result.attack_success.value:.1%}"
            for one in self.result
            if one.result.attack_success and self.plan
        ]
        return ", ".join([f"accuracy {self.clean.accuracy.value:.1%}", *attacks])

    def under(self, sticker: str) -> DetectorResult | None:
        """What was measured with that sticker; None where it was not."""
        return next((one.result for one in self.result if one.sticker == sticker), None)


def sticker_name(sticker: BoxSticker) -> str:
    """Which of the paper's stickers it shows, by its picture; "picture" for none of them."""
    return next((name for name in PAPER_STICKERS if drawing(name) == sticker.picture), "picture")


def run_sign_cells(
    cells: Sequence[SignCell], split: SceneSplit, folder: RunFolder, place: Place, observer: Observer
) -> dict[SignCell, SignCellResult]:
    """Carry out all cells and what they start from; those that are finished in `folder` are not done again.

    Args:
        cells: the work; equal cells are one.
        split: their data, see `kept`.
        folder: `metrics.jsonl` and `models/<cell>/` are written there.
        place: engine and device.
        observer: told what happens, and asked whether to stop.

    Raises:
        InputError: a cell does not fit the data.
        PartlyFailed: some cells have no result; all others are finished, and the same call tries again.
        Stopped: the observer said so; the same call goes on.
        StorageError: the folder cannot be written.
    """
    everything = lineage(tuple(cells))
    for cell in everything:
        cell.check(len(split.train.classes))
    data = Data((split.train, split.test), sha256_json([split.train.digest, split.test.digest]))
    return carry_out_all(everything, Kind(carry_out_sign_cell, SignCellResult), data, folder, place, observer)


def kept(split: SceneSplit) -> SceneSplit:
    """The same scenes, each drawn or decoded once in this process as long as there is room.

    Drawing a street takes dozens of milliseconds, and every scene is looked at in each epoch of each cell. Workers
    look at what was drawn here; if there was no room for all, they keep what they draw from cell to cell.
    """
    halves = [
        half if isinstance(half.pictures, tuple | KeptPictures) else _held(half, room)
        for half, room in ((split.train, _TRAIN_ROOM), (split.test, _TEST_ROOM))
    ]
    return SceneSplit(*halves)


def carry_out_sign_cell(images: Images, task: Assignment, hooks: Hooks) -> SignCellResult:
    """The work of an engine: train one detector on the first set of scenes, measure it on the second, and keep both."""
    return carried_out_once(task, SignCellResult, lambda: _train_and_measure(images, task, hooks))


def start_of(cell: SignCell, home: Path | None) -> Detector:
    """The detector before training; `home` is the folder of the detector or the weights that it starts from.

    Raises:
        InputError: the detector is missing.
        CheckpointError: it or the weights are damaged, or of another network; or these are missing.
    """
    if cell.start is not None and home is not None:
        return load_detector(home)[0]
    detector = build_detector(cell.detector, seed=cell.seed)
    if cell.pretrained is not None and home is not None:
        load_backbone(detector, pretrained.read(cell.pretrained, home))
    return detector


def _train_and_measure(images: Images, task: Assignment, hooks: Hooks) -> SignCellResult:
    cell: SignCell = task.cell
    train, test = images
    made = plan_scenes(train, cell.recipe) if cell.recipe else None
    scenes = apply_scenes(train, made) if made else train
    session = Session(task.home, device=task.device, threads=task.threads, on_progress=hooks.progress, stop=hooks.stop)
    plan = made.digest if made else None
    trained = fit_detector(start_of(cell, task.start), scenes, cell.train, seed=cell.seed, plan=plan, session=session)
    signs = sum(int((~marked.ignored).sum()) for marked in scenes.objects)
    return SignCellResult(
        name=cell.label,
        seed=cell.seed,
        key=task.key,
        folder=f"models/{task.home.name}",
        result=measured(trained.model, cell, test, hooks),
        samples=len(scenes),
        poisoned=len(made.rows) if made else 0,
        signs=signs,
        false_signs=made.false_objects if made else 0,
        plan=plan,
        weights=trained.card.sha256,
        seconds=trained.card.seconds,
        machine=trained.card.job.machine,
    )


def measured(model: Detector, cell: Attacked, test: SceneSet, hooks: Hooks) -> tuple[Measured, ...]:
    """What a detector does on the test scenes, with each of the cell's stickers. Raises `Stopped`."""
    said = detect(model, test, stop=hooks.stop)
    found = []
    for sticker in cell.stickers:
        stamped = trigger_scenes(test, cell.policy, sticker).scenes
        stamped_said = detect(model, stamped, stop=hooks.stop)
        result = judge_detector(test, said, stamped=stamped, stamped_said=stamped_said, attack=cell.wanted)
        found.append(Measured(sticker_name(sticker), result))
    return tuple(found)


def _held(scenes: SceneSet, room: int) -> SceneSet:
    return replace(scenes, pictures=KeptPictures(scenes.pictures, room))
