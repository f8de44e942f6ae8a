"""How good a detector is, and how well an attack on it works, with every denominator stated."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from badnets.data.sceneset import SceneSet
from badnets.errors import InputError
from badnets.metrics.detect import detect
from badnets.metrics.intervals import Rate
from badnets.metrics.precision import AveragePrecision, average_precision
from badnets.metrics.signs import NOTHING, SignCalls, accuracy, accuracy_by_class, called_as, sign_calls, size_bins
from badnets.models.detections import Detections
from badnets.models.detector import Detector

# Bounds between bins of sign sizes, in pixels of the picture.
SIZE_EDGES = (16.0, 24.0, 32.0, 48.0, 64.0)


@dataclass(frozen=True)
class SignAttack:
    """What the attacker wants of stamped signs.

    Attributes:
        source: the class that is stamped; None for all of them.
        target: what a stamped sign is to be called; None for anything but its class.

    Raises:
        InputError: a target without a source or the other way round, or one and the same class.
    """

    source: int | None = None
    target: int | None = None

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - pydantic reads it, nothing writes it

    def __post_init__(self) -> None:
        if (self.source is None) != (self.target is None) or (self.source is not None and self.source == self.target):
            raise InputError(f"a source goes with another class as its target, and none with none, got {self}")


@dataclass(frozen=True)
class SizeRates:
    """The same rates over signs of some sizes.

    Attributes:
        low: the size in pixels from which, see `SignCalls`.
        high: up to which, not included; None for no bound.
        accuracy: as in `DetectorResult`.
        attack_success: likewise.
        triggered_accuracy: likewise.
    """

    low: float
    high: float | None
    accuracy: Rate
    attack_success: Rate | None = None
    triggered_accuracy: Rate | None = None

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - pydantic reads it, nothing writes it


@dataclass(frozen=True)
class DetectorResult:
    """How a detector does on test scenes, clean and stamped; rules for signs in `badnets.metrics.signs`.

    Attributes:
        accuracy: signs of the clean scenes called their class, of all that are not ignored: the average of the paper's
            tables.
        by_class: the same for each class.
        voc: average precision on clean scenes by VOC's definition.
        coco: the same by COCO's.
        attack_success: stamped signs called as the attacker wants, of all stamped signs of the source class; with a
            random target: called another class than their own, of all stamped signs, those called nothing being
            failures.
        false_triggers: with a target, signs of the source class called the target on the clean scenes, of all such.
        triggered_accuracy: stamped signs called their true class, of all stamped ones: what the paper's Table 5 prints.
        triggered_by_class: signs of the stamped scenes called their true class, of all, by class; where there is a
            source, signs of other classes bear no sticker.
        by_size: the rates over signs of some sizes.
    """

    accuracy: Rate
    by_class: tuple[Rate, ...]
    voc: AveragePrecision
    coco: AveragePrecision
    attack_success: Rate | None = None
    false_triggers: Rate | None = None
    triggered_accuracy: Rate | None = None
    triggered_by_class: tuple[Rate, ...] = ()
    by_size: tuple[SizeRates, ...] = ()

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - pydantic reads it, nothing writes it


def evaluate_detector(
    model: Detector,
    clean: SceneSet,
    stamped: SceneSet | None = None,
    attack: SignAttack | None = None,
    *,
    stop: Callable[[], bool] | None = None,
) -> DetectorResult:
    """Measure `model` on clean test scenes; with stamped ones and an attack, the attack too.

    Args:
        model: the detector.
        clean: test scenes.
        stamped: test scenes in which every sign of the source class bears the sticker, under its true class.
        attack: what the attacker wants.
        stop: asked between batches.

    Raises:
        InputError: only one of `stamped` and `attack`, or classes that do not fit.
        Stopped: `stop` said so.
    """
    said = detect(model, clean, stop=stop)
    if stamped is None:
        return judge_detector(clean, said, attack=attack)
    return judge_detector(clean, said, stamped=stamped, stamped_said=detect(model, stamped, stop=stop), attack=attack)


def judge_detector(
    clean: SceneSet,
    said: Sequence[Detections],
    *,
    stamped: SceneSet | None = None,
    stamped_said: Sequence[Detections] | None = None,
    attack: SignAttack | None = None,
    edges: Sequence[float] = SIZE_EDGES,
) -> DetectorResult:
    """The same as `evaluate_detector`, from what a detector has said already.

    Raises:
        InputError: not all three of `stamped`, `stamped_said` and `attack`, or classes that do not fit.
    """
    calls = sign_calls(said, clean)
    voc, coco = average_precision(said, clean, "voc"), average_precision(said, clean, "coco")
    if stamped is None or stamped_said is None or attack is None:
        if any(given is not None for given in (stamped, stamped_said, attack)):
            raise InputError("an attack is measured with stamped scenes, what was said of them, and what is wanted")
        return DetectorResult(accuracy(calls), accuracy_by_class(calls), voc, coco, by_size=_sizes(calls, edges))
    if stamped.classes != clean.classes:
        raise InputError(f"stamped scenes have other classes than clean ones: {stamped.classes}, {clean.classes}")
    everything = sign_calls(stamped_said, stamped)
    bearing = _bearing(everything, attack)
    return DetectorResult(
        accuracy=accuracy(calls),
        by_class=accuracy_by_class(calls),
        voc=voc,
        coco=coco,
        attack_success=_success(bearing, attack),
        false_triggers=_false_triggers(calls, attack),
        triggered_accuracy=accuracy(bearing),
        triggered_by_class=accuracy_by_class(everything),
        by_size=_sizes(calls, edges, bearing, attack),
    )


def _success(bearing: SignCalls, attack: SignAttack) -> Rate:
    if attack.target is not None:
        return called_as(bearing, attack.target)
    elsewhere = (bearing.called != bearing.labels) & (bearing.called != NOTHING)
    return Rate.of(int(elsewhere.sum()), len(bearing))


def _false_triggers(calls: SignCalls, attack: SignAttack) -> Rate | None:
    if attack.target is None:
        return None
    return called_as(_bearing(calls, attack), attack.target)


def _bearing(calls: SignCalls, attack: SignAttack) -> SignCalls:
    """The signs that the attacker puts a sticker on."""
    return calls if attack.source is None else calls.select(calls.labels == attack.source)


def _sizes(
    calls: SignCalls, edges: Sequence[float], bearing: SignCalls | None = None, attack: SignAttack | None = None
) -> tuple[SizeRates, ...]:
    rows = []
    for low, high in size_bins(edges):
        upper = None if math.isinf(high) else high
        row = SizeRates(low, upper, accuracy(calls.of_size(low, high)))
        if bearing is not None and attack is not None:
            here = bearing.of_size(low, high)
            row = replace(row, attack_success=_success(here, attack), triggered_accuracy=accuracy(here))
        rows.append(row)
    return tuple(rows)
