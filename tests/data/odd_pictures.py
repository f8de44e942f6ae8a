"""Odd picture files, made here: for each kind its content, its name, and what must come of it."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import ExifTags, Image

from badnets.data.remarks import Kind

SIDE = 24


def encoded(picture: Image.Image, form: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, form, **options)
    return buffer.getvalue()


def photograph(seed: int = 0, height: int = SIDE, width: int = SIDE) -> Image.Image:
    """Soft random colours: survives a JPEG nearly unchanged, and none of its turned copies is like another."""
    small = np.random.default_rng(seed).integers(0, 256, (6, 6, 3), dtype=np.uint8)
    return Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC)


def plain(colour: tuple[int, ...] | int = (200, 30, 30), mode: str = "RGB") -> Image.Image:
    return Image.new(mode, (SIDE, SIDE), colour)


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(rows: bytes, width: int, height: int, depth: int, colour: int, *between: bytes) -> bytes:
    """A PNG of unfiltered rows: Pillow writes no 16-bit colour."""
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    step = len(rows) // height
    lines = b"".join(b"\0" + rows[start : start + step] for start in range(0, len(rows), step))
    parts = chunk(b"IHDR", header), *between, chunk(b"IDAT", zlib.compress(lines)), chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def deep_colour(values: tuple[int, int, int]) -> bytes:
    return png(struct.pack(">HHH", *values) * SIDE * SIDE, SIDE, SIDE, 16, 2)


def deep_grey(value: int, form: str = "PNG") -> bytes:
    return encoded(Image.fromarray(np.full((SIDE, SIDE), value, np.uint16)), form)


def bomb(width: int, height: int) -> bytes:
    """A PNG whose header promises that many pixels, in under 100 bytes."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(bytes(99))) + chunk(b"IEND", b"")


def animated(form: str) -> bytes:
    frames = [plain((0, 0, 255)), plain((0, 255, 0))]
    options = {"lossless": True} if form == "WEBP" else {}
    return encoded(plain((255, 0, 0)), form, save_all=True, append_images=frames, duration=50, **options)


def turned(orientation: int, form: str = "PNG", picture: Image.Image | None = None) -> bytes:
    """`picture` as a camera held that way stores it: turned back by hand, with numpy and not by our table."""
    upright = np.asarray(picture or photograph())
    stored = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.transpose(1, 0, 2),
        6: upright.transpose(1, 0, 2)[::-1],  # its first row is the right side of what was seen
        7: upright.transpose(1, 0, 2)[::-1, ::-1],
        8: upright.transpose(1, 0, 2)[:, ::-1],
    }[orientation]
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    finest: dict[str, dict[str, object]] = {
        "WEBP": {"lossless": True},
        "JPEG": {"quality": 95, "subsampling": 0},
        "AVIF": {"quality": 95, "subsampling": "4:4:4"},
    }
    return encoded(Image.fromarray(np.ascontiguousarray(stored)), form, exif=exif, **finest.get(form, {}))


def cmyk_jpeg() -> bytes:
    return encoded(plain((0, 255, 255, 0), "CMYK"), "JPEG", quality=95)


def odd_exif() -> bytes:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 9
    return encoded(plain(), "JPEG", exif=exif, quality=95)


