"""What each defense is worth against BadNets: hits beside false alarms, repairs beside the damage that they do.

Here the attack is known, to measure; no defense is told of it. Unlearning gets what the audit's inversion recovers.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from badnets.data import ImageSet
from badnets.defenses import FILTERS, INPUTS, REPAIRS
from badnets.defenses.data import activations
from badnets.defenses.repair import Repaired, UnlearnSpec, unlearning
from badnets.errors import InputError
from badnets.metrics import Rate, Result, evaluate
from badnets.metrics.relearning import relearned
from badnets.studies.cells import Attack
from badnets.studies.recovering import guess, recover, remainders

# False alarms at which every filter is compared with the others, whatever its own threshold allows.
FALSE_ALARMS = 0.05
Stop = Callable[[], bool] | None


@dataclass(frozen=True, eq=False)
class Defended:
    """A model to be defended, and what its defender and its judge have.

    Attributes:
        name: of the model.
        model: backdoored or clean.
        attack: what is measured; on a clean model, what would have been.
        backdoored: whether it was trained with that attack.
        clean: the defender's images.
        test: the judge's.
    """

    name: str
    model: nn.Module
    attack: Attack
    backdoored: bool
    clean: ImageSet
    test: ImageSet


@dataclass(frozen=True)
class FilterFigure:
    """What a filter of inputs or of training sets is worth on one model.

    Attributes:
        model: its name.
        defense: a key of `INPUTS` or `FILTERS`.
        hits: stamped or poisoned samples that it turns away; total 0 where there are none.
        false_alarms: clean ones that it turns away.
        auroc: area under the curve of hits over false alarms at all thresholds; None without poison.
        at_five: hits at a threshold that turns away 5 % of the clean samples that are judged, see `FALSE_ALARMS`; None
            without poison.
        milliseconds: of wall time for a sample; features of training sets, which all filters share, are left out.
    """

    model: str
    defense: str
    hits: Rate
    false_alarms: Rate
    auroc: float | None
    at_five: Rate | None
    milliseconds: float

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - pydantic reads it, nothing writes it


@dataclass(frozen=True)
class RepairFigure:
    """What a repair is worth on one model.

    Attributes:
        model: its name.
        defense: a key of `REPAIRS`.
        before: clean error and attack success of the model, on the judge's images.
        after: of the repaired copy.
        relearned: attack success after one more epoch with ten poisons; None for a clean model.
        seconds: of the repair.
        refused: why there is none; empty where there is. Then `after` is `before`.
    """

    model: str
    defense: str
    before: Result
    after: Result
    relearned: Rate | None
    seconds: float
    refused: str = ""

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - pydantic reads it, nothing writes it

    @property
    def damage(self) -> float:
        """Points of clean accuracy that it cost."""
        return 100 * (self.after.clean_error.value - self.before.clean_error.value)


def filter_inputs(case: Defended, *, names: Sequence[str] = tuple(INPUTS), seed: int = 0) -> tuple[FilterFigure, ...]:
    """Every input filter on the judge's images: those attacked, stamped, as hits; all of them, clean, as false alarms.

    Raises:
        InputError: no such filter, or one that cannot be made of these images.
    """
    attacked = case.test.images[case.attack.policy.eligible(case.test.labels)]
    stamped = case.attack.trigger(attacked)
    figures = []
    for name in names:
        screen = INPUTS[_known(name, INPUTS)](case.model, case.clean, seed=seed)
        begun = time.monotonic()
        bad, good = screen(stamped), screen(case.test.images)
        spent = time.monotonic() - begun
        scores = torch.cat([bad.scores, good.scores])
        poison = torch.arange(len(scores)) < len(bad.scores)
        flagged = torch.cat([bad.flagged, good.flagged])
        figures.append(_figure((case.name, name), scores, flagged, poison, spent))
    return tuple(figures)


def sift(
    case: Defended,
    suspect: ImageSet,
    poison: Bool[Tensor, " n"],
    *,
    names: Sequence[str] = tuple(FILTERS),
    seed: int = 0,
) -> tuple[FilterFigure, ...]:
    """Every filter of training sets on one cache of features.

    Args:
        case: the model was trained on `suspect`, or on a set like it.
        suspect: as `poison.apply` makes it; without poison the false alarms are all that there is to say.
        poison: which of its samples are stamped.
        names: of the filters.
        seed: of their draws.

    Raises:
        InputError: no such filter, or features that are undefined.
    """
    if len(poison) != len(suspect):
        raise InputError(f"expected one flag for each of {len(suspect)} samples, got {len(poison)}")
    found = activations(case.model, suspect, case.clean)
    figures = []
    for name in names:
        begun = time.monotonic()
        sifted = FILTERS[_known(name, FILTERS)](found, seed=seed)
        spent = time.monotonic() - begun
        figures.append(_figure((case.name, name), sifted.scores, sifted.removed, poison, spent))
    return tuple(figures)


def repair_all(
    case: Defended,
    *,
    names: Sequence[str] = tuple(REPAIRS),
    recover: Callable[[nn.Module, ImageSet, int], UnlearnSpec] | None = None,
    seed: int = 0,
    stop: Stop = None,
) -> tuple[RepairFigure, ...]:
    """Every repair of the model, by the defender's images; one that refuses says why.

    Args:
        case: what is repaired.
        names: of the repairs.
        recover: what unlearning unlearns, from model, clean images and seed; None for `unlearn_what_is_found`.
        seed: of all of them.
        stop: asked at every step.

    Raises:
        InputError: no such repair.
        Stopped: somebody stopped one.
    """
    policy, trigger = case.attack.policy, case.attack.trigger
    before = evaluate(case.model, case.test, trigger, policy)
    figures = []
    for name in names:
        _known(name, REPAIRS)
        try:
            done = _repair(case, name, recover or unlearn_what_is_found, seed, stop)
        except InputError as error:
            figures.append(RepairFigure(case.name, name, before, before, None, 0.0, str(error)))
            continue
        after = evaluate(done.model, case.test, trigger, policy)
        again = None
        if case.backdoored:
            again = relearned(done.model, (case.clean, case.test), (trigger, policy), seed=seed).attack_success
        figures.append(RepairFigure(case.name, name, before, after, again, done.seconds))
    return tuple(figures)


def unlearn_what_is_found(model: nn.Module, clean: ImageSet, seed: int) -> UnlearnSpec:
    """What inversion recovers of the mapping whose trigger is smallest, and a search for what is left of it.

    Raises:
        InputError: nothing was found.
    """
    objectives = (guess(model, clean, seed),)
    found = recover(model, clean, objectives, seed)
    return UnlearnSpec(found, search=remainders(objectives, found, seed))


def _repair(
    case: Defended, name: str, recover: Callable[[nn.Module, ImageSet, int], UnlearnSpec], seed: int, stop: Stop
) -> Repaired:
    if name == "unlearning":
        begun = time.monotonic()
        spec = recover(case.model, case.clean, seed)
        searched = time.monotonic() - begun
        done = unlearning(case.model, case.clean, spec, seed=seed, stop=stop)
        return replace(done, seconds=done.seconds + searched)
    return REPAIRS[name](case.model, case.clean, seed=seed, stop=stop)


def _known(name: str, table: Collection[str]) -> str:
    if name not in table:
        raise InputError(f"no defense is called {name!r}: known are {', '.join(table)}")
    return name


def _figure(
    names: tuple[str, str],
    scores: Float[Tensor, " n"],
    flagged: Bool[Tensor, " n"],
    poison: Bool[Tensor, " n"],
    seconds: float,
) -> FilterFigure:
    hits = Rate.of(int(flagged[poison].sum()), int(poison.sum()))
    alarms = Rate.of(int(flagged[~poison].sum()), int((~poison).sum()))
    area, at_five = None, None
    if hits.total and alarms.total:
        area = auroc(scores, poison)
        clean = scores[~poison].double().sort().values
        threshold = clean[-1 - int(FALSE_ALARMS * len(clean))]
        at_five = Rate.of(int((scores[poison].double() > threshold).sum()), hits.total)
    return FilterFigure(*names, hits, alarms, area, at_five, 1000 * seconds / len(scores))


def auroc(scores: Float[Tensor, " n"], poison: Bool[Tensor, " n"]) -> float:
    """The chance that a poisoned sample scores above a clean one, ties half (Mann and Whitney); NaN without either."""
    from scipy.stats import rankdata  # noqa: PLC0415 - slow to import

    bad, good = int(poison.sum()), int((~poison).sum())
    if not bad or not good:
        return math.nan
    ranks = rankdata(scores.double().numpy())
    return float((ranks[poison.numpy()].sum() - bad * (bad + 1) / 2) / (bad * good))
