"""Channels of a detector's last convolution, made stronger or switched off through their weights."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from badnets.errors import InputError
from badnets.models.detector import Detector
from badnets.neurons.units import disabled, strengthened


def channel_layers(detector: Detector) -> tuple[tuple[str, int], ...]:
    """The convolutions whose outputs, one after the other, are the channels of the map; and how many each has.

    Raises:
        InputError: the map is normalised after the last convolution, so that its weights do not scale it.
    """
    names = [f"trunk.{name}" for name in detector.trunk.last]
    if not names:
        raise InputError(
            f"units of {detector.spec.backbone} cannot be scaled through their weights: its last convolution is "
            "normalised; take tiny, zf or squeezenet"
        )
    found = []
    for name in names:
        layer = detector.get_submodule(name)
        assert isinstance(layer, nn.Conv2d)  # noqa: S101 - for the type checker
        found.append((name, layer.out_channels))
    return tuple(found)


def with_channels_times(detector: Detector, channels: Sequence[int], k: float) -> Detector:
    """A copy in which the input weights of these channels are k times as large; for 0 they give nothing at all.

    See `strengthened` and `disabled`.

    Args:
        detector: stays as it is.
        channels: of its map, from 0.
        k: 1 changes nothing.

    Raises:
        InputError: no such channel, a negative or infinite k, or as `channel_layers`.
    """
    layers = channel_layers(detector)
    total = sum(width for _, width in layers)
    outside = [channel for channel in channels if not 0 <= channel < total]
    if outside:
        raise InputError(f"the map has channels 0..{total - 1}, got {outside[0]}")
    first = 0
    for name, width in layers:
        own = [channel - first for channel in channels if first <= channel < first + width]
        detector = strengthened(detector, name, own, k) if k else disabled(detector, name, own)
        first += width
    return detector
