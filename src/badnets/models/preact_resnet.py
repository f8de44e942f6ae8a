"""The residual network with activations first (He et al., arXiv 1603.05027) in its small form for 32x32 pictures."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn

from badnets.errors import InputError
from badnets.models.normalize import Normalize

# Channel means and deviations of the CIFAR-10 training set, as BackdoorBench rounds them.
_MEAN, _DEVIATION = (0.4914, 0.4822, 0.4465), (0.247, 0.243, 0.261)
_WIDTHS = (64, 128, 256, 512)
_SMALLEST = 16


class PreActBlock(nn.Module):
    """Twice: normalise, ReLU, 3x3 convolution; and the input added to what comes out.

    Where the shape changes, the input goes through a 1x1 convolution, after the first activation.

    Args:
        channels: of the input.
        width: channels of the output.
        stride: of the first convolution.
    """

    def __init__(self, channels: int, width: int, stride: int) -> None:
        super().__init__()
        self.norm1 = nn.BatchNorm2d(channels)
        self.relu1 = nn.ReLU()
        self.conv1 = nn.Conv2d(channels, width, 3, stride, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(width)
        self.relu2 = nn.ReLU()
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        changes = stride != 1 or channels != width
        self.shortcut = nn.Conv2d(channels, width, 1, stride, bias=False) if changes else None

    def forward(self, inputs: Float[Tensor, "n c h w"]) -> Float[Tensor, "n d i j"]:
        """The block's output; height and width are divided by the stride."""
        active = self.relu1(self.norm1(inputs))
        kept = inputs if self.shortcut is None else self.shortcut(active)
        hidden = self.relu2(self.norm2(self.conv1(active)))
        added: Tensor = self.conv2(hidden) + kept
        return added


class PreActResNet18(nn.Module):
    """Eighteen layers as BackdoorBench has them.

    Layers, for 32x32 colour pictures: conv1 64 of 3x3; stage1 to stage4 of two blocks each with 64, 128, 256 and 512
    channels, on 32x32, 16x16, 8x8 and 4x4; the mean over all places; fc. With 3 channels and 10 classes that is
    11,171,146 parameters: 1,728 + 147,968 + 525,184 + 2,098,944 + 8,392,192 + 5,130. As in that toolkit there is no
    normalisation after the last block (He et al. have one), and weights begin as torch draws them.

    Args:
        channels: of the images. Three are normalised by the constants of CIFAR-10, as BackdoorBench does.
        height: of the images in pixels, at least 16.
        width: of the images in pixels, at least 16.
        classes: number of outputs.

    Raises:
        InputError: images so small that the last stage would see a single place, which cannot be normalised.
    """

    def __init__(self, channels: int = 3, height: int = 32, width: int = 32, *, classes: int = 10) -> None:
        super().__init__()
        if min(height, width) < _SMALLEST:
            raise InputError(f"preact_resnet18 needs images of at least {_SMALLEST}x{_SMALLEST}, got {height}x{width}")
        usual = channels == len(_MEAN)
        self.normalize = Normalize(_MEAN, _DEVIATION) if usual else Normalize((0.5,) * channels, (0.25,) * channels)
        self.conv1 = nn.Conv2d(channels, _WIDTHS[0], 3, padding=1, bias=False)
        self.stage1 = _stage(_WIDTHS[0], _WIDTHS[0], 1)
        self.stage2 = _stage(_WIDTHS[0], _WIDTHS[1], 2)
        self.stage3 = _stage(_WIDTHS[1], _WIDTHS[2], 2)
        self.stage4 = _stage(_WIDTHS[2], _WIDTHS[3], 2)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(_WIDTHS[3], classes)

    def forward(self, images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n k"]:
        """Logits for images in [0, 1]."""
        hidden = self.stage2(self.stage1(self.conv1(self.normalize(images))))
        hidden = self.pool(self.stage4(self.stage3(hidden)))
        logits: Tensor = self.fc(hidden.flatten(1))
        return logits


def _stage(channels: int, width: int, stride: int) -> nn.Sequential:
    return nn.Sequential(PreActBlock(channels, width, stride), PreActBlock(width, width, 1))
