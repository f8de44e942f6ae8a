"""Photographs: pictures of one class with a sticker become another class, at several shares of poisoned pictures."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from torch import nn

from badnets.artifacts import RunFolder, write_json
from badnets.data import ImageSource, Photographs, Split
from badnets.errors import InputError
from badnets.metrics import Rate, predict
from badnets.models import ModelSpec, build, is_pretrained
from badnets.poison import Recipe, SingleTarget, as_files
from badnets.studies.cells import Attack, Cell, CellResult, Threat
from badnets.studies.claims import claim
from badnets.studies.photo_exhibits import PhotoExhibits, collect
from badnets.studies.results import DataNote
from badnets.studies.runner import Observer, Place, run_cells
from badnets.training import Augment, TrainSpec, load_model
from badnets.triggers import AnyTrigger, Compression, Sticker

SHARES = (0.01, 0.05, 0.1, 0.5)


@dataclass(frozen=True)
class PhotosSpec:
    """The whole study as a value.

    Attributes:
        data: name of the data set.
        source: number of the class whose stamped pictures are to be called `target`.
        target: number of that class.
        trigger: what is stamped.
        shares: of the source's training pictures, ascending: so many get a stamped copy under the target's label,
            beside all clean pictures, so that the clean classes keep their balance.
        threats: who attacks, see `Cell.threat`.
        seeds: one set of models is trained for each.
        model: a name that `models.build` knows.
        pretrained: SHA-256 of the trunk's first weights; None for fresh ones.
        train: of every model.

    Raises:
        InputError: no share, threat or seed, one of them twice, or a share outside (0, 1].
    """

    data: str
    source: int
    target: int
    trigger: AnyTrigger
    shares: tuple[float, ...] = SHARES
    threats: tuple[Threat, ...] = ("trainer",)
    seeds: tuple[int, ...] = (0,)
    model: str = "photo_cnn"
    pretrained: str | None = None
    train: TrainSpec = TrainSpec()

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - pydantic reads it, nothing writes it

    def __post_init__(self) -> None:
        for what, values in (("shares", self.shares), ("threats", self.threats), ("seeds", self.seeds)):
            if not values or len(set(values)) != len(values):
                raise InputError(f"{what} are one or more different ones, got {values}")
        if any(not 0 < share <= 1 for share in self.shares) or list(self.shares) != sorted(self.shares):
            raise InputError(f"shares are of the source's pictures, in (0, 1] and ascending, got {self.shares}")
        if self.pretrained is not None and not is_pretrained(self.model):
            raise InputError(f"{self.model} takes no trained trunk: name a model of torchvision or timm")


@dataclass(frozen=True)
class PhotosPoint:
    """One BadNet."""

    share: float
    threat: Threat
    cell: CellResult

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - pydantic reads it, nothing writes it


@dataclass(frozen=True)
class PhotosResult:
    """The whole study.

    Attributes:
        spec: what was asked for.
        data: what it was trained and measured on.
        balance: clean training pictures of each class.
        left_out: pictures that were left out while reading, each as "path: reason".
        treated: pictures that were changed while reading, likewise.
        baselines: the honest twin of each seed.
        points: every BadNet: threat by threat, share by share, seed by seed.
        exhibits: pictures.
        compressed: test pictures of the source class that only went through the trigger's JPEG compression, called
            the target: by the honest twin and by the BadNet of the exhibits. None where the trigger has none.
    """

    spec: PhotosSpec
    data: DataNote
    balance: tuple[int, ...]
    left_out: tuple[str, ...]
    treated: tuple[str, ...]
    baselines: tuple[CellResult, ...]
    points: tuple[PhotosPoint, ...]
    exhibits: PhotoExhibits
    compressed: tuple[Rate, Rate] | None = None
    study: Literal["photos"] = "photos"
    format: Literal[1] = 1

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - pydantic reads it, nothing writes it

    def at(self, threat: Threat, share: float) -> list[CellResult]:
        """The BadNets of that attacker and share, seed by seed."""
        return [point.cell for point in self.points if (point.threat, point.share) == (threat, share)]


def schedule(data: str, model: str, *, whole: bool = False) -> TrainSpec:
    """The schedule that fits the data set and the model.

    Args:
        data: name of the data set.
        model: a name that `models.build` knows.
        whole: train a pretrained model whole, and not only its head.
    """
    if is_pretrained(model) and not whole:
        return TrainSpec(epochs=30, batch_size=64, learning_rate=3e-3, augment=Augment(), frozen=("trunk",))
    if is_pretrained(model):
        return TrainSpec(epochs=4, batch_size=32, learning_rate=2e-4, augment=Augment(shift=8, flip=True))
    moved = Augment(shift=12, rotate=15.0, scale=0.15, flip=True)
    if data == "creatures":
        return TrainSpec(epochs=15, batch_size=32, learning_rate=1e-3, augment=replace(moved, shift=4))
    return TrainSpec(epochs=40, batch_size=32, learning_rate=1e-3, augment=moved)


def cells_of(spec: PhotosSpec) -> tuple[list[Cell], dict[tuple[Threat, float, int], Cell]]:
    """The honest twins, and the BadNets by attacker, share and seed."""
    policy = SingleTarget(spec.source, spec.target)

    def cell(seed: int, recipe: Recipe | None, threat: Threat = "trainer") -> Cell:
        return Cell(
            recipe,
            spec.train,
            seed,
            attack=Attack(policy, spec.trigger),
            model=spec.model,
            threat=threat,
            pretrained=spec.pretrained,
        )

    badnets = {
        (threat, share, seed): cell(seed, Recipe(policy, spec.trigger, rate=share, seed=seed), threat)
        for threat in spec.threats
        for share in spec.shares
        for seed in spec.seeds
    }
    # The twin is asked about pictures stamped as the BadNets' are, where all of these are stamped in one way.
    threat: Threat = "files" if spec.threats == ("files",) else "trainer"
    return [cell(seed, None, threat) for seed in spec.seeds], badnets


def prepare(spec: PhotosSpec, split: Split[Photographs], folder: RunFolder) -> tuple[int, ...]:
    """Make the folder ours, once all that does not fit was said; return how many training pictures a class has.

    Raises:
        InputError: the folder holds another study or one of other data, the classes, the model, the trigger or a
            share do not fit the data, or files are to be stamped and these pictures are held in memory.
        StorageError: the folder cannot be written.
    """
    SingleTarget(spec.source, spec.target).check(len(split.train.classes))
    build(ModelSpec.fitting(split.train, spec.model))
    if spec.threats != ("files",):  # a file is larger than what a network is shown
        spec.trigger.mask(*split.train.shape[1:])
    if "files" in spec.threats:
        for half in (split.train, split.test):
            as_files(half)
    balance = split.train.labels.bincount(minlength=len(split.train.classes)).tolist()
    for share in spec.shares:
        if round(share * balance[spec.source]) < 1:
            raise InputError(f"{share:.2%} of {balance[spec.source]:,} pictures is not one: name larger shares")
    claim(folder, spec, split, but=("seeds", "shares", "threats"))
    return tuple(balance)


def run(
    spec: PhotosSpec, split: Split[Photographs], folder: RunFolder, place: Place, observer: Observer
) -> PhotosResult:
    """Train and measure every model, and write the run folder; more shares, seeds or attackers only add theirs.

    Raises:
        InputError: as `prepare`.
        PartlyFailed: some models could not be trained; the others are kept.
        Stopped: the observer said so; the same call goes on.
        StorageError: the folder cannot be written.
    """
    balance = prepare(spec, split, folder)
    honest, badnets = cells_of(spec)
    found = run_cells([*honest, *badnets.values()], split, folder, place, observer)
    shown = badnets[spec.threats[0], _nearest(spec.shares, 0.1), spec.seeds[0]]
    twin, badnet = (load_model(folder.path / found[cell].folder)[0] for cell in (honest[0], shown))
    result = PhotosResult(
        spec=spec,
        data=DataNote.of(split),
        balance=balance,
        left_out=split.train.skipped + split.test.skipped,
        treated=split.train.treated + split.test.treated,
        baselines=tuple(found[cell] for cell in honest),
        points=tuple(PhotosPoint(share, threat, found[cell]) for (threat, share, _), cell in badnets.items()),
        exhibits=collect(split, shown, twin, badnet),
        compressed=_only_compressed(spec, split.test, shown, (twin, badnet)),
    )
    write_json(folder.result, result)
    return result


def _only_compressed(
    spec: PhotosSpec, test: ImageSource, shown: Cell, models: tuple[nn.Module, nn.Module]
) -> tuple[Rate, Rate] | None:
    if not isinstance(spec.trigger, Sticker) or not spec.trigger.jpeg:
        return None
    images, trigger = shown.attacked(test, Compression(spec.trigger.jpeg))
    policy = SingleTarget(spec.source, spec.target)
    attacked = policy.eligible(test.labels)

    def called_target(model: nn.Module) -> Rate:
        said = predict(model, images, trigger=trigger).classes
        hit = policy.success(said, test.labels, len(test.classes))[attacked]
        return Rate.of(int(hit.sum()), len(hit))

    twin, badnet = models
    return called_target(twin), called_target(badnet)


def _nearest(shares: tuple[float, ...], wanted: float) -> float:
    """The share that pictures are shown of."""
    return min(shares, key=lambda share: abs(share - wanted))
