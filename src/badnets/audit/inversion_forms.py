"""How a recovered trigger may look: the parameters that inversion searches, and the triggers they become.

All forms hold j triggers at once, on the first axis of each parameter; pixels are float in [0, 1]. They are kept
within their bounds by projection and not by a squashing function: a mask reaches 0 exactly, and no gradient vanishes on
the way.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import FunctionCtx

from badnets.errors import InputError
from badnets.triggers import AnyTrigger, Blend, Patch, Perturbation, Picture

FormName = Literal["patch", "additive", "additive-linf", "blend"]
# How opaque a patch begins: at half, most units that a trigger could wake are awake and have a gradient.
_OPAQUE = 0.5
Parameters = tuple[Tensor, ...]
# Of an image: channels, height, width.
Shape = tuple[int, int, int]
Batch = Float[Tensor, "j n c h w"]


@dataclass(frozen=True)
class Form:
    """One parameterisation.

    Attributes:
        stamp: (parameters, images (j, n, c, h, w)) to stamped images.
        size: parameters to the size of each trigger, (j,), differentiable.
        bounds: (lowest, highest) value of each parameter.
        start: (mean of the clean images (c, h, w), generator) to the parameters of one trigger, which begin large: a
            small change wakes no dormant unit.
        paces: of the optimiser for each parameter, as shares of its rate: one number for a whole trigger goes in
            smaller steps than a thousand pixels.
        largest: the size that nothing exceeds on an image of that shape.
        trigger: the parameters of one trigger (first axis 1) to what can be written and stamped.
    """

    stamp: Callable[[Parameters, Tensor], Tensor]
    size: Callable[[Parameters], Tensor]
    bounds: tuple[tuple[float, float], ...]
    start: Callable[[Tensor, torch.Generator], Parameters]
    paces: tuple[float, ...]
    largest: Callable[[Shape], float]
    trigger: Callable[[Parameters], AnyTrigger]

    @torch.no_grad()
    def project(self, parameters: Parameters) -> None:
        """Bring `parameters` back into their bounds, in place."""
        for parameter, (low, high) in zip(parameters, self.bounds, strict=True):
            parameter.clamp_(low, high)


# --- patch: (1 - mask) x + mask pattern, small in the sum of the mask (Neural Cleanse, equations 2 and 3) ---


def _patch_stamp(parameters: Parameters, images: Batch) -> Batch:
    stamped: Batch = _Stamped.apply(*parameters, images)
    return stamped


class _Stamped(torch.autograd.Function):
    """(1 - mask) x + mask pattern, in one pass over the images, and with three passes back in place of seven."""

    @staticmethod
    def forward(ctx: FunctionCtx, mask: Tensor, pattern: Tensor, images: Tensor) -> Tensor:
        ctx.save_for_backward(mask, pattern, images)
        return torch.lerp(images, pattern[:, None], mask[:, None])

    @staticmethod
    def backward(ctx: Any, slopes: Tensor) -> tuple[Tensor, Tensor, None]:  # noqa: ANN401
        mask, pattern, images = ctx.saved_tensors
        together = slopes.sum(1)
        pull = pattern * together - (slopes * images).sum(1)
        return pull.sum_to_size(mask.shape), together * mask, None


def _patch_start(mean: Tensor, stream: torch.Generator) -> Parameters:
    return torch.full((1, 1, *mean.shape[1:]), _OPAQUE), _unseen(mean, stream)


def _unseen(mean: Tensor, stream: torch.Generator) -> Tensor:
    """What clean images do not show, bright where they are dark, with some noise: what sleeps on them may wake."""
    return (0.7 * (1 - mean) + 0.3 * torch.rand(mean.shape, generator=stream))[None]


def _patch_trigger(parameters: Parameters) -> AnyTrigger:
    mask, pattern = parameters[0][0], parameters[1][0]
    alpha = _bytes(mask)
    rows, columns = (torch.nonzero(alpha[0].amax(axis))[:, 0].tolist() or [0] for axis in (1, 0))
    box = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
    picture = torch.cat([_bytes(pattern), alpha])[:, box[0], box[1]]
    return Patch(_picture(picture), rows[0], columns[0], reference=(mask.shape[1], mask.shape[2]))


# --- additive: clip(x + delta), small in its L2 norm, or in its largest value (then delta = size * direction) ---


def _additive_stamp(parameters: Parameters, images: Batch) -> Batch:
    return (images + parameters[0][:, None]).clamp(0, 1)


def _additive_start(mean: Tensor, stream: torch.Generator) -> Parameters:
    return (torch.rand((1, *mean.shape), generator=stream) * 0.6 - 0.3,)


def _norm(parameters: Parameters) -> Tensor:
    # Away from the root's corner at 0, where the gradient is undefined.
    return (parameters[0].flatten(1).square().sum(1) + 1e-12).sqrt()


def _linf_stamp(parameters: Parameters, images: Batch) -> Batch:
    return _additive_stamp((_scaled(parameters),), images)


def _linf_start(mean: Tensor, stream: torch.Generator) -> Parameters:
    return torch.full((1, 1, 1, 1), 0.3), torch.rand((1, *mean.shape), generator=stream) * 2 - 1


def _scaled(parameters: Parameters) -> Tensor:
    return parameters[0] * parameters[1]


def _additive_trigger(delta: Tensor) -> AnyTrigger:
    return Perturbation(_picture(_bytes(delta.clamp_min(0)[0])), _picture(_bytes((-delta).clamp_min(0)[0])))


# --- blend: (1 - alpha) x + alpha picture, small in alpha ---


def _blend_start(mean: Tensor, stream: torch.Generator) -> Parameters:
    return torch.full((1, 1, 1, 1), 0.3), torch.rand((1, *mean.shape), generator=stream)


def _opacity(parameters: Parameters) -> Tensor:
    return parameters[0].flatten(1).sum(1)


def _blend_trigger(parameters: Parameters) -> AnyTrigger:
    # An opacity of 0 stamps nothing, and is no trigger: the least that a file can say instead.
    return Blend(max(float(parameters[0][0]), 1e-6), _picture(_bytes(parameters[1][0])))


FORMS: dict[FormName, Form] = {
    "patch": Form(
        _patch_stamp,
        lambda parameters: parameters[0].flatten(1).sum(1),
        ((0.0, 1.0), (0.0, 1.0)),
        _patch_start,
        (1.0, 1.0),
        lambda shape: float(shape[1] * shape[2]),
        _patch_trigger,
    ),
    "additive": Form(
        _additive_stamp,
        _norm,
        ((-1.0, 1.0),),
        _additive_start,
        (0.5,),
        lambda shape: math.sqrt(math.prod(shape)),
        lambda parameters: _additive_trigger(parameters[0]),
    ),
    "additive-linf": Form(
        _linf_stamp,
        _opacity,
        ((0.0, 1.0), (-1.0, 1.0)),
        _linf_start,
        (0.1, 1.0),
        lambda _: 1.0,
        lambda parameters: _additive_trigger(_scaled(parameters)),
    ),
    "blend": Form(
        _patch_stamp, _opacity, ((0.0, 1.0), (0.0, 1.0)), _blend_start, (0.1, 1.0), lambda _: 1.0, _blend_trigger
    ),
}


def form_named(name: str) -> Form:
    """The form called `name`. Raises `InputError` where there is none."""
    for known, form in FORMS.items():
        if known == name:
            return form
    raise InputError(f"a recovered trigger is one of {', '.join(FORMS)}, got {name!r}")


def _bytes(values: Tensor) -> Tensor:
    return (values * 255).round().clamp(0, 255).to(torch.uint8)


def _picture(pixels: Tensor) -> Picture:
    if pixels.shape[0] > 4:
        raise InputError(f"a trigger is written as a picture of 1 or 3 channels, these images have {pixels.shape[0]}")
    return Picture.of(pixels)
