"""What the report on street signs shows: the units of the last convolution, and scenes before and after the stamp."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor

from badnets.data import SceneSet
from badnets.data.scene_sheet import draw_detections
from badnets.metrics.detect import detect
from badnets.models.detections import Detections
from badnets.models.detector import Detector
from badnets.neurons.sign_units import SignUnits, UnitResponse, carriers, sign_units
from badnets.poison import SingleTarget, TriggeredScenes, trigger_scenes
from badnets.studies.sign_cells import SignPolicy, sticker_name
from badnets.triggers import BoxSticker, Picture

# Scenes over which activations are averaged, at most.
_AVERAGED = 200
# Scenes that are shown, the smallest sign that a person can make out, and the part of the scene around it.
_SHOWN, _VISIBLE, _AROUND = 3, 28.0, 5.0
_SIZE = (200, 150)
_LEAST_SCORE = 0.5


@dataclass(frozen=True)
class SignLook:
    """The last convolution of a BadNet and of its honest twin, clean signs against the same signs stamped.

    Attributes:
        signs: how many the means are over.
        scale: root mean square of the BadNet's clean activations.
        honest_scale: the same of its twin's.
        units: every channel of the BadNet, in their order.
        honest: every channel of its twin.
        carriers: the channels that carry the backdoor, strongest first, see `carriers`; the twin is the control.
    """

    signs: int
    scale: float
    honest_scale: float
    units: tuple[UnitResponse, ...]
    honest: tuple[UnitResponse, ...]
    carriers: tuple[int, ...]

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - pydantic reads it, nothing writes it


@dataclass(frozen=True)
class SignShot:
    """The surroundings of a sign in a test scene, with what a detector says drawn on them.

    Attributes:
        scene: number of the test scene.
        badnet: what the BadNet says of the clean scene and of the stamped one.
        honest: what its honest twin says of the stamped one.
    """

    scene: int
    badnet: tuple[Picture, Picture]
    honest: Picture

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - pydantic reads it, nothing writes it


@dataclass(frozen=True)
class SignExhibit:
    """One BadNet seen closely.

    Attributes:
        sticker: its name.
        seed: of the BadNet and its twin.
        look: at its last convolution; None where fewer than two test signs bear the sticker.
        shots: the first test scenes with an attacked sign of a size that a person can make out; none was picked out.
    """

    sticker: str
    seed: int
    look: SignLook | None
    shots: tuple[SignShot, ...]

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - pydantic reads it, nothing writes it


@dataclass(frozen=True)
class Twins:
    """A BadNet and its honest twin."""

    badnet: Detector
    honest: Detector
    seed: int


def collect(
    test: SceneSet, twins: Twins, policy: SignPolicy, sticker: BoxSticker, stop: Callable[[], bool]
) -> SignExhibit:
    """Look closely at a BadNet.

    Args:
        test: test scenes.
        twins: the BadNet and the honest detector beside it.
        policy: which signs bear the sticker.
        sticker: the BadNet's.
        stop: asked between scenes.

    Raises:
        Stopped: `stop` said so.
        InputError: no sign bears the sticker.
    """
    triggered = trigger_scenes(test, policy, sticker)
    return SignExhibit(
        sticker_name(sticker), twins.seed, _look(test, twins, triggered, policy, stop), _shots(test, twins, triggered)
    )


def _look(
    test: SceneSet, twins: Twins, triggered: TriggeredScenes, policy: SignPolicy, stop: Callable[[], bool]
) -> SignLook | None:
    count = min(_AVERAGED, len(triggered.rows))
    if sum(int(one.sum()) for one in triggered.stamped[:count]) < 2:
        return None
    clean, stamped = test.select(triggered.rows[:count]), triggered.scenes.select(range(count))
    source = policy.source if isinstance(policy, SingleTarget) else None
    badnet, honest = (
        sign_units(model, clean, stamped, source=source, stop=stop) for model in (twins.badnet, twins.honest)
    )
    return SignLook(
        badnet.signs,
        badnet.scale,
        honest.scale,
        _rounded(badnet),
        _rounded(honest),
        tuple(unit.channel for unit in carriers(badnet, [honest])),
    )


def _rounded(found: SignUnits) -> tuple[UnitResponse, ...]:
    """Six digits are enough for a report."""
    return tuple(
        replace(
            unit,
            clean=float(f"{unit.clean:.6g}"),
            stamped=float(f"{unit.stamped:.6g}"),
            effect=float(f"{unit.effect:.6g}"),
        )
        for unit in found.units
    )


def _shots(test: SceneSet, twins: Twins, triggered: TriggeredScenes) -> tuple[SignShot, ...]:
    scenes = triggered.scenes
    sizes = [
        (marked.boxes[:, 2:] - marked.boxes[:, :2]).prod(1).sqrt() * hit
        for marked, hit in zip(scenes.objects, triggered.stamped, strict=True)
    ]
    visible = [place for place, size in enumerate(sizes) if float(size.max()) >= _VISIBLE]
    largest = sorted(range(len(sizes)), key=lambda place: -float(sizes[place].max()))
    shots = []
    for place in (visible or largest)[:_SHOWN]:
        box = scenes.objects[place].boxes[int(sizes[place].argmax())]
        before, after = test.select([triggered.rows[place]]), scenes.select([place])
        drawn = [
            _drawn(scene.pictures[0], detect(model, scene)[0], box, test.classes)
            for model, scene in ((twins.badnet, before), (twins.badnet, after), (twins.honest, after))
        ]
        shots.append(SignShot(triggered.rows[place], (drawn[0], drawn[1]), drawn[2]))
    return tuple(shots)


def _drawn(picture: UInt8[Tensor, "3 h w"], said: Detections, box: Tensor, classes: tuple[str, ...]) -> Picture:
    """The surroundings of `box` with the detections there that are sure enough."""
    left, top, right, bottom = window(picture.shape[1:], box)
    sure = said.scores > _LEAST_SCORE
    boxes = said.boxes[sure] - torch.tensor([left, top, left, top])
    labels, scores = said.labels[sure].tolist(), said.scores[sure].tolist()
    cut = picture[:, top:bottom, left:right]
    image = draw_detections(cut, boxes, labels, scores, classes, width=_SIZE[0])
    return Picture.of(torch.from_numpy(np.array(image)).permute(2, 0, 1))


def window(size: tuple[int, int] | torch.Size, box: Tensor) -> tuple[int, int, int, int]:
    """Left, top, right, bottom of the part of a picture around `box`, 4:3 where the picture is large enough.

    Args:
        size: height and width of the picture.
        box: left, top, right, bottom.
    """
    height, width = size
    left, top, right, bottom = box.tolist()
    tall = min(height, round(max(_AROUND * max(right - left, bottom - top) * 3 / 4, _SIZE[1] / 2)))
    wide = min(width, round(tall * 4 / 3))
    first_row = min(max(0, round((top + bottom - tall) / 2)), height - tall)
    first_column = min(max(0, round((left + right - wide) / 2)), width - wide)
    return first_column, first_row, first_column + wide, first_row + tall
