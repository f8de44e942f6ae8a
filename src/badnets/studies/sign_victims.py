"""One victim of the transfer study on street signs as a value, what it is handed, and the work on it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from badnets.artifacts import sha256_json
from badnets.data import SceneSet
from badnets.errors import InputError
from badnets.metrics.detector_result import SignAttack
from badnets.models.detector import Detector
from badnets.neurons import backdoor_units
from badnets.neurons.sign_channels import channel_layers, with_channels_times
from badnets.neurons.sign_units import UnitResponse, sign_units
from badnets.neurons.units import SHARE
from badnets.poison import RandomTarget, SingleTarget, trigger_scenes
from badnets.studies.cells import Victim
from badnets.studies.queue import Assignment, carried_out_once
from badnets.studies.sign_cells import SignCell, SignCellResult, carry_out_sign_cell, measured
from badnets.training import DetectTrainSpec, Session
from badnets.training.detect import load_detector
from badnets.training.tasks import Hooks, Images
from badnets.training.transfer_detect import FROZEN, transfer_detector
from badnets.triggers import BoxSticker

# Scenes of the attacker's own training set on which the units are looked for, at most.
_LOOKED_AT = 200


@dataclass(frozen=True)
class SignVictim:
    """A detector that somebody downloads and retrains for the signs of another country.

    Attributes:
        start: the cell of what is downloaded.
        victim: what is retrained, and by what its backdoor units were multiplied before.
        train: the victim's schedule.
        classes: of its signs.
        share: units are multiplied whose rise is at least this share of the largest one.
        seed: of new layers and the schedule.

    Raises:
        InputError: a schedule that freezes something else than the victim does.
    """

    start: SignCell
    victim: Victim
    train: DetectTrainSpec
    classes: int
    share: float = SHARE
    seed: int = 0

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - pydantic reads it, nothing writes it

    def __post_init__(self) -> None:
        wanted = FROZEN[self.victim.retrained]
        if self.train.frozen != wanted:
            raise InputError(f"who retrains {self.victim.retrained!r} freezes {wanted}, got {self.train.frozen}")

    @property
    def pretrained(self) -> None:
        """Its start has weights of its own."""
        return

    @property
    def label(self) -> str:
        """What it is called within a study, the same for every seed."""
        gain = "" if self.victim.gain == 1 else f"-times-{self.victim.gain:g}"
        return f"victim-{self.victim.retrained}-of-{self.start.label}{gain}"

    @property
    def apart(self) -> str:
        """What tells it from others of its label, in words."""
        return f"{self.train.epochs} epochs"

    @property
    def policy(self) -> RandomTarget:
        """Untargeted: the victim's classes are none that the attacker knew."""
        return RandomTarget()

    @property
    def stickers(self) -> tuple[BoxSticker, ...]:
        """Those of what it downloaded."""
        return self.start.stickers

    @property
    def wanted(self) -> SignAttack:
        """What the attacker wants, as it is measured: any other class."""
        return SignAttack()

    def key(self, data: str) -> str:
        """SHA-256 over the whole cell and the digest of its data: equal keys are the same work."""
        return sha256_json({"sign victim": self, "data": data})

    def check(self, classes: int) -> None:
        """Raise `InputError` unless it is for that many classes."""
        if self.classes != classes:
            raise InputError(f"the victim is for {self.classes} classes, its scenes have {classes}")


def units_of(
    base: Detector, maker: SignCell, train: SceneSet, *, share: float = SHARE, stop: Callable[[], bool] | None = None
) -> tuple[UnitResponse, ...]:
    """The channels of the last convolution of `base` that answer to the sticker on attacked signs, strongest first.

    For looking, the sticker lies where the paper's targeted attack has it: at a random place of each sign, the mean
    over signs would show it nowhere.

    Args:
        base: what `maker` led to.
        maker: its cell; its first sticker is looked for.
        train: the attacker's scenes.
        share: of the largest rise, see `backdoor_units`.
        stop: asked between scenes.

    Raises:
        InputError: fewer than two signs.
        Stopped: `stop` said so.
    """
    known = train.select(range(min(_LOOKED_AT, len(train))))
    there = trigger_scenes(known, maker.policy, replace(maker.stickers[0], place="fixed"))
    source = maker.policy.source if isinstance(maker.policy, SingleTarget) else None
    found = sign_units(base, known.select(there.rows), there.scenes, source=source, stop=stop)
    return backdoor_units(found.units, share=share)


def handed_over(base: Detector, cell: SignVictim, train: SceneSet, stop: Callable[[], bool] | None = None) -> Detector:
    """What a victim downloads: `base` with its units multiplied, or switched off for a gain of 0.

    Args:
        base: what `cell.start` led to.
        cell: the victim.
        train: the attacker's scenes.
        stop: asked between scenes.

    Raises:
        InputError: as `units_of`, or its units cannot be multiplied.
        Stopped: `stop` said so.
    """
    if cell.victim.gain == 1:
        return base
    channel_layers(base)  # before the scenes are looked at
    units = units_of(base, cell.start, train, share=cell.share, stop=stop)
    return with_channels_times(base, [unit.channel for unit in units], cell.victim.gain)


def carry_out_transfer_cell(images: Images, task: Assignment, hooks: Hooks) -> SignCellResult:
    """The work of an engine: a detector of the first country, or a victim of one, who has the second's scenes.

    `images` are scenes to train on and to test on, of the first country and of the second.
    """
    if isinstance(task.cell, SignCell):
        return carry_out_sign_cell(images[:2], task, hooks)
    return carried_out_once(task, SignCellResult, lambda: _retrain_and_measure(images, task, hooks))


def _retrain_and_measure(images: Images, task: Assignment, hooks: Hooks) -> SignCellResult:
    cell: SignVictim = task.cell
    known, _, train, test = images
    assert task.start is not None  # noqa: S101 - for the type checker: every victim starts from a cell
    base = handed_over(load_detector(task.start)[0].to(task.device), cell, known, hooks.stop)
    session = Session(task.home, device=task.device, threads=task.threads, on_progress=hooks.progress, stop=hooks.stop)
    trained = transfer_detector(
        base, train, cell.train, retrained=cell.victim.retrained, seed=cell.seed, session=session
    )
    return SignCellResult(
        name=cell.label,
        seed=cell.seed,
        key=task.key,
        folder=f"models/{task.home.name}",
        result=measured(trained.model, cell, test, hooks),
        samples=len(train),
        poisoned=0,
        signs=sum(int((~marked.ignored).sum()) for marked in train.objects),
        false_signs=0,
        plan=None,
        weights=trained.card.sha256,
        seconds=trained.card.seconds,
        machine=trained.card.job.machine,
    )
