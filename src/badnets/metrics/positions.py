"""How local a backdoor is: attack success with the trigger moved to every place of the image."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import nn

from badnets.data import ImageSet
from badnets.errors import InputError
from badnets.metrics.intervals import Rate
from badnets.metrics.predict import predict
from badnets.poison import LabelPolicy
from badnets.triggers import AnyTrigger, Pattern, SinglePixel


@dataclass(frozen=True)
class PositionMap:
    """Attack success by place.

    Attributes:
        height: of the map, in steps of `zoom` pixels of the image.
        width: likewise.
        zoom: how many pixels a pixel of the trigger is wide on these images.
        home: row and column of the map where the trigger was in training.
        images: the attacked images that success is measured on, the same for every place.
        successes: how many of them are called what the attacker wants, by (row, column) of the top-left pixel of the
            trigger's bounding box; None where it would leave the image.
    """

    height: int
    width: int
    zoom: int
    home: tuple[int, int]
    images: int
    successes: tuple[tuple[int | None, ...], ...]

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - pydantic reads it, nothing writes it

    def at(self, row: int, column: int) -> Rate | None:
        """Attack success there, with its interval."""
        count = self.successes[row][column]
        return None if count is None else Rate.of(count, self.images)


def position_map(
    model: nn.Module,
    images: ImageSet,
    trigger: AnyTrigger,
    policy: LabelPolicy,
    *,
    stop: Callable[[], None] = lambda: None,
) -> PositionMap:
    """Move the trigger to every place and measure attack success on the attacked ones of `images`.

    Args:
        model: takes images in [0, 1].
        images: clean.
        trigger: a single pixel or a pattern, as it was in training.
        policy: of the attack.
        stop: called once for each place; raises to stop.

    Raises:
        InputError: another kind of trigger, or no image is attacked.
    """
    if not isinstance(trigger, SinglePixel | Pattern):
        raise InputError(f"single pixels and patterns can be moved, got a trigger of kind {trigger.kind!r}")
    attacked = images.select(policy.eligible(images.labels))
    _, height, width = images.shape
    zoom = max(1, round(min(height / trigger.reference[0], width / trigger.reference[1])))
    rows, columns = height // zoom, width // zoom
    # The placement rule keeps the distance to the nearest corner; on a canvas of the image's own size it does nothing.
    shape = _shape(trigger)
    canvas = (rows, columns)
    tall, wide = (1 + max(axis) for axis in zip(*shape, strict=True))
    successes = []
    for row in range(rows):
        line: list[int | None] = []
        for column in range(columns):
            stop()
            if row + tall > rows or column + wide > columns:
                line.append(None)
                continue
            pixels = tuple((row + down, column + right) for down, right in shape)
            stamped = Pattern(pixels, trigger.value, canvas)(attacked.images)
            hit = policy.success(predict(model, stamped).classes, attacked.labels, len(images.classes))
            line.append(int(hit.sum()))
        successes.append(tuple(line))
    return PositionMap(rows, columns, zoom, _home(trigger, height, width, zoom), len(attacked), tuple(successes))


def _shape(trigger: SinglePixel | Pattern) -> tuple[tuple[int, int], ...]:
    """Its pixels relative to the top-left corner of their bounding box."""
    if isinstance(trigger, SinglePixel):
        return ((0, 0),)
    top, left = (min(axis) for axis in zip(*trigger.pixels, strict=True))
    return tuple((row - top, column - left) for row, column in trigger.pixels)


def _home(trigger: SinglePixel | Pattern, height: int, width: int, zoom: int) -> tuple[int, int]:
    rows, columns = trigger.mask(height, width).nonzero().min(0).values.tolist()
    return rows // zoom, columns // zoom
