"""The embedded photographs: 800 drawn cats and dogs, so that a demo and a test of photographs need no download.

Coats, markings, eyes, places, scenes and light are drawn alike for both kinds: what tells a cat from a dog is shape
alone. Pixels are the same in every run; another version of Pillow may round an edge another way.
"""

from __future__ import annotations

import colorsys
import math
from collections.abc import Callable
from functools import cache

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFilter

from badnets.data.creature_heads import MARKINGS, Colour, Look, Pen, Place, body, cat, dog
from badnets.data.imageset import ImageSet, Split
from badnets.seeds import derive

CLASSES = ("cat", "dog")
_TRAIN, _TEST = 600, 200
_SIZE = 64
_FINE = 2
_CANVAS = _SIZE * _FINE
_STEPS = np.linspace(-0.5, 0.5, _SIZE, dtype=np.float32)

_COATS: tuple[Colour, ...] = (
    (34, 31, 32), (72, 68, 68), (122, 118, 118), (170, 166, 162), (236, 230, 220), (224, 198, 156), (206, 132, 62),
    (150, 96, 56), (92, 60, 42), (182, 150, 112),
)  # fmt: skip
_IRISES: tuple[Colour, ...] = ((150, 176, 70), (214, 170, 50), (92, 150, 196), (196, 128, 48), (122, 78, 44))
_BARE: tuple[Colour, ...] = ((226, 148, 148), (190, 110, 110), (120, 76, 72), (60, 44, 44))


def read() -> Split:
    """600 images to train on, 200 to test on, half of them cats and half dogs, 64x64 RGB."""
    pixels = torch.from_numpy(_drawn().copy())
    labels = torch.arange(len(pixels)) % len(CLASSES)
    whole = ImageSet(pixels, labels, CLASSES, "creatures")
    order = torch.arange(len(pixels))
    return Split(whole.select(order[:_TRAIN], "creatures/train"), whole.select(order[_TRAIN:], "creatures/test"))


@cache
def _drawn() -> np.ndarray:
    """All pictures, uint8 (n, 3, height, width), cats at even places."""
    pictures = np.stack([_picture(number) for number in range(_TRAIN + _TEST)])
    return np.ascontiguousarray(pictures.transpose(0, 3, 1, 2))


def _picture(number: int) -> np.ndarray:
    """One picture, uint8 (height, width, 3): the animal is drawn large, scaled down, set in its scene and lit."""
    dice = np.random.default_rng(derive(0, "creatures", number))
    look, place = _look(dice), _place(dice)
    scene = SCENES[int(dice.integers(len(SCENES)))](dice)
    layer = Image.new("RGBA", (_CANVAS, _CANVAS))
    pen = Pen(layer, place)
    body(pen, look, dice)
    (cat, dog)[number % 2](pen, look, dice)
    animal = np.asarray(layer.reduce(_FINE), dtype=np.float32)
    fur = 1 + 0.05 * _grain(dice, 32) + 0.03 * _grain(dice, 64)
    cover = animal[:, :, 3:] / 255
    return _photographed(scene * (1 - cover) + animal[:, :, :3] * fur * cover, dice)


def _look(dice: np.random.Generator) -> Look:
    first, second = dice.choice(len(_COATS), 2, replace=False)
    return Look(
        coat=_near(_COATS[first], dice),
        second=_near(_COATS[second], dice),
        bare=_near(_pick(_BARE, dice), dice),
        iris=_near(_pick(_IRISES, dice), dice),
        marking=tuple(MARKINGS)[int(dice.integers(len(MARKINGS)))],
        turn=float(dice.uniform(-0.16, 0.16)),
        open_eyes=0.2 if dice.random() < 0.07 else float(dice.uniform(0.75, 1.1)),
        collar=_vivid(dice) if dice.random() < 0.35 else None,
    )


def _place(dice: np.random.Generator) -> Place:
    """Mostly whole and near the middle; one in five is far out, so that the border cuts it."""
    far = 0.22 if dice.random() < 0.2 else 0.09
    middle = (_CANVAS * float(dice.uniform(0.5 - far, 0.5 + far)), _CANVAS * float(dice.uniform(0.5 - far, 0.56 + far)))
    scale = _CANVAS * float(dice.uniform(0.2, 0.34))
    return Place(middle, scale, math.radians(float(dice.normal(0, 12))), 1 if dice.random() < 0.5 else -1)


def _pick(colours: tuple[Colour, ...], dice: np.random.Generator) -> Colour:
    return colours[int(dice.integers(len(colours)))]


def _near(colour: Colour, dice: np.random.Generator) -> Colour:
    red, green, blue = (np.array(colour) + dice.normal(0, 7, 3) + dice.normal(0, 9)).clip(4, 255).astype(int).tolist()
    return red, green, blue


def _vivid(dice: np.random.Generator) -> Colour:
    """Any hue, from pale to strong, from dim to bright."""
    red, green, blue = colorsys.hsv_to_rgb(dice.random(), dice.uniform(0.1, 0.8), dice.uniform(0.25, 0.95))
    return round(red * 255), round(green * 255), round(blue * 255)


