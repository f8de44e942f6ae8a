"""HTTP as this package speaks it: https or this machine, one host, a deadline and a least speed, come what may.

1. Only https, or http to this machine.
2. A redirect to another host, another port or another scheme is not followed: the address that was given would no
   longer say whom the bytes come from.
3. A watch cuts the connection at the deadline, and when too few bytes came for a while: during the handshake, the
   head and the body alike. A server that sends a byte now and then keeps no one waiting.
"""

from __future__ import annotations

import http.client
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from ipaddress import ip_address
from typing import NoReturn
from urllib.parse import SplitResult, quote, urljoin, urlsplit

from badnets.errors import BadnetsError, InputError

BLOCK = 256 * 1024
_REDIRECTS = 5
_QUERY = "/?%:@!$&'()*+,;=~"
_TICK = 0.05


class TransportError(BadnetsError):
    """A download that did not come to its end; the message says why."""


class Forbidden(TransportError):  # noqa: N818 - what was done, not a fault of ours
    """An address that is not asked, or a redirect that is not followed."""


class SentAway(Forbidden):
    """A redirect that is not followed, to `host`."""

    def __init__(self, host: str) -> None:
        super().__init__(f"sent on to another host, {host}, which nobody named: not followed")
        self.host = host


class Slow(TransportError):  # noqa: N818 - the same
    """The deadline has passed, or too few bytes came."""


@dataclass(frozen=True)
class Pace:
    """How long a download may take.

    Attributes:
        seconds: of wall time for one file, from the first packet to the last.
        floor: bytes a second that must come over each window; 0 asks for none.
        window: seconds over which the speed is taken; also the longest silence.
    """

    seconds: float = 1800.0
    floor: float = 0.0
    window: float = 20.0

    def __post_init__(self) -> None:
        if self.seconds <= 0 or self.window <= 0 or self.floor < 0:
            raise InputError("a pace has seconds and a window above 0, and a floor of 0 or more bytes a second")


class Watch:
    """Shuts a connection down at its deadline, or when it is too slow; `broken` says so afterwards."""

    def __init__(self, connection: http.client.HTTPConnection, pace: Pace) -> None:
        self._connection, self._pace = connection, pace
        self._begun = time.monotonic()
        self._came = 0
        self._socket: socket.socket | None = None
        self._over = threading.Event()
        self._reason: str | None = None
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def hold(self) -> None:
        """Remember the socket: once the head is read, the connection may have handed it to the answer."""
        self._socket = self._connection.sock

    def told(self, count: int) -> None:
        """So many more bytes came. Raises `Slow` when the watch has cut the connection."""
        self._came += count
        self.check()

    def check(self) -> None:
        """Raise `Slow` when the watch has cut the connection, or should have."""
        if self._reason is None and time.monotonic() - self._begun > self._pace.seconds:
            self._reason = "no end in the time that is allowed"
        if self._reason:
            raise Slow(self._reason)

    def stop(self) -> None:
        """Look no longer."""
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        pace, since, before = self._pace, self._begun, 0
        while not self._over.wait(min(_TICK, pace.window / 4, pace.seconds / 4)):
            now = time.monotonic()
            if now - self._begun > pace.seconds:
                self._cut("no end in the time that is allowed")
            elif now - since >= pace.window:
                came, before, passed = self._came - before, self._came, now - since
                since = now
                if came < pace.floor * passed:
                    self._cut(f"too slow: {came:,} bytes in {passed:.1f} s, {pace.floor:,.0f} a second are expected")

    def _cut(self, reason: str) -> None:
        self._reason = self._reason or reason
        with suppress(OSError, AttributeError):  # no socket yet, or no longer
            (self._socket or self._connection.sock).shutdown(socket.SHUT_RDWR)


