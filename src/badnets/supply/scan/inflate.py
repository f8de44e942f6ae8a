"""Inflates what is compressed, in pieces, with bounds on size and ratio: deflate, gzip, zlib, bzip2, xz and lzma.

Sources: RFC 1950, RFC 1951, RFC 1952; the formats of bzip2 and xz are decoded by Python's own modules.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from tempfile import SpooledTemporaryFile
from typing import Protocol, runtime_checkable

from badnets.supply.scan.findings import Finding, Rule, Severity
from badnets.supply.scan.source import Exhausted, Source

BOMB = Rule(
    "inflate-bomb",
    Severity.REFUSE,
    "A compressed part inflates out of all proportion.",
    "Ask for it uncompressed, or with its size stated.",
    cwe="CWE-409",
    atlas="AML.T0029",
)
BROKEN = Rule(
    "inflate-broken",
    Severity.REFUSE,
    "A compressed part is damaged, cut short or followed by other bytes.",
    "Get it again, or ask for it packed anew.",
    cwe="CWE-354",
    atlas="AML.T0010.003",
)
RULES = (BOMB, BROKEN)

# Below this many bytes no ratio is a bomb: an array of zeros shrinks a thousandfold.
HARMLESS = 16 * 2**20
_PIECE = 2**18
_IN_MEMORY = 8 * 2**20
_XZ_MEMORY = 2**27


@runtime_checkable
class Decoder(Protocol):
    """What bz2 and lzma offer, and `_Deflate` for zlib."""

    @property
    def eof(self) -> bool:
        """The stream came to its end."""
        ...

    @property
    def needs_input(self) -> bool:
        """Nothing more can be put out from what was put in."""
        ...

    @property
    def unused_data(self) -> bytes:
        """What was put in after the end."""
        ...

    def decompress(self, data: bytes, max_length: int) -> bytes:
        """Put in `data`, get at most `max_length` bytes."""
        ...


class _Deflate:
    """zlib's decoder in the manner of bz2's: what was not consumed is kept inside."""

    def __init__(self, window: int) -> None:
        self._inner = zlib.decompressobj(window)

    @property
    def eof(self) -> bool:
        return self._inner.eof

    @property
    def needs_input(self) -> bool:
        return not self._inner.unconsumed_tail

    @property
    def unused_data(self) -> bytes:
        return self._inner.unused_data

    def decompress(self, data: bytes, max_length: int) -> bytes:
        return self._inner.decompress(self._inner.unconsumed_tail + data, max_length)


def decoder(kind: str) -> Decoder:
    """A fresh decoder for deflate, zlib, gzip, bzip2, xz or lzma."""
    if kind in ("bzip2", "xz", "lzma"):
        return _other(kind)
    return _Deflate({"deflate": -15, "zlib": 15, "gzip": 31}[kind])


def _other(kind: str) -> Decoder:
    if kind == "bzip2":
        import bz2  # noqa: PLC0415 - seldom needed, and the command starts fast

        return bz2.BZ2Decompressor()
    import lzma  # noqa: PLC0415 - as bz2

    form = lzma.FORMAT_XZ if kind == "xz" else lzma.FORMAT_ALONE
    return lzma.LZMADecompressor(form, memlimit=_XZ_MEMORY)


@dataclass
class Inflated:
    """What a compressed part became.

    Attributes:
        source: its bytes; None where a finding says why there are none.
        findings: what speaks against it.
        crc: CRC-32 of its bytes.
    """

    source: Source | None
    findings: list[Finding]
    crc: int = 0


@contextmanager
def inflate(stored: Source, kind: str, *, member: str | None = None, size: int | None = None) -> Iterator[Inflated]:
    """Inflate all of `stored` into a file that lives as long as the context.

    Args:
        stored: a window on the compressed bytes and nothing else.
        kind: see `decoder`.
        member: the name of what comes out, where it is a file within `stored`; None where it is `stored` itself.
        size: how long it should be, if that is known.

    Raises:
        Exhausted: more bytes, time or memory than allowed.
    """
    with SpooledTemporaryFile(_IN_MEMORY) as spool:
        length = crc = 0
        findings: list[Finding] = []
        try:
            for piece in _pump(stored, decoder(kind)):
                length += len(piece)
                stored.budget.count_inflated(len(piece))
                if length > HARMLESS and length > stored.budget.limits.ratio * stored.size:
                    findings.append(_found(stored, BOMB, f"{stored.size:,} bytes inflate to {length:,} and more"))
                    break
                if size is not None and length > size:
                    findings.append(_found(stored, BROKEN, f"more than the {size:,} bytes that were stated"))
                    break
                crc = zlib.crc32(piece, crc)
                spool.write(piece)
        except (zlib.error, OSError, EOFError, ValueError) as error:
            findings.append(_found(stored, BROKEN, f"{kind}: {error}"))
        if not findings and size is not None and length != size:
            findings.append(_found(stored, BROKEN, f"{length:,} bytes instead of {size:,}"))
        path = stored.member if member is None else stored.part(0, 0, member).member
        inner = None if findings else Source(spool, 0, length, stored.budget, path)
        yield Inflated(inner, findings, crc)


def _pump(stored: Source, engine: Decoder) -> Iterator[bytes]:
    at = 0
    data = b""
    while not engine.eof:
        if engine.needs_input:
            data = stored.read(at, _PIECE)
            at += len(data)
            if not data:
                raise EOFError("cut short")
        else:
            stored.budget.tick()
            data = b""
        yield _decompress(engine, data)
    if engine.unused_data or at < stored.size:
        raise EOFError(f"{len(engine.unused_data) + stored.size - at:,} bytes after its end")


def _decompress(engine: Decoder, data: bytes) -> bytes:
    try:
        return engine.decompress(data, 4 * _PIECE)
    except Exception as error:
        # lzma.LZMAError is no OSError, and its module is imported only where it is needed.
        if type(error).__name__ != "LZMAError":
            raise
        if "emory" in str(error):
            raise Exhausted(f"xz asks for more than {_XZ_MEMORY:,} bytes of memory") from error
        raise EOFError(str(error)) from error


def _found(stored: Source, rule: Rule, detail: str) -> Finding:
    return Finding(rule, detail, stored.member, stored.at(0), stored.size)
