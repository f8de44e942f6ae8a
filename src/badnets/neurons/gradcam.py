"""Where a network looks: class activation maps by gradients (Selvaraju et al., arXiv 1610.02391, section 3)."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor, nn
from torch.nn import functional

from badnets.errors import InputError
from badnets.models import evaluating


def grad_cam(
    model: nn.Module,
    images: UInt8[Tensor, "n c h w"],
    classes: Int64[Tensor, " n"],
    *,
    layer: str | None = None,
    averaged: bool = True,
) -> Float[Tensor, "n h w"]:
    """How much each place of an image speaks for a class: ReLU(sum over k of a_k A_k), scaled to the image.

    A_k is the k-th map of the layer, a_k the mean over its places of the gradient of the class's logit. Where a head
    reads the places one by one, as fully connected layers do, that mean says nothing about a place: not `averaged`,
    a_k is the gradient at each place itself (HiResCAM; Draelos and Carin, arXiv 2011.08891, equation 4). Behind a mean
    over all places both are the same.

    Args:
        model: takes pixels in [0, 1] and gives logits; its mode and weights stay as they are.
        images: uint8.
        classes: the class asked about, for each image.
        layer: whose maps; None takes the last ones that have more than one place.
        averaged: Grad-CAM as published; else HiResCAM.

    Returns:
        On the CPU, each map divided by its maximum; all 0 where nothing speaks for the class.

    Raises:
        InputError: the model has no such layer, or none that gives maps.
    """
    maps: list[Tensor] = []

    def keep(_module: nn.Module, _inputs: object, output: object) -> None:
        if isinstance(output, Tensor) and output.ndim == 4 and output.shape[2] * output.shape[3] > 1:
            maps.append(output)

    modules = dict(model.named_modules())
    if layer is not None and layer not in modules:
        raise InputError(f"{type(model).__name__} has no layer {layer!r}")
    watched = [modules[layer]] if layer else [module for name, module in modules.items() if "normalize" not in name]
    hooks = [module.register_forward_hook(keep) for module in watched]
    try:
        with evaluating(model) as device, torch.enable_grad():
            # Through the pixels, since a frozen model's weights pass no gradients on.
            pixels = images.to(device).float().div_(255).requires_grad_()
            asked = model(pixels).gather(1, classes.to(device)[:, None]).sum()
            if not maps:
                raise InputError(f"{type(model).__name__} has no maps to look at in {layer or 'any layer'}")
            (slopes,) = torch.autograd.grad(asked, maps[-1])
    finally:
        for hook in hooks:
            hook.remove()
    weights = slopes.mean((2, 3), keepdim=True) if averaged else slopes
    weighed = (maps[-1].detach() * weights).sum(1, keepdim=True)
    scaled = functional.interpolate(
        functional.relu(weighed.float()), images.shape[2:], mode="bilinear", align_corners=False
    )[:, 0]
    largest = scaled.amax((1, 2), keepdim=True)
    return torch.where(largest > 0, scaled / largest.clamp_min(1e-30), torch.zeros_like(scaled)).cpu()
