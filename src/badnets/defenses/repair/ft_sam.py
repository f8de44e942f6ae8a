"""FT-SAM: fine-tuning towards flat places, which shrinks what a backdoor rests on (Zhu et al., ICCV 2023)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from badnets.data import ImageSet
from badnets.defenses.repair.repaired import Repaired, Watch, carried_out, check_positive
from badnets.defenses.repair.tuning import TUNING, clean_step, tune
from badnets.training.spec import TrainSpec

_SMALLEST = 1e-12


@dataclass(frozen=True)
class FtSamSpec:
    """How it is tuned.

    Attributes:
        radius: rho of the neighbourhood, adapted to the size of every weight; BackdoorBench takes 2.
        train: schedule and step.

    Raises:
        InputError: a radius that is not positive.
    """

    radius: float = 2.0
    train: TrainSpec = TUNING

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - pydantic reads it, nothing writes it

    def __post_init__(self) -> None:
        check_positive("the radius", self.radius)


def ft_sam(
    model: nn.Module,
    clean: ImageSet,
    spec: FtSamSpec = FtSamSpec(),
    *,
    seed: int = 0,
    progress: Callable[[float], None] | None = None,
    stop: Callable[[], bool] | None = None,
) -> Repaired:
    """Fine-tune with gradients taken at the worst place near the weights (arXiv 2304.11823, section 4).

    The worst place is w + rho w^2 g / |w g|: adaptive sharpness-aware minimisation (Kwon et al., ICML 2021, eq. 11).

    Cost: twice that of `fine_tuning`.

    Args:
        model: stays as it is.
        clean: see `carried_out`.
        spec: see there.
        seed: of the part held out, order and augmentation.
        progress: called with the share that is done.
        stop: asked at every step.

    Raises:
        InputError: see `carried_out`, or a loss that became undefined.
        Stopped: `stop` said so.
    """

    def work(changed: nn.Module, images: ImageSet, watch: Watch) -> tuple[str, ...]:
        weights = [parameter for parameter in changed.parameters() if parameter.requires_grad]

        plain = clean_step(changed)

        def step(pixels: Tensor, labels: Tensor, number: int) -> Tensor:
            loss = plain(pixels, labels, number)
            offsets = worst_offsets(weights, spec.radius)
            _move(weights, offsets, 1)
            for weight in weights:
                weight.grad = None
            plain(pixels, labels, number)
            _move(weights, offsets, -1)
            return loss

        return (f"sharpness-aware: {tune(changed, images, spec.train, step, seed=seed, watch=watch)}",)

    return carried_out("ft-sam", model, clean, work, seed=seed, watch=Watch(progress, stop))


@torch.no_grad()
def worst_offsets(weights: list[nn.Parameter], radius: float) -> list[Tensor]:
    """Rho w^2 g / |w g| for each weight, from the gradients in them."""
    scaled = [weight.abs() * (torch.zeros_like(weight) if weight.grad is None else weight.grad) for weight in weights]
    norm = torch.stack([one.norm() for one in scaled]).norm().clamp_min(_SMALLEST)
    return [radius * weight.abs() * one / norm for weight, one in zip(weights, scaled, strict=True)]


@torch.no_grad()
def _move(weights: list[nn.Parameter], offsets: list[Tensor], sign: int) -> None:
    for weight, offset in zip(weights, offsets, strict=True):
        weight.add_(offset, alpha=sign)
