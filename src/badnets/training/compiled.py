"""The forward and backward pass as machine code made for the model, by torch.compile."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor, nn

from badnets.errors import InputError
from badnets.models import ModelSpec
from badnets.training.spec import TrainSpec

# Compiling took 6 to 18 s on one core, and 1 to 2 s where torch's cache on disk knew the kernels; the step then
# was 1.2 to 1.4 times as fast (docs/RESULTS.md). Below this many samples that is not earned back.
_WORTHWHILE = 250_000
# And only for networks where it was seen to pay: one with maximum pooling on photographs took twice as long.
_PAYS = frozenset({"badnet_cnn"})

Forward = Callable[[Tensor], Tensor]


def is_compiled(spec: TrainSpec, model: ModelSpec | None, samples: int, device: str) -> bool:
    """Whether a training is compiled; it depends on nothing but these and the machine.

    Args:
        spec: the schedule, and whether the user insists.
        model: the architecture; None for a network of one's own.
        samples: in a pass.
        device: "cpu" or "cuda".

    Raises:
        InputError: the spec insists, and this machine cannot.
    """
    if spec.compiled == "auto":
        if spec.adversarial:  # that needs the gradient of images, another graph
            return False
        pays = model is not None and model.name in _PAYS and samples * spec.epochs >= _WORTHWHILE
        return pays and device == "cpu" and can_compile()
    if spec.compiled == "yes" and not can_compile():
        raise InputError('compiled="yes" needs a C++ compiler that torch.compile can use: install g++, or use "auto"')
    return spec.compiled == "yes"


@cache
def can_compile() -> bool:
    """Whether torch.compile works here, found by trying it: it needs a C++ compiler and Python's headers."""
    # It would tell the user of a machine without a GPU that there is none, in the middle of a progress bar.
    logging.getLogger("torch.utils.cpp_extension").setLevel(logging.ERROR)
    try:
        _compile(_double)(torch.ones(3))
    except Exception:  # noqa: BLE001 - whatever a compiler that is missing or broken makes torch raise
        return False
    return True


def compiled_forward(model: nn.Module, batch_size: int) -> Forward:
    """`model` on batches of that size as machine code; the odd last batch of a pass goes the usual way.

    What was compiled in this process before is forgotten first: torch falls back silently to the usual way when too
    many variants have come together, and the same seed is to give the same weights whatever ran earlier.
    """
    torch.compiler.reset()
    fast = _compile(model)

    def forward(images: Tensor) -> Tensor:
        result: Tensor = fast(images) if len(images) == batch_size else model(images)
        return result

    return forward


def _compile(what: Callable[..., Tensor]) -> Callable[..., Tensor]:
    # One thread, so that no helper processes outlive a worker; dropout draws what it would have drawn uncompiled.
    options: dict[str, str | int | bool | Callable[..., object]] = {"compile_threads": 1, "fallback_random": True}
    return torch.compile(what, dynamic=False, options=options)


def _double(values: Tensor) -> Tensor:
    return values * 2
