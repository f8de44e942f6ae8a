"""A contact sheet: one row of pictures for each class, as a reviewer of a data set would want it."""

from __future__ import annotations

import torch
from jaxtyping import Int64, UInt8
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from badnets.data.imageset import ImageSet

_GAP = 4
_LABEL_WIDTH = 230


def to_picture(image: UInt8[Tensor, "c h w"]) -> Image.Image:
    """One image as a Pillow picture: grey for one channel, RGB for three."""
    array = image.permute(1, 2, 0).contiguous().numpy()
    return Image.fromarray(array[:, :, 0] if array.shape[2] == 1 else array)


def contact_sheet(images: ImageSet, *, columns: int = 12, cell: int = 56) -> Image.Image:
    """`columns` images of every class, evenly spaced, scaled to `cell` pixels a side; number, name and count beside.

    Small images are enlarged without smoothing, so that a single stamped pixel stays visible.
    """
    label_font = ImageFont.load_default(size=13)
    step = cell + _GAP
    sheet = Image.new("RGB", (_LABEL_WIDTH + columns * step, len(images.classes) * step + _GAP), "white")
    draw = ImageDraw.Draw(sheet)
    for label, name in enumerate(images.classes):
        rows = torch.nonzero(images.labels == label)[:, 0]
        top = _GAP + label * step
        title = f"{label} {name}"
        short = title if len(title) <= 30 else title[:29] + "…"
        draw.text((8, top + cell // 2 - 15), short, fill="black", font=label_font)
        draw.text((8, top + cell // 2 + 1), f"{len(rows):,} images", fill="#666666", font=label_font)
        for column, row in enumerate(rows[_evenly(len(rows), columns)].tolist()):
            picture = to_picture(images.images[row]).convert("RGB")
            enlarge = max(picture.size) < cell
            method = Image.Resampling.NEAREST if enlarge else Image.Resampling.LANCZOS
            scale = cell / max(picture.size)
            size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
            sheet.paste(picture.resize(size, method), (_LABEL_WIDTH + column * step, top))
    return sheet


def _evenly(count: int, most: int) -> Int64[Tensor, " m"]:
    """Up to `most` places spread over 0..count-1: neighbours in a set are often pictures of one thing."""
    return torch.linspace(0, max(0, count - 1), min(count, most)).round().long()