def half_clear() -> bytes:
    picture = plain((200, 30, 30, 255), "RGBA")
    picture.paste((0, 0, 0, 0), (0, 0, SIDE, SIDE // 2))
    return encoded(picture, "PNG")


@dataclass(frozen=True)
class Odd:
    """A kind of odd file: its ending, its content, and the colour in its lower half, None where it is left out."""

    kind: Kind
    suffix: str
    content: Callable[[], bytes]
    colour: tuple[int, int, int] | None
    within: int = 0


_RED = (200, 30, 30)
ODD = {
    "empty": Odd("empty", ".jpg", bytes, None),
    "html": Odd("no picture", ".jpg", lambda: b"\n<!DOCTYPE html><title>404</title>", None),
    "text": Odd("no picture", ".jpg", lambda: "überall nur Text\n".encode() * 40, None),
    "pdf": Odd("no picture", ".jpg", lambda: b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n", None),
    "heic": Odd("no picture", ".jpg", lambda: b"\0\0\0\x18ftypheic" + bytes(64), None),
    "eps": Odd("no picture", ".eps.jpg", lambda: encoded(plain(), "EPS"), None),
    "bytes": Odd("no picture", ".png", lambda: bytes(range(128, 256)), None),
    "half a jpeg": Odd("damaged", ".jpg", lambda: encoded(photograph(), "JPEG")[:-200], None),
    "half a png": Odd("damaged", ".png", lambda: encoded(photograph(), "PNG")[:-500], None),
    "head of a jpeg": Odd("damaged", ".jpg", lambda: encoded(plain(), "JPEG")[:16], None),
    "bomb": Odd("too large", ".png", lambda: bomb(60_000, 60_000), None),
    "smaller bomb": Odd("too large", ".png", lambda: bomb(12_000, 12_000), None),
    "tiny": Odd("tiny", ".png", lambda: encoded(Image.new("RGB", (7, 300)), "PNG"), None),
    "floats": Odd("depth", ".tif", lambda: encoded(Image.new("F", (SIDE, SIDE), 0.5), "TIFF"), None),
    "long integers": Odd("depth", ".tif", lambda: encoded(Image.new("I", (SIDE, SIDE), 1 << 20), "TIFF"), None),
    "png named jpg": Odd("misnamed", ".jpg", lambda: encoded(plain(), "PNG"), _RED),
    "png of no name": Odd("misnamed", "", lambda: encoded(plain(), "PNG"), _RED),
    "gif": Odd("frames", ".gif", lambda: animated("GIF"), (255, 0, 0)),
    "apng": Odd("frames", ".png", lambda: animated("PNG"), (255, 0, 0)),
    "webp": Odd("frames", ".webp", lambda: animated("WEBP"), (255, 0, 0)),
    "pages": Odd("frames", ".tif", lambda: animated("TIFF"), (255, 0, 0)),
    "two shots": Odd(
        "frames", ".jpg", lambda: encoded(plain(_RED), "MPO", save_all=True, append_images=[plain((0, 0, 9))]), _RED, 2
    ),
    "on its side": Odd("rotated", ".jpg", lambda: turned(6, "JPEG", plain()), _RED, 2),
    "orientation 9": Odd("odd mark", ".jpg", odd_exif, _RED, 2),
    "cmyk jpeg": Odd("cmyk", ".jpg", cmyk_jpeg, (255, 0, 0), 2),
    "cmyk tiff": Odd("cmyk", ".tif", lambda: encoded(plain((0, 255, 255, 0), "CMYK"), "TIFF"), (255, 0, 0)),
    "deep grey png": Odd("deep", ".png", lambda: deep_grey(0x8000), (128, 128, 128)),
    "deep grey tiff": Odd("deep", ".tif", lambda: deep_grey(0x8000, "TIFF"), (128, 128, 128)),
    "deep grey pgm": Odd("deep", ".pgm", lambda: deep_grey(0x8000, "PPM"), (128, 128, 128)),
    "deep colour": Odd("deep", ".png", lambda: deep_colour((0xFFFF, 0x8000, 0)), (255, 128, 0)),
    "deep ppm": Odd(
        "deep", ".ppm", lambda: b"P6 24 24 1023\n" + struct.pack(">HHH", 1023, 512, 0) * 576, (255, 128, 0)
    ),
    "palette": Odd("palette", ".png", lambda: encoded(plain(_RED).quantize(4), "PNG"), _RED),
    "clear above": Odd("transparent", ".png", half_clear, _RED),
    "clear colour": Odd(
        "transparent", ".png", lambda: encoded(plain(_RED), "PNG", transparency=_RED), (255, 255, 255)
    ),
    "half transparent": Odd(
        "transparent", ".png", lambda: encoded(plain((0, 0, 0, 128), "RGBA"), "PNG"), (127, 127, 127)
    ),
    "clear palette": Odd(
        "transparent", ".gif", lambda: encoded(plain(_RED).quantize(4), "GIF", transparency=0), (255, 255, 255)
    ),
    "grey": Odd("grey", ".png", lambda: encoded(plain(77, "L"), "PNG"), (77, 77, 77)),
}  # fmt: skip
