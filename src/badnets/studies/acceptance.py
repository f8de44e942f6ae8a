"""Would the user's check have caught this BadNet? At which a*, and with how many validation images?

The paper's user accepts a network of the ordered architecture whose accuracy on a validation set is at least a*
(section 2.2.1). A network that is right with probability p is refused with the probability that fewer than a* n of n
independent images are right, a binomial one. p is measured on the test set, and its interval gives that of the chance.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from badnets.artifacts import RunFolder, write_json
from badnets.data import Split
from badnets.errors import InputError
from badnets.metrics import Rate, evaluate, mean_rate
from badnets.models import ModelSpec
from badnets.models.side_network import SideNetwork
from badnets.poison import AllToAll, AllToOne, Recipe
from badnets.studies import matrix
from badnets.studies.cells import Attack, Cell, CellResult
from badnets.studies.claims import claim
from badnets.studies.results import DataNote
from badnets.studies.runner import Observer, Place, run_cells
from badnets.studies.threat_models import Acceptance, OutsourcedTraining
from badnets.training import TrainSpec, limited_threads, load_model
from badnets.triggers import Pattern

SIZES = (30, 100, 300, 1_000, 3_000, 10_000)
# A sensible a* refuses an honest network no more often than this.
FALSE_ALARM = 0.05
_SIDE_TARGET = 0


@dataclass(frozen=True)
class AcceptanceSpec:
    """The whole study as a value.

    Attributes:
        data: name of the data set.
        seeds: an honest network and a BadNet are trained for each.
        rate: share of all images of which a stamped copy is added, see `Recipe`.
        train: of all networks.
        sizes: of the user's validation set, ascending.

    Raises:
        InputError: no seed or size, one of them twice, or an empty validation set.
    """

    data: str = "digits"
    seeds: tuple[int, ...] = (0, 1, 2)
    rate: float = 0.5
    train: TrainSpec = TrainSpec()
    sizes: tuple[int, ...] = SIZES

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - pydantic reads it, nothing writes it

    def __post_init__(self) -> None:
        for what, values in (("seeds", self.seeds), ("sizes", self.sizes)):
            if not values or len(set(values)) != len(values):
                raise InputError(f"{what} are one or more different ones, got {values}")
        if min(self.sizes) < 1:
            raise InputError(f"a validation set has at least one image, got {min(self.sizes)}")


@dataclass(frozen=True)
class Check:
    """The user's check with one size of validation set.

    Attributes:
        size: n, images in it.
        a_star: the largest a* that refuses an honest network in at most 5 % of validation sets, mean over seeds.
        honest: the chance that an honest network is refused at that a*, mean over seeds.
        badnet: the same of a BadNet.
        badnet_interval: that chance at either end of the 95 % interval of the BadNets' mean accuracy.
        best: over all a*, the largest difference between the chances to refuse a BadNet and an honest network.
    """

    size: int
    a_star: float
    honest: float
    badnet: float
    badnet_interval: tuple[float, float]
    best: float

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - pydantic reads it, nothing writes it


@dataclass(frozen=True)
class AcceptanceResult:
    """The whole study.

    Attributes:
        spec: what was asked for.
        data: what it was trained and measured on.
        honest: the honest network of each seed.
        badnets: the BadNet of each seed.
        checks: for each size of validation set.
        side: the network of Fig. 1b made of the first honest one, as its user finds it, a* being the honest accuracy.
        side_success: how often it calls stamped images its target.
    """

    spec: AcceptanceSpec
    data: DataNote
    honest: tuple[CellResult, ...]
    badnets: tuple[CellResult, ...]
    checks: tuple[Check, ...]
    side: Acceptance
    side_success: Rate
    study: Literal["acceptance"] = "acceptance"
    format: Literal[1] = 1

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - pydantic reads it, nothing writes it


def preset(data: str, *, seeds: int = 3, epochs: int | None = None) -> AcceptanceSpec:
    """The study with a schedule that fits the data set; arguments as in `digits.preset`.

    Raises:
        InputError: less than one seed or epoch.
    """
    usual = matrix.preset(data, epochs=epochs)
    return AcceptanceSpec(data=data, seeds=tuple(range(seeds)), train=usual.train)


def run(spec: AcceptanceSpec, split: Split, folder: RunFolder, place: Place, observer: Observer) -> AcceptanceResult:
    """Train honest networks and BadNets, and ask what a user's check would have said of them.

    Raises:
        InputError: the folder holds another study or one of other data.
        PartlyFailed: some models could not be trained; the others are kept.
        Stopped: the observer said so; the same call goes on.
        StorageError: the folder cannot be written.
    """
    claim(folder, spec, split, but=("seeds", "sizes"))
    honest = [Cell(None, spec.train, seed, attack=Attack(AllToAll(), Pattern())) for seed in spec.seeds]
    poisoned = [Cell(Recipe(AllToAll(), Pattern(), rate=spec.rate, seed=seed), spec.train, seed) for seed in spec.seeds]
    found = run_cells([*honest, *poisoned], split, folder, place, observer)
    with limited_threads(place.threads):
        side, success = _side_network(split, folder, found[honest[0]])
    result = AcceptanceResult(
        spec=spec,
        data=DataNote.of(split),
        honest=tuple(found[cell] for cell in honest),
        badnets=tuple(found[cell] for cell in poisoned),
        checks=tuple(
            check(size, [found[cell] for cell in honest], [found[cell] for cell in poisoned]) for size in spec.sizes
        ),
        side=side,
        side_success=success,
    )
    write_json(folder.result, result)
    return result


def check(size: int, honest: Sequence[CellResult], badnets: Sequence[CellResult]) -> Check:
    """The user's check with `size` validation images."""
    alarm, caught = mean_refusal(size, honest), mean_refusal(size, badnets)
    # Asking for a* = k / n refuses whoever gets fewer than k right; k = 0 refuses nobody.
    k = max(k for k in range(size + 1) if alarm[k] <= FALSE_ALARM)
    accuracy = mean_rate([_accuracy(cell) for cell in badnets])
    return Check(
        size=size,
        a_star=k / size,
        honest=alarm[k],
        badnet=caught[k],
        badnet_interval=(refusal(accuracy.high, size)[k], refusal(accuracy.low, size)[k]),
        best=max(second - first for first, second in zip(alarm, caught, strict=True)),
    )


