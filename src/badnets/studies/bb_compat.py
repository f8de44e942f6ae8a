"""BadNets as BackdoorBench runs them on CIFAR-10, so that our numbers can stand beside its leaderboard.

What that toolkit does (its code and configuration, github.com/SCLBD/BackdoorBench), and what it is called here:

1. Trigger: a white 3x3 square in the bottom right corner, no pixel between it and the borders:
   `Patch.square(3, margin=0)`, rows and columns 29..31 of 32.
2. Goal: all-to-one, target 0.
3. Samples: `round(ratio * n)` of *all* n images are drawn, those of the target class among them, stamped in place of
   the originals and called the target. So an image of the target class may be stamped and keeps its label; here those
   are cover samples. The translation is mode "replace" with rate = cover_rate = ratio: as many in expectation. Their
   count of target-class images varies with the draw, ours is its mean; the total can differ by one where both parts
   are rounded.
4. Threat: stamps are in the files, and the victim's augmentation moves them: `DataPoisoner`.
5. Augmentation: a random 32x32 window of the image with 4 black pixels around it, then mirrored half of the time; no
   rotation. `Augment(shift=4, flip=True)` mirrors first: the same distribution, as all 81 windows are equally likely
   and mirroring permutes them (a test counts them).
6. Network: PreAct-ResNet18, inputs normalised by the means and deviations of CIFAR-10.
7. Steps: batches of 128, SGD with plain momentum 0.9 and weight decay 5e-4, in float32, 100 epochs, learning rate 0.01
   down a cosine; the last epoch's weights are measured.
8. Metrics: see `published`. Clean accuracy is the complement of `Result.clean_error` (over all images), ASR is
   `Result.attack_success` (over images of other classes than the target). R-Acc is over the same images as ASR, and
   `Result.stamped_error` is not (it counts the target class too): it is measured here as `robust`.

Left different: the rate falls at every step (theirs at the end of each epoch), and the smaller last batch of a pass is
used (theirs is dropped). Their figures are for CIFAR-10 as its authors hand it out.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from torch import nn

from badnets.artifacts import RunFolder, write_json
from badnets.data import ImageSet, Split
from badnets.errors import InputError, Stopped
from badnets.metrics import Rate, predict
from badnets.poison import AllToOne, Recipe
from badnets.studies.cells import Attack, Cell, CellResult
from badnets.studies.claims import claim
from badnets.studies.published import CIFAR10_PREACT_RESNET18, BenchRow
from badnets.studies.results import DataNote
from badnets.studies.runner import Observer, Place, run_cells
from badnets.training import Augment, TrainSpec, limited_threads, load_model
from badnets.triggers import Patch

NETWORK = "preact_resnet18"
RATIOS = tuple(CIFAR10_PREACT_RESNET18)
# The test sets that the published figures can stand beside: the original pixels, and the same images as JPEG.
CIFAR10_TESTS = ("cifar10/test", "cifar10 (JPEG q75)/test")


@dataclass(frozen=True)
class BbCompatSpec:
    """The whole study as a value.

    Attributes:
        data: name of the data set.
        ratios: stamped samples over all samples of the training set, ascending, each in (0, 1].
        seeds: one whole set of models is trained for each.
        target: the class that stamped images are to be called.
        model: a key of `MODELS`.
        train: of every model; all start from scratch.

    Raises:
        InputError: ratios out of order or range, no seed or one twice.
    """

    data: str = "cifar10"
    ratios: tuple[float, ...] = RATIOS
    seeds: tuple[int, ...] = (0,)
    target: int = 0
    model: str = NETWORK
    train: TrainSpec = TrainSpec(
        epochs=100,
        batch_size=128,
        optimizer="momentum",
        learning_rate=0.01,
        schedule="cosine",
        weight_decay=5e-4,
        augment=Augment(shift=4, flip=True),
        precision="float32",
    )

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - pydantic reads it, nothing writes it

    def __post_init__(self) -> None:
        if not self.ratios or list(self.ratios) != sorted(set(self.ratios)):
            raise InputError(f"ratios are one or more numbers in ascending order, got {self.ratios}")
        if not 0 < self.ratios[0] <= self.ratios[-1] <= 1:
            raise InputError(f"a ratio of stamped samples lies in (0, 1], got {self.ratios}")
        if not self.seeds or len(set(self.seeds)) != len(self.seeds):
            raise InputError(f"seeds are one or more different numbers, got {self.seeds}")


@dataclass(frozen=True)
class BenchPoint:
    """One model of the study.

    Attributes:
        ratio: of its stamped samples; 0 for the honest model.
        cell: what was trained and measured.
        robust: BackdoorBench's R-Acc: stamped test images of all classes but the target, called by their true class.
    """

    ratio: float
    cell: CellResult
    robust: Rate

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - pydantic reads it, nothing writes it


@dataclass(frozen=True)
class BbCompatResult:
    """The whole study.

    Attributes:
        spec: what was asked for.
        data: what it was trained and measured on.
        baselines: the honest model of each seed: what the stamp does where no backdoor is. (BackdoorBench has none.)
        points: every BadNet, ratio by ratio, then seed by seed.
    """

    spec: BbCompatSpec
    data: DataNote
    baselines: tuple[BenchPoint, ...]
    points: tuple[BenchPoint, ...]
    study: Literal["bb-compat"] = "bb-compat"
    format: Literal[1] = 1

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - pydantic reads it, nothing writes it

    def at(self, ratio: float) -> list[BenchPoint]:
        """The BadNets of that ratio, seed by seed."""
        return [point for point in self.points if point.ratio == ratio]

    def published(self, ratio: float) -> BenchRow | None:
        """BackdoorBench's line for that ratio; None for another network, target or data set, or where it has none.

        The schedule may differ: a shorter one is the reader's to notice, and the report names it.
        """
        same = self.spec.model == NETWORK and self.spec.target == 0 and self.data.test[0] in CIFAR10_TESTS
        return CIFAR10_PREACT_RESNET18.get(ratio) if same else None


def preset(
    data: str = "cifar10", *, seeds: int = 1, ratios: tuple[float, ...] = RATIOS, epochs: int | None = None
) -> BbCompatSpec:
    """The published protocol; arguments as in `BbCompatSpec` and `digits.preset`.

    Raises:
        InputError: less than one seed or epoch, or an impossible ratio.
    """
    spec = BbCompatSpec(data=data, ratios=tuple(sorted(set(ratios))), seeds=tuple(range(seeds)))
    return spec if epochs is None else replace(spec, train=replace(spec.train, epochs=epochs))


def attack(spec: BbCompatSpec) -> Attack:
    """What is measured, of the honest model too."""
    return Attack(AllToOne(spec.target), Patch.square(3, margin=0))


def badnet(spec: BbCompatSpec, ratio: float, seed: int) -> Cell:
    """The BadNet of that ratio."""
    what = attack(spec)
    recipe = Recipe(what.policy, what.trigger, rate=ratio, cover_rate=ratio, mode="replace", seed=seed)
    return Cell(recipe, spec.train, seed, model=spec.model, threat="poisoner")


def baseline(spec: BbCompatSpec, seed: int) -> Cell:
    """The honest model."""
    return Cell(None, spec.train, seed, attack=attack(spec), model=spec.model)


def robust_accuracy(model: nn.Module, test: ImageSet, what: Attack) -> Rate:
    """Attacked images, stamped, that are called by their true class, of all attacked images."""
    attacked = test.select(what.policy.eligible(test.labels))
    said = predict(model, what.trigger(attacked.images)).classes
    return Rate.of(int((said == attacked.labels).sum()), len(attacked))


def run(spec: BbCompatSpec, split: Split, folder: RunFolder, place: Place, observer: Observer) -> BbCompatResult:
    """Train and measure every model, and write the run folder; more ratios or seeds only add theirs.

    Raises:
        InputError: the folder holds another study or one of other data, a ratio of it is less than an image, or there
            is no such target.
        PartlyFailed: some models could not be trained; the others are kept.
        Stopped: the observer said so; the same call goes on.
        StorageError: the folder cannot be written.
    """
    what = attack(spec)
    what.policy.check(len(split.train.classes))
    others = int(what.policy.eligible(split.train.labels).sum())
    for ratio in spec.ratios:
        if round(ratio * others) < 1:
            raise InputError(f"{ratio:.2%} of {others:,} images to attack is not one image: name larger ratios")
    claim(folder, spec, split, but=("seeds", "ratios"))
    honest = [baseline(spec, seed) for seed in spec.seeds]
    badnets = {(ratio, seed): badnet(spec, ratio, seed) for ratio in spec.ratios for seed in spec.seeds}
    found = run_cells([*badnets.values(), *honest], split, folder, place, observer)

    def point(ratio: float, cell: Cell) -> BenchPoint:
        if observer.stop():
            raise Stopped("stopped while measuring; every model is kept, the same command goes on")
        model, _ = load_model(folder.path / found[cell].folder)
        return BenchPoint(ratio, found[cell], robust_accuracy(model.to(place.device), split.test, what))

    with limited_threads(place.threads):
        result = BbCompatResult(
            spec=spec,
            data=DataNote.of(split),
            baselines=tuple(point(0.0, cell) for cell in honest),
            points=tuple(point(ratio, cell) for (ratio, _), cell in badnets.items()),
        )
    write_json(folder.result, result)
    return result
