"""A 64-bit fingerprint of what a picture looks like: a small change of the picture changes few of its bits.

Source: T. Kouda, Y. Nishi, H. Orii, "Consideration of perceptual hash using DCT signs", IEEJ Transactions on
Electronics, Information and Systems 137(10), 2017: the signs of the low frequencies of a picture's discrete cosine
transform. C. Zauner, "Implementation and benchmarking of perceptual image hash functions", 2010, section 3.2.2, has the
transform of 32x32 grey levels, with the median in place of zero. Zero is taken here because a mirrored picture then has
the same bits but for those of odd horizontal frequencies, which are the opposite: mirrored copies are found too.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image

_SIDE = 32
# Frequencies (vertical, horizontal), the lowest first; the mean (0, 0), which only tells bright from dark, is left out.
_ORDER = sorted(((u, v) for u in range(12) for v in range(12)), key=lambda pair: (sum(pair), pair))[1:65]
_VERTICAL = np.array([u for u, _ in _ORDER])
_HORIZONTAL = np.array([v for _, v in _ORDER])
_BASIS = np.cos(np.pi / _SIDE * np.outer(np.arange(12), np.arange(_SIDE) + 0.5))
# Grey levels: a picture that varies by less is of one colour, and has no looks to compare.
_FLAT = 1.0

# By what each of the 64 signs is multiplied when the picture is mirrored, left for right.
MIRROR = np.where(_HORIZONTAL % 2, -1, 1).astype(np.float32)


def fingerprint(picture: Image.Image) -> str | None:
    """The fingerprint as 16 hexadecimal digits; None for a picture of one colour.

    Grey levels are averaged down to 32x32 x(i, j); bit (u, v) is set where
    sum x(i, j) cos(pi u (i + 1/2) / 32) cos(pi v (j + 1/2) / 32) > 0, for the 64 lowest frequencies but (0, 0).
    """
    small = np.asarray(picture.convert("L").resize((_SIDE, _SIDE), Image.Resampling.BOX), dtype=np.float64)
    if small.std() < _FLAT:
        return None
    frequencies = _BASIS @ (small - small.mean()) @ _BASIS.T
    # Not above zero itself: a frequency that a picture has not at all is 0 but for rounding.
    return np.packbits(frequencies[_VERTICAL, _HORIZONTAL] > 1e-6).tobytes().hex()


def signs(fingerprints: Sequence[str]) -> np.ndarray:
    """Float32 (n, 64) of +1 and -1: the product of two rows is 64 less twice the number of bits that differ."""
    packed = np.frombuffer(bytes.fromhex("".join(fingerprints)), dtype=np.uint8).reshape(len(fingerprints), 8)
    return np.unpackbits(packed, axis=1).astype(np.float32) * 2 - 1
