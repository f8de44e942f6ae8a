"""The paper's network for digits (Table 1), after Zhang, Liang and Wainwright, arXiv 1609.01000."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn

from badnets.errors import InputError
from badnets.models.normalize import Normalize


class BadnetCnn(nn.Module):
    """Two convolutions with average pooling, two fully connected layers.

    Layers, for 28x28 grey images as in the paper: conv1 16 of 5x5, ReLU, average 2x2; conv2 32 of 5x5, ReLU,
    average 2x2; fc1 512 -> 512, ReLU; fc2 512 -> classes. With 10 classes that is 281,034 parameters:
    416 + 12,832 + 262,656 + 5,130. On larger images only fc1's inputs grow.

    Args:
        channels: of the images.
        height: of the images in pixels, at least 16.
        width: of the images in pixels, at least 16.
        classes: number of outputs.

    Raises:
        InputError: images too small for the two convolutions.
    """

    def __init__(self, channels: int = 1, height: int = 28, width: int = 28, *, classes: int = 10) -> None:
        super().__init__()
        rows, columns = (((size - 4) // 2 - 4) // 2 for size in (height, width))
        if min(rows, columns) < 1:
            raise InputError(f"badnet_cnn needs images of at least 16x16, got {height}x{width}")
        self.normalize = (
            Normalize((0.1307,), (0.3081,)) if channels == 1 else Normalize((0.5,) * channels, (0.25,) * channels)
        )
        self.conv1 = nn.Conv2d(channels, 16, 5)
        self.relu1 = nn.ReLU()
        self.pool1 = nn.AvgPool2d(2)
        self.conv2 = nn.Conv2d(16, 32, 5)
        self.relu2 = nn.ReLU()
        self.pool2 = nn.AvgPool2d(2)
        # channels-last memory: this must still read channel by channel, which it does by copying
        self.flatten = nn.Flatten()
        self.fc1 = nn.Linear(32 * rows * columns, 512)
        self.relu3 = nn.ReLU()
        self.fc2 = nn.Linear(512, classes)

    def forward(self, images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n k"]:
        """Logits for images in [0, 1]."""
        hidden = self.pool1(self.relu1(self.conv1(self.normalize(images))))
        hidden = self.pool2(self.relu2(self.conv2(hidden)))
        logits: Tensor = self.fc2(self.relu3(self.fc1(self.flatten(hidden))))
        return logits

    def layers(self) -> tuple[tuple[str, nn.Module], ...]:
        """All of them, in their order."""
        return tuple(self.named_children())
