"""A layerwise test: does an image come close to its predicted class in every layer, as clean images do?

TED (Mo et al., IEEE S&P 2024, arXiv 2312.02673) follows how near an image lies to its predicted class from layer to
layer. It is here, and not Beatrix (Ma et al., NDSS 2023), because a nearest neighbour needs a handful of clean images
of a class where Gram statistics want thirty, there is no order or channel pair to choose, and it does not ask that a
trigger works under overlays: source-specific and input-dependent triggers, which pass STRIP, still take an image from
one class to another.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float, Float64, Int64, UInt8
from torch import Tensor, nn
from torch.nn import functional

from badnets.data import ImageSet
from badnets.defenses.clean import checked, divided
from badnets.defenses.inputs.screen import Screen, calibrated, check_rate
from badnets.errors import InputError
from badnets.models import evaluating
from badnets.neurons import recorded, relu_layers

# Maps are averaged down to this many places a side: a residual network's would not fit in memory for all references.
_SIDE = 12
_BATCH = 256
# Added to the covariance of the logarithms of ranks: layers in which all clean images have rank 0 do not vary.
_RIDGE = 0.05


@dataclass(frozen=True)
class TedSpec:
    """How TED looks.

    Attributes:
        layers: names of the layers that are followed; none for all ReLU layers. The logits are always the last.
        false_rejections: share of clean images that may be turned away, in (0, 1).

    Raises:
        InputError: a rate outside its range.
    """

    layers: tuple[str, ...] = ()
    false_rejections: float = 0.05

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - pydantic reads it, nothing writes it

    def __post_init__(self) -> None:
        check_rate(self.false_rejections)


@dataclass(frozen=True, eq=False)
class _Usual:
    """What clean images' trajectories are like: their mean and the inverse of their covariance."""

    mean: Float64[Tensor, " d"]
    inverse: Float64[Tensor, "d d"]

    @classmethod
    def of(cls, trajectories: Float64[Tensor, "n d"]) -> _Usual:
        ridge = _RIDGE * torch.eye(trajectories.shape[1], dtype=torch.float64)
        covariance = torch.atleast_2d(torch.cov(trajectories.T, correction=0)) + ridge
        return cls(trajectories.mean(0), torch.linalg.inv(covariance))

    def distance(self, trajectories: Float64[Tensor, "n d"]) -> Float64[Tensor, " n"]:
        """Mahalanobis distances: what the authors' principal components with all components kept come down to."""
        off = trajectories - self.mean
        return torch.einsum("nd,de,ne->n", off, self.inverse, off).clamp_min(0).sqrt()


def ted(model: nn.Module, clean: ImageSet, spec: TedSpec = TedSpec(), *, seed: int = 0) -> Screen:
    """A filter by the trajectory of ranks.

    In every layer the clean references are sorted by their distance to the image; its rank is how many come before the
    first that is of the class the model predicts (TED, section 4.2). The score is how far log(1 + rank), over the
    layers, lies from that of clean images. An image predicted as a class without a reference scores infinity.

    Cost: one forward pass for each image, and its distance to every reference in every layer.

    Args:
        model: takes images in [0, 1] and gives logits; it stays as it is.
        clean: half of them, as far as the model gets them right, are references; the others set the threshold.
        spec: see there.
        seed: of the halves.

    Raises:
        InputError: too few clean images, no such layer, or a model that gives undefined numbers.
    """
    layers = spec.layers or relu_layers(model)
    unknown = [name for name in layers if name not in dict(model.named_modules())]
    if unknown:
        raise InputError(f"ted: {type(model).__name__} has no layer {unknown[0]!r}")
    known, rest = divided(clean, 0.5, seed, "ted")
    points, called = _seen(model, known.images, layers)
    sure = called == known.labels
    if int(sure.sum()) < 2:
        raise InputError(
            f"ted: the model gets {int(sure.sum())} of {len(known)} references right: nothing is usual for it"
        )
    points, classes = [layer[sure] for layer in points], called[sure]
    # Each reference is judged by the others.
    own = [torch.cdist(layer, layer).fill_diagonal_(float("inf")) for layer in points]
    alone = torch.bincount(classes, minlength=int(called.max()) + 1)[classes] < 2
    usual = _Usual.of(_trajectories(own, classes, classes)[~alone] if not bool(alone.all()) else _zeros(points))
    score = _score(model, layers, (points, classes), usual)
    return calibrated("ted", score, rest, spec.false_rejections, 1)


def _score(
    model: nn.Module, layers: tuple[str, ...], references: tuple[list[Tensor], Tensor], usual: _Usual
) -> Callable[[Tensor], Float64[Tensor, " n"]]:
    points, classes = references

    def score(images: Tensor) -> Float64[Tensor, " n"]:
        scores = []
        for part in images.split(_BATCH):
            seen, called = _seen(model, part, layers)
            far = [torch.cdist(layer, reference) for layer, reference in zip(seen, points, strict=True)]
            found = usual.distance(_trajectories(far, called, classes))
            found[~torch.isin(called, classes)] = float("inf")
            scores.append(found)
        return torch.cat(scores) if scores else torch.zeros(0, dtype=torch.float64)

    return score


def ranks(far: Float[Tensor, "n m"], called: Int64[Tensor, " n"], classes: Int64[Tensor, " m"]) -> Int64[Tensor, " n"]:
    """How many references are nearer than the nearest one of the predicted class; m where there is none of it.

    Args:
        far: distance of each image to each reference.
        called: the predicted class of each image.
        classes: of the references.
    """
    own = far.masked_fill(called[:, None] != classes, float("inf")).min(1).values
    return (far < own[:, None]).sum(1)


def _trajectories(far: list[Tensor], called: Tensor, classes: Tensor) -> Float64[Tensor, "n d"]:
    return torch.stack([ranks(layer, called, classes).double().log1p() for layer in far], 1)


def _zeros(points: list[Tensor]) -> Float64[Tensor, "n d"]:
    return torch.zeros(2, len(points), dtype=torch.float64)


@torch.no_grad()
def _seen(
    model: nn.Module, images: UInt8[Tensor, "n c h w"], layers: tuple[str, ...]
) -> tuple[list[Float[Tensor, "n d"]], Int64[Tensor, " n"]]:
    """What each layer makes of the images, in rows, the logits last; and what they are called."""
    kept: list[list[Tensor]] = [[] for _ in (*layers, "logits")]
    with evaluating(model) as device, recorded(model, layers) as outputs:
        for part in images.split(_BATCH):
            logits = checked(model(part.to(device).float().div_(255)))
            for place, name in enumerate(layers):
                kept[place].append(_small(outputs[name]).cpu())
            kept[-1].append(logits.cpu())
    joined = [torch.cat(parts) for parts in kept]
    return joined, joined[-1].argmax(1)


def _small(output: Tensor) -> Float[Tensor, "n d"]:
    if output.ndim == 4 and max(output.shape[2:]) > _SIDE:
        output = functional.adaptive_avg_pool2d(output, _SIDE)
    return output.flatten(1).float()
