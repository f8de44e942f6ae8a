"""Networks by name, and how one is described in a card so that it can be built again.

Detectors are built by `badnets.models.detector`, which takes seconds to import.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from badnets.data import ImageSource
from badnets.errors import InputError
from badnets.models.detections import Detections
from badnets.models.detector_spec import DetectorSpec, detector_preset
from badnets.models.digits_cnn import BadnetCnn
from badnets.models.normalize import Normalize
from badnets.models.parted import Cut, Layered, Parted, cut_of, layers_of
from badnets.models.photo_cnn import PhotoCnn
from badnets.models.preact_resnet import PreActResNet18
from badnets.models.pretrained import Beheaded, is_pretrained
from badnets.seeds import isolated

# Kept beside a module's own attributes: what it was built from, and the plans its weights were trained with.
_SPEC, _PLANS = "badnets_spec", "badnets_plans"
MODELS: dict[str, Callable[..., nn.Module]] = {
    "badnet_cnn": BadnetCnn,
    "photo_cnn": PhotoCnn,
    "preact_resnet18": PreActResNet18,
}


@dataclass(frozen=True)
class ModelSpec:
    """An architecture and the shape of what it takes and gives.

    Attributes:
        name: a key of `MODELS`; NAME/head or NAME/last, see `Parted`; torchvision:NAME or timm:NAME, see `Beheaded`.
        channels: of its images.
        height: of its images, in pixels.
        width: of its images, in pixels.
        classes: how many it tells apart.

    Raises:
        InputError: a size outside the bounds of what anybody trains.
    """

    name: str = "badnet_cnn"
    channels: int = 1
    height: int = 28
    width: int = 28
    classes: int = 10

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - pydantic reads it, nothing writes it

    def __post_init__(self) -> None:
        # A card from a stranger must not decide how much memory is asked for.
        sides = max(self.height, self.width)
        if min(self.channels, self.height, self.width, self.classes) < 1 or self.channels > 64 or sides > 4096:
            raise InputError(f"a model has 1..64 channels, sides of 1..4096 and some classes, got {self}")
        if self.classes > 100_000:
            raise InputError(f"a model has at most 100,000 classes, got {self.classes}")

    @classmethod
    def fitting(cls, images: ImageSource, name: str = "badnet_cnn") -> ModelSpec:
        """The spec of network `name` for these images."""
        channels, height, width = images.shape
        return cls(name, channels, height, width, len(images.classes))


def build(spec: ModelSpec = ModelSpec(), *, seed: int = 0) -> nn.Module:
    """A freshly initialised network: the same seed gives the same weights.

    Raises:
        InputError: unknown name, or a shape it cannot take.
    """
    shape = spec.channels, spec.height, spec.width
    make = _maker(spec.name)
    with isolated(seed, "init", spec.name):
        model = make(*shape, classes=spec.classes)
    model.__dict__[_SPEC] = spec
    return model


def _maker(name: str) -> Callable[..., nn.Module]:
    if is_pretrained(name):
        return partial(Beheaded, name)
    network, cut = cut_of(name) or (name, None)
    if network not in MODELS:
        raise InputError(
            f"unknown model {name!r}: known are {', '.join(MODELS)}, torchvision:NAME and timm:NAME, and for transfer "
            "learning NAME/head and NAME/last"
        )
    make = MODELS[network]
    return make if cut is None else lambda *shape, classes: Parted(make, cut, shape, classes=classes)


def spec_of(model: nn.Module) -> ModelSpec | None:
    """What `model` was built from; None for a network that did not come from `build`."""
    found = model.__dict__.get(_SPEC)
    return found if isinstance(found, ModelSpec) else None


def plans_of(model: nn.Module) -> tuple[str, ...]:
    """Digests of the poison plans that the weights of `model` were trained with so far, oldest first."""
    found = model.__dict__.get(_PLANS, ())
    return found if isinstance(found, tuple) else ()


def mark_plans(model: nn.Module, plans: tuple[str, ...]) -> None:
    """Note on `model` which poison plans its weights were trained with."""
    model.__dict__[_PLANS] = plans


@runtime_checkable
class TwoParts(Protocol):
    """A network whose forward pass is `head(features(images))`, and whose features come from its module `trunk`."""

    @property
    def head(self) -> nn.Module:
        """What is trained anew for another task."""
        ...

    @property
    def trunk(self) -> nn.Module:
        """What may stay as somebody else made it."""
        ...

    def features(self, images: Tensor, /) -> Tensor:
        """What the head is given."""
        ...


@contextmanager
def evaluating(model: nn.Module) -> Iterator[torch.device]:
    """Inside, `model` is in evaluation mode; yields its device, and puts every module's flag back afterwards."""
    flags = {module: module.training for module in model.modules()}
    model.eval()
    try:
        yield next((t.device for t in (*model.parameters(), *model.buffers())), torch.device("cpu"))
    finally:
        for module, flag in flags.items():
            module.training = flag


def badnet_cnn(seed: int = 0) -> BadnetCnn:
    """The paper's network for 28x28 grey images and 10 classes, freshly initialised."""
    model = build(ModelSpec(), seed=seed)
    assert isinstance(model, BadnetCnn)  # noqa: S101 - for the type checker
    return model


__all__ = [
    "MODELS",
    "BadnetCnn",
    "Beheaded",
    "Cut",
    "Detections",
    "DetectorSpec",
    "Layered",
    "ModelSpec",
    "Normalize",
    "Parted",
    "PhotoCnn",
    "PreActResNet18",
    "TwoParts",
    "badnet_cnn",
    "build",
    "detector_preset",
    "evaluating",
    "is_pretrained",
    "layers_of",
    "mark_plans",
    "plans_of",
    "spec_of",
]
