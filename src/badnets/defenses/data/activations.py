"""One pass over a suspect training set: what its model's last fully connected layer is given, for all data filters."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn

from badnets.data import ImageSource
from badnets.defenses.clean import checked
from badnets.errors import InputError, Stopped
from badnets.models import evaluating
from badnets.neurons import recorded
from badnets.training.features import Features

_BATCH = 512


@dataclass(frozen=True, eq=False)
class Activations:
    """The features of a suspect training set, and of a few images that are known to be clean, by one model.

    Attributes:
        suspect: with the labels that the set gives, true or false.
        clean: with their true labels.

    Raises:
        InputError: features of different length, different classes, or undefined numbers.
    """

    suspect: Features
    clean: Features

    def __post_init__(self) -> None:
        if self.suspect.values.ndim != 2 or self.suspect.values.shape[1:] != self.clean.values.shape[1:]:
            got = f"{tuple(self.suspect.values.shape)} and {tuple(self.clean.values.shape)}"
            raise InputError(f"expected features (n, f) and (m, f) of one model, got {got}")
        if len(self.suspect.classes) != len(self.clean.classes):
            got = f"{len(self.suspect.classes)} and {len(self.clean.classes)}"
            raise InputError(f"suspect and clean images have the same classes, got {got}")
        for part in (self.suspect, self.clean):
            if not bool(torch.isfinite(part.values).all()):
                raise InputError(f"the model's features of {part.name} are undefined or infinite: nothing can be told")

    @property
    def classes(self) -> int:
        """How many there are."""
        return len(self.suspect.classes)

    def of(self, label: int) -> tuple[Int64[Tensor, " m"], Float[Tensor, "m f"], Float[Tensor, "k f"]]:
        """The rows of the suspect set with that label, their features, and those of the clean images of that class."""
        rows = torch.nonzero(self.suspect.labels == label)[:, 0]
        return rows, self.suspect.values[rows].double(), self.clean.values[self.clean.labels == label].double()


def activations(
    model: nn.Module, suspect: ImageSource, clean: ImageSource, *, stop: Callable[[], bool] | None = None
) -> Activations:
    """Run the model over both sets, once.

    Cost: one forward pass for each image; 4 bytes for each feature.

    Args:
        model: trained on the suspect set; takes images in [0, 1]; it stays as it is.
        suspect: the training set that is to be sifted.
        clean: a few images with labels that are known to be right.
        stop: asked between batches.

    Raises:
        InputError: the model has no fully connected layer or gives undefined numbers, or the sets do not fit.
        Stopped: `stop` said so.
    """
    linear = [name for name, module in model.named_modules() if isinstance(module, nn.Linear)]
    if not linear:
        raise InputError(f"{type(model).__name__} has no fully connected layer: its features are not known")
    return Activations(*(_features(model, part, linear[-1], stop) for part in (suspect, clean)))


@torch.no_grad()
def _features(model: nn.Module, images: ImageSource, layer: str, stop: Callable[[], bool] | None) -> Features:
    parts = []
    with evaluating(model) as device, recorded(model, (layer,), given=True) as outputs:
        for rows in torch.arange(len(images)).split(_BATCH):
            if stop is not None and stop():
                raise Stopped("stopped while computing features; the same call begins again")
            checked(model(images.take(rows).to(device).float().div_(255)))
            parts.append(outputs[layer].flatten(1).float().cpu())
    return Features(torch.cat(parts), images.labels, images.classes, images.name, images.digest)


@dataclass(frozen=True)
class ClassFinding:
    """What a filter says of one class of the suspect set.

    Attributes:
        label: the class.
        samples: how many carry that label.
        removed: how many of these the filter would throw away.
        statistic: what the class was judged by, see the filter; NaN where it was not judged.
        reason: why it was not judged; empty where it was.
    """

    label: int
    samples: int
    removed: int
    statistic: float
    reason: str = ""

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - pydantic reads it, nothing writes it


@dataclass(frozen=True, eq=False)
class Sifted:
    """What a filter makes of a suspect training set.

    Attributes:
        method: a key of `FILTERS`.
        scores: of every sample, higher is more suspicious; comparable within a class, by some filters beyond it.
        removed: the samples that it would throw away.
        classes: class by class.
    """

    method: str
    scores: Float[Tensor, " n"]
    removed: Bool[Tensor, " n"]
    classes: tuple[ClassFinding, ...]


@dataclass(frozen=True, eq=False)
class Judged:
    """One class as a filter judged it: scores and removals in the order of its rows, and what it was judged by."""

    scores: Float[Tensor, " m"]
    removed: Bool[Tensor, " m"]
    statistic: float
    reason: str = ""

    @classmethod
    def nothing(cls, samples: int, reason: str) -> Judged:
        """A class that cannot be judged: nothing is removed."""
        zeros = torch.zeros(samples, dtype=torch.float64)
        return cls(zeros, zeros.bool(), float("nan"), reason)


def sifted(method: str, found: Activations, judged: list[Judged]) -> Sifted:
    """The classes' judgements, put together in the order of the suspect set."""
    scores = torch.zeros(len(found.suspect), dtype=torch.float64)
    removed = torch.zeros(len(found.suspect), dtype=torch.bool)
    classes = []
    for label, one in enumerate(judged):
        rows = found.of(label)[0]
        scores[rows], removed[rows] = one.scores.double(), one.removed
        classes.append(ClassFinding(label, len(rows), int(one.removed.sum()), one.statistic, one.reason))
    return Sifted(method, scores, removed, tuple(classes))


def principal(values: Float[Tensor, "n f"], count: int) -> Float[Tensor, "f d"]:
    """The directions in which the centred rows vary most, as columns: at most `count`, and none of no variance."""
    centred = values - values.mean(0)
    # Of many rows the scatter matrix is decomposed: the same directions for a fraction of the time.
    sizes, directions = torch.linalg.eigh(centred.T @ centred)
    eps = torch.finfo(values.dtype).eps
    rounding = len(values) * (eps * float(values.abs().max())) ** 2
    varying = int((sizes > max(values.shape) * (eps * float(sizes[-1]) + rounding)).sum())
    kept: Tensor = directions.flip(1)[:, : min(count, varying)]
    return kept


def expected_removals(samples: int, share: float) -> int:
    """How many of a class are thrown away where `share` of it may be poison: 1.5 times as many, as published."""
    return min(samples, round(1.5 * share * samples))


def check_share(share: float) -> None:
    """Raise `InputError` unless 1.5 times the share can be removed from a class with something left."""
    if not 0 < share < 2 / 3:
        raise InputError(f"the expected share of poison in a class lies in (0, 2/3), got {share}")
