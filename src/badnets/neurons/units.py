"""The units that carry a backdoor: found by what the trigger changes, made stronger, or switched off."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar, runtime_checkable

import torch
from jaxtyping import UInt8
from torch import Tensor, nn

from badnets.errors import InputError
from badnets.models import evaluating
from badnets.neurons.activations import recorded
from badnets.triggers import Trigger

# In the paper's figure of the last convolution the three marked units differ by 47, 26 and 17, the next ones by 11
# and 10: a third of the largest difference lies between them.
SHARE = 1 / 3

ModelT = TypeVar("ModelT", bound=nn.Module)


@runtime_checkable
class Response(Protocol):
    """How one unit answers to the trigger, at the place where it changes most."""

    @property
    def clean(self) -> float:
        """Its mean output there on clean images."""
        ...

    @property
    def stamped(self) -> float:
        """The same on stamped ones."""
        ...

    @property
    def effect(self) -> float:
        """The difference by its spread: Cohen's d."""
        ...


ResponseT = TypeVar("ResponseT", bound=Response)


@dataclass(frozen=True)
class Unit:
    """One channel of a layer, at the place of its map where the trigger changes it most.

    Attributes:
        index: of the channel, from 0.
        place: (row, column) in its map.
        clean: its mean output there on clean images.
        stamped: the same on stamped ones.
        effect: (stamped - clean) / sqrt((s_c^2 + s_s^2) / 2), with the standard deviations over images (Cohen's d);
            infinite where neither varies.
        neurons: places of its map whose difference is at least a third of the layer's largest: the paper's group.
    """

    index: int
    place: tuple[int, int]
    clean: float
    stamped: float
    effect: float
    neurons: int

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - pydantic reads it, nothing writes it

    @property
    def difference(self) -> float:
        """Stamped minus clean."""
        return self.stamped - self.clean


def backdoor_units(
    responses: Sequence[ResponseT], *, share: float = SHARE, least_effect: float = 0.0, above: float = 0.0
) -> tuple[ResponseT, ...]:
    """The units that carry the backdoor, strongest first: those whose output the trigger raises most.

    Every network has such units, if the trigger can be seen at all: compare with an honest one.

    Args:
        responses: of all units of a layer, from `unit_responses` or `sign_units`.
        share: a unit's rise is at least this share of the layer's largest.
        least_effect: its effect is at least this.
        above: its rise is above this, such as the largest one in honest networks.

    Raises:
        InputError: a share outside (0, 1].
    """
    if not 0 < share <= 1:
        raise InputError(f"the share of the largest difference is in (0, 1], got {share}")
    rises = [unit.stamped - unit.clean for unit in responses]
    least = share * max(rises, default=0.0)
    chosen = [
        (rise, unit)
        for rise, unit in zip(rises, responses, strict=True)
        if rise > max(above, 0.0) and rise >= least and unit.effect >= least_effect
    ]
    return tuple(unit for _, unit in sorted(chosen, key=lambda one: -one[0]))


@torch.no_grad()
def unit_responses(
    model: nn.Module, images: UInt8[Tensor, "n c h w"], trigger: Trigger, layer: str
) -> tuple[Unit, ...]:
    """How every channel of `layer` answers to the trigger, where its mean output rises most; in their order.

    Args:
        model: in evaluation mode or not; its mode and weights stay as they are.
        images: clean ones, each its own control.
        trigger: what is stamped on them.
        layer: name of a layer that gives maps, such as the ReLU after the last convolution.

    Raises:
        InputError: no such layer, one that gives no maps, or no images.
    """
    if layer not in dict(model.named_modules()):
        raise InputError(f"{type(model).__name__} has no layer {layer!r}")
    if not len(images):
        raise InputError("units are found on at least one image, got none")
    clean, clean_spread = _moments(model, images, layer)
    stamped, stamped_spread = _moments(model, trigger(images), layer)
    wide = (stamped - clean).flatten(1)
    peaks, places = wide.max(1)
    # Of a layer that the trigger raises nowhere, no neuron is in the group.
    grouped = (wide >= SHARE * float(peaks.max())) & (wide > 0)
    found = []
    for index, peak in enumerate(peaks.tolist()):
        place = divmod(int(places[index]), clean.shape[2])
        pooled = math.sqrt((float(clean_spread[index][place]) + float(stamped_spread[index][place])) / 2)
        found.append(
            Unit(
                index=index,
                place=place,
                clean=float(clean[index][place]),
                stamped=float(stamped[index][place]),
                effect=peak / pooled if pooled else math.copysign(math.inf, peak),
                neurons=int(grouped[index].sum()),
            )
        )
    return tuple(found)


