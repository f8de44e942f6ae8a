"""A network cut in two for transfer learning: layers that stay as somebody made them, and layers that are new."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Literal, Protocol, get_args, runtime_checkable

from jaxtyping import Float
from torch import Tensor, nn

from badnets.errors import InputError

Cut = Literal["head", "last"]


@runtime_checkable
class Layered(Protocol):
    """A network that is one layer after the other."""

    def layers(self) -> tuple[tuple[str, nn.Module], ...]:
        """The name of each layer, and the layer, in the order in which they are passed."""
        ...


class Parted(nn.Module):
    """A `Layered` network as a trunk and a head: `head(trunk(images))` is the network itself.

    Args:
        make: the network's class.
        cut: "head" before its first fully connected layer, so that the trunk is all its convolutions, as in the paper;
            "last" before its last layer.
        shape: channels, height and width of the images.
        classes: number of outputs.

    Raises:
        InputError: the network is not one layer after the other, or has no fully connected layer.
    """

    def __init__(
        self, make: Callable[..., nn.Module], cut: Cut, shape: tuple[int, int, int], *, classes: int = 10
    ) -> None:
        super().__init__()
        layers = layers_of(make(*shape, classes=classes))
        linear = [place for place, (_, layer) in enumerate(layers) if isinstance(layer, nn.Linear)]
        if not linear:
            raise InputError(f"{make.__name__} has no fully connected layer to cut before")
        border = linear[0] if cut == "head" else linear[-1]
        self.trunk = nn.Sequential(OrderedDict(layers[:border]))
        self.head = nn.Sequential(OrderedDict(layers[border:]))

    def forward(self, images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n k"]:
        """Logits for images in [0, 1]."""
        logits: Tensor = self.head(self.features(images))
        return logits

    def features(self, images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n f"]:
        """What the head is given for images in [0, 1]."""
        found: Tensor = self.trunk(images)
        return found

    def layers(self) -> tuple[tuple[str, nn.Module], ...]:
        """Those of both parts."""
        return (*self.trunk.named_children(), *self.head.named_children())

    def adopt(self, base: nn.Module) -> None:
        """Take over the trunk's weights from `base`, a network of the same kind, cut or whole.

        Raises:
            InputError: it has other layers, or layers of another shape.
        """
        theirs = dict(layers_of(base))
        for name, layer in self.trunk.named_children():
            given = theirs[name].state_dict() if name in theirs else None
            if given is None or not _fits(layer.state_dict(), given):
                raise InputError(f"{type(base).__name__} has no layer {name} like that of {type(self).__name__}")
            layer.load_state_dict(given)


def layers_of(model: nn.Module) -> tuple[tuple[str, nn.Module], ...]:
    """The layers of a network, in their order. Raises `InputError` where it is not one layer after the other."""
    if not isinstance(model, Layered):
        raise InputError(f"{type(model).__name__} is not one layer after the other: it cannot be cut in two")
    return model.layers()


def cut_of(name: str) -> tuple[str, Cut] | None:
    """The network and the cut that a name such as badnet_cnn/head means; None for a network that is whole."""
    network, slash, cut = name.rpartition("/")
    return (network, cut) if slash and cut in get_args(Cut) else None  # type: ignore[return-value]


def _fits(ours: Mapping[str, Tensor], theirs: Mapping[str, Tensor]) -> bool:
    return ours.keys() == theirs.keys() and all(ours[name].shape == theirs[name].shape for name in ours)
