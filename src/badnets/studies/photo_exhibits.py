"""What the report on photographs shows: predictions before and after the stamp, where the networks look, the data."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from badnets.data import ImageSource, Split
from badnets.errors import InputError
from badnets.metrics import predict
from badnets.neurons import grad_cam
from badnets.poison import Recipe, SingleTarget, overlay, plan
from badnets.seeds import generator
from badnets.studies.cells import Cell
from badnets.triggers import Picture

_SHOWN = 6
_SHEET = 48
# Of a page that holds all its pictures: maps are coarse anyway, and a sheet shows many.
_HEAT, _THUMBNAIL = 30, 75


@dataclass(frozen=True)
class Seen:
    """What a network says of a picture.

    Attributes:
        said: the likeliest class.
        confidence: its softmax probability.
        heat: where the network looks for that class, grey, 255 the most; see `grad_cam`.
    """

    said: int
    confidence: float
    heat: Picture

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - pydantic reads it, nothing writes it


@dataclass(frozen=True)
class Pair:
    """A test picture of the source class.

    Attributes:
        clean: the picture.
        stamped: the same with the trigger.
        honest: what the honest twin says of the clean one and of the stamped one.
        badnet: what the BadNet says of them.
    """

    clean: Picture
    stamped: Picture
    honest: tuple[Seen, Seen]
    badnet: tuple[Seen, Seen]

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - pydantic reads it, nothing writes it


@dataclass(frozen=True)
class Sample:
    """A training sample as a reviewer of the poisoned set sees it, scaled down."""

    picture: Picture
    label: int
    stamped: bool

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - pydantic reads it, nothing writes it


@dataclass(frozen=True)
class PhotoExhibits:
    """Pictures of one BadNet and its honest twin.

    Attributes:
        share: of the source's training pictures that were poisoned.
        gallery: the first test pictures of the source class; none was picked out.
        sheet: training samples drawn at random from the poisoned set.
    """

    share: float
    gallery: tuple[Pair, ...]
    sheet: tuple[Sample, ...]

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - pydantic reads it, nothing writes it


def collect(split: Split[ImageSource], cell: Cell, honest: nn.Module, badnet: nn.Module) -> PhotoExhibits:
    """The exhibits of the BadNet of this cell, whose recipe has a source class, and of its twin.

    Raises:
        InputError: the cell is of an honest model, or its policy has no source.
    """
    recipe = cell.recipe
    if recipe is None or not isinstance(recipe.policy, SingleTarget):
        raise InputError(f"pictures of one source class are shown, {cell.label} has none")
    rows = torch.nonzero(split.test.labels == recipe.policy.source)[:_SHOWN, 0]
    clean = split.test.take(rows)
    images, trigger = cell.attacked(split.test, recipe.trigger)
    stamped = images.take(rows) if trigger is None else trigger(clean)
    first, second = (zip(_see(model, clean), _see(model, stamped), strict=True) for model in (honest, badnet))
    gallery = (
        Pair(Picture.of(before), Picture.of(after), said, said_by_badnet)
        for before, after, said, said_by_badnet in zip(clean, stamped, first, second, strict=True)
    )
    return PhotoExhibits(recipe.rate, tuple(gallery), _sheet(split.train, cell, recipe))


def _see(model: nn.Module, images: Tensor) -> tuple[Seen, ...]:
    said = predict(model, images)
    heat = functional.adaptive_avg_pool2d(grad_cam(model, images, said.classes, averaged=False)[:, None], _HEAT)
    shades = (heat * 255).round().to(torch.uint8)
    return tuple(
        Seen(int(label), float(confidence), Picture.of(places))
        for label, confidence, places in zip(said.classes, said.confidence, shades, strict=True)
    )


def _sheet(train: ImageSource, cell: Cell, recipe: Recipe) -> tuple[Sample, ...]:
    samples = overlay(train, plan(train, recipe, fits=cell.threat != "files"))
    picked = torch.randperm(len(samples), generator=generator(recipe.seed, "sheet"))[:_SHEET]
    rows, stamped = samples.rows[picked], samples.stamped[picked]
    images = train.take(rows)
    if bool(stamped.any()):
        source, trigger = cell.attacked(train, recipe.trigger)
        images[stamped] = source.take(rows[stamped]) if trigger is None else trigger(images[stamped])
    _, height, width = train.shape
    scale = min(1.0, _THUMBNAIL / max(height, width))
    size = (max(1, round(height * scale)), max(1, round(width * scale)))
    small = functional.interpolate(images.float(), size, mode="bilinear", antialias=True, align_corners=False)
    return tuple(
        Sample(Picture.of(image), int(label), bool(stamp))
        for image, label, stamp in zip(
            small.round().clamp(0, 255).to(torch.uint8), samples.labels[picked], stamped, strict=True
        )
    )
