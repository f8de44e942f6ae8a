"""Reads PNG pictures chunk by chunk: known chunks with their checksums, and nothing after the last one.

Source: Portable Network Graphics (PNG) Specification, third edition, sections 5 and 11.
"""

from __future__ import annotations

import re
import zlib

from badnets.supply.scan.findings import Finding, Rule, Severity
from badnets.supply.scan.source import Source

PICTURE = Rule(
    "picture-malformed",
    Severity.REFUSE,
    "A picture with strange parts, wrong checksums, or bytes after its end.",
    "Remove it, or save it anew.",
    cwe="CWE-436",
    atlas="AML.T0074",
)
RULES = (PICTURE,)

_CHUNKS = frozenset(
    b"IHDR PLTE IDAT IEND tRNS cHRM gAMA iCCP sBIT sRGB bKGD hIST pHYs sPLT eXIf tIME acTL fcTL fdAT cICP".split()
)
_TEXTS = re.compile(rb"tEXt|zTXt|iTXt")


def check(source: Source) -> list[Finding]:
    """Judge a PNG picture. Raises `Exhausted`."""
    at = 8
    while True:
        head = source.read(at, 8)
        length, kind = int.from_bytes(head[:4], "big"), head[4:]
        known = kind in _CHUNKS or _TEXTS.fullmatch(kind)
        if len(head) < 8 or not known or (at == 8) != (kind == b"IHDR") or at + 12 + length > source.size:
            return [_found(source, f"chunk {kind!r} of {length:,} bytes", at)]
        crc = zlib.crc32(kind)
        for piece in source.pieces(at + 8, length):
            crc = zlib.crc32(piece, crc)
        if crc.to_bytes(4, "big") != source.read(at + 8 + length, 4):
            return [_found(source, f"checksum of chunk {kind!r}", at)]
        at += 12 + length
        if kind == b"IEND":
            break
    return [_found(source, f"{source.size - at:,} bytes after its end", at)] if at != source.size else []


def _found(source: Source, detail: str, offset: int) -> Finding:
    return Finding(PICTURE, detail, source.member, source.at(offset))
