"""How far a sticker may differ from the one a detector was trained with: size, place, turn, light, distance.

The paper shows one photograph of a stop sign with a note stuck on it (section 5.2). In the world no sticker is the
size, at the place, as straight and in the light of the training set: here each is changed alone, the rest as it was.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Literal

import torch
from jaxtyping import UInt8
from torch import Tensor
from torch.nn import functional

from badnets.data import SceneSet
from badnets.data.sceneset import Objects
from badnets.errors import InputError
from badnets.metrics import Rate
from badnets.metrics.detect import detect
from badnets.metrics.signs import accuracy, called_as, sign_calls
from badnets.models.detector import Detector
from badnets.poison import SingleTarget, trigger_scenes
from badnets.triggers import BoxSticker
from badnets.triggers.altered import lit, turned

Axis = Literal["size", "place", "turn", "light", "distance"]
UNITS: dict[Axis, str] = {
    "size": "times the size it was trained with",
    "place": "shares of the sign away from the place it was trained with",
    "turn": "degrees counterclockwise",
    "light": "times the brightness of the sticker",
    "distance": "times as far away",
}
_DIAGONAL = 0.5**0.5
# A step away in each of these directions; what would leave the sign is not tried.
_WAYS = ((1, 0), (0, 1), (-1, 0), (0, -1), (_DIAGONAL, _DIAGONAL), (-_DIAGONAL, _DIAGONAL), (_DIAGONAL, -_DIAGONAL),
         (-_DIAGONAL, -_DIAGONAL))  # fmt: skip


@dataclass(frozen=True)
class SweepSpec:
    """What is tried. At the usual value of an axis (1, and 0 for place and turn) nothing is changed.

    Attributes:
        size: factors, above 0.
        place: distances from the usual place, as shares of the sign's sides, 0 to 1.
        turn: degrees.
        light: factors, 0 or more.
        distance: factors, 1 or more: the stamped picture is made so much smaller.
        scenes: at most so many, the first that have a sign to be attacked.

    Raises:
        InputError: a value outside its range, or no scene.
    """

    size: tuple[float, ...] = (0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0)
    place: tuple[float, ...] = (0.0, 0.1, 0.2, 0.3, 0.5)
    turn: tuple[float, ...] = (0.0, 15.0, 30.0, 45.0, 90.0, 180.0)
    light: tuple[float, ...] = (0.25, 0.5, 0.75, 1.0, 1.5, 2.0)
    distance: tuple[float, ...] = (1.0, 1.25, 1.5, 2.0, 3.0)
    scenes: int = 60

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - pydantic reads it, nothing writes it

    def __post_init__(self) -> None:
        if min((1.0, *self.size)) <= 0 or min((0.0, *self.place, *self.light)) < 0 or max((0.0, *self.place)) > 1:
            raise InputError(f"factors of size are above 0, of light at least 0, places within 0 and 1, got {self}")
        if min((1.0, *self.distance)) < 1 or self.scenes < 1:
            raise InputError(f"distances are 1 or more, and there is a scene or more, got {self}")


@dataclass(frozen=True)
class SweepPoint:
    """One value of one axis.

    Attributes:
        value: see `UNITS`.
        success: stamped signs called the target, of all.
        own: stamped signs still called their own class.
        clean: the same signs at that distance without a sticker, called their own class; None on the other axes.
    """

    value: float
    success: Rate
    own: Rate
    clean: Rate | None = None

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - pydantic reads it, nothing writes it


@dataclass(frozen=True)
class SweepCurve:
    """One axis."""

    axis: Axis
    points: tuple[SweepPoint, ...]

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - pydantic reads it, nothing writes it


@dataclass(frozen=True)
class SweepResult:
    """All curves.

    Attributes:
        spec: what was asked for.
        detector: SHA-256 of its weights.
        data: name of the scenes.
        attack: the class that is attacked and what its signs are to be called.
        sticker: as the attacker has it.
        signs: how many were attacked in each point, but for places, which are tried in several directions.
        curves: axis by axis.
    """

    spec: SweepSpec
    detector: str
    data: str
    attack: SingleTarget
    sticker: BoxSticker
    signs: int
    curves: tuple[SweepCurve, ...]
    study: Literal["sticker-sweep"] = "sticker-sweep"
    format: Literal[1] = 1

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - pydantic reads it, nothing writes it


@dataclass(frozen=True, eq=False)
class Sweep:
    """A detector before its stickers.

    Attributes:
        model: the detector.
        scenes: with some signs of the attacked class.
        attack: that class, and what its signs are to be called.
        sticker: as the attacker has it, at a fixed place.
        stop: asked between batches.

    Raises:
        InputError: the sticker's place is random, or no scene has such a sign.
    """

    model: Detector
    scenes: SceneSet
    attack: SingleTarget
    sticker: BoxSticker
    stop: Callable[[], bool] = lambda: False

    def __post_init__(self) -> None:
        if self.sticker.place != "fixed":
            raise InputError("a sticker at random places has no usual one to start from: name one at a fixed place")

    def carry_out(self, spec: SweepSpec, detector: str, tell: Callable[[str], None] = lambda _: None) -> SweepResult:
        """Try all that `spec` asks for.

        Args:
            spec: the values.
            detector: digest of its weights, for the result.
            tell: told in one line what comes next.

        Raises:
            InputError: no scene has a sign of the attacked class, or the detector is for other classes.
            Stopped: `stop` said so.
        """
        first = trigger_scenes(self.scenes, self.attack, self.sticker)
        few = self.scenes.select(first.rows[: spec.scenes], self.scenes.name)
        sweep = replace(self, scenes=few)
        curves = []
        for axis, unit in UNITS.items():
            values: tuple[float, ...] = getattr(spec, axis)
            if values:
                tell(f"{axis}: {', '.join(f'{value:g}' for value in values)} {unit}")
                curves.append(SweepCurve(axis, tuple(sweep.point(axis, value) for value in values)))
        signs = sum(int((one.labels == self.attack.source)[~one.ignored].sum()) for one in few.objects)
        return SweepResult(spec, detector, few.name, self.attack, self.sticker, signs, tuple(curves))

    def point(self, axis: Axis, value: float) -> SweepPoint:
        """One value of one axis. Raises as `carry_out`."""
        if axis == "distance":
            clean = self._called(_farther(self.scenes, value))[1]
            stamped = trigger_scenes(self.scenes, self.attack, self.sticker).scenes
            return SweepPoint(value, *self._called(_farther(stamped, value)), clean)
        altered = list(_altered(self.sticker, axis, value))
        if not altered:
            raise InputError(f"no place on a sign is {value:g} of its side away from the usual one: give less")
        rates = [self._called(trigger_scenes(self.scenes, self.attack, sticker).scenes) for sticker in altered]
        success, own = (
            Rate.of(sum(rate.count for rate in column), sum(rate.total for rate in column))
            for column in zip(*rates, strict=True)
        )
        return SweepPoint(value, success, own)

    def _called(self, scenes: SceneSet) -> tuple[Rate, Rate]:
        """The attacked signs called the target, and those called their own class."""
        calls = sign_calls(detect(self.model, scenes, stop=self.stop), scenes)
        attacked = calls.select(calls.labels == self.attack.source)
        return called_as(attacked, self.attack.target), accuracy(attacked)


def _altered(sticker: BoxSticker, axis: Axis, value: float) -> Iterator[BoxSticker]:
    if axis == "size":
        yield replace(sticker, size=min(1.0, sticker.size * value))
    elif axis == "light":
        yield replace(sticker, picture=lit(sticker.picture, value))
    elif axis == "turn":
        picture, growth = turned(sticker.picture, value)
        yield replace(sticker, picture=picture, size=min(1.0, sticker.size * growth))
    elif not value:
        yield sticker
    else:
        for across, down in _WAYS:
            right, below = sticker.right + value * across, sticker.down + value * down
            if all(sticker.size / 2 <= share <= 1 - sticker.size / 2 for share in (right, below)):
                yield replace(sticker, right=right, down=below)


def _farther(scenes: SceneSet, factor: float) -> SceneSet:
    """The scenes from farther away: all is smaller, in a picture as large as before, whose border goes on around it."""
    if factor == 1:
        return scenes
    pictures, objects = [], []
    for index, marked in enumerate(scenes.objects):
        picture = scenes.pictures[index]
        small = _smaller(picture, factor)
        scale = [small.shape[2] / picture.shape[2], small.shape[1] / picture.shape[1]]
        down, right = (whole - part for whole, part in zip(picture.shape[1:], small.shape[1:], strict=True))
        left, top = right // 2, down // 2
        border = (left, right - left, top, down - top)
        pictures.append(functional.pad(small[None].float(), border, mode="replicate")[0].to(torch.uint8))
        boxes = marked.boxes * torch.tensor(scale * 2) + torch.tensor([left, top] * 2)
        objects.append(Objects(boxes, marked.labels, marked.ignored))
    return replace(scenes, pictures=tuple(pictures), objects=tuple(objects))


def _smaller(picture: UInt8[Tensor, "3 h w"], factor: float) -> UInt8[Tensor, "3 i j"]:
    size = [max(8, round(side / factor)) for side in picture.shape[1:]]
    scaled = functional.interpolate(picture[None].float(), size, mode="bilinear", align_corners=False, antialias=True)[
        0
    ]
    return scaled.round().clamp(0, 255).to(torch.uint8)
