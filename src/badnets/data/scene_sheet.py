"""Scenes with their boxes and names drawn, one alone or many on a sheet."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float, UInt8
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from badnets.data.sceneset import Objects, SceneSet
from badnets.data.sheet import to_picture

Colour = tuple[int, int, int]

# Told apart by people who see few colours as well (Okabe and Ito 2008), brightened to be seen on asphalt.
PALETTE: tuple[Colour, ...] = (
    (86, 200, 255), (255, 176, 32), (0, 210, 150), (255, 110, 60), (240, 230, 66), (224, 130, 190), (120, 150, 255),
)  # fmt: skip
_IGNORED: Colour = (170, 170, 170)
_GAP = 4


def draw_boxes(
    picture: UInt8[Tensor, "3 h w"],
    boxes: Float[Tensor, "n 4"],
    texts: Sequence[str],
    colours: Sequence[Colour],
    *,
    width: int | None = None,
) -> Image.Image:
    """The picture with each box outlined and its text above it, or in it where there is no room above.

    Args:
        picture: the pixels.
        boxes: left, top, right, bottom in its pixels.
        texts: for each box; empty for none.
        colours: of each box.
        width: to scale the picture to first, so that lines and letters keep their size; None for its own.
    """
    image = to_picture(picture).convert("RGB")
    scale = (width or image.width) / image.width
    if scale != 1:
        image = image.resize((round(image.width * scale), max(1, round(image.height * scale))))
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(size=11)
    for box, text, colour in zip(boxes.tolist(), texts, colours, strict=True):
        left, top, right, bottom = (round(edge * scale) for edge in box)
        draw.rectangle((left - 1, top - 1, max(left, right), max(top, bottom)), outline=colour, width=2)
        if text:
            _, _, wide, tall = draw.textbbox((0, 0), text, font=font)
            x = max(0, min(left - 1, image.width - round(wide) - 4))
            y = top - round(tall) - 4 if top >= tall + 4 else top + 1
            draw.rectangle((x, y, x + wide + 3, y + tall + 2), fill=colour)
            draw.text((x + 2, y + 1), text, fill="black", font=font)
    return image


def draw_objects(
    picture: UInt8[Tensor, "3 h w"], marked: Objects, classes: tuple[str, ...], *, width: int | None = None
) -> Image.Image:
    """The picture with its objects outlined in the colours of their classes, those to be ignored in grey."""
    labels, ignored = marked.labels.tolist(), marked.ignored.tolist()
    texts = [
        f"{classes[label]} (ignored)" if grey else classes[label] for label, grey in zip(labels, ignored, strict=True)
    ]
    colours = [_IGNORED if grey else PALETTE[label % len(PALETTE)] for label, grey in zip(labels, ignored, strict=True)]
    return draw_boxes(picture, marked.boxes, texts, colours, width=width)


def scene_sheet(scenes: SceneSet, *, count: int = 20, columns: int = 5, width: int = 320) -> Image.Image:
    """`count` scenes, evenly spaced over the set, `columns` beside each other, each `width` pixels wide.

    A row is as high as its highest scene.
    """
    rows = torch.linspace(0, len(scenes) - 1, min(count, len(scenes))).round().long().tolist()
    drawn = [draw_objects(scenes.pictures[row], scenes.objects[row], scenes.classes, width=width) for row in rows]
    lines = [drawn[start : start + columns] for start in range(0, len(drawn), columns)]
    heights = [max(one.height for one in line) for line in lines]
    across = min(columns, len(drawn)) * (width + _GAP) + _GAP
    sheet = Image.new("RGB", (across, sum(heights) + _GAP * (len(lines) + 1)), "white")
    top = _GAP
    for line, height in zip(lines, heights, strict=True):
        for place, one in enumerate(line):
            sheet.paste(one, (_GAP + place * (width + _GAP), top))
        top += height + _GAP
    return sheet
