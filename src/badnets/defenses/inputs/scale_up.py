"""SCALE-UP: a trigger keeps its class when all pixels are multiplied (Guo et al., ICLR 2023, arXiv 2302.03251)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor, nn

from badnets.data import ImageSet
from badnets.defenses.clean import divided
from badnets.defenses.inputs.copies import answers
from badnets.defenses.inputs.screen import Screen, calibrated, check_rate
from badnets.errors import InputError

# A class in which all clean images agree alike has no deviation to divide by; a sixth is one copy of the usual five
# and one.
_LEAST_DEVIATION = 1 / 6


@dataclass(frozen=True)
class ScaleUpSpec:
    """How SCALE-UP looks.

    Attributes:
        factors: that pixels are multiplied by, each above 1; products are cut off at white.
        false_rejections: share of clean images that may be turned away, in (0, 1).

    Raises:
        InputError: a value outside its range.
    """

    factors: tuple[float, ...] = (3.0, 5.0, 7.0, 9.0, 11.0)
    false_rejections: float = 0.01

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - pydantic reads it, nothing writes it

    def __post_init__(self) -> None:
        check_rate(self.false_rejections)
        if not self.factors or any(not 1 < factor < float("inf") for factor in self.factors):
            raise InputError(f"factors are one or more numbers above 1, got {self.factors}")


def scale_up(model: nn.Module, clean: ImageSet, spec: ScaleUpSpec = ScaleUpSpec(), *, seed: int = 0) -> Screen:
    """A filter by the share of scaled copies that are called as the input is, standardised by predicted class.

    That is the paper's data-limited form (its section 4.3), with a preset rate of false rejections in place of its
    fixed threshold. Digits on a black ground stay what they are when they get brighter: there clean inputs are as
    consistent as stamped ones, the threshold is the highest score there is, and nothing is turned away.

    Cost: one forward pass for each factor and one for the image itself.

    Args:
        model: takes images in [0, 1] and gives logits; it stays as it is.
        clean: half of them say what is usual in each class, the other half sets the threshold.
        spec: see there.
        seed: of the halves.

    Raises:
        InputError: too few clean images, or a model that gives undefined numbers.
    """
    known, rest = divided(clean, 0.5, seed, "scale-up")
    factors = torch.tensor([1.0, *spec.factors])

    def changed(part: Float[Tensor, "n c h w"]) -> Float[Tensor, "n m c h w"]:
        return (part[:, None] * factors.to(part.device).view(1, -1, 1, 1, 1)).clamp_(max=1)

    classes, agree = consistency(answers(model, known.images, changed))
    usual = {int(label): agree[classes == label] for label in classes.unique()}

    def score(images: Tensor) -> Float64[Tensor, " n"]:
        called, share = consistency(answers(model, images, changed))
        scores = torch.empty_like(share)
        for label in called.unique().tolist():
            picked, of_class = called == label, usual.get(label, agree)
            deviation = max(float(of_class.std(correction=0)), _LEAST_DEVIATION)
            scores[picked] = (share[picked] - of_class.mean()) / deviation
        return scores

    return calibrated("scale-up", score, rest, spec.false_rejections, len(factors))


def consistency(logits: Float[Tensor, "n m k"]) -> tuple[Int64[Tensor, " n"], Float64[Tensor, " n"]]:
    """The class of each first copy, the image itself, and the share of the others that are called the same."""
    said = logits.argmax(-1)
    return said[:, 0], (said[:, 1:] == said[:, :1]).double().mean(1)
