"""Plant, measure, find, remove and keep out backdoors in neural networks.

The public names load on first use: importing `badnets` imports no torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING

__version__: str

if TYPE_CHECKING:
    from badnets import data, metrics, models, neurons, poison, training, triggers
    from badnets.admitted import load_admitted
    from badnets.data import ImageSet
    from badnets.metrics import evaluate
    from badnets.models import badnet_cnn
    from badnets.poison import AllToAll, AllToOne, PoisonPlan, RandomTarget, Recipe, SingleTarget
    from badnets.training import TrainSpec, fit
    from badnets.triggers import Blend, Patch, Pattern, SinglePixel, Sticker

_ROOMS = ("data", "metrics", "models", "neurons", "poison", "training", "triggers")
_HOME = {
    "AllToAll": "poison",
    "AllToOne": "poison",
    "Blend": "triggers",
    "ImageSet": "data",
    "Patch": "triggers",
    "Pattern": "triggers",
    "PoisonPlan": "poison",
    "RandomTarget": "poison",
    "Recipe": "poison",
    "SinglePixel": "triggers",
    "SingleTarget": "poison",
    "Sticker": "triggers",
    "TrainSpec": "training",
    "badnet_cnn": "models",
    "evaluate": "metrics",
    "fit": "training",
    "load_admitted": "admitted",
}

__all__ = [
    "AllToAll",
    "AllToOne",
    "Blend",
    "ImageSet",
    "Patch",
    "Pattern",
    "PoisonPlan",
    "RandomTarget",
    "Recipe",
    "SinglePixel",
    "SingleTarget",
    "Sticker",
    "TrainSpec",
    "badnet_cnn",
    "data",
    "evaluate",
    "fit",
    "load_admitted",
    "metrics",
    "models",
    "neurons",
    "poison",
    "training",
    "triggers",
]


def __getattr__(name: str) -> object:
    if name == "__version__":
        from importlib.metadata import version  # noqa: PLC0415 - a third of the time that `badnets --help` takes

        return version("badnets")
    if name not in _HOME and name not in _ROOMS:
        raise AttributeError(f"module 'badnets' has no attribute {name!r}")
    from badnets.errors import MissingPart  # noqa: PLC0415 - only when something is asked for

    try:
        room = import_module(f"badnets.{_HOME.get(name, name)}")
    except ModuleNotFoundError as error:
        if error.name and error.name.startswith("badnets"):
            raise
        raise MissingPart(f"badnets.{name} needs {error.name}: pip install 'badnets[lab]'") from error
    return getattr(room, name) if name in _HOME else room
