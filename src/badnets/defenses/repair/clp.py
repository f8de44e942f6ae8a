"""CLP: channels that can stretch their input most are cut, without data (Zheng et al., ECCV 2022, arXiv 2208.03111)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from badnets.data import ImageSet
from badnets.defenses.repair.norms import batch_norms, convolutions_before, silence
from badnets.defenses.repair.repaired import Repaired, Watch, carried_out, check_positive
from badnets.errors import InputError


@dataclass(frozen=True)
class ClpSpec:
    """What is cut.

    Attributes:
        deviations: u: channels above the mean of their layer by more than so many standard deviations; the paper takes
            3.

    Raises:
        InputError: a number that is not positive.
    """

    deviations: float = 3.0

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - pydantic reads it, nothing writes it

    def __post_init__(self) -> None:
        check_positive("the number of deviations", self.deviations)


def clp(
    model: nn.Module,
    clean: ImageSet,
    spec: ClpSpec = ClpSpec(),
    *,
    seed: int = 0,
    progress: Callable[[float], None] | None = None,
    stop: Callable[[], bool] | None = None,
) -> Repaired:
    """Silence the channels whose Lipschitz bound stands out in their layer (their algorithm 1).

    In a layer of d channels none lies more than (d - 1) / sqrt(d) deviations above the mean: with u = 3, layers of
    fewer than 11 channels are never touched.

    Cost: one forward pass of one image, which finds the convolutions right before a batch normalisation, and a
        singular value
    decomposition for each of their channels. No clean image has a part in it but as a judge.

    Args:
        model: stays as it is; needs batch normalisation.
        clean: see `carried_out`.
        spec: see there.
        seed: of the part held out.
        progress: called with the share that is done.
        stop: asked between layers.

    Raises:
        InputError: see `carried_out`; or there is no batch normalisation right behind a convolution.
        Stopped: `stop` said so.
    """
    batch_norms("clp", model)

    def work(changed: nn.Module, images: ImageSet, watch: Watch) -> tuple[str, ...]:
        pairs = convolutions_before(changed, images.images)
        if not pairs:
            raise InputError("clp: this network has no batch normalisation right behind a convolution")
        done = []
        for number, (name, normed) in enumerate(pairs):
            watch.tick(number / len(pairs))
            convolution, norm = changed.get_submodule(name), changed.get_submodule(normed)
            assert isinstance(convolution, nn.Conv2d)  # noqa: S101 - for the type checker
            assert isinstance(norm, nn.BatchNorm2d)  # noqa: S101 - likewise
            bounds = lipschitz_bounds(convolution, norm)
            cut = torch.nonzero(bounds > bounds.mean() + spec.deviations * bounds.std(correction=0))[:, 0]
            silence(norm, cut)
            if len(cut):
                done.append(f"{len(cut)} of {len(bounds)} channels of {name} silenced")
        return tuple(done) or (f"no channel of {len(pairs)} layers stands out: nothing was changed",)

    return carried_out("clp", model, clean, work, seed=seed, watch=Watch(progress, stop))


@torch.no_grad()
def lipschitz_bounds(convolution: nn.Conv2d, norm: nn.BatchNorm2d) -> Float[Tensor, " d"]:
    """For each channel the spectral norm of its kernel, as (inputs, places), times |gamma| / sqrt(variance + eps)."""
    kernels = convolution.weight.flatten(2)
    variance = norm.running_var
    if variance is None:
        raise InputError("clp needs batch normalisation with running statistics")
    bounds: Tensor = torch.linalg.matrix_norm(kernels, ord=2) * norm.weight.abs() / (variance + norm.eps).sqrt()
    return bounds