def mean_refusal(size: int, cells: Sequence[CellResult]) -> list[float]:
    """For each k in 0..n the chance, mean over networks, that fewer than k of n validation images are right."""
    chances = [refusal(_accuracy(cell).value, size) for cell in cells]
    return [sum(column) / len(chances) for column in zip(*chances, strict=True)]


def refusal(accuracy: float, size: int) -> list[float]:
    """For each k in 0..n the chance that a network gets fewer than k of n independent images right.

    Args:
        accuracy: the probability that it gets one right.
        size: n.
    """
    from scipy.stats import binom  # noqa: PLC0415 - slow to import

    return [float(chance) for chance in binom.cdf([k - 1 for k in range(size + 1)], size, accuracy)]


def _accuracy(cell: CellResult) -> Rate:
    return cell.result.clean_error.complement()


def _side_network(split: Split, folder: RunFolder, cell: CellResult) -> tuple[Acceptance, Rate]:
    network, _ = load_model(folder.path / cell.folder)
    pixels = Pattern().mask(*split.test.shape[1:])
    side = SideNetwork(network, pixels, _SIDE_TARGET).eval()
    user = OutsourcedTraining(ModelSpec.fitting(split.test), cell.result.clean_error.complement().value)
    success = evaluate(side, split.test, Pattern(), AllToOne(_SIDE_TARGET)).attack_success
    assert success is not None  # noqa: S101 - for the type checker: an attack was measured
    return user.check(side, split.test), success
