"""The filters of the first convolution, and which of them answer to the trigger (the paper's Fig. 5)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from badnets.data import ImageSet
from badnets.errors import InputError
from badnets.neurons.activations import mean_activations, relu_layers
from badnets.triggers import Trigger


@dataclass(frozen=True)
class FilterResponse:
    """One filter of the first layer, by number.

    Attributes:
        index: of the filter, from 0.
        clean: its mean output after ReLU over the places that see the trigger, on clean images.
        stamped: the same on stamped images.
    """

    index: int
    clean: float
    stamped: float

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - pydantic reads it, nothing writes it

    @property
    def difference(self) -> float:
        """Stamped minus clean: the filter's answer to the trigger."""
        return self.stamped - self.clean


def first_convolution(model: nn.Module) -> nn.Conv2d:
    """The first convolution of `model`. Raises `InputError` where it has none."""
    found = next((module for module in model.modules() if isinstance(module, nn.Conv2d)), None)
    if found is None:
        raise InputError(f"{type(model).__name__} has no convolution")
    return found


def filters(model: nn.Module) -> Float[Tensor, "k c h w"]:
    """The weights of the first convolution: k filters."""
    return first_convolution(model).weight.detach().cpu().clone()


def filter_responses(model: nn.Module, images: ImageSet, trigger: Trigger) -> tuple[FilterResponse, ...]:
    """How every first-layer filter answers to the trigger, over the outputs whose window overlaps it.

    Raises:
        InputError: the model has no convolution, or no ReLU after it.
    """
    layers = relu_layers(model)
    if not layers:
        raise InputError(f"{type(model).__name__} has no ReLU layer")
    first = layers[:1]
    clean = mean_activations(model, images.images, first)[first[0]]
    stamped = mean_activations(model, trigger(images.images), first)[first[0]]
    seen = _windows(first_convolution(model), trigger.mask(*images.shape[1:]).to(clean.device))
    before, after = clean[:, seen].mean(1), stamped[:, seen].mean(1)
    return tuple(FilterResponse(index, float(before[index]), float(after[index])) for index in range(len(before)))


def outstanding(responses: Sequence[FilterResponse], controls: Sequence[Sequence[FilterResponse]]) -> tuple[int, ...]:
    """The filters that answer to the trigger more than any filter of the honest models does, strongest first.

    With n honest models as controls, one more honest model would have such a filter with probability 1 / (n + 1).

    Args:
        responses: of the model in question.
        controls: of honest models, to the same trigger on the same images: every network has filters that happen
            to answer to bright pixels.
    """
    usual = max(response.difference for control in controls for response in control)
    found = sorted(responses, key=lambda response: -response.difference)
    return tuple(response.index for response in found if response.difference > usual)


def _windows(convolution: nn.Conv2d, mask: Tensor) -> Tensor:
    """The outputs of `convolution` whose window covers a pixel of `mask`, as (h, w) booleans."""
    ones = torch.ones(1, 1, *convolution.kernel_size, device=mask.device)
    padding = convolution.padding if isinstance(convolution.padding, str) else list(convolution.padding)
    count = functional.conv2d(mask[None, None].float(), ones, None, convolution.stride, padding, convolution.dilation)
    return count[0, 0] > 0
