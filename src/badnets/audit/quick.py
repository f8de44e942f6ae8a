"""Gradients of a frozen network with respect to its images, on a processor without a GPU: the same numbers, sooner.

Two things cost more than half of a step of trigger inversion on the paper's network, and neither has to:

1. torch's backward pass of a convolution to very few input channels, which a first layer has, takes several times as
   long as the forward pass. It is a product with the kernel, whose results are added where they belong.
2. average pooling takes four times as long when channels lie behind each other in memory (NCHW) as when they lie side
   by side (NHWC). The weights of a convolution decide how its output lies.

Results differ from the usual ones by rounding only.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

# Grey, colour, colour with alpha: above that torch's own backward pass is as good.
_FEW = 4
_ARGUMENTS = ("input", "weight", "bias", "stride", "padding", "dilation", "groups")
_USUAL: dict[str, Any] = {"bias": None, "stride": 1, "padding": 0, "dilation": 1, "groups": 1}
Pair = tuple[int, int]


class QuickConvolutions(TorchFunctionMode):
    """Inside, convolutions on the CPU with frozen float32 weights are carried out as this module says.

    All else, and all other convolutions, go the usual way. Weights stay as they are.
    """

    def __init__(self) -> None:
        super().__init__()
        self._kept: dict[int, tuple[Tensor, int, Tensor]] = {}

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:  # noqa: ANN401 - whatever `func` gives
        """What torch calls in place of `func`."""
        del types
        quick = _convolution(args, kwargs or {}) if func is torch.conv2d else None
        if quick is None:
            return func(*args, **(kwargs or {}))
        images, weight, bias, stride, padding, few = quick
        weight = self._side_by_side(weight)
        if few:
            return _FewChannels.apply(images, weight, bias, padding)
        return functional.conv2d(images, weight, bias, stride, padding)

    def _side_by_side(self, weight: Tensor) -> Tensor:
        """`weight` with its channels side by side; of a parameter made once for as long as it does not change."""
        kept = self._kept.get(id(weight))
        if kept is not None and kept[0] is weight and kept[1] == weight._version:  # noqa: SLF001 - it has no other name
            return kept[2]
        # With a single channel `contiguous` changes nothing, and the convolution would not notice what is wanted.
        copy = torch.empty_like(weight, memory_format=torch.channels_last).copy_(weight)
        if isinstance(weight, nn.Parameter):  # others may be made anew in every pass
            self._kept[id(weight)] = weight, weight._version, copy  # noqa: SLF001
        return copy


def _convolution(args: tuple[Any, ...], named: dict[str, Any]) -> tuple[Any, ...] | None:
    """Arguments of a convolution that is quick here, and whether its images have few channels; None for others."""
    given = _USUAL | dict(zip(_ARGUMENTS, args, strict=False)) | named
    images, weight, bias = given["input"], given["weight"], given["bias"]
    steps, borders, gaps = (_pair(given[name]) for name in ("stride", "padding", "dilation"))
    if steps is None or borders is None or gaps != (1, 1) or given["groups"] != 1 or images.ndim != 4:
        return None
    frozen = not weight.requires_grad and (bias is None or not bias.requires_grad)
    plain = all(one.is_cpu and one.dtype == torch.float32 for one in (images, weight))
    if not frozen or not plain:
        return None
    slopes = torch.is_grad_enabled() and images.requires_grad
    return images, weight, bias, steps, borders, slopes and weight.shape[1] <= _FEW and steps == (1, 1)


def _pair(value: object) -> Pair | None:
    """Down and right; None for a padding that is given by name."""
    if isinstance(value, int):
        return value, value
    if isinstance(value, tuple | list) and all(isinstance(one, int) for one in value):
        return value[0], value[-1]
    return None


class _FewChannels(torch.autograd.Function):
    """A convolution of stride 1 whose gradient goes to its images alone."""

    @staticmethod
    def forward(ctx: Any, images: Tensor, weight: Tensor, bias: Tensor | None, padding: Pair) -> Tensor:  # noqa: ANN401
        ctx.save_for_backward(weight)
        ctx.shape, ctx.padding = images.shape, padding
        return functional.conv2d(images, weight, bias, 1, padding)

    @staticmethod
    def backward(ctx: Any, slopes: Tensor) -> tuple[Tensor, None, None, None]:  # noqa: ANN401
        (weight,) = ctx.saved_tensors
        return images_slopes(slopes, weight, ctx.shape[2:], ctx.padding), None, None, None


def images_slopes(slopes: Tensor, weight: Tensor, size: Sequence[int], padding: Pair) -> Tensor:
    """The gradient of a convolution of stride 1 with respect to its images, from that of its output.

    Args:
        slopes: of the output (n, o, h', w').
        weight: of the convolution (o, c, a, b).
        size: height and width of the images.
        padding: of the convolution, down and right.

    Returns:
        (n, c, height, width): at each pixel the sum over all kernel places of what the output there makes of it.
    """
    channels, rows, columns = weight.shape[1:]
    down, right = slopes.shape[2:]
    products = weight.permute(1, 2, 3, 0).flatten(0, 2) @ slopes.permute(0, 2, 3, 1).flatten(0, 2).t()
    parts = products.view(channels, rows, columns, len(slopes), down, right)
    # First along the rows, then down: a + b additions in place of a * b, each over a long run of memory.
    wide = slopes.new_zeros(channels, rows, len(slopes), down, right + columns - 1)
    for column in range(columns):
        wide[..., column : column + right] += parts[:, :, column]
    whole = slopes.new_zeros(channels, len(slopes), down + rows - 1, right + columns - 1)
    for row in range(rows):
        whole[:, :, row : row + down] += wide[:, row]
    height, width = size
    return whole[:, :, padding[0] : padding[0] + height, padding[1] : padding[1] + width].transpose(0, 1)
