"""Whether a network is what it was declared to be: parts that were not ordered, numbers that are none, loud weights."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from badnets.models import ModelSpec, build
from badnets.models.architecture import differences

# Weights of trained networks seldom reach this; a side network that is to drown an honest one needs more.
_LOUD = 1e3
_FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


@dataclass(frozen=True)
class Structure:
    """What speaks against a network before it has seen an image.

    Attributes:
        extra: parts beside the ordered ones, each in one line: a network that carries them is refused.
        other: it is not the ordered architecture at all; the first differences.
        unsound: numbers that make a judgement impossible, each in one line.
        notes: what is odd and decides nothing.
        compared: whether there was an ordered architecture to compare with.
    """

    extra: tuple[str, ...] = ()
    other: tuple[str, ...] = ()
    unsound: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    compared: bool = False

    @property
    def detail(self) -> str:
        """All of it in one line."""
        said = (*self.extra, *self.other, *self.unsound, *self.notes)
        with_what = "as ordered" if self.compared else "no architecture was ordered by name: nothing to compare with"
        return "; ".join(said) or with_what


def inspect(model: nn.Module, ordered: ModelSpec | None = None) -> Structure:
    """Look at a network's modules and weights; nothing in it is run.

    A network that holds every ordered tensor and more is an honest one with something beside it, as in the paper's
    Fig. 1b. One that lacks some of them is another architecture, of which nothing follows.

    Args:
        model: as it came.
        ordered: what it should be; None where the user brought code of their own.
    """
    unsound, notes = _numbers(model.state_dict())
    if ordered is None:
        hooked = tuple(f"{name or 'the network'} has hooks" for name, one in model.named_modules() if _hooks(one))
        return Structure(unsound=unsound, notes=(*hooked, *notes))
    found = differences(model, ordered)
    if not found:
        return Structure(unsound=unsound, notes=notes, compared=True)
    if _holds(model, build(ordered)):
        return Structure(extra=found, unsound=unsound, notes=notes, compared=True)
    return Structure(other=found, unsound=unsound, notes=notes, compared=True)


def _holds(model: nn.Module, wanted: nn.Module) -> bool:
    """Whether every ordered tensor is there, under its own name or below one common prefix."""
    ours = {name: (tuple(t.shape), t.dtype) for name, t in wanted.state_dict().items()}
    theirs = {name: (tuple(t.shape), t.dtype) for name, t in model.state_dict().items()}
    prefixes = {name.removesuffix(first) for first in list(ours)[:1] for name in theirs if name.endswith(first)}
    return any(all(theirs.get(prefix + name) == form for name, form in ours.items()) for prefix in prefixes)


def _hooks(module: nn.Module) -> bool:
    return bool(module._forward_hooks or module._forward_pre_hooks)  # noqa: SLF001 - torch has no public way to ask


def _numbers(tensors: dict[str, Tensor]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    unsound, notes = [], []
    for name, tensor in tensors.items():
        if not tensor.dtype.is_floating_point:
            continue
        if tensor.dtype not in _FLOATS:
            notes.append(f"{name} is of {tensor.dtype}")
        values = tensor.detach().float()
        bad = int((~torch.isfinite(values)).sum())
        if bad:
            unsound.append(f"{name} has {bad:,} of {values.numel():,} values that are NaN or infinite")
        elif values.numel() and (largest := float(values.abs().max())) >= _LOUD and math.isfinite(largest):
            notes.append(f"{name} has weights up to {largest:.3g}")
    return tuple(unsound), tuple(notes)
