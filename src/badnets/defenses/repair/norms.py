"""The batch normalisations of a model, and the convolutions right before them, found by a forward pass."""

from __future__ import annotations

import torch
from jaxtyping import UInt8
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from badnets.errors import InputError
from badnets.models import evaluating


def batch_norms(method: str, model: nn.Module) -> dict[str, nn.BatchNorm2d]:
    """All with weights, by name.

    Raises:
        InputError: there is none.
    """
    found = {name: one for name, one in model.named_modules() if isinstance(one, nn.BatchNorm2d) and one.affine}
    if not found:
        raise InputError(
            f"{method} works on batch normalisation, and this network has none: use fine-pruning or unlearning"
        )
    return found


@torch.no_grad()
def convolutions_before(model: nn.Module, images: UInt8[Tensor, "n c h w"]) -> list[tuple[str, str]]:
    """The names of each convolution whose output a batch normalisation takes as it is, and of that normalisation."""
    made: dict[int, str] = {}
    kept: list[Tensor] = []  # so that no two outputs have one address
    pairs: list[tuple[str, str]] = []
    handles: list[RemovableHandle] = []

    def watch(name: str, module: nn.Module) -> None:
        def after(_module: nn.Module, _inputs: object, output: Tensor) -> None:
            made[id(output)] = name
            kept.append(output)

        def before(_module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            if id(inputs[0]) in made:
                pairs.append((made[id(inputs[0])], name))

        if isinstance(module, nn.Conv2d):
            handles.append(module.register_forward_hook(after))
        elif isinstance(module, nn.BatchNorm2d) and module.affine:
            handles.append(module.register_forward_pre_hook(before))

    for name, module in model.named_modules():
        watch(name, module)
    try:
        with evaluating(model) as device:
            model(images[:1].to(device).float().div_(255))
    finally:
        for handle in handles:
            handle.remove()
    return list(dict.fromkeys(pairs))


@torch.no_grad()
def silence(norm: nn.BatchNorm2d, channels: Tensor) -> None:
    """Make these channels give 0."""
    norm.weight[channels] = 0
    norm.bias[channels] = 0
