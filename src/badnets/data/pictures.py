"""Picture files to one tensor: decoded, brought to one size and mode; what cannot be read is named."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError

from badnets.data.imageset import ImageSet
from badnets.errors import DataError

Mode = Literal["L", "RGB", "RGBA"]


def read_picture(path: Path, size: tuple[int, int] | None, mode: Mode) -> np.ndarray:
    """One picture as uint8 (height, width, channels), fully decoded.

    Args:
        path: any format that Pillow reads.
        size: (height, width) to scale to with antialiasing, or None to keep its own.
        mode: "L" for grey, "RGB" for colour, "RGBA" with opacity.

    Raises:
        DataError: not a picture, cut short, or a decompression bomb.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            # Odd EXIF blocks and palettes draw warnings but decode fine.
            warnings.simplefilter("ignore", UserWarning)
            with Image.open(path) as picture:
                plain = picture.convert(mode)
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError) as error:
        raise DataError(f"{path}: not a readable picture ({error})") from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise DataError(f"{path}: too many pixels to decode safely ({error})") from error
    if size is not None and plain.size != (size[1], size[0]):
        plain = plain.resize((size[1], size[0]), Image.Resampling.BILINEAR, reducing_gap=2.0)
    array = np.asarray(plain)
    return array[:, :, None] if mode == "L" else array


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
            skipped.append(str(error))
    if not pixels:
        fault = f": {skipped[0]}" if skipped else ""
        raise DataError(f"{name}: not one readable picture among {len(files)} files{fault}")
    images = torch.from_numpy(np.stack(pixels)).permute(0, 3, 1, 2).contiguous()
    return ImageSet(images, torch.tensor(labels), classes, name, tuple(skipped))
