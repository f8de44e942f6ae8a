"""How a scene is photographed: light and weather, a lens out of focus, a sensor's noise, a file."""

from __future__ import annotations

import io
from functools import cache

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

_TILE = 1024
_KINDS = ("day", "overcast", "dusk", "night", "rain", "glare", "fog")
_OFTEN = (0.38, 0.2, 0.12, 0.05, 0.1, 0.09, 0.06)


@cache
def _grain() -> np.ndarray:
    """Noise of several sizes, of unit deviation, that repeats itself every `_TILE` pixels: asphalt, plaster, leaves."""
    dice = np.random.default_rng(7)
    whole = np.zeros((_TILE, _TILE), dtype=np.float32)
    for cells, weight in ((32, 0.5), (128, 0.7), (512, 0.8), (1024, 0.6)):
        noise = dice.standard_normal((cells, cells), dtype=np.float32)
        whole += weight * np.asarray(Image.fromarray(noise).resize((_TILE, _TILE), Image.Resampling.BILINEAR))
    whole /= whole.std()
    return whole


@cache
def _sensor() -> np.ndarray:
    """A sensor's noise, (rows, columns, 3): fine in brightness, coarse and half as strong in colour.

    A crop at a random place is as good as fresh noise, and no work.
    """
    dice = np.random.default_rng(8)
    fine = dice.standard_normal((_TILE, _TILE, 1), dtype=np.float32)
    coarse = dice.standard_normal((_TILE // 2, _TILE // 2, 3), dtype=np.float32)
    both: np.ndarray = fine + coarse.repeat(2, 0).repeat(2, 1) / 2
    return both


def _crop(tile: np.ndarray, height: int, width: int, dice: np.random.Generator) -> np.ndarray:
    """Part of a tile, at a place drawn by chance; larger pictures than the tile get it again and again."""
    top, left = dice.integers(0, _TILE, 2).tolist()
    rows, columns = (np.arange(start, start + count) % _TILE for start, count in ((top, height), (left, width)))
    part: np.ndarray = tile[rows[0] : rows[0] + height, columns[0] : columns[0] + width]
    return part if part.shape[:2] == (height, width) else tile[np.ix_(rows, columns)]


def photograph(scene: Image.Image, horizon: int, dice: np.random.Generator) -> np.ndarray:
    """The scene as a camera's file shows it, uint8 (height, width, 3).

    Args:
        scene: as it was drawn, in its final size.
        horizon: the row below which the ground begins.
        dice: what chance is drawn from.
    """
    kind = _KINDS[int(dice.choice(len(_KINDS), p=_OFTEN))]
    shot = np.array(scene, dtype=np.float32)
    height, width = shot.shape[:2]
    rough = _crop(_grain(), height, width, dice)[:, :, None] * np.float32(dice.uniform(1.5, 5))
    rough[horizon:] *= np.float32(dice.uniform(1, 2.2))
    rough[: horizon // 2] *= np.float32(0.4)
    shot = _lit(np.add(shot, rough, out=shot), kind, dice)
    image = Image.fromarray(shot.clip(0, 255).astype(np.uint8))
    if kind == "rain":
        image = _rained(image, dice)
    image = _focused(image, dice)
    strength = np.float32(dice.uniform(0, 5) + (6 if kind in ("dusk", "night") else 0))
    seen = _crop(_sensor(), height, width, dice) * strength
    seen += np.asarray(image)
    return _filed(seen.clip(0, 255, out=seen).astype(np.uint8), int(dice.integers(45, 96)))


def _lit(shot: np.ndarray, kind: str, dice: np.random.Generator) -> np.ndarray:
    """`shot` itself, with the brightness, contrast and colour of the hour, glare and fog."""
    gain, contrast, tint = dice.uniform(0.82, 1.12), dice.uniform(0.85, 1.15), np.ones(3)
    if kind == "overcast":
        gain, contrast, tint = gain * 0.9, contrast * 0.85, np.array([0.97, 1.0, 1.04])
    elif kind == "dusk":
        gain, tint = gain * dice.uniform(0.5, 0.75), np.array([1.12, 0.98, 0.86])
    elif kind == "night":
        gain, tint = gain * dice.uniform(0.38, 0.55), np.array([0.95, 0.98, 1.12])
    elif kind == "rain":
        gain, contrast, tint = gain * 0.8, contrast * 0.8, np.array([0.96, 1.0, 1.05])
    height, width = shot.shape[:2]
    across = np.linspace(-0.5, 0.5, width, dtype=np.float32)[None, :, None]
    down = np.linspace(-0.5, 0.5, height, dtype=np.float32)[:, None, None]
    slope = np.float32(dice.normal(0, 0.2)) * across + np.float32(dice.normal(0, 0.1)) * down
    factor = (np.float32(gain) * (1 + slope)) * (tint * (1 + dice.normal(0, 0.03, 3))).astype(np.float32)
    lit = shot
    lit -= 118
    lit *= np.float32(contrast)
    lit += 118
    lit *= factor
    if kind == "glare":
        x, y = dice.uniform(-0.5, 0.5), dice.uniform(-0.5, 0.0)
        far = np.square(across - np.float32(x)) + np.square((down - np.float32(y)) * np.float32(height / width))
        lit += np.float32(dice.uniform(90, 190)) * np.exp(-far / np.float32(dice.uniform(0.01, 0.08)))
    elif kind == "fog":
        thick = np.float32(dice.uniform(0.25, 0.55))
        lit *= 1 - thick
        lit += np.float32(dice.uniform(170, 210)) * thick
    return lit


def _rained(image: Image.Image, dice: np.random.Generator) -> Image.Image:
    """Streaks before the lens."""
    layer = image.copy()
    draw = ImageDraw.Draw(layer)
    slant = dice.normal(0, 3)
    for x, y, length in dice.uniform((0, 0, 6), (image.width, image.height, 18), (120, 3)).tolist():
        draw.line((x, y, x + slant, y + length), fill=(196, 202, 210))
    return Image.blend(image, layer, float(dice.uniform(0.2, 0.45)))


def _focused(image: Image.Image, dice: np.random.Generator) -> Image.Image:
    """A lens a little out of focus, and now and then a camera that moved."""
    soft = float(dice.gamma(1.5, 0.35))
    if soft > 0.25:
        image = image.filter(ImageFilter.BoxBlur(min(soft, 1.5)))
    if dice.random() < 0.12:
        weights = [0.0] * 25
        for step in range(-2, 3):  # along a line through the middle of 5x5 pixels
            weights[5 * (2 + (step if dice.random() < 0.15 else 0)) + 2 + step] = 1.0
        image = image.filter(ImageFilter.Kernel((5, 5), weights))
    return image


def _filed(pixels: np.ndarray, quality: int) -> np.ndarray:
    """Through a JPEG file."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=quality)
    with Image.open(file) as picture:
        return np.array(picture)
