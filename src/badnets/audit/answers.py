"""What a foreign model says, checked: it may raise, give another shape, or give numbers that are none."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from badnets.audit.quick import QuickConvolutions
from badnets.errors import BadnetsError, InputError
from badnets.models import evaluating

Pixels = Float[Tensor, "n c h w"]
Ask = Callable[[Tensor], Tensor]


@contextmanager
def examined(model: nn.Module) -> Iterator[tuple[Ask, torch.device]]:
    """Inside, `model` is in evaluation mode and frozen, so that gradients reach images and skip weights.

    Yields a function from images (n, c, h, w) in [0, 1] to logits (n, k) in float32, and the model's device. All flags
    are put back afterwards. That function raises `InputError` in one line where the model raises, gives anything but
    one row of at least two numbers for each image, or a number that is infinite or undefined.
    """
    learns = {parameter: parameter.requires_grad for parameter in model.parameters()}
    quick = QuickConvolutions()

    def ask(images: Tensor) -> Tensor:
        try:
            with quick:
                logits = model(images)
        except BadnetsError:
            raise
        except Exception as error:  # a stranger's code may raise anything
            reason = (str(error).splitlines() or [""])[0][:200]
            shape = tuple(images.shape)
            raise InputError(f"the model raised {type(error).__name__} on images of shape {shape}: {reason}") from error
        logits = _checked(logits, len(images))
        if torch.is_grad_enabled() and images.requires_grad and not logits.requires_grad:
            raise InputError("the model gives no gradients with respect to its images: nothing can be searched for")
        return logits

    for parameter in learns:
        parameter.requires_grad = False
    try:
        with evaluating(model) as device:
            yield ask, device
    finally:
        for parameter, before in learns.items():
            parameter.requires_grad = before


def slopes_of(value: Tensor, inputs: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """The gradient of a number with respect to each of `inputs`; a model that raises on the way gives `InputError`."""
    try:
        return torch.autograd.grad(value, inputs)
    except Exception as error:  # a stranger's code may raise anything
        reason = (str(error).splitlines() or [""])[0][:200]
        raise InputError(f"the model raised {type(error).__name__} in its backward pass: {reason}") from error


def _checked(logits: object, count: int) -> Tensor:
    if not isinstance(logits, Tensor):
        raise InputError(f"a classifier gives a tensor of logits, this model gave a {type(logits).__name__}")
    if logits.ndim != 2 or len(logits) != count or logits.shape[1] < 2:
        raise InputError(
            f"a classifier gives logits (n, k) with k of at least 2 for n images, this model gave "
            f"{tuple(logits.shape)} for {count}"
        )
    if not bool(torch.isfinite(logits).all()):
        raise InputError("the model gives infinite or undefined logits (NaN): there is nothing to judge")
    return logits.float()


def check_clean(images: Tensor, labels: Tensor) -> None:
    """Raise `InputError` unless there is at least one float image in [0, 1] and one label for each."""
    if images.ndim != 4 or not images.dtype.is_floating_point:
        raise InputError(f"expected float images (n, c, h, w) in [0, 1], got {images.dtype} {tuple(images.shape)}")
    if not len(images):
        raise InputError("the tests on clean images need at least one, got none")
    if len(images) != len(labels):
        raise InputError(f"expected one label for each image, got {len(labels)} labels for {len(images)} images")
    low, high = images.aminmax()
    if not (float(low) >= 0 and float(high) <= 1):  # NaN compares false
        raise InputError(f"expected pixels in [0, 1], got {float(low):g} to {float(high):g}")


@torch.no_grad()
def logits_of(ask: Ask, images: Pixels, device: torch.device, *, batch_size: int = 512) -> Float[Tensor, "n k"]:
    """The logits for many images, batch by batch, on the CPU."""
    return torch.cat([ask(part.to(device)).cpu() for part in images.split(batch_size)])


def check_labels(labels: Int64[Tensor, " n"], classes: int) -> None:
    """Raise `InputError` unless all labels are classes of the model."""
    low, high = (int(bound) for bound in labels.aminmax())
    if low < 0 or high >= classes:
        raise InputError(
            f"labels go from {low} to {high}, but the model tells {classes} classes apart: 0..{classes - 1}"
        )
