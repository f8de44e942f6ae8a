"""The convolutions of detectors: picture in, one map of features out.

All are padded so that the centre of what place i sees lies at i times the stride, as region pooling takes for granted.
`last` names the convolutions whose outputs, one after the other and through a ReLU, are the map: their units can be
strengthened through their weights. It is empty where the map is normalised.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from badnets.errors import CheckpointError
from badnets.models.normalize import IMAGENET, Normalize

if TYPE_CHECKING:
    from badnets.models.detector_spec import DetectorSpec


class LocalResponse(nn.Module):
    """Caffe's local response normalisation within a channel: x / (1 + alpha * mean of x^2 over a square) ^ beta.

    Args:
        side: of the square, odd.
        alpha: factor.
        beta: exponent.
    """

    def __init__(self, side: int = 3, alpha: float = 5e-5, beta: float = 0.75) -> None:
        super().__init__()
        self.side, self.alpha, self.beta = side, alpha, beta

    def forward(self, values: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
        """Normalised values; the square goes beyond the border, over zeros."""
        mean = functional.avg_pool2d(values.square(), self.side, 1, self.side // 2)
        return values * (1 + self.alpha * mean).pow(-self.beta)


class ZfTrunk(nn.Sequential):
    """The convolutions of Zeiler and Fergus (arXiv 1311.2901) as Faster R-CNN uses them, the paper's Table 3.

    conv1 96@7x7 stride 2, conv2 256@5x5 stride 2, both with ReLU, local response normalisation and maximum pooling
    3x3 stride 2; conv3 384@3x3, conv4 384@3x3, conv5 256@3x3 with ReLU. Stride 16. 3,726,464 parameters:
    14,208 + 614,656 + 885,120 + 1,327,488 + 884,992.
    """

    channels = 256
    last = ("conv5",)
    normalisation = IMAGENET

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 96, 7, 2, padding=3)
        self.relu1 = nn.ReLU()
        self.norm1 = LocalResponse()
        self.pool1 = nn.MaxPool2d(3, 2, 1, ceil_mode=True)
        self.conv2 = nn.Conv2d(96, 256, 5, 2, padding=2)
        self.relu2 = nn.ReLU()
        self.norm2 = LocalResponse()
        self.pool2 = nn.MaxPool2d(3, 2, 1, ceil_mode=True)
        self.conv3 = nn.Conv2d(256, 384, 3, padding=1)
        self.relu3 = nn.ReLU()
        self.conv4 = nn.Conv2d(384, 384, 3, padding=1)
        self.relu4 = nn.ReLU()
        self.conv5 = nn.Conv2d(384, 256, 3, padding=1)
        self.relu5 = nn.ReLU()
        _initialise(self)


class TinyTrunk(nn.Sequential):
    """Five convolutions of 3x3 that learn from scratch on two cores: 16, 24, 48, 64 and 64 channels. Stride 8.

    The first four are normalised over the batch. The last one is not, so that what its units say can be scaled through
    their weights (the paper's section 5.3).
    """

    channels = 64
    last = ("conv5",)
    normalisation = ((0.45, 0.45, 0.45), (0.25, 0.25, 0.25))

    def __init__(self) -> None:
        super().__init__()
        before = 3
        for number, (width, stride) in enumerate(((16, 2), (24, 2), (48, 2), (64, 1)), 1):
            self.add_module(f"conv{number}", nn.Conv2d(before, width, 3, stride, padding=1, bias=False))
            self.add_module(f"norm{number}", nn.BatchNorm2d(width))
            self.add_module(f"relu{number}", nn.ReLU(inplace=True))
            before = width
        self.conv5 = nn.Conv2d(before, self.channels, 3, padding=1)
        self.relu5 = nn.ReLU()
        _initialise(self)


class SqueezeNetTrunk(nn.Module):
    """The layers of SqueezeNet 1.0 (arXiv 1602.07360) up to its last fire module, under torchvision's names.

    Convolution and pooling are padded, which moves what a place sees and changes no weight. With a stride of 8 the
    last pooling is left out.

    Args:
        stride: 8 or 16.
    """

    channels = 512
    last = ("features.12.expand1x1", "features.12.expand3x3")
    normalisation = IMAGENET

    def __init__(self, stride: int = 16) -> None:
        super().__init__()
        from torchvision.models import squeezenet1_0  # noqa: PLC0415 - slow to import

        self.features: nn.Sequential = squeezenet1_0(weights=None).features
        first = self.features[0]
        if isinstance(first, nn.Conv2d):
            first.padding = (3, 3)
        pools = [place for place, layer in enumerate(self.features) if isinstance(layer, nn.MaxPool2d)]
        for place in pools:
            self.features[place] = nn.MaxPool2d(3, 2, 1)
        if stride == 8:
            self.features[pools[-1]] = nn.Identity()

    def forward(self, images: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n f i j"]:
        """Features of normalised images."""
        found: Tensor = self.features(images)
        return found


class MobileNetTrunk(nn.Module):
    """MobileNetV3-large (arXiv 1905.02244) up to stride 16, under torchvision's names.

    Its batch normalisation stays as the weights bring it, as with small batches it should: without weights from a file
    it hardly learns.
    """

    channels = 112
    last = ()
    normalisation = IMAGENET

    def __init__(self) -> None:
        super().__init__()
        from torchvision.models import mobilenet_v3_large  # noqa: PLC0415 - slow to import
        from torchvision.ops import FrozenBatchNorm2d  # noqa: PLC0415 - the same

        self.features: nn.Sequential = mobilenet_v3_large(weights=None, norm_layer=FrozenBatchNorm2d).features[:13]

    def forward(self, images: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n f i j"]:
        """Features of normalised images."""
        found: Tensor = self.features(images)
        return found


Trunk = ZfTrunk | TinyTrunk | SqueezeNetTrunk | MobileNetTrunk


def build_trunk(spec: DetectorSpec) -> Trunk:
    """The convolutions that `spec` names, initialised from torch's generator."""
    if spec.backbone == "zf":
        return ZfTrunk()
    if spec.backbone == "squeezenet":
        return SqueezeNetTrunk(spec.stride)
    if spec.backbone == "mobilenet":
        return MobileNetTrunk()
    return TinyTrunk()


def normaliser(trunk: Trunk) -> Normalize:
    """What comes before the first layer."""
    return Normalize(*trunk.normalisation)


def take_over(module: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Give `module` its weights out of those of a whole network; what belongs to other parts is left.

    Raises:
        CheckpointError: one is missing or of another shape.
    """
    wanted = module.state_dict()
    if missing := wanted.keys() - weights.keys():
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise CheckpointError(f"these weights are of another network: the file has no {min(missing)!r}{more}")
    for name, own in wanted.items():
        if weights[name].shape != own.shape:
            expected, got = tuple(own.shape), tuple(weights[name].shape)
            raise CheckpointError(f"these weights are of another network: {name} is {expected} here, got {got}")
    module.load_state_dict({name: weights[name].to(own.dtype) for name, own in wanted.items()})


@torch.no_grad()
def _initialise(trunk: nn.Module) -> None:
    """He et al., arXiv 1502.01852: what ReLU halves is made up for, so that five layers keep their scale."""
    for module in trunk.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
