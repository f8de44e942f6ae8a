"""Where a client's bytes come from: a web server, a folder, or a bundle. python-tuf's client asks, and checks them.

Files of models go into a partial file first, which is kept when the connection breaks: the next attempt, or the next
mirror, goes on from there. What came is checked as a whole afterwards, so nothing is taken on faith.
"""

from __future__ import annotations

import hashlib
import http.client
import re
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from tuf.api.exceptions import (
    DownloadError,
    DownloadHTTPError,
    DownloadLengthMismatchError,
    RepositoryError,
    SlowRetrievalError,
)
from tuf.ngclient import FetcherInterface

from badnets.artifacts import make_folder, storage
from badnets.errors import DataError
from badnets.supply.hub.faults import Fault
from badnets.supply.transport import Forbidden, Pace, Slow, TransportError, Watch, blocks, opened

# Told of bytes done and bytes in all.
Progress = Callable[[int, int], None]

# Each file may take so long, and must bring so much over each window: a drip of two bytes a second is cut off.
PACE = Pace(seconds=3600.0, floor=1000.0, window=10.0)
_BLOCK = 256 * 1024
_RANGE = re.compile(r"bytes (\d+)-\d+/(\d+|\*)")


class NotFollowed(DownloadError):  # noqa: N818 - what was done, not a fault of ours
    """A redirect elsewhere, or an address that is not asked."""

    fault = Fault.REDIRECTED


class WebFetcher(FetcherInterface):
    """Fetches over https, or http from this machine, see `supply.transport`.

    Attributes:
        resumed: whether the last file of a model was gone on with, not begun.
    """

    def __init__(self, partial: Path, pace: Pace = PACE, progress: Progress | None = None) -> None:
        self._partial, self._pace, self._progress = partial, pace, progress
        self._whole: str | None = None
        self.resumed = False

    @contextmanager
    def keeping(self, name: str) -> Iterator[None]:
        """Within, the one file that is downloaded is the model file `name`: progress is told, and it can be resumed."""
        self._whole = name
        try:
            yield
        finally:
            self._whole = None

    @contextmanager
    def download_file(self, url: str, max_length: int) -> Iterator[IO[bytes]]:
        """A file with what the address has; within `keeping` what came is kept when it breaks off.

        python-tuf's own leaves a connection open for as long as somebody looks at the error that ended it.
        """
        if self._whole is None:
            with tempfile.TemporaryFile() as file:
                self._fill(file, url, max_length)
                file.seek(0)
                yield file
            return
        path = make_folder(self._partial) / hashlib.sha256(self._whole.encode()).hexdigest()
        try:
            with storage(path), path.open("a+b") as file:
                self._fill(file, url, max_length)
                file.seek(0)
                yield file
        except (RepositoryError, DownloadLengthMismatchError):
            path.unlink(missing_ok=True)  # wrong bytes: nothing to go on with
            raise
        except DownloadError:
            if not path.stat().st_size:
                path.unlink()
            raise
        path.unlink(missing_ok=True)

    def _fetch(self, url: str) -> Iterator[bytes]:
        with _answer(url, self._pace) as (response, watch):
            yield from blocks(response, watch)

    def _fill(self, file: IO[bytes], url: str, length: int) -> None:
        have = file.seek(0, 2)
        if have > length:
            have = file.truncate(0)
        self.resumed = have > 0
        if have == length and length:
            return
        headers = {"Range": f"bytes={have}-"} if have else {}
        with _answer(url, self._pace, headers) as (response, watch):
            if have and not _goes_on(response, have):
                have = file.truncate(0)
                self.resumed = False
            for block in blocks(response, watch):
                have += len(block)
                if have > length:
                    raise DownloadLengthMismatchError(f"more than the {length:,} bytes that were signed for")
                file.write(block)
                if self._progress and self._whole:
                    self._progress(have, length)


class LocalFetcher(FetcherInterface):
    """Reads a hub from a folder, or from a bundle (a zip file of one). Addresses begin with `BASE`."""

    BASE = "local:/"

    def __init__(self, place: Path) -> None:
        self._place = place
        self._zip: zipfile.ZipFile | None = None
        if not place.is_dir():
            try:
                self._zip = zipfile.ZipFile(place)
            except (OSError, ValueError, NotImplementedError, zipfile.BadZipFile) as error:
                raise DataError(f"{place} is neither a hub's folder nor a bundle of one: {error}") from error

    @contextmanager
    def keeping(self, name: str) -> Iterator[None]:
        """As in `WebFetcher`; there is nothing to keep."""
        del name
        yield

    def close(self) -> None:
        """Let go of the file."""
        if self._zip:
            self._zip.close()

    def _fetch(self, url: str) -> Iterator[bytes]:
        try:
            with self._open(url.removeprefix(self.BASE)) as file:
                while block := file.read(_BLOCK):
                    yield block
        except (KeyError, FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
            raise DownloadHTTPError(f"{self._place} has no {url.removeprefix(self.BASE)}", 404) from error
        except (OSError, EOFError, RuntimeError, ValueError, NotImplementedError, zipfile.BadZipFile) as error:
            raise DownloadError(f"{self._place} is damaged: {error}") from error

    def _open(self, name: str) -> Any:  # noqa: ANN401 - a file, or a member of a zip archive
        return self._zip.open(name) if self._zip else (self._place / name).open("rb")


@contextmanager
def _answer(
    url: str, pace: Pace, headers: dict[str, str] | None = None
) -> Iterator[tuple[http.client.HTTPResponse, Watch]]:
    """A good answer to a request; what goes wrong then and while it is read is told as python-tuf expects it."""
    try:
        with opened(url, pace, headers) as (response, watch):
            if response.status not in (200, 206, 416):
                raise DownloadHTTPError(f"{url}: the server answers {response.status}", response.status)
            if response.status == 416 or (response.status == 206 and not headers):
                raise DownloadError(f"{url}: the server answers {response.status}, which was not asked for")
            yield response, watch
    except Forbidden as error:
        raise NotFollowed(f"{url}: {error}") from error
    except Slow as error:
        raise SlowRetrievalError(f"{url}: {error}") from error
    except TransportError as error:
        raise DownloadError(f"{url}: {error}") from error


def _goes_on(response: http.client.HTTPResponse, have: int) -> bool:
    """Whether the answer begins where our file ends; False where it begins anew."""
    if response.status != 206:
        return False
    found = _RANGE.fullmatch(response.getheader("Content-Range") or "")
    if not found or int(found[1]) != have:
        raise DownloadError(f"asked for the bytes from {have:,} on, the server sends others")
    return True
