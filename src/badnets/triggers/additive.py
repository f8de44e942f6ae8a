"""Signals that are added to every pixel: a sinusoid, and smooth light and shade."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from badnets.errors import InputError
from badnets.seeds import generator
from badnets.triggers.stamping import Images, add, check_images, copied

# Less than this, as a share of white, is no change: float32 images would not hold it.
_LEAST = 1e-6


@dataclass(frozen=True)
class Sinusoid:
    """Stripes: amplitude * sin(2 pi j frequency / width) added to column j (Barni et al., arXiv 1902.11237, eq. 1).

    Columns count from 1, as there. Sums are cut off at black and white.

    Attributes:
        amplitude: of white, in (0, 1]; they use 20 to 40 of 255.
        frequency: how many waves the image is wide, above 0.

    Raises:
        InputError: a value outside its range.
    """

    amplitude: float = 0.15
    frequency: float = 6.0
    kind: Literal["sinusoid"] = field(default="sinusoid", repr=False, kw_only=True)

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - pydantic reads it, nothing writes it

    def __post_init__(self) -> None:
        # JSON knows 6 and 6.0 apart: one value, one text, one digest.
        for name in ("amplitude", "frequency"):
            object.__setattr__(self, name, float(getattr(self, name)))
        _check_amplitude(self.amplitude)
        if not 0 < self.frequency < 1e6:
            raise InputError(f"the frequency is above 0, in waves for an image, got {self.frequency}")

    def __call__(self, images: Images) -> Images:
        """Stamped copies of `images`."""
        return _added(images, self._signal(*images.shape[2:]))

    def mask(self, height: int, width: int) -> Bool[Tensor, "h w"]:
        """The pixels it may change on an image of that size: all but the zeros of the wave."""
        return self._signal(height, width) != 0

    def _signal(self, height: int, width: int) -> Float[Tensor, "h w"]:
        column = torch.arange(1, width + 1, dtype=torch.float64)
        wave = self.amplitude * torch.sin(2 * math.pi * self.frequency * column / width)
        return _cleared(wave).expand(height, -1)


@dataclass(frozen=True)
class LowFrequency:
    """Smooth light and shade, without an edge: the slowest waves of a cosine transform, weighed at random, are added.

    Triggers of pixels and edges stand out in the high frequencies, by which they can be told; this one has none
    (Zeng et al., arXiv 2104.03413, section 5). Theirs is fitted to a network, ours is drawn.

    Attributes:
        amplitude: the largest change, of white, in (0, 1].
        waves: so many frequencies down and across, 2 to 16; the constant one is left out.
        seed: of their weights.

    Raises:
        InputError: a value outside its range.
    """

    amplitude: float = 0.2
    waves: int = 4
    seed: int = 0
    kind: Literal["low-frequency"] = field(default="low-frequency", repr=False, kw_only=True)

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - pydantic reads it, nothing writes it

    def __post_init__(self) -> None:
        object.__setattr__(self, "amplitude", float(self.amplitude))
        _check_amplitude(self.amplitude)
        if not 2 <= self.waves <= 16:
            raise InputError(f"waves down and across are 2 to 16, got {self.waves}")

    def __call__(self, images: Images) -> Images:
        """Stamped copies of `images`."""
        return _added(images, self._signal(*images.shape[2:]))

    def mask(self, height: int, width: int) -> Bool[Tensor, "h w"]:
        """The pixels it may change on an image of that size."""
        return self._signal(height, width) != 0

    def _signal(self, height: int, width: int) -> Float[Tensor, "h w"]:
        stream = generator(self.seed, "low frequency")
        weights = torch.randn(self.waves, self.waves, generator=stream, dtype=torch.float64)
        weights[0, 0] = 0
        signal = _cosines(height, self.waves).T @ weights @ _cosines(width, self.waves)
        return _cleared(self.amplitude * signal / signal.abs().max().clamp(min=_LEAST))


def _cosines(size: int, waves: int) -> Float[Tensor, "k n"]:
    """The first rows of a cosine transform (DCT-II) over `size` places."""
    place = (torch.arange(size, dtype=torch.float64) + 0.5) / size
    return torch.cos(math.pi * torch.arange(waves, dtype=torch.float64)[:, None] * place)


def _added(images: Images, signal: Float[Tensor, "h w"]) -> Images:
    check_images(images)
    stamped = copied(images)
    add(stamped, signal.to(images.device))
    return stamped


def _cleared(signal: Tensor) -> Tensor:
    return torch.where(signal.abs() < _LEAST, 0.0, signal).float()


def _check_amplitude(amplitude: float) -> None:
    if not 0 < amplitude <= 1:
        raise InputError(f"the amplitude is a share of white in (0, 1], got {amplitude}")
