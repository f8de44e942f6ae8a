"""STRIP: a trigger keeps its class whatever is laid over it (Gao et al., ACSAC 2019, arXiv 1902.06531, section 4)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float, Float64
from torch import Tensor, nn

from badnets.data import ImageSet
from badnets.defenses.clean import divided
from badnets.defenses.inputs.copies import answers
from badnets.defenses.inputs.screen import Screen, calibrated, check_rate
from badnets.errors import InputError


@dataclass(frozen=True)
class StripSpec:
    """How STRIP looks.

    Attributes:
        overlays: clean images that are added to every input; the paper takes 100, fewer tell nearly as much.
        opacity: by how much an overlay is multiplied before it is added, in (0, 1]; the sum is cut off at white. On
            dark grounds both pictures stay to be seen at 1, as in the authors' code.
        false_rejections: share of clean images that may be turned away, in (0, 1); the paper presets 1 %.

    Raises:
        InputError: a value outside its range.
    """

    overlays: int = 32
    opacity: float = 1.0
    false_rejections: float = 0.01

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - pydantic reads it, nothing writes it

    def __post_init__(self) -> None:
        check_rate(self.false_rejections)
        if self.overlays < 1 or not 0 < self.opacity <= 1:
            raise InputError(f"overlays are 1 or more and opacity lies in (0, 1], got {self!r}")


def strip(model: nn.Module, clean: ImageSet, spec: StripSpec = StripSpec(), *, seed: int = 0) -> Screen:
    """A filter by the mean entropy of the model's answers to an input under many overlays.

    The score is minus that entropy in bits (the paper's eq. 4): an input whose class survives everything is
    suspicious. A source-specific trigger does not survive overlays of other classes, and passes.

    Cost: `overlays` forward passes for each image.

    Args:
        model: takes images in [0, 1] and gives logits; it stays as it is.
        clean: `overlays` of them are laid over inputs, the others set the threshold.
        spec: see there.
        seed: of the choice of overlays.

    Raises:
        InputError: too few clean images, or a model that gives undefined numbers.
    """
    if len(clean) <= spec.overlays:
        raise InputError(
            f"strip: {spec.overlays} clean images are overlays and others set the threshold, got {len(clean)} in all: "
            "give more images, or take fewer overlays"
        )
    rest, overlays = divided(clean, spec.overlays / len(clean), seed, "strip")
    pixels = overlays.images.float().div(255).mul_(spec.opacity)

    def changed(part: Float[Tensor, "n c h w"]) -> Float[Tensor, "n m c h w"]:
        return (part[:, None] + pixels.to(part.device)).clamp_(max=1)

    def score(images: Tensor) -> Float64[Tensor, " n"]:
        return -mean_entropy(answers(model, images, changed))

    return calibrated("strip", score, rest, spec.false_rejections, len(overlays))


def mean_entropy(logits: Float[Tensor, "n m k"]) -> Float64[Tensor, " n"]:
    """The entropy of each answer in bits, mean over the m copies of every image."""
    logs = torch.log_softmax(logits.double(), -1)
    return -(logs.exp() * logs).sum(-1).mean(-1) / math.log(2)
