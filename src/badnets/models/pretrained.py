"""Networks of torchvision and timm with a head of ours: their layers up to the pooled features stay as they are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec

import torch
from jaxtyping import Float
from torch import Tensor, nn

from badnets.errors import CheckpointError, InputError, MissingPart
from badnets.models.normalize import IMAGENET, Normalize

LIBRARIES = ("torchvision", "timm")


@dataclass(frozen=True)
class _Found:
    """A network without its last layer, how that layer was called, and the normalisation it was trained with."""

    trunk: nn.Module
    removed: str
    mean: tuple[float, ...] = IMAGENET[0]
    deviation: tuple[float, ...] = IMAGENET[1]


class Beheaded(nn.Module):
    """The network's own normalisation, its `trunk` up to the pooled features, and a linear `head` on them.

    Args:
        name: "torchvision:NAME" or "timm:NAME", such as "torchvision:squeezenet1_0".
        channels: of the images: 3, or 1 for grey ones that are repeated.
        height: of the images in pixels.
        width: of the images in pixels.
        classes: number of outputs.

    Raises:
        InputError: no such network, or one whose features are not a vector for an image of that size.
        MissingPart: the library is not installed.
    """

    def __init__(self, name: str, channels: int = 3, height: int = 224, width: int = 224, *, classes: int = 2) -> None:
        super().__init__()
        if channels not in (1, 3):
            raise InputError(f"{name} takes grey or colour images, got {channels} channels")
        found = _find(name)
        self.normalize = Normalize(found.mean, found.deviation)
        self.trunk, self.removed = found.trunk, found.removed
        self.head = nn.Linear(_width(name, self.trunk, height, width), classes)

    def forward(self, images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n k"]:
        """Logits for images in [0, 1]."""
        logits: Tensor = self.head(self.features(images))
        return logits

    def features(self, images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n f"]:
        """What the head is given for images in [0, 1]."""
        found: Tensor = self.trunk(self.normalize(images.expand(-1, 3, -1, -1)))
        return found

    def load_trunk(self, weights: Mapping[str, Tensor]) -> None:
        """Take over the trunk's weights from those of the whole network, which may bring its own head.

        Raises:
            CheckpointError: a weight is missing, unknown, or of another shape.
        """
        wanted = self.trunk.state_dict()
        given = {name: value for name, value in weights.items() if not name.startswith(self.removed)}
        for what, names in (("has no", wanted.keys() - given.keys()), ("brings", given.keys() - wanted.keys())):
            if names:
                more = f" and {len(names) - 1} more" if len(names) > 1 else ""
                raise CheckpointError(f"these weights are of another network: the file {what} {min(names)!r}{more}")
        for name, value in given.items():
            if value.shape != wanted[name].shape:
                expected, got = tuple(wanted[name].shape), tuple(value.shape)
                raise CheckpointError(f"these weights are of another network: {name} is {expected} here, got {got}")
        self.trunk.load_state_dict({name: value.to(wanted[name].dtype) for name, value in given.items()})


def is_pretrained(name: str) -> bool:
    """Whether a model is called by the library that it comes from."""
    return name.partition(":")[0] in LIBRARIES and ":" in name


def _find(name: str) -> _Found:
    library, _, wanted = name.partition(":")
    if find_spec(library) is None:
        raise MissingPart(f"{name} needs {library}: pip install {library}")
    if library == "timm":
        timm = import_module("timm")
        # A name with a colon or a slash would make timm ask a server what it means.
        if not timm.is_model(wanted):
            raise InputError(f"timm knows no network {wanted!r}: see timm.list_models()")
        whole = timm.create_model(wanted, pretrained=False)
        about = whole.pretrained_cfg
        whole.reset_classifier(0)
        return _Found(whole, f"{about['classifier']}.", tuple(about["mean"]), tuple(about["std"]))
    models = import_module("torchvision.models")
    if wanted not in models.list_models(module=models):
        raise InputError(f"torchvision knows no classifier {wanted!r}: it knows resnet18, squeezenet1_0 and others")
    whole = models.get_model(wanted, weights=None)
    return _Found(whole, _behead(whole))


def _behead(whole: nn.Module) -> str:
    """Take the last linear layer out; SqueezeNet has a convolution in its place."""
    linear = [name for name, module in whole.named_modules() if isinstance(module, nn.Linear)]
    if not linear:
        whole.classifier = nn.AdaptiveAvgPool2d(1)
        return "classifier."
    place, _, last = linear[-1].rpartition(".")
    setattr(whole.get_submodule(place), last, nn.Identity())
    return f"{linear[-1]}."


@torch.no_grad()
def _width(name: str, trunk: nn.Module, height: int, width: int) -> int:
    """How many features it gives for an image of that size, found by asking it."""
    trunk.eval()
    try:
        found = trunk(torch.zeros(1, 3, height, width))
    except (RuntimeError, ValueError, AssertionError, TypeError) as error:
        raise InputError(f"{name} does not take images of {height}x{width} ({error})") from error
    finally:
        trunk.train()
    if not isinstance(found, Tensor) or found.ndim != 2:
        raise InputError(f"{name} does not give one vector of features for an image: choose another network")
    return found.shape[1]
