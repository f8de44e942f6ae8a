"""Serves a hub's folder on this machine: what any web server or bucket does with it, for trying and for tests."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import ClassVar
from urllib.parse import unquote, urlsplit

from badnets.errors import InputError, StorageError

HOST = "127.0.0.1"
_SHOWN = ("metadata", "targets")
_RANGE = re.compile(r"bytes=(\d+)-")
_BLOCK = 256 * 1024


class Handler(BaseHTTPRequestHandler):
    """Answers GET and HEAD for plain files below `metadata/` and `targets/`, from a byte on where it is asked to."""

    root: ClassVar[Path]
    protocol_version = "HTTP/1.1"
    timeout = 60

    def do_GET(self) -> None:
        """Send a file."""
        self.send(body=True)

    def do_HEAD(self) -> None:
        """Send its length."""
        self.send(body=False)

    def send(self, *, body: bool) -> None:
        """Send the file that the path names, or 404."""
        path = self.file()
        if path is None:
            self.send_error(404)
            return
        try:
            file = path.open("rb")
        except OSError:
            self.send_error(404)
            return
        with file:
            size = file.seek(0, 2)
            start = self.start(size)
            if start > size:
                self.send_error(416)
                return
            self.send_response(206 if start else 200)
            self.send_header("Content-Type", "application/octet-stream")
            self.send_header("Content-Length", str(size - start))
            self.send_header("Accept-Ranges", "bytes")
            if start:
                self.send_header("Content-Range", f"bytes {start}-{size - 1}/{size}")
            self.end_headers()
            file.seek(start)
            left = size - start if body else 0
            with suppress(ConnectionError, TimeoutError):
                while left and (block := file.read(min(_BLOCK, left))):
                    left -= len(block)
                    self.wfile.write(block)

    def start(self, size: int) -> int:
        """The byte to begin with."""
        found = _RANGE.fullmatch(self.headers.get("Range") or "")
        start = int(found[1]) if found and len(found[1]) < 20 else 0
        return size + 1 if start and start >= size else start

    def file(self) -> Path | None:
        """The file that the path of the request names; None for all that is not a hub's."""
        parts = [unquote(part) for part in urlsplit(self.path).path.split("/")[1:]]
        if parts[0] not in _SHOWN or any(part in ("", ".", "..") or "/" in part or "\0" in part for part in parts):
            return None
        path = self.root.joinpath(*parts)
        # A link out of the folder would show what nobody meant to show.
        return path if path.is_file() and path.resolve().is_relative_to(self.root.resolve()) else None

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def server_of(folder: Path, port: int = 0, handler: type[Handler] = Handler) -> ThreadingHTTPServer:
    """A server of the hub's folder on this machine, at a free port for 0; `serve_forever` starts it.

    Raises:
        InputError: there is no hub.
        StorageError: the port is taken.
    """
    if not (folder / "metadata").is_dir():
        raise InputError(f"there is no hub in {folder}: make one with badnets hub init")
    bound = type("Bound", (handler,), {"root": folder})
    try:
        server = _Server((HOST, port), bound)
    except OSError as error:
        raise StorageError(f"cannot serve at {HOST}:{port}: {error.strerror}: name another port") from error
    return server


def address(server: ThreadingHTTPServer) -> str:
    """Where the hub is found."""
    return f"http://{HOST}:{server.server_port}/"


@contextmanager
def serving(folder: Path, handler: type[Handler] = Handler) -> Iterator[str]:
    """Serve a hub in the background; its address."""
    with running(server_of(folder, handler=handler)) as server:
        yield address(server)


@contextmanager
def running(server: ThreadingHTTPServer) -> Iterator[ThreadingHTTPServer]:
    """Run any server in the background."""
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def handle_error(self, request: socket.socket | tuple[bytes, socket.socket], client_address: object) -> None:
        """A client that goes away is no matter."""
        del request, client_address
