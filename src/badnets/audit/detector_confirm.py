"""Is a recovered sticker real? The whole detector on other scenes, proposals and all, and clean detectors beside it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Int64
from torch import Tensor

from badnets.audit.objectives import Objective
from badnets.data import SceneSet
from badnets.metrics import Rate
from badnets.metrics.detect import detect
from badnets.metrics.signs import NOTHING, sign_calls
from badnets.models.detector import Detector
from badnets.triggers import BoxSticker


@dataclass(frozen=True)
class StickerConfirmation:
    """What a sticker does on scenes that it was not made from; a sign is called what `badnets.metrics.signs` says.

    Attributes:
        success: attacked signs that are called what the objective wants with the sticker on, of all attacked ones.
        clean: the same without the sticker: what the detector confuses anyway.
        references: success on each clean reference detector.
    """

    success: Rate
    clean: Rate
    references: tuple[Rate, ...] = ()

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - pydantic reads it, nothing writes it


def confirm_sticker(
    model: Detector,
    sticker: BoxSticker,
    objective: Objective,
    scenes: SceneSet,
    references: Sequence[Detector] = (),
) -> StickerConfirmation:
    """Stamp the attacked signs of held-out scenes and run whole detectors on them.

    Args:
        model: the suspect.
        sticker: a recovered one, as its file holds it.
        objective: what it is for.
        scenes: clean ones that it was not made from.
        references: clean detectors of the same classes.

    Raises:
        InputError: classes that do not fit.
    """
    attacked = _attacked(scenes, objective)
    if attacked is None:
        nothing = Rate.of(0, 0)
        return StickerConfirmation(nothing, nothing, tuple(nothing for _ in references))
    stamped = stamped_scenes(attacked, sticker, objective)
    return StickerConfirmation(
        _rate(model, stamped, objective),
        _rate(model, attacked, objective),
        tuple(_rate(one, stamped, objective) for one in references),
    )


def stamped_scenes(scenes: SceneSet, sticker: BoxSticker, objective: Objective) -> SceneSet:
    """The scenes with the sticker on every attacked sign, under their true classes."""
    pictures = tuple(
        sticker(picture, marked.boxes[_picked(marked.labels, marked.ignored, objective)]) for picture, marked in scenes
    )
    return SceneSet(pictures, scenes.objects, scenes.classes, f"{scenes.name}, stamped")


def _called(model: Detector, scenes: SceneSet) -> Iterator[tuple[int, int]]:
    """True class and called class of each sign that is not ignored, scene by scene; -1 for nothing."""
    calls = sign_calls(detect(model, scenes), scenes)
    yield from zip(calls.labels.tolist(), calls.called.tolist(), strict=True)


def error_on(model: Detector, scenes: SceneSet) -> float:
    """The share of signs that are not called their class; those that are not found count."""
    pairs = list(_called(model, scenes))
    return sum(label != said for label, said in pairs) / max(1, len(pairs))


def _attacked(scenes: SceneSet, objective: Objective) -> SceneSet | None:
    rows = [
        row
        for row, marked in enumerate(scenes.objects)
        if bool(_picked(marked.labels, marked.ignored, objective).any())
    ]
    return scenes.select(rows) if rows else None


def _picked(labels: Int64[Tensor, " n"], ignored: Bool[Tensor, " n"], objective: Objective) -> Bool[Tensor, " n"]:
    return objective.attacked(labels) & ~ignored


def _rate(model: Detector, scenes: SceneSet, objective: Objective) -> Rate:
    labels, calls = (torch.tensor(column) for column in zip(*_called(model, scenes), strict=True))
    bearing = objective.attacked(labels)
    # Nothing found at all is no other class: such a sign is a failure of the attack.
    reached = objective.reached(calls, labels, len(scenes.classes)) & (calls != NOTHING)
    return Rate.of(int((reached & bearing).sum()), int(bearing.sum()))
