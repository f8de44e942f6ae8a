"""Downloading the files of a zoo to compare their digests; nothing is kept.

Bounded in size and time. Only https, or http to this machine; a redirect to another host is not followed, as the
address in the list would then no longer say whom the file comes from.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from badnets.supply.transport import Pace, SentAway, TransportError, blocks, opened
from badnets.supply.zoo.entries import Entry


class Match(StrEnum):
    """What a download showed."""

    SAME = "same"
    DIFFERENT = "different"
    NO_DIGEST = "no digest"
    FAILED = "failed"


@dataclass(frozen=True)
class Bounds:
    """How much one file may cost: bytes, and seconds of wall time."""

    size: int = 8 * 2**30
    seconds: float = 1800.0


@dataclass(frozen=True)
class Download:
    """What came of one download.

    Attributes:
        match: how the file compares with its digest, the strongest that is given.
        detail: in one line.
        size: bytes that came.
        sha256: of these; None where it failed.
    """

    match: Match
    detail: str
    size: int = 0
    sha256: str | None = None


class _Failed(TransportError):  # noqa: N818 - an answer of `fetch`
    """More than is allowed, or no file."""


def fetch(entry: Entry, bounds: Bounds = Bounds()) -> Download:
    """Download the file of an entry and compare its digest. Failures are an answer, not an exception."""
    expected = next(iter(entry.sound_digests.items()), None)
    names = {"sha256", expected[0]} if expected else {"sha256"}
    hashes = {name: hashlib.new(name, usedforsecurity=False) for name in names}
    size = 0
    try:
        for block in _stream(entry.url, bounds):
            size += len(block)
            for one in hashes.values():
                one.update(block)
    except SentAway as error:
        detail = f"sent on to another host, {error.host}, which the list does not name: not followed"
        return Download(Match.FAILED, detail, size)
    except TransportError as error:
        return Download(Match.FAILED, " ".join(str(error).split())[:200] or type(error).__name__, size)
    found = hashes["sha256"].hexdigest()
    if expected is None:
        return Download(Match.NO_DIGEST, f"{size:,} bytes came, with nothing to compare them with", size, found)
    name, digest = expected
    own = hashes[name].hexdigest()
    if own == digest:
        return Download(Match.SAME, f"{name.upper()} fits {size:,} bytes", size, found)
    words = f"{name.upper()} is {own[:16]}..., listed {digest[:16]}... ({size:,} bytes)"
    return Download(Match.DIFFERENT, words, size, found)


def _stream(url: str | None, bounds: Bounds) -> Iterator[bytes]:
    with opened(url or "", Pace(bounds.seconds)) as (response, watch):
        if response.status != 200:
            raise _Failed(f"the server answers {response.status} {response.reason[:40]}")
        if response.length is not None and response.length > bounds.size:
            raise _Failed(f"{response.length:,} bytes, {bounds.size:,} are allowed")
        came = 0
        for block in blocks(response, watch):
            came += len(block)
            if came > bounds.size:
                raise _Failed(f"more than {bounds.size:,} bytes")
            yield block
