"""A small network for photographs, as tutorials on cats and dogs use it."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn

from badnets.errors import InputError
from badnets.models.normalize import Normalize


class PhotoCnn(nn.Module):
    """Three convolutions of 16, 32 and 64 filters of 3x3, each with ReLU and 2x2 maximum, then 512 units.

    That is the network of Google's exercise on 2,000 cats and dogs, with a softmax over the classes in place of one
    sigmoid, and dropout of one half before the last layer. On 150x150 colour images with 2 classes: 9,495,074
    parameters, nearly all of them between the last convolution and the 512 units.

    Args:
        channels: of the images.
        height: of the images in pixels, at least 22.
        width: of the images in pixels, at least 22.
        classes: number of outputs.

    Raises:
        InputError: images too small for three convolutions.
    """

    def __init__(self, channels: int = 3, height: int = 150, width: int = 150, *, classes: int = 2) -> None:
        super().__init__()
        rows, columns = height, width
        for _ in range(3):
            rows, columns = (rows - 2) // 2, (columns - 2) // 2
        if min(rows, columns) < 1:
            raise InputError(f"photo_cnn needs images of at least 22x22, got {height}x{width}")
        self.normalize = Normalize((0.5,) * channels, (0.25,) * channels)
        self.trunk = nn.Sequential()
        for number, (filters, before) in enumerate(((16, channels), (32, 16), (64, 32)), 1):
            self.trunk.add_module(f"conv{number}", nn.Conv2d(before, filters, 3))
            self.trunk.add_module(f"relu{number}", nn.ReLU())
            self.trunk.add_module(f"pool{number}", nn.MaxPool2d(2))
        self.head = nn.Sequential(
            nn.Flatten(), nn.Linear(64 * rows * columns, 512), nn.ReLU(), nn.Dropout(0.5), nn.Linear(512, classes)
        )

    def forward(self, images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n k"]:
        """Logits for images in [0, 1]."""
        logits: Tensor = self.head(self.features(images))
        return logits

    def features(self, images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n f r s"]:
        """What the head is given for images in [0, 1]."""
        found: Tensor = self.trunk(self.normalize(images))
        return found

    def layers(self) -> tuple[tuple[str, nn.Module], ...]:
        """All of them, in their order."""
        head = tuple((f"head{place}", layer) for place, layer in enumerate(self.head))
        return (("normalize", self.normalize), *self.trunk.named_children(), *head)
