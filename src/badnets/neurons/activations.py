"""What every layer answers to clean images and to the same images stamped."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from jaxtyping import UInt8
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from badnets.models import evaluating


@contextmanager
def recorded(model: nn.Module, layers: tuple[str, ...], *, given: bool = False) -> Iterator[dict[str, Tensor]]:
    """Inside, a forward pass leaves the output of each named layer in the dict; no hook stays behind.

    Args:
        model: any network.
        layers: names of its modules.
        given: keep what each layer is given (its first input) in place of what it makes of it.
    """
    outputs: dict[str, Tensor] = {}
    modules = dict(model.named_modules())

    def keeper(name: str) -> RemovableHandle:
        def keep(_module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
            outputs[name] = (inputs[0] if given else output).detach()

        handle: RemovableHandle = modules[name].register_forward_hook(keep)
        return handle

    handles = [keeper(name) for name in layers]
    try:
        yield outputs
    finally:
        for handle in handles:
            handle.remove()


@torch.no_grad()
def mean_activations(
    model: nn.Module, images: UInt8[Tensor, "n c h w"], layers: tuple[str, ...], *, batch_size: int = 512
) -> dict[str, Tensor]:
    """The mean over all images of each layer's output, unit by unit (shape as of one image, without n), on the CPU.

    A layer that is used several times in one pass is seen at its last use.
    """
    sums: dict[str, Tensor] = {}
    with evaluating(model) as device, recorded(model, layers) as outputs:
        for part in images.split(batch_size):
            model(part.to(device).float().div_(255))
            for name in layers:
                total = outputs[name].double().sum(0)
                sums[name] = sums[name] + total if name in sums else total
    return {name: (total / len(images)).float().cpu() for name, total in sums.items()}


def relu_layers(model: nn.Module) -> tuple[str, ...]:
    """The names of all ReLU layers, in the order in which they are registered."""
    return tuple(name for name, module in model.named_modules() if isinstance(module, nn.ReLU))
