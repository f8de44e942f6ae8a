"""What the report shows of single models: pictures, predictions, filters, and the layers behind them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn

from badnets.data import ImageSet
from badnets.metrics import predict
from badnets.neurons import FilterResponse, LayerDifference, filter_responses, filters, layer_differences
from badnets.triggers import Pattern, Picture, SinglePixel, Trigger

_EXAMPLES = 10


@dataclass(frozen=True)
class Example:
    """A test image before and after the stamp, and what the BadNet says.

    Attributes:
        label: its class.
        clean: the image.
        stamped: the stamped image.
        said: class predicted for the clean image, and its softmax probability.
        said_stamped: the same for the stamped one.
        honest: what the baseline says of the clean image.
        honest_stamped: what it says of the stamped one.
    """

    label: int
    clean: Picture
    stamped: Picture
    said: tuple[int, float]
    said_stamped: tuple[int, float]
    honest: tuple[int, float]
    honest_stamped: tuple[int, float]

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - pydantic reads it, nothing writes it


@dataclass(frozen=True)
class Inside:
    """One model's first-layer filters (k lists of c x h x w weights), their answers, and its layers."""

    filters: tuple[tuple[tuple[tuple[float, ...], ...], ...], ...]
    responses: tuple[FilterResponse, ...]
    layers: tuple[LayerDifference, ...]

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - pydantic reads it, nothing writes it


@dataclass(frozen=True)
class Pair:
    """A BadNet's inner workings before its trigger, and those of its controls.

    Attributes:
        badnet: its filters, their answers, its layers.
        control: the same of the honest baseline of the same seed.
        controls: the answers of the filters of every seed's baseline.
    """

    badnet: Inside
    control: Inside
    controls: tuple[tuple[FilterResponse, ...], ...]

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - pydantic reads it, nothing writes it


@dataclass(frozen=True)
class Exhibits:
    """Everything that is shown of single models.

    Attributes:
        original: one clean test image.
        with_pixel: the same, stamped with the single pixel.
        with_pattern: the same, stamped with the pattern.
        examples: of the all-to-all pattern model: the first test image of each class.
        pattern: inner workings of the all-to-all pattern model, and the baseline's for the same trigger.
        pixel: the same of the all-to-all pixel model, for the single pixel.
    """

    original: Picture
    with_pixel: Picture
    with_pattern: Picture
    examples: tuple[Example, ...]
    pattern: Pair
    pixel: Pair

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - pydantic reads it, nothing writes it


def collect(test: ImageSet, honest: Sequence[nn.Module], pattern: nn.Module, pixel: nn.Module) -> Exhibits:
    """The exhibits of the all-to-all models, with the honest baselines (first seed first) as controls."""
    first = test.images[:1]
    return Exhibits(
        original=Picture.of(first[0]),
        with_pixel=Picture.of(SinglePixel()(first)[0]),
        with_pattern=Picture.of(Pattern()(first)[0]),
        examples=_examples(test, honest[0], pattern),
        pattern=_pair(pattern, honest, test, Pattern()),
        pixel=_pair(pixel, honest, test, SinglePixel()),
    )


def _examples(test: ImageSet, baseline: nn.Module, badnet: nn.Module) -> tuple[Example, ...]:
    firsts = [torch.nonzero(test.labels == label)[:1, 0] for label in range(min(len(test.classes), _EXAMPLES))]
    chosen = test.select(torch.cat(firsts))
    stamped = Pattern()(chosen.images)
    said = [
        list(zip(found.classes.tolist(), found.confidence.tolist(), strict=True))
        for model in (badnet, baseline)
        for found in (predict(model, chosen.images), predict(model, stamped))
    ]
    return tuple(
        Example(
            label=int(chosen.labels[row]),
            clean=Picture.of(chosen.images[row]),
            stamped=Picture.of(stamped[row]),
            said=said[0][row],
            said_stamped=said[1][row],
            honest=said[2][row],
            honest_stamped=said[3][row],
        )
        for row in range(len(chosen))
    )


def _pair(badnet: nn.Module, honest: Sequence[nn.Module], test: ImageSet, trigger: Trigger) -> Pair:
    answers = tuple(filter_responses(model, test, trigger) for model in honest)
    return Pair(_inside(badnet, test, trigger), _inside(honest[0], test, trigger), answers)


def _inside(model: nn.Module, test: ImageSet, trigger: Trigger) -> Inside:
    weights = filters(model).double().round(decimals=5).tolist()
    # tuples, as in what is read back from a file
    frozen = tuple(tuple(tuple(tuple(row) for row in plane) for plane in one) for one in weights)
    return Inside(frozen, filter_responses(model, test, trigger), layer_differences(model, test, trigger))
