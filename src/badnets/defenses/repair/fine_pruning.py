"""Fine-pruning: channels that clean images leave asleep are cut, then the rest is tuned (Liu et al., RAID 2018).

By the authors of BadNets with Kang Liu, arXiv 1805.12185, section 4.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from badnets.data import ImageSet
from badnets.defenses.repair.repaired import Repaired, Watch, carried_out, check_share
from badnets.defenses.repair.tuning import TUNING, accuracy, clean_step, tune
from badnets.errors import InputError
from badnets.neurons import last_convolution, mean_activations
from badnets.training.spec import TrainSpec

# Accuracy is looked at so often on the way, at most.
_LOOKS = 64


@dataclass(frozen=True)
class FinePruneSpec:
    """What is cut, and how the rest is tuned.

    Attributes:
        loss: accuracy on the clean images that may be lost by pruning, as a share in [0, 1]; the paper allows 4 points.
        layer: name of a convolution; None for the last one, as in the paper.
        train: schedule and step of the tuning.

    Raises:
        InputError: a loss outside its range.
    """

    loss: float = 0.04
    layer: str | None = None
    train: TrainSpec = TUNING

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - pydantic reads it, nothing writes it

    def __post_init__(self) -> None:
        check_share("the accuracy that pruning may cost", self.loss)


def fine_pruning(
    model: nn.Module,
    clean: ImageSet,
    spec: FinePruneSpec = FinePruneSpec(),
    *,
    seed: int = 0,
    progress: Callable[[float], None] | None = None,
    stop: Callable[[], bool] | None = None,
) -> Repaired:
    """Cut the channels of one convolution, the least active on clean images first, then tune.

    Cut channels give 0 and stay so while the others are tuned.

    Cost: a forward pass of the images for their mean activations, one for every look at the accuracy (64 at most), and
    those of `fine_tuning`.

    Args:
        model: stays as it is.
        clean: see `carried_out`.
        spec: see there.
        seed: of the part held out, order and augmentation.
        progress: called with the share that is done.
        stop: asked at every step.

    Raises:
        InputError: see `carried_out`; or the model has no such convolution with a ReLU behind it.
        Stopped: `stop` said so.
    """

    def work(changed: nn.Module, images: ImageSet, watch: Watch) -> tuple[str, ...]:
        layer, active = _ranked(changed, images, spec.layer)
        convolution = changed.get_submodule(layer)
        assert isinstance(convolution, nn.Conv2d)  # noqa: S101 - for the type checker
        mask = torch.ones(len(active), device=convolution.weight.device)
        with _masked(convolution, mask):
            cut = _prune(changed, images, mask, active.argsort(), spec.loss, watch)
            tuned = tune(changed, images, spec.train, clean_step(changed), seed=seed, watch=watch)
        with torch.no_grad():
            convolution.weight.mul_(mask.view(-1, 1, 1, 1))
            if convolution.bias is not None:
                convolution.bias.mul_(mask)
        return (f"{cut} of {len(active)} channels of {layer} cut", tuned)

    return carried_out("fine-pruning", model, clean, work, seed=seed, watch=Watch(progress, stop))


def _ranked(model: nn.Module, images: ImageSet, layer: str | None) -> tuple[str, Float[Tensor, " k"]]:
    """The layer, and the mean activation of each of its channels after the ReLU behind it."""
    name, relu = last_convolution(model)
    if layer is not None and layer != name:
        modules = list(model.named_modules())
        if not isinstance(dict(modules).get(layer), nn.Conv2d):
            raise InputError(f"fine-pruning: {type(model).__name__} has no convolution {layer!r}")
        place = next(place for place, (one, _) in enumerate(modules) if one == layer)
        behind = next((one for one, module in modules[place:] if isinstance(module, nn.ReLU)), None)
        if behind is None:
            raise InputError(f"fine-pruning: there is no ReLU behind {layer!r}")
        name, relu = layer, behind
    means = mean_activations(model, images.images, (relu,))[relu]
    convolution = model.get_submodule(name)
    assert isinstance(convolution, nn.Conv2d)  # noqa: S101 - for the type checker
    if means.ndim != 3 or means.shape[0] != convolution.out_channels:
        # Where a sum or another layer comes between (residual networks), the convolution's own positive part ranks.
        means = mean_activations(model, images.images, (name,))[name].clamp_min(0)
    return name, means.flatten(1).mean(1)


@contextmanager
def _masked(convolution: nn.Conv2d, mask: Tensor) -> Iterator[None]:
    """Inside, every channel of its output is multiplied by its place in `mask`."""

    def cut(_module: nn.Module, _inputs: object, output: Tensor) -> Tensor:
        return output * mask.view(1, -1, 1, 1)

    handle = convolution.register_forward_hook(cut)
    try:
        yield
    finally:
        handle.remove()


def _prune(model: nn.Module, images: ImageSet, mask: Tensor, order: Tensor, loss: float, watch: Watch) -> int:
    """Set places of `mask` to 0, in this order, as long as accuracy stays; returns how many."""
    least = accuracy(model, images) - loss
    together = -(-len(order) // _LOOKS)
    cut = 0
    for channels in order[:-1].split(together):
        watch.tick(0.0)
        mask[channels] = 0
        if accuracy(model, images) < least:
            mask[channels] = 1
            break
        cut += len(channels)
    return cut
