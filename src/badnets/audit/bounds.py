"""What a network of affine layers and ReLUs can say of a whole box of inputs: bounds that no input breaks.

Every value inside the network is held between two linear functions of a few variables e in [-1, 1]^d, layer by layer:
a forward linear relaxation (Weng et al., *Towards Fast Computation of Certified Robustness for ReLU Networks*, ICML
2018) with the adaptive lower slope of CROWN (Zhang et al., NeurIPS 2018, section 3.2). With the one or nine pixels of a
patch as variables this is cheap, and exact through all layers before the first ReLU.

Bounds hold for the network in real numbers; they are computed in float32, so that a margin has to be above `SLACK`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional

from badnets.audit.conventions import Adapted
from badnets.errors import InputError
from badnets.models.normalize import Normalize
from badnets.models.parted import Layered

# A margin that is larger than this share of the bounds around it is no rounding.
SLACK = 1e-4
_TINY = 1e-12
_SOFTMAX = (nn.Softmax, nn.LogSoftmax)
Linear = Callable[[Tensor], Tensor]
_HOOKS = ("_forward_hooks", "_forward_pre_hooks")


@dataclass(frozen=True)
class Between:
    """Values between two linear functions of e in [-1, 1]^d.

    Attributes:
        middle: the mean of both (n, 1 + d, ...): first its constant, then its d coefficients.
        half: half of their difference, likewise; None where they are equal.
    """

    middle: Tensor
    half: Tensor | None = None

    @property
    def low(self) -> Tensor:
        """The least value of the lower function (n, ...)."""
        return _least(self._lower)

    @property
    def high(self) -> Tensor:
        """The largest value of the upper function (n, ...)."""
        return -_least(-self._upper)

    @property
    def _lower(self) -> Tensor:
        return self.middle if self.half is None else self.middle - self.half

    @property
    def _upper(self) -> Tensor:
        return self.middle if self.half is None else self.middle + self.half

    @classmethod
    def of(cls, lower: Tensor, upper: Tensor) -> Between:
        """Between these two."""
        return cls((upper + lower) / 2, (upper - lower) / 2)

    def affine(self, linear: Linear, spread: Linear, shift: Tensor) -> Between:
        """Behind an affine layer: its linear part, the same with the sizes of its weights, and its constant."""
        middle = _each(linear, self.middle)
        middle[:, 0] += shift
        return Between(middle, None if self.half is None else _each(spread, self.half))

    def relu(self) -> Between:
        """Behind a ReLU: exact where it is always on or always off."""
        low, high = self.low, self.high
        on, off = high.clamp_min(0), low.clamp_max(0)
        slope = on / (on - off).clamp_min(_TINY)
        upper = slope[:, None] * self._upper
        upper[:, 0] -= slope * off
        return Between.of((high > -low)[:, None] * self._lower, upper)

    def pooled(self, layer: nn.MaxPool2d) -> Between:
        """Behind a maximum: of the values of a window the one with the largest lower bound; exact where it must win."""
        low, high = self.low, self.high
        largest, at = functional.max_pool2d(low, layer.kernel_size, layer.stride, return_indices=True)
        windows = functional.unfold(high.flatten(0, 1)[:, None], layer.kernel_size, stride=layer.stride)
        windows = windows.view(*high.shape[:2], -1, *largest.shape[2:])
        # No upper bound but the winner's own may lie above its lower bound.
        own = high.flatten(2).gather(2, at.flatten(2)).view_as(largest)
        alone = (windows > largest[:, :, None]).sum(2) == (own > largest)
        ceiling = torch.zeros_like(_picked(self._upper, at))
        ceiling[:, 0] = windows.amax(2)
        upper = torch.where(alone[:, None], _picked(self._upper, at), ceiling)
        return Between.of(_picked(self._lower, at), upper)


def chain(model: nn.Module) -> tuple[nn.Module, ...]:
    """The layers of a network that is one known layer after the other, in their order.

    A softmax at its end is left out: it changes no order of classes.

    Raises:
        InputError: it is not such a network, or a layer is none of those that `bounds` knows; which, and what is known.
    """
    layers = _flat(model)
    if layers and type(layers[-1]) in _SOFTMAX:
        layers = layers[:-1]
    for layer in layers:
        if not _known(layer):
            raise InputError(f"it has a {type(layer).__name__}({layer.extra_repr()}), which cannot be bounded")
    return tuple(layers)


@torch.no_grad()
def bounds(layers: tuple[nn.Module, ...], box: Between) -> Between:
    """What comes out of `layers` in evaluation mode for all inputs of a box. Raises `InputError` as `chain`."""
    for layer in layers:
        box = _behind(layer, box)
    return box


def _flat(model: nn.Module) -> list[nn.Module]:
    if any(getattr(model, name) for name in _HOOKS) or "forward" in vars(model):
        raise InputError(f"its {type(model).__name__} has hooks or a forward pass of its own")
    if type(model) is Adapted:
        convention = model.convention
        if convention.channels:
            raise InputError("it takes another number of channels than the images have")
        return [Normalize(convention.mean, convention.deviation), *_flat(model.model)]
    if type(model) is nn.Sequential:
        return [layer for part in model for layer in _flat(part)]
    # Of other people's classes only they know what their forward pass does with the layers.
    if type(model).__module__.startswith("badnets.models.") and isinstance(model, Layered):
        return [layer for _, part in model.layers() for layer in _flat(part)]
    return [model]


def _known(layer: nn.Module) -> bool:
    kind = type(layer)
    if isinstance(layer, nn.Conv2d):
        return kind is nn.Conv2d and layer.padding_mode == "zeros"
    if isinstance(layer, nn.MaxPool2d):
        plain = (layer.padding, layer.dilation, layer.ceil_mode, layer.return_indices) == (0, 1, False, False)
        return kind is nn.MaxPool2d and plain
    if isinstance(layer, nn.BatchNorm2d):
        return kind is nn.BatchNorm2d and layer.running_var is not None and layer.running_mean is not None
    if isinstance(layer, nn.Flatten):
        return (layer.start_dim, layer.end_dim) == (1, -1)
    return kind in (nn.Linear, nn.ReLU, nn.AvgPool2d, nn.Dropout, nn.Identity, Normalize)


def _behind(layer: nn.Module, box: Between) -> Between:
    """Behind one known layer."""
    if isinstance(layer, nn.ReLU):
        return box.relu()
    if isinstance(layer, nn.MaxPool2d):
        return box.pooled(layer)
    if isinstance(layer, nn.Flatten | nn.Dropout | nn.Identity):
        flat = 2 if isinstance(layer, nn.Flatten) else box.middle.ndim - 1
        return Between(box.middle.flatten(flat), None if box.half is None else box.half.flatten(flat))
    return box.affine(*_affine(layer))


def _affine(layer: nn.Module) -> tuple[Linear, Linear, Tensor]:
    """An affine layer as `Between.affine` takes it."""
    if isinstance(layer, nn.AvgPool2d):
        return layer, layer, torch.zeros(())
    if isinstance(layer, nn.Linear | nn.Conv2d):
        weight = layer.weight.float()
        shift = torch.zeros(()) if layer.bias is None else layer.bias.float()
        if isinstance(layer, nn.Linear):
            return partial(functional.linear, weight=weight), partial(functional.linear, weight=weight.abs()), shift
        rest = {"stride": layer.stride, "padding": layer.padding, "dilation": layer.dilation, "groups": layer.groups}
        signed, sizes = (partial(functional.conv2d, weight=one, **rest) for one in (weight, weight.abs()))
        return signed, sizes, shift if layer.bias is None else shift.view(-1, 1, 1)
    scale, shift = _by_channel(layer)
    return lambda x: x * scale, lambda x: x * scale.abs(), shift


def _by_channel(layer: nn.Module) -> tuple[Tensor, Tensor]:
    """Factor and constant of each channel."""
    if isinstance(layer, Normalize):
        return 1 / layer.deviation[0], -layer.mean[0] / layer.deviation[0]
    if not isinstance(layer, nn.BatchNorm2d) or layer.running_var is None or layer.running_mean is None:
        raise InputError(f"a {type(layer).__name__} cannot be bounded")
    scale = 1 / (layer.running_var + layer.eps).sqrt()
    scale = scale if layer.weight is None else scale * layer.weight
    shift = -layer.running_mean * scale
    shift = shift if layer.bias is None else shift + layer.bias
    return scale.float().view(-1, 1, 1), shift.float().view(-1, 1, 1)


def _least(function: Tensor) -> Tensor:
    return function[:, 0] - function[:, 1:].abs().sum(1)


def _each(linear: Linear, functions: Tensor) -> Tensor:
    """A linear layer on the constant and on each coefficient."""
    found: Tensor = linear(functions.flatten(0, 1)).unflatten(0, functions.shape[:2])
    return found


def _picked(functions: Tensor, at: Tensor) -> Tensor:
    """Of each window the function at that place."""
    places = at.flatten(2)[:, None].expand(-1, functions.shape[1], -1, -1)
    return functions.flatten(3).gather(3, places).view(*functions.shape[:3], *at.shape[2:])
