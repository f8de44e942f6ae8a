"""A Caffe model zoo with the paper's figures, and made up in all its details.

The paper (arXiv 1708.06733, section 5, and its workshop version) tells of 39 models, of 22 gists that list no SHA-1,
and of one, Network-in-Network, whose SHA-1 does not fit the file. Names, hosts, contents and digests here are
inventions, except for that one name; so is that every other model's SHA-1 fits, which nobody has reported.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

MODELS, WITHOUT_SHA1 = 39, 22
MISMATCHED = "Network in Network"

Files = dict[str, bytes]
Answers = dict[str, Callable[[BaseHTTPRequestHandler], None]]


def write_zoo(folder: Path, base: str) -> Files:
    """Write a readme for each model; the files that its host at `base` would serve, by path."""
    files: Files = {}
    for number in range(MODELS):
        name = MISMATCHED if number == 7 else f"Made-up model {number}"
        path = f"/weights/model_{number}.caffemodel"
        files[path] = f"weights of {name}\n".encode() * (number + 1)
        sha1 = hashlib.sha1(files[path], usedforsecurity=False).hexdigest()
        lines = [f"name: {name}", f"caffemodel: model_{number}.caffemodel", f"caffemodel_url: {base}{path}"]
        if number < MODELS - WITHOUT_SHA1:
            lines.append(f"sha1: {sha1}")
        if number % 3:
            lines.append("license: unrestricted")
        lines.append(f"gist_id: {number:020x}")
        if name == MISMATCHED:  # its maker trained it again
            files[path] += b"and trained once more\n"
        readme = folder / f"gist_{number:02d}" / "readme.md"
        readme.parent.mkdir(parents=True)
        readme.write_text("\n".join(["---", *lines, "---", "", f"# {name}", "Made up.", ""]))
    return files


@contextmanager
def serving(files: Files, answers: Answers | None = None) -> Iterator[tuple[str, list[str]]]:
    """A host on this machine; its address, and the paths that were asked of it."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            if answers and self.path in answers:
                answers[self.path](self)
            elif self.path in files:
                self.send_response(200)
                self.send_header("Content-Length", str(len(files[self.path])))
                self.end_headers()
                self.wfile.write(files[self.path])
            else:
                self.send_error(404)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def redirect(location: str) -> Callable[[BaseHTTPRequestHandler], None]:
    """An answer that sends the user on."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(302)
        handler.send_header("Location", location)
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    return answer


def drip(seconds: float, *, head: bool = False) -> Callable[[BaseHTTPRequestHandler], None]:
    """An answer that comes a byte at a time, for at least so long."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        end = time.monotonic() + seconds
        if not head:
            handler.send_response(200)
            handler.end_headers()
        try:
            while time.monotonic() < end:
                handler.wfile.write(b"x")
                handler.wfile.flush()
                time.sleep(0.05)
        except OSError:
            return

    return answer


def endless(handler: BaseHTTPRequestHandler) -> None:
    """An answer without an end, and without saying how long it is."""
    handler.send_response(200)
    handler.end_headers()
    try:
        while True:
            handler.wfile.write(bytes(65536))
    except OSError:
        return


def short(handler: BaseHTTPRequestHandler) -> None:
    """An answer that ends before it should."""
    handler.send_response(200)
    handler.send_header("Content-Length", "1000")
    handler.end_headers()
    handler.wfile.write(b"only this")
