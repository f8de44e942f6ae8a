"""What is stamped on an image. A trigger is a frozen value that maps images to stamped copies of them."""

from dataclasses import dataclass
from typing import Annotated, Protocol, runtime_checkable

from jaxtyping import Bool
from pydantic import Field
from torch import Tensor

from badnets.triggers.additive import LowFrequency, Sinusoid
from badnets.triggers.blend import Blend
from badnets.triggers.box_sticker import PAPER_STICKERS, BoxSticker, BoxTriggerFile, paper_sticker
from badnets.triggers.drawings import DRAWINGS, drawing
from badnets.triggers.jpeg import Compression
from badnets.triggers.patch import Patch
from badnets.triggers.perturbation import Perturbation
from badnets.triggers.picture import Picture
from badnets.triggers.pixels import Pattern, SinglePixel
from badnets.triggers.stamping import Images
from badnets.triggers.sticker import Sticker
from badnets.triggers.warp import Warp


@runtime_checkable
class Trigger(Protocol):
    """Anything that stamps a batch of images of any size and leaves its input as it was."""

    def __call__(self, images: Images, /) -> Images:
        """Stamped copies of `images` (n, c, h, w), uint8 in 0..255 or float in [0, 1], in the same dtype."""
        ...

    def mask(self, height: int, width: int, /) -> Bool[Tensor, "h w"]:
        """The pixels it may change on an image of that size."""
        ...


# The triggers that can be written to a file, told apart by their `kind`.
AnyTrigger = Annotated[
    SinglePixel | Pattern | Patch | Blend | Sticker | Sinusoid | LowFrequency | Warp | Perturbation,
    Field(discriminator="kind"),
]


@dataclass(frozen=True)
class TriggerFile:
    """A trigger as a JSON file holds it."""

    trigger: AnyTrigger

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - pydantic reads it, nothing writes it


TRIGGERS = {
    "pixel": SinglePixel,
    "pattern": Pattern,
    "patch": Patch,
    "blend": Blend,
    "sticker": Sticker,
    "sinusoid": Sinusoid,
    "low-frequency": LowFrequency,
    "warp": Warp,
    "perturbation": Perturbation,
}

__all__ = [
    "DRAWINGS",
    "PAPER_STICKERS",
    "TRIGGERS",
    "AnyTrigger",
    "Blend",
    "BoxSticker",
    "BoxTriggerFile",
    "Compression",
    "Images",
    "LowFrequency",
    "Patch",
    "Pattern",
    "Perturbation",
    "Picture",
    "SinglePixel",
    "Sinusoid",
    "Sticker",
    "Trigger",
    "TriggerFile",
    "Warp",
    "drawing",
    "paper_sticker",
]
