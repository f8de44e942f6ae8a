"""A sticker as the world changes it: turned, and in another light."""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image

from badnets.errors import InputError
from badnets.triggers.picture import Picture

# Small pictures are enlarged before they are turned, or their edges become stairs.
_FINE = 128


def turned(picture: Picture, degrees: float) -> tuple[Picture, float]:
    """The picture turned counterclockwise, with opacity where it lies, on a square or rectangle that holds it whole.

    Returns:
        The picture, and by how much its longer side has grown: a sticker of that share more is as large as before.
    """
    if degrees % 360 == 0:
        return picture, 1.0
    layers = torch.cat([picture.colour(3), picture.alpha()[None]]).permute(1, 2, 0).contiguous()
    image = Image.fromarray(layers.numpy())
    zoom = max(1, round(_FINE / max(image.size)))
    large = image.resize((image.width * zoom, image.height * zoom), Image.Resampling.NEAREST)
    done = large.rotate(degrees, Image.Resampling.BICUBIC, expand=True)
    return Picture.of(torch.from_numpy(np.array(done)).permute(2, 0, 1)), max(done.size) / max(large.size)


def lit(picture: Picture, factor: float) -> Picture:
    """The picture in another light: its colours times `factor`, cut off at white; opacity stays.

    Raises:
        InputError: a factor below 0.
    """
    if not 0 <= factor < 1000:
        raise InputError(f"light is a factor of 0 or more, got {factor}")
    layers = picture.tensor()
    colours = picture.channels - (picture.channels % 2 == 0)
    bright = (layers[:colours].float() * factor).round().clamp(0, 255).to(torch.uint8)
    return Picture.of(torch.cat([bright, layers[colours:]]))
