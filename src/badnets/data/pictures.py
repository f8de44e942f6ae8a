"""Picture files to one tensor: decoded, brought to one size and mode; what cannot be read is named."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError

from badnets.data.imageset import ImageSet
from badnets.errors import DataError

Mode = Literal["L", "RGB", "RGBA"]


def read_picture(
    file: Path | io.BytesIO, size: tuple[int, int] | None, mode: Mode, *, where: str | None = None
) -> np.ndarray:
    """One picture as uint8 (height, width, channels), fully decoded.

    Args:
        file: its path or its content, in any format that Pillow reads; 16-bit grey is brought to 8 bits.
        size: (height, width) to scale to with antialiasing, or None to keep its own.
        mode: "L" for grey, "RGB" for colour, "RGBA" with opacity.
        where: what messages call it; None for its path.

    Raises:
        DataError: not a picture, cut short, or a decompression bomb.
    """
    with reading(where or str(file)), Image.open(file) as picture:
        plain = to_8_bits(picture).convert(mode)
    if size is not None and plain.size != (size[1], size[0]):
        plain = plain.resize((size[1], size[0]), Image.Resampling.BILINEAR, reducing_gap=2.0)
    array = np.array(plain)
    return array[:, :, None] if mode == "L" else array


@contextmanager
def reading(where: str) -> Iterator[None]:
    """Turn what Pillow raises about a damaged or huge picture into a `DataError` that names `where`."""
    try:
        with warnings.catch_warnings():
            # Odd EXIF blocks and palettes draw warnings but decode fine.
            warnings.simplefilter("ignore", UserWarning)
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            yield
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError) as error:
        raise DataError(f"{where}: not a readable picture ({error})") from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise DataError(f"{where}: too many pixels to decode safely ({error})") from error


def to_8_bits(picture: Image.Image) -> Image.Image:
    """16-bit grey on the scale of 8 bits: Pillow's own conversion cuts all above 255 off to white."""
    if not picture.mode.startswith("I"):
        return picture
    values = np.asarray(picture, dtype=np.int64).clip(0, 65535)
    return Image.fromarray(((values + 128) // 257).astype(np.uint8))


def read_pictures(
    files: list[tuple[Path, int]], classes: tuple[str, ...], name: str, *, size: tuple[int, int], mode: Mode
) -> ImageSet:
    """An `ImageSet` of all readable `files`; the others are left out and named in its `skipped`.

    Raises:
        DataError: not one could be read.
    """
    pixels, labels, skipped = [], [], []
    for path, label in files:
        try:
            pixels.append(read_picture(path, size, mode))
            labels.append(label)
        except DataError as error:
            # A file name need not be text; reports and JSON are.
            skipped.append(str(error).encode(errors="backslashreplace").decode())
    if not pixels:
        fault = f": {skipped[0]}" if skipped else ""
        raise DataError(f"{name}: not one readable picture among {len(files)} files{fault}")
    images = torch.from_numpy(np.stack(pixels)).permute(0, 3, 1, 2).contiguous()
    return ImageSet(images, torch.tensor(labels), classes, name, tuple(skipped))
