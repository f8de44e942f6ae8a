"""Architectures as one writes them in a shell: a name, module:function, or file.py:function."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from badnets.errors import BadnetsError, InputError

if TYPE_CHECKING:
    from torch import nn

    from badnets.data import ImageSource
    from badnets.models import ModelSpec

ARCH_HELP = (
    "badnet_cnn, photo_cnn, preact_resnet18, torchvision:NAME, timm:NAME; or a function that returns the network, "
    "written module:function (such as torchvision.models:resnet18) or file.py:function, which is your own choice: that "
    "code is run. It is handed those of channels, height, width, classes or num_classes that it takes"
)


@dataclass(frozen=True)
class Architecture:
    """A network that can be built.

    Attributes:
        name: as it was written.
        make: builds it, freshly initialised from a seed.
        spec: where it is one of ours; None for other people's code.
    """

    name: str
    make: Callable[[int], nn.Module]
    spec: ModelSpec | None = None


def parse_architecture(text: str, images: ImageSource) -> Architecture:
    """The architecture that `text` names, for these images and classes; see `ARCH_HELP`.

    Raises:
        InputError: no such name, file, module or function, or it fails.
    """
    from badnets.models import ModelSpec, build, is_pretrained

    if ":" not in text or is_pretrained(text):
        spec = ModelSpec.fitting(images, text)
        build(spec)  # an unknown name, or a shape it cannot take, is told now
        return Architecture(text, lambda seed: build(spec, seed=seed), spec)
    place, _, function = text.rpartition(":")
    called = _function(place, function)
    channels, height, width = images.shape
    classes = len(images.classes)
    values = {"channels": channels, "height": height, "width": width, "classes": classes, "num_classes": classes}

    def make(seed: int) -> nn.Module:
        return _built(text, called, values, seed)

    make(0)
    return Architecture(text, make)


def _function(place: str, name: str) -> Callable[..., Any]:
    try:
        module = _from_file(Path(place)) if place.endswith(".py") else importlib.import_module(place)
    except BadnetsError:
        raise
    except Exception as error:  # a stranger's code may raise anything
        raise InputError(f"{place} cannot be imported: {type(error).__name__}: {error}") from error
    called = getattr(module, name, None)
    if not callable(called):
        raise InputError(f"{place} has no function {name!r}: name the one that returns the network")
    found: Callable[..., Any] = called
    return found


def _from_file(file: Path) -> object:
    if not file.is_file():
        raise InputError(f"there is no file {file}: an architecture of your own is written file.py:function")
    spec = importlib.util.spec_from_file_location(f"badnets_architecture_{file.stem}", file)
    if spec is None or spec.loader is None:
        raise InputError(f"{file} is no Python file")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _built(text: str, called: Callable[..., Any], values: dict[str, int], seed: int) -> nn.Module:
    from torch import nn

    from badnets.seeds import isolated

    try:
        parameters = inspect.signature(called).parameters
        taken = {name: value for name, value in values.items() if name in parameters}
        if any(one.kind is inspect.Parameter.VAR_KEYWORD for one in parameters.values()) and "classes" not in taken:
            taken["num_classes"] = values["num_classes"]
        with isolated(seed, "init", text):
            model = called(**taken)
    except Exception as error:  # as above
        raise InputError(f"{text} does not build a network: {type(error).__name__}: {error}") from error
    if not isinstance(model, nn.Module):
        raise InputError(f"{text} returned a {type(model).__name__}, expected a torch.nn.Module")
    return model
