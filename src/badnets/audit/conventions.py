"""How a foreign model wants its pixels, and what its outputs are: found by accuracy on clean images, never guessed.

Networks of one architecture take pixels in 0..255, in [0, 1], in [-1, 1] or standardised, and some end in a softmax.
A model that is asked in the wrong way looks broken or, worse, robust. Each known convention is tried on the user's
labelled images; the one with the highest accuracy is taken, and said. Where none reads the images, nothing is judged.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn import functional

from badnets.errors import InputError
from badnets.metrics import clopper_pearson
from badnets.models import evaluating
from badnets.models.normalize import IMAGENET

# Constants that half the world's scripts carry: of MNIST, CIFAR-10 and GTSRB, by channel.
_STANDARDS: dict[str, tuple[tuple[float, ...], tuple[float, ...]]] = {
    "mnist": ((0.1307,), (0.3081,)),
    "cifar10": ((0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)),
    "gtsrb": ((0.3403, 0.3121, 0.3214), (0.2724, 0.2608, 0.2669)),
    "imagenet": IMAGENET,
}
_LUMA = (0.299, 0.587, 0.114)
# Images that are enough to tell conventions apart; more cost time only.
_ENOUGH = 1000
_SMALLEST = 1e-30


@dataclass(frozen=True)
class Convention:
    """What is done to pixels in [0, 1] before a model sees them: (x - mean) / deviation, channel by channel.

    Attributes:
        name: in words, such as "[0, 1]".
        mean: one number for all channels, or one for each.
        deviation: likewise, above 0.
        channels: what the model takes: 0 as the images have; 3 repeats grey, 1 takes the luma of colour (ITU-R 601).
        softmax: the model ends in a softmax; its logits are had back as logarithms, up to a constant.

    Raises:
        InputError: a deviation that is not above 0, or other channels.
    """

    name: str
    mean: tuple[float, ...] = (0.0,)
    deviation: tuple[float, ...] = (1.0,)
    channels: int = 0
    softmax: bool = False

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - pydantic reads it, nothing writes it

    def __post_init__(self) -> None:
        if not all(one > 0 for one in self.deviation) or self.channels not in (0, 1, 3):
            raise InputError(f"a convention has deviations above 0 and 0, 1 or 3 channels, got {self}")

    def __str__(self) -> str:
        channels = {0: "", 1: ", colour to grey", 3: ", grey repeated over three channels"}[self.channels]
        return f"pixels in {self.name}{channels}{', a softmax inside' if self.softmax else ''}"


PLAIN = Convention("[0, 1]")
CONVENTIONS: dict[str, Convention] = {
    "0-1": PLAIN,
    "0-255": Convention("0..255", deviation=(1 / 255,)),
    "-1-1": Convention("[-1, 1]", (0.5,), (0.5,)),
    **{name: Convention(f"units of {name}'s mean and deviation", *both) for name, both in _STANDARDS.items()},
}


class Adapted(nn.Module):
    """A foreign model as all tests want it: pixels in [0, 1] to logits.

    Args:
        model: as it came.
        convention: how it wants its pixels.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, model: nn.Module, convention: Convention) -> None:
        super().__init__()
        self.model, self.convention = model, convention
        device = next((tensor.device for tensor in model.parameters()), torch.device("cpu"))
        for name in ("mean", "deviation"):
            values = torch.tensor(getattr(convention, name), device=device).view(1, -1, 1, 1)
            self.register_buffer(name, values, persistent=False)

    def forward(self, images: Float[Tensor, "n c h w"]) -> object:
        """Whatever the model gives for these images; the logarithm of it where it ends in a softmax."""
        given = self.model((_channels(images, self.convention.channels) - self.mean) / self.deviation)
        inside = self.convention.softmax and isinstance(given, Tensor)
        return given.clamp_min(_SMALLEST).log() if inside else given


@dataclass(frozen=True)
class Found:
    """What a search for the convention came to.

    Attributes:
        convention: the one that reads the images best.
        accuracy: with it, on the images that were tried; None without images.
        classes: how many outputs the model has; 0 where it has never given any.
        trouble: why the model cannot be judged with it, in one line; empty where it can.
    """

    convention: Convention
    accuracy: float | None
    classes: int
    trouble: str = ""


@torch.no_grad()
def find_convention(
    model: nn.Module,
    images: Float[Tensor, "n c h w"],
    labels: Int64[Tensor, " n"],
    *,
    known: Convention | None = None,
) -> Found:
    """The convention under which `model` reads clean images best.

    Args:
        model: as it came.
        images: clean, in [0, 1]; of none nothing can be found, and `PLAIN` is taken.
        labels: their classes.
        known: what the user says; it is checked and not searched for.

    Returns:
        The trouble is set where the model raises on every convention, gives no logits, gives NaN, says the same of all
        images, does no better than chance, or is right only once the labels are moved by one.
    """
    if not len(images):
        return Found(known or PLAIN, None, 0)
    with evaluating(model) as device:
        some, theirs = images[:_ENOUGH].to(device), labels[:_ENOUGH].to(device)
        tried = [_tried(model, one, some, theirs) for one in ([known] if known else _candidates(images.shape[1]))]
    best = _best(tried, len(theirs))
    convention = best.convention
    if best.softmax and known is None:
        convention = Convention(
            convention.name, convention.mean, convention.deviation, convention.channels, softmax=True
        )
    return Found(convention, best.accuracy, best.classes, best.error or _trouble(best, tried, theirs.cpu()))


