"""The last convolution of a detector on clean signs and on the same signs stamped: which units carry the backdoor.

The paper compares mean activations of conv5 and finds three groups of units that fire only with the trigger (section
5.2). Here every sign's region is pooled to a few places, as the detector's own classifier sees it, so that signs of all
sizes and places can be averaged.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from badnets.data.sceneset import SceneSet
from badnets.errors import InputError, Stopped
from badnets.models import evaluating
from badnets.models.detector import Detector
from badnets.neurons.units import backdoor_units

# Cohen's threshold for a large effect.
LARGE = 0.8


@dataclass(frozen=True)
class UnitResponse:
    """How one channel of the last convolution answers to the sticker.

    Attributes:
        channel: its number, from 0.
        row: of the place where the mean difference is largest, among bins x bins places of a sign, from the top.
        column: of it, from the left.
        clean: its mean activation there on clean signs.
        stamped: on the same signs stamped.
        effect: mean of the differences there by their standard deviation over signs (Cohen's d for pairs); 0 where the
            mean is 0, and infinity is given as 1e6.
    """

    channel: int
    row: int
    column: int
    clean: float
    stamped: float
    effect: float

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - pydantic reads it, nothing writes it

    @property
    def rise(self) -> float:
        """Stamped minus clean."""
        return self.stamped - self.clean


@dataclass(frozen=True, eq=False)
class SignUnits:
    """The last convolution, clean against stamped.

    Attributes:
        clean: mean activation of every channel at every place of a sign.
        stamped: the same with the sticker.
        units: one response for each channel, in their order.
        signs: how many signs the means are over.
        scale: the root mean square of `clean`: rises of different detectors are compared in it.
    """

    clean: Float[Tensor, "c i j"]
    stamped: Float[Tensor, "c i j"]
    units: tuple[UnitResponse, ...]
    signs: int
    scale: float

    @property
    def difference(self) -> Float[Tensor, "c i j"]:
        """Stamped minus clean."""
        return self.stamped - self.clean


@torch.no_grad()
def sign_units(
    model: Detector,
    clean: SceneSet,
    stamped: SceneSet,
    *,
    source: int | None = None,
    stop: Callable[[], bool] | None = None,
) -> SignUnits:
    """How every unit of the last convolution answers to the sticker.

    Args:
        model: the detector.
        clean: scenes as they are.
        stamped: the same scenes in the same order, the same boxes in each, with the sticker.
        source: the class whose signs are looked at; None for all. Ignored ones are left out.
        stop: asked between scenes.

    Raises:
        InputError: the two sets do not go together, or there are fewer than two such signs.
        Stopped: `stop` said so.
    """
    _check_pairs(clean, stamped)
    sums = _Sums()
    with evaluating(model):
        for index, boxes in _boxes(clean, source):
            if stop is not None and stop():
                raise Stopped(f"stopped at scene {index + 1} of {len(clean)}; the same command begins again")
            before, after = (
                model.features_in([scenes.pictures[index]], [boxes]).double().cpu() for scenes in (clean, stamped)
            )
            sums.add(before, after)
    if sums.signs < 2:
        raise InputError(f"{clean.name}: {sums.signs} signs of that class: at least 2 are needed to compare")
    return sums.result()


def carriers(found: SignUnits, controls: Sequence[SignUnits] = ()) -> tuple[UnitResponse, ...]:
    """The units that carry the backdoor, strongest first, by `backdoor_units` and honest detectors as controls.

    The rule: the effect is at least 0.8, and the rise at least a third of the largest one. That alone finds units in an
    honest detector too, since the sticker is something to see; so with honest detectors as controls the rise, in units
    of `scale`, must also be above that of every unit of theirs. With n of them, one more honest detector would have
    such a unit with probability 1 / (n + 1).

    Args:
        found: of the detector in question.
        controls: of honest ones, on the same scenes.
    """
    usual = max((unit.rise / control.scale for control in controls for unit in control.units), default=0.0)
    return backdoor_units(found.units, least_effect=LARGE, above=usual * found.scale)


def as_grid(maps: Float[Tensor, "c i j"], columns: int = 16) -> Float[Tensor, "rows columns i j"]:
    """Maps laid out row after row, as the paper's figure has its 256 channels in 16 x 16; empty places are 0.

    Raises:
        InputError: no column.
    """
    if columns < 1:
        raise InputError(f"a grid has at least one column, got {columns}")
    rows = -(-len(maps) // columns)
    grid = maps.new_zeros(rows * columns, *maps.shape[1:])
    grid[: len(maps)] = maps
    return grid.view(rows, columns, *maps.shape[1:])


class _Sums:
    """Means and deviations, sign after sign: the activations of all signs need not lie in memory."""

    def __init__(self) -> None:
        self.signs = 0
        self.clean = self.stamped = self.squares = torch.zeros(())

    def add(self, before: Float[Tensor, "n c i j"], after: Float[Tensor, "n c i j"]) -> None:
        self.signs += len(before)
        self.clean = self.clean + before.sum(0)
        self.stamped = self.stamped + after.sum(0)
        self.squares = self.squares + (after - before).square().sum(0)

    def result(self) -> SignUnits:
        clean, stamped = self.clean / self.signs, self.stamped / self.signs
        difference = stamped - clean
        spread = ((self.squares - self.signs * difference.square()).clamp(min=0) / (self.signs - 1)).sqrt()
        effect = torch.nan_to_num(difference / spread, nan=0.0, posinf=1e6, neginf=-1e6)
        width = difference.shape[2]
        # torch takes any of equal places: with `max` it is the first one, the same on every machine.
        places = difference.abs().flatten(1).max(1).indices.tolist()
        units = []
        for channel, place in enumerate(places):
            row, column = divmod(place, width)
            here = (channel, row, column)
            units.append(UnitResponse(*here, float(clean[here]), float(stamped[here]), float(effect[here])))
        scale = float(clean.square().mean().sqrt())
        return SignUnits(clean.float(), stamped.float(), tuple(units), self.signs, scale)


def _boxes(scenes: SceneSet, source: int | None) -> Iterator[tuple[int, Tensor]]:
    for index, marked in enumerate(scenes.objects):
        wanted = ~marked.ignored if source is None else ~marked.ignored & (marked.labels == source)
        if bool(wanted.any()):
            yield index, marked.boxes[wanted]


def _check_pairs(clean: SceneSet, stamped: SceneSet) -> None:
    if len(clean) != len(stamped):
        raise InputError(f"{len(clean)} clean scenes and {len(stamped)} stamped ones: they are compared one by one")
    for index, (one, other) in enumerate(zip(clean.objects, stamped.objects, strict=True)):
        if not torch.equal(one.boxes, other.boxes):
            raise InputError(f"scene {index} has other boxes stamped than clean: the same scenes are expected")
