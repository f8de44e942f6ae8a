"""Pictures as data URIs, so that a page needs nothing beside itself."""

from __future__ import annotations

import base64
import io

import numpy as np
from PIL import Image

from badnets.triggers import Picture


def data_uri(array: np.ndarray) -> str:
    """A uint8 array, (h, w) grey or (h, w, 3) RGB, as a PNG data URI; same pixels, same text."""
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def picture_uri(picture: Picture) -> str:
    """A `Picture` as a PNG data URI."""
    array = picture.tensor().permute(1, 2, 0).numpy()
    return data_uri(array[:, :, 0] if array.shape[2] == 1 else np.ascontiguousarray(array))


def weights_uri(weights: np.ndarray) -> str:
    """One filter (c, h, w): negative weights blue, positive orange, 0 white; scaled to its own largest weight.

    Filters over several channels are shown by their mean over channels.
    """
    plane = weights.mean(0)
    level = plane / max(float(np.abs(plane).max()), 1e-12)
    warm, cold = np.array([217, 95, 2]), np.array([31, 100, 180])
    strength = np.abs(level)[:, :, None]
    colour = np.where(level[:, :, None] >= 0, warm, cold)
    return data_uri((255 * (1 - strength) + colour * strength).round().astype(np.uint8))