@dataclass(frozen=True)
class _Try:
    convention: Convention
    accuracy: float = 0.0
    loss: float = 0.0
    classes: int = 0
    softmax: bool = False
    predictions: Tensor | None = None
    error: str = ""


def _best(tried: Sequence[_Try], n: int) -> _Try:
    """The one with the highest accuracy; of those that cannot be told from it by n images, the one with the least loss.

    0..255 makes any network sure of itself, so its loss says nothing: it must win by accuracy.
    """
    top = max(tried, key=lambda one: (not one.error, one.accuracy))
    near = 2 * (top.accuracy * (1 - top.accuracy) / n) ** 0.5
    equal = [one for one in tried if one.error == top.error and one.accuracy >= top.accuracy - near]
    return min(equal, key=lambda one: (one.convention.name == "0..255", one.loss))


def _tried(model: nn.Module, convention: Convention, images: Tensor, labels: Tensor) -> _Try:
    try:
        given = [Adapted(model, convention)(part) for part in images.split(256)]
        _check(given[0], min(256, len(images)))
        said = torch.cat(given).float()
    except Exception as error:  # noqa: BLE001 - a stranger's code may raise anything
        return _Try(convention, error=f"on images of shape {tuple(images.shape[1:])} it raised {_first_line(error)}")
    classes = said.shape[1]
    if not bool(torch.isfinite(said).all()):
        return _Try(convention, classes=classes, error="it gives NaN or infinity on clean images")
    predictions = said.argmax(1).cpu()
    accuracy = float((predictions == labels.cpu()).float().mean())
    sums = said.sum(1)
    softmax = bool((said >= 0).all()) and bool(torch.allclose(sums, torch.ones_like(sums), atol=1e-3))
    logits = said.clamp_min(_SMALLEST).log() if softmax else said
    own = labels.clamp_max(classes - 1)  # labels beyond the outputs are told later
    loss = float(functional.cross_entropy(logits, own))
    return _Try(convention, accuracy, loss, classes, softmax, predictions)


def _check(given: object, count: int) -> None:
    if not isinstance(given, Tensor):
        raise InputError(f"outputs of the kind {type(given).__name__}, expected one tensor of logits (n, classes)")
    if given.ndim != 2 or len(given) != count or given.shape[1] < 2:
        raise InputError(f"outputs of shape {tuple(given.shape)} for {count} images, expected logits (n, 2 or more)")


def _trouble(best: _Try, tried: Sequence[_Try], labels: Int64[Tensor, " n"]) -> str:
    """Why nothing can be judged although the model answers; empty where it can."""
    assert best.predictions is not None  # noqa: S101 - for the type checker: no error, so it has answered
    n, classes = len(labels), best.classes
    if int(labels.max()) >= classes:
        return f"labels go up to {int(labels.max())}, but the model has only {classes} outputs: are they off by one?"
    if n > 1 and len(labels.unique()) > 1 and len(best.predictions.unique()) == 1:
        return f"it says class {int(best.predictions[0])} of all {n} images: a constant model has nothing to be judged"
    # Under every convention: with labels that are moved, the one that reads them best is seldom the model's own.
    hits, shift = max((float(_moved(one, shift, labels)), shift) for one in tried for shift in (-1, 1))
    if hits > n / 2 and clopper_pearson(hits, n)[0] > clopper_pearson(best.accuracy * n, n)[1]:
        return (
            f"it is right on {best.accuracy:.0%} of the clean images, and on {hits / n:.0%} once 1 is "
            f"{'added to' if shift > 0 else 'taken from'} the labels: are they off by one?"
        )
    # The interval's lower end must lie above what always naming the commonest class would give.
    chance = float(labels.bincount().max()) / n
    low = clopper_pearson(best.accuracy * n, n)[0]
    if low <= min(chance, 0.9) and not (n < 4 * classes and best.accuracy > 0.5):
        return (
            f"it is right on only {best.accuracy:.0%} of {n} clean images (the commonest class is {chance:.0%} of "
            "them) under every known convention of pixels: name its own, or bring images of its classes"
        )
    return ""


def _moved(one: _Try, shift: int, labels: Tensor) -> int:
    """How many images a model is right on once its labels are moved, around the end as well."""
    if one.predictions is None:
        return 0
    return int(((labels + shift) % one.classes == one.predictions).sum())


def _candidates(channels: int) -> Sequence[Convention]:
    """All conventions for images of that many channels, and for models that take another number of them."""
    found = []
    for other in (0, 3 if channels == 1 else 1):
        for one in CONVENTIONS.values():
            wanted = other or channels
            if len(one.mean) in (1, wanted):
                found.append(Convention(one.name, one.mean, one.deviation, other))
    return found


def _channels(images: Tensor, wanted: int) -> Tensor:
    if wanted in (0, images.shape[1]):
        return images
    if wanted == 3:
        return images.expand(-1, 3, -1, -1)
    return functional.conv2d(images, images.new_tensor(_LUMA).view(1, 3, 1, 1))


def _first_line(error: Exception) -> str:
    line = next(iter(str(error).splitlines()), "") or "no message"
    return f"{type(error).__name__}: {line[:160]}"