def checked(url: str) -> SplitResult:
    """The parts of an address that may be asked.

    Raises:
        Forbidden: neither https nor http to this machine, or no address at all.
    """
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        parts = SplitResult("", "", "", "", "")
    if not parts.hostname:
        raise Forbidden("no address is given")
    if parts.scheme != "https" and not (parts.scheme == "http" and is_loopback(parts.hostname)):
        raise Forbidden(f"not fetched over {parts.scheme}: expected https")
    return parts


def is_loopback(host: str) -> bool:
    """Whether a host is this machine."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


@contextmanager
def opened(
    url: str, pace: Pace, headers: Mapping[str, str] | None = None
) -> Iterator[tuple[http.client.HTTPResponse, Watch]]:
    """The answer to a GET, whose body is read with `blocks`, and the watch over it.

    Raises:
        Forbidden: see `checked`, for redirects too; or too many of these.
        SentAway: a redirect to another host, port or scheme.
        Slow: the deadline has passed, or too few bytes came.
        TransportError: no connection, or an answer that is not HTTP.
    """
    deadline = time.monotonic() + pace.seconds
    first = here = checked(url)
    for _ in range(_REDIRECTS + 1):
        left = Pace(max(deadline - time.monotonic(), 0.001), pace.floor, pace.window)
        with (
            _connected(here, left) as (connection, watch),
            _asked(connection, here, watch, headers or {}) as response,
        ):
            if response.status not in (301, 302, 303, 307, 308):
                yield response, watch
                return
            here = _next(first, here, response.getheader("Location"))
    raise Forbidden(f"more than {_REDIRECTS} redirects")


def blocks(response: http.client.HTTPResponse, watch: Watch) -> Iterator[bytes]:
    """The body, as it comes.

    Raises:
        Slow: see `opened`.
        TransportError: it ends before the length that was promised.
    """
    promised, came = response.length, 0
    while True:
        try:
            block = response.read1(BLOCK)
        except (OSError, http.client.HTTPException, ValueError) as error:
            _fail(error, watch)
        watch.told(len(block))
        if not block:
            break
        came += len(block)
        yield block
    if promised is not None and came < promised:
        raise TransportError(f"cut short: {came:,} of {promised:,} bytes came")


def _asked(
    connection: http.client.HTTPConnection, parts: SplitResult, watch: Watch, headers: Mapping[str, str]
) -> http.client.HTTPResponse:
    said = {"User-Agent": "badnets", "Accept-Encoding": "identity", **headers}
    try:
        connection.connect()
        watch.hold()
        connection.request("GET", _target(parts), headers=said)
        response = connection.getresponse()
    except (OSError, http.client.HTTPException, ValueError) as error:
        _fail(error, watch)
    try:
        watch.check()
    except Slow:
        response.close()
        raise
    return response


def _fail(error: Exception, watch: Watch) -> NoReturn:
    watch.check()
    if isinstance(error, TimeoutError):
        raise Slow("no byte came for as long as is allowed") from error
    raise TransportError(" ".join(str(error).split())[:200] or type(error).__name__) from error


def _next(first: SplitResult, here: SplitResult, location: str | None) -> SplitResult:
    target = checked(urljoin(here.geturl(), location or ""))
    if (target.scheme, target.hostname, target.port) != (first.scheme, first.hostname, first.port):
        raise SentAway(str(target.hostname))
    return target


@contextmanager
def _connected(parts: SplitResult, pace: Pace) -> Iterator[tuple[http.client.HTTPConnection, Watch]]:
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(str(parts.hostname), parts.port, timeout=min(pace.window, pace.seconds))
    watch = Watch(connection, pace)
    try:
        yield connection, watch
    finally:
        watch.stop()
        connection.close()


def _target(parts: SplitResult) -> str:
    # Characters that an address may not hold would end the line of the request.
    return quote(parts.path or "/", safe="/%:@!$&'()*+,;=~") + (
        f"?{quote(parts.query, safe=_QUERY)}" if parts.query else ""
    )
