"""Downloading the files of a zoo to compare their digests; nothing is kept.

Bounded in size and time. Only https, or http to this machine; a redirect to another host is not followed, as the
address in the list would then no longer say whom the file comes from.
"""

from __future__ import annotations

import hashlib
import http.client
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from enum import StrEnum
from threading import Timer
from urllib.parse import SplitResult, quote, urljoin

from badnets.errors import BadnetsError
from badnets.supply.zoo.checks import address, is_loopback
from badnets.supply.zoo.entries import Entry

_BLOCK = 256 * 1024
_REDIRECTS = 5
_PATIENCE = 20.0
_QUERY = "/?%:@!$&'()*+,;=~"


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


class _Failed(BadnetsError):  # noqa: N818 - an answer of `fetch`
    pass


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
    except (OSError, http.client.HTTPException, ValueError, _Failed) as error:
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
    deadline = time.monotonic() + bounds.seconds
    first = _allowed(url)
    here = first
    for _ in range(_REDIRECTS + 1):
        with _connected(here, deadline) as connection:
            connection.request("GET", _target(here), headers={"User-Agent": "badnets", "Accept-Encoding": "identity"})
            response = connection.getresponse()
            if response.status not in (301, 302, 303, 307, 308):
                yield from _blocks(response, bounds, deadline)
                return
            here = _next(first, here, response.getheader("Location"))
    raise _Failed(f"more than {_REDIRECTS} redirects")


def _allowed(url: str | None) -> SplitResult:
    parts = address(url)
    if parts is None or not parts.hostname:
        raise _Failed("no address is given")
    if parts.scheme != "https" and not (parts.scheme == "http" and is_loopback(parts.hostname)):
        raise _Failed(f"not fetched over {parts.scheme}: expected https")
    return parts


def _next(first: SplitResult, here: SplitResult, location: str | None) -> SplitResult:
    target = _allowed(urljoin(here.geturl(), location or ""))
    if (target.scheme, target.hostname, target.port) != (first.scheme, first.hostname, first.port):
        raise _Failed(f"sent on to another host, {target.hostname}, which the list does not name: not followed")
    return target


@contextmanager
def _connected(parts: SplitResult, deadline: float) -> Iterator[http.client.HTTPConnection]:
    """A connection that is cut at the deadline, whatever it waits for: a server may send a byte now and then."""
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(str(parts.hostname), parts.port, timeout=min(_PATIENCE, _left(deadline)))

    def cut() -> None:
        with suppress(OSError, AttributeError):  # no socket yet, or no longer
            connection.sock.shutdown(socket.SHUT_RDWR)

    watch = Timer(_left(deadline), cut)
    watch.daemon = True
    watch.start()
    try:
        yield connection
    finally:
        watch.cancel()
        connection.close()
        _left(deadline)


def _target(parts: SplitResult) -> str:
    # Characters that an address may not hold would end the line of the request.
    return quote(parts.path or "/", safe="/%:@!$&'()*+,;=~") + (
        f"?{quote(parts.query, safe=_QUERY)}" if parts.query else ""
    )


def _blocks(response: http.client.HTTPResponse, bounds: Bounds, deadline: float) -> Iterator[bytes]:
    if response.status != 200:
        raise _Failed(f"the server answers {response.status} {response.reason[:40]}")
    promised, came = response.length, 0
    if promised is not None and promised > bounds.size:
        raise _Failed(f"{promised:,} bytes, {bounds.size:,} are allowed")
    while block := response.read1(_BLOCK):
        _left(deadline)
        came += len(block)
        if came > bounds.size:
            raise _Failed(f"more than {bounds.size:,} bytes")
        yield block
    if promised is not None and came < promised:
        raise _Failed(f"cut short: {came:,} of {promised:,} bytes came")


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise _Failed("no end in the time that is allowed")
    return left
