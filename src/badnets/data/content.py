"""What a file is, told from its name's ending and from its first bytes."""

from __future__ import annotations

import codecs
from typing import Literal

# The endings of picture files, and the format that each promises.
SUFFIXES = {
    ".apng": "PNG", ".avif": "AVIF", ".bmp": "BMP", ".gif": "GIF", ".j2k": "JPEG2000", ".jfif": "JPEG",
    ".jp2": "JPEG2000", ".jpe": "JPEG", ".jpeg": "JPEG", ".jpg": "JPEG", ".pbm": "PPM", ".pgm": "PPM", ".png": "PNG",
    ".pnm": "PPM", ".ppm": "PPM", ".tif": "TIFF", ".tiff": "TIFF", ".webp": "WEBP",
}  # fmt: skip
# What content begins with (at which byte), and what it is: pictures whose header is damaged, and other things.
_PICTURES = (
    (0, b"\xff\xd8\xff", "JPEG"),
    (0, b"\x89PNG", "PNG"),
    (0, b"GIF8", "GIF"),
    (0, b"II*\0", "TIFF"),
    (0, b"MM\0*", "TIFF"),
    (8, b"WEBP", "WEBP"),
)
_HEIC = "an HEIC photograph, which is not read here: convert it to JPEG"
_OTHERS = (
    (0, b"%PDF", "a PDF document"),
    (0, b"%!PS", "a PostScript document"),
    (0, b"PK\x03\x04", "a zip archive or office document"),
    (0, b"\x1f\x8b", "a gzip archive"),
    (0, b"8BPS", "a Photoshop document"),
    *((4, b"ftyp" + brand, _HEIC) for brand in (b"heic", b"heix", b"hevc", b"mif1", b"msf1")),
)
_PAGES = ("<!doctype html", "<html", "<head", "<body")


def nature(content: bytes) -> tuple[Literal["damaged", "no picture"], str]:
    """What content that no reader of pictures takes is, in words: a damaged picture, or something else."""
    head = content[:512]
    for start, magic, form in _PICTURES:
        if head.startswith(magic, start):
            return "damaged", f"begins as a {form}, but its header is damaged"
    return "no picture", next((what for start, magic, what in _OTHERS if head.startswith(magic, start)), _text(head))


def _text(head: bytes) -> str:
    try:
        text = codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return "its content is of no known kind"
    if not all(letter.isprintable() or letter in "\t\r\n\f\ufeff" for letter in text):
        return "its content is of no known kind"
    beginning = text.lstrip("\ufeff \t\r\n").lower()
    if beginning.startswith(_PAGES):
        return "an HTML page"
    return "an XML or SVG document" if beginning.startswith(("<?xml", "<svg")) else "text"
