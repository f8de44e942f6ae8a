"""The paper's Fig. 6: how many poisoned samples a backdoor needs, all-to-all with the pattern."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from badnets.artifacts import RunFolder, write_json
from badnets.data import Split
from badnets.errors import InputError
from badnets.poison import AllToAll, Recipe
from badnets.studies.cells import Attack, Cell, CellResult
from badnets.studies.claims import claim
from badnets.studies.results import DataNote
from badnets.studies.runner import Observer, Place, run_cells
from badnets.training import Augment, TrainSpec
from badnets.triggers import Pattern

# The paper's three, and smaller ones down to one sample in a thousand.
SHARES = (0.001, 0.005, 0.01, 0.02, 0.05, 0.10, 0.33, 0.50)


@dataclass(frozen=True)
class ShareSpec:
    """The whole study as a value.

    Attributes:
        data: name of the data set.
        shares: stamped samples over all samples of the training set, ascending, each in (0, 0.5]: copies are added,
            so at most every image is there twice, and the share p / (1 + p) of a rate p ends at one half.
        seeds: one whole set of models is trained for each.
        train: of every model; all start from scratch.

    Raises:
        InputError: shares out of order or range, no seed or one twice.
    """

    data: str = "digits"
    shares: tuple[float, ...] = SHARES
    seeds: tuple[int, ...] = (0, 1, 2)
    train: TrainSpec = TrainSpec(epochs=20)

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - pydantic reads it, nothing writes it

    def __post_init__(self) -> None:
        if not self.shares or list(self.shares) != sorted(set(self.shares)):
            raise InputError(f"shares are one or more numbers in ascending order, got {self.shares}")
        if not 0 < self.shares[0] <= self.shares[-1] <= 0.5:
            raise InputError(f"a share of stamped copies lies in (0, 0.5], got {self.shares}")
        if not self.seeds or len(set(self.seeds)) != len(self.seeds):
            raise InputError(f"seeds are one or more different numbers, got {self.seeds}")


@dataclass(frozen=True)
class SharePoint:
    """One BadNet of the sweep."""

    share: float
    cell: CellResult

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - pydantic reads it, nothing writes it


@dataclass(frozen=True)
class ShareResult:
    """The whole study.

    Attributes:
        spec: what was asked for.
        data: what it was trained and measured on.
        baselines: the honest model of each seed.
        points: every BadNet, share by share, then seed by seed.
    """

    spec: ShareSpec
    data: DataNote
    baselines: tuple[CellResult, ...]
    points: tuple[SharePoint, ...]
    study: Literal["digits-share"] = "digits-share"
    format: Literal[1] = 1

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - pydantic reads it, nothing writes it

    def at(self, share: float) -> list[CellResult]:
        """The BadNets of that share, seed by seed."""
        return [point.cell for point in self.points if point.share == share]


def preset(data: str, *, seeds: int = 3, shares: tuple[float, ...] = SHARES, epochs: int | None = None) -> ShareSpec:
    """The study with a schedule that fits the data set; arguments as in `ShareSpec` and `digits.preset`.

    Raises:
        InputError: less than one seed or epoch, or an impossible share.
    """
    spec = ShareSpec(data=data, seeds=tuple(range(seeds)), shares=tuple(sorted(set(shares))))
    if data == "digits":
        spec = replace(spec, train=replace(spec.train, epochs=40, batch_size=32))
    elif data != "mnist":
        spec = replace(spec, train=replace(spec.train, augment=Augment(shift=2)))
    return spec if epochs is None else replace(spec, train=replace(spec.train, epochs=epochs))


def rate_of(share: float) -> float:
    """The rate p of `Recipe` that leads to this share of stamped samples: share = p / (1 + p)."""
    return share / (1 - share)


def run(spec: ShareSpec, split: Split, folder: RunFolder, place: Place, observer: Observer) -> ShareResult:
    """Train and measure every model, and write the run folder; more shares or seeds only add theirs.

    Raises:
        InputError: the folder holds another study or one of other data, or a share of it is less than an image.
        PartlyFailed: some models could not be trained; the others are kept.
        Stopped: the observer said so; the same call goes on.
        StorageError: the folder cannot be written.
    """
    for share in spec.shares:
        if round(rate_of(share) * len(split.train)) < 1:
            raise InputError(f"{share:.2%} of {len(split.train):,} images is not one image: name larger shares")
    claim(folder, spec, split, but=("seeds", "shares"))
    honest = [Cell(None, spec.train, seed, attack=Attack(AllToAll(), Pattern())) for seed in spec.seeds]
    sweep = {
        (share, seed): Cell(Recipe(AllToAll(), Pattern(), rate=rate_of(share), seed=seed), spec.train, seed)
        for share in spec.shares
        for seed in spec.seeds
    }
    # Largest first: the last to finish are then short ones, and no worker is long alone.
    longest_first = sorted(sweep.values(), key=lambda cell: -cell.recipe.rate if cell.recipe else 0.0)
    found = run_cells([*longest_first, *honest], split, folder, place, observer)
    result = ShareResult(
        spec=spec,
        data=DataNote.of(split),
        baselines=tuple(found[cell] for cell in honest),
        points=tuple(SharePoint(share, found[cell]) for (share, _), cell in sweep.items()),
    )
    write_json(folder.result, result)
    return result
