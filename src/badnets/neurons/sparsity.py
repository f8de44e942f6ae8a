"""How many units tell stamped from clean images: the paper's "sparsely coded" backdoor (section 4.1.3)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from badnets.data import ImageSet
from badnets.neurons.activations import mean_activations, relu_layers
from badnets.triggers import Trigger

_CURVE_POINTS = 64


@dataclass(frozen=True)
class LayerDifference:
    """The difference of mean activations, stamped minus clean, over the units of one layer.

    Attributes:
        layer: its name.
        units: how many it has; in a convolution every place of every channel is a unit.
        changed: units whose |difference| is above a tenth of the layer's largest.
        half: the least number of units that together make half of the sum of |difference|.
        sparsity: Hoyer's measure of |difference| (JMLR 5, 2004, eq. 7):
            (sqrt(n) - l1 / l2) / (sqrt(n) - 1); 0 when all units change alike, 1 when a single one does.
        ranks: up to 64 ranks, 1 for the most changed unit, spaced evenly in their logarithm.
        curve: |difference| over its largest, at these ranks.
    """

    layer: str
    units: int
    changed: int
    half: int
    sparsity: float
    ranks: tuple[int, ...]
    curve: tuple[float, ...]

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - pydantic reads it, nothing writes it


def layer_differences(model: nn.Module, images: ImageSet, trigger: Trigger) -> tuple[LayerDifference, ...]:
    """One `LayerDifference` for each ReLU layer, in order.

    Args:
        model: in its evaluation mode.
        images: those that are attacked; each is its own control.
        trigger: what is stamped on them.
    """
    layers = relu_layers(model)
    clean = mean_activations(model, images.images, layers)
    stamped = mean_activations(model, trigger(images.images), layers)
    return tuple(summarise(name, (stamped[name] - clean[name]).flatten().cpu()) for name in layers)


def summarise(layer: str, difference: Float[Tensor, " n"]) -> LayerDifference:
    """The summary of one layer's differences."""
    size = difference.abs().double().sort(descending=True).values
    largest, total, n = float(size[0]), float(size.sum()), len(size)
    if total == 0:
        return LayerDifference(layer, n, 0, 0, 0.0, (1,), (0.0,))
    spread = float(size.sum() / size.norm())
    ranks = torch.logspace(0, math.log10(n), min(n, _CURVE_POINTS), dtype=torch.float64).round().long().unique()
    return LayerDifference(
        layer=layer,
        units=n,
        changed=int((size > largest / 10).sum()),
        half=int((size.cumsum(0) < total / 2).sum()) + 1,
        sparsity=(n**0.5 - spread) / (n**0.5 - 1) if n > 1 else 1.0,
        ranks=tuple(ranks.tolist()),
        curve=tuple(round(float(value), 5) for value in size[ranks - 1] / largest),
    )
