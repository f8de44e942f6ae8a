"""The defender's clean images: taken apart by class, and checked against the model before anything is computed."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor, nn

from badnets.data import ImageSet
from badnets.errors import InputError
from badnets.models import evaluating
from badnets.seeds import generator

_BATCH = 512


def divided(clean: ImageSet, share: float, seed: int, *names: str) -> tuple[ImageSet, ImageSet]:
    """Two parts of a clean set, drawn class by class so that both look alike.

    Args:
        clean: all of it.
        share: of every class that goes into the second part, rounded; each part has at least one image.
        seed: of the draw.
        names: of its stream.

    Returns:
        The larger remainder, and the share that was drawn.

    Raises:
        InputError: fewer than two images, or a share outside (0, 1).
    """
    if not 0 < share < 1:
        raise InputError(f"a part of the clean images is a share in (0, 1), got {share}")
    if len(clean) < 2:
        raise InputError(f"{clean.name}: a defense needs at least two clean images, got {len(clean)}")
    shuffled = torch.randperm(len(clean), generator=generator(seed, *names))
    # Sorted by class, and every image at its share of the way through: neighbours are of one class.
    ordered = shuffled[clean.labels[shuffled].argsort(stable=True)]
    steps = torch.floor((torch.arange(len(clean), dtype=torch.float64) + 1) * share + 0.5)
    drawn = steps.diff(prepend=torch.zeros(1, dtype=torch.float64)) > 0
    if not bool(drawn.any()):
        drawn[-1] = True
    if bool(drawn.all()):
        drawn[0] = False
    return clean.select(ordered[~drawn].sort().values), clean.select(ordered[drawn].sort().values)


@torch.no_grad()
def logits_of(model: nn.Module, images: UInt8[Tensor, "n c h w"], *, batch_size: int = _BATCH) -> Float[Tensor, "n k"]:
    """What the model says of these images, on the CPU.

    Raises:
        InputError: the model gives undefined numbers.
    """
    with evaluating(model) as device:
        return torch.cat([checked(model(part.to(device).float().div_(255))).cpu() for part in images.split(batch_size)])


def checked(logits: Tensor) -> Float[Tensor, "n k"]:
    """The logits in float32. Raises `InputError` where the model gives no rows of numbers."""
    if logits.ndim != 2:
        raise InputError(f"expected a model that gives logits (n, classes), got {tuple(logits.shape)}")
    if not bool(torch.isfinite(logits).all()):
        raise InputError("the model gives undefined or infinite numbers on clean images: nothing can be told of it")
    return logits.float()


def check_classes(clean: ImageSet, logits: Float[Tensor, "n k"]) -> None:
    """Raise `InputError` unless the model tells at least the clean set's classes apart."""
    outputs = logits.shape[1]
    if outputs < 2:
        raise InputError(f"expected a model that tells at least 2 classes apart, it has {outputs} output")
    if int(clean.labels.max()) >= outputs:
        raise InputError(f"{clean.name} has labels up to {int(clean.labels.max())}, the model only {outputs} classes")


def right(logits: Float[Tensor, "n k"], labels: Int64[Tensor, " n"]) -> int:
    """How many of the labels are the likeliest class."""
    return int((logits.argmax(1) == labels).sum())