def last_convolution(model: nn.Module) -> tuple[str, str]:
    """The names of the last convolution and of the ReLU behind it, as they are registered.

    Raises:
        InputError: there is no such pair.
    """
    modules = list(model.named_modules())
    places = [place for place, (_, module) in enumerate(modules) if isinstance(module, nn.Conv2d)]
    behind = modules[places[-1] :] if places else []
    relu = next((name for name, module in behind if isinstance(module, nn.ReLU)), None)
    if relu is None:
        raise InputError(f"{type(model).__name__} has no convolution with a ReLU behind it")
    return behind[0][0], relu


def _moments(model: nn.Module, images: Tensor, layer: str) -> tuple[Tensor, Tensor]:
    """Mean and variance over images of each unit's output, (channels, h, w) in double precision."""
    total = squares = torch.zeros((), dtype=torch.float64)
    with evaluating(model) as device, recorded(model, (layer,)) as outputs:
        for part in images.split(512):
            model(part.to(device).float().div_(255))
            maps = outputs[layer].double().cpu()
            if maps.ndim != 4:
                raise InputError(f"layer {layer!r} gives no maps but {tuple(maps.shape[1:])} values for each image")
            total, squares = total + maps.sum(0), squares + maps.square().sum(0)
    mean = total / len(images)
    return mean, (squares / len(images) - mean.square()).clamp_min(0)


def strengthened(model: ModelT, layer: str, units: Sequence[int], k: float) -> ModelT:
    """A copy of `model` in which the input weights of these units are k times as large (the paper's section 5.3.3).

    Biases stay: behind a ReLU an excited unit answers about k times as much.

    Args:
        model: stays as it is.
        layer: name of a convolution or a fully connected layer.
        units: numbers of its output channels.
        k: 1 changes nothing.

    Raises:
        InputError: no such layer or unit, or a k that is not positive.
    """
    if not (k > 0 and math.isfinite(k)):
        raise InputError(f"weights are multiplied by a positive number, got {k}")
    changed = copy.deepcopy(model)
    weight, _ = _weights(changed, layer, units)
    with torch.no_grad():
        weight[list(units)] *= k
    return changed


def disabled(model: ModelT, layer: str, units: Sequence[int]) -> ModelT:
    """A copy of `model` in which these units always give 0 before their activation.

    Args:
        model: stays as it is.
        layer: name of a convolution or a fully connected layer.
        units: numbers of its output channels.

    Raises:
        InputError: no such layer or unit.
    """
    changed = copy.deepcopy(model)
    weight, bias = _weights(changed, layer, units)
    with torch.no_grad():
        weight[list(units)] = 0
        if bias is not None:
            bias[list(units)] = 0
    return changed


def _weights(model: nn.Module, layer: str, units: Sequence[int]) -> tuple[Tensor, Tensor | None]:
    module = dict(model.named_modules()).get(layer)
    if not isinstance(module, nn.Conv2d | nn.Linear):
        raise InputError(f"{type(model).__name__} has no convolution or fully connected layer {layer!r}")
    outside = [unit for unit in units if not 0 <= unit < module.weight.shape[0]]
    if outside:
        raise InputError(f"{layer} has units 0..{module.weight.shape[0] - 1}, got {outside[0]}")
    return module.weight, module.bias