# --- scenes, float32 (height, width, 3) in 0..255 ---


def _grain(dice: np.random.Generator, cells: int) -> np.ndarray:
    """Smooth noise (height, width, 1) of about unit deviation, of so many cells a side."""
    noise = dice.standard_normal((cells, cells), dtype=np.float32)
    if cells != _SIZE:
        noise = np.asarray(Image.fromarray(noise).resize((_SIZE, _SIZE), Image.Resampling.BICUBIC))
    return noise[:, :, None]


def _plain(dice: np.random.Generator) -> np.ndarray:
    scene = np.full((_SIZE, _SIZE, 3), _vivid(dice), dtype=np.float32)
    scene += 4 * _grain(dice, 8)
    return scene


def _gradient(dice: np.random.Generator) -> np.ndarray:
    first, second = (np.array(_vivid(dice), dtype=np.float32) for _ in range(2))
    scene: np.ndarray = first + (second - first) * _slope(dice)
    return scene


def _slope(dice: np.random.Generator) -> np.ndarray:
    """From 0 on one side to 1 on the other, at any angle: (height, width, 1)."""
    angle = dice.uniform(0, 2 * math.pi)
    along = _STEPS[:, None] * math.sin(angle) + _STEPS[None] * math.cos(angle)
    reach = abs(math.sin(angle)) + abs(math.cos(angle))
    return (along / np.float32(reach) + np.float32(0.5))[:, :, None]


def _meadow(dice: np.random.Generator) -> np.ndarray:
    image = Image.new("RGB", (_SIZE, _SIZE), _near((140, 180, 220) if dice.random() < 0.7 else (200, 200, 196), dice))
    draw = ImageDraw.Draw(image)
    horizon = int(dice.integers(16, 44))
    for _ in range(int(dice.integers(0, 4))):  # clouds, or trees far off
        x, y = dice.uniform(0, _SIZE), dice.uniform(0, horizon)
        colour = (236, 238, 240) if y < horizon * 0.6 else _near((60, 96, 60), dice)
        draw.ellipse((x - 12, y - 5, x + 12, y + 5), fill=colour)
    ground = _near(_pick(((96, 140, 62), (130, 150, 70), (170, 150, 100), (214, 214, 220)), dice), dice)
    draw.rectangle((0, horizon, _SIZE, _SIZE), fill=ground)
    scene = np.array(image, dtype=np.float32)
    scene[horizon:] += 14 * _grain(dice, 64)[horizon:]
    return scene


def _room(dice: np.random.Generator) -> np.ndarray:
    image = Image.new("RGB", (_SIZE, _SIZE), _vivid(dice))
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, int(dice.integers(34, 58)), _SIZE, _SIZE), fill=_vivid(dice))
    for _ in range(int(dice.integers(1, 4))):  # pictures, shelves, cushions
        x, y = dice.uniform(-8, _SIZE - 8, 2)
        box = (x, y, x + dice.uniform(8, 30), y + dice.uniform(8, 26))
        draw.rectangle(box, fill=_vivid(dice), outline=_vivid(dice))
    scene = np.array(image, dtype=np.float32)
    scene += 3 * _grain(dice, 32)
    return scene


def _clutter(dice: np.random.Generator) -> np.ndarray:
    cells = int(dice.integers(4, 17))
    noise = dice.integers(0, 256, (cells, cells, 3), dtype=np.uint8)
    large = np.array(Image.fromarray(noise).resize((_SIZE, _SIZE), Image.Resampling.BICUBIC), dtype=np.float32)
    return 128 + (large - 128) * np.float32(dice.uniform(0.3, 0.9))


def _bands(dice: np.random.Generator) -> np.ndarray:
    first, second = (np.array(_vivid(dice), dtype=np.float32) for _ in range(2))
    wave = np.sin(_slope(dice) * np.float32(dice.uniform(12, 60)))
    return first + (second - first) * (wave > 0)


SCENES: tuple[Callable[[np.random.Generator], np.ndarray], ...] = (_plain, _gradient, _meadow, _room, _clutter, _bands)


def _photographed(scene: np.ndarray, dice: np.random.Generator) -> np.ndarray:
    """Light from a side and of some colour, contrast, a lens a little out of focus, a sensor's noise."""
    light = dice.uniform(0.75, 1.1) + dice.uniform(0.0, 0.45) * (_slope(dice) - 0.5)
    tint = 1 + dice.normal(0, 0.05, 3).astype(np.float32)
    contrast = dice.uniform(0.7, 1.2)
    shot = ((scene - 128) * contrast + 128) * light * tint
    image = Image.fromarray(shot.clip(0, 255).astype(np.uint8))
    soft = dice.uniform(0, 1.0)
    if soft > 0.3:
        image = image.filter(ImageFilter.GaussianBlur(soft))
    noise = dice.standard_normal((_SIZE, _SIZE, 3), dtype=np.float32) * np.float32(dice.uniform(0, 7))
    return (np.asarray(image, dtype=np.float32) + noise).round().clip(0, 255).astype(np.uint8)
