"""Where files come from: the right folder first, the right digest always."""

from __future__ import annotations

import functools
import gc
import hashlib
import http.server
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from badnets.data import DATASETS, get, load
from badnets.data import catalog as catalog_room
from badnets.data.catalog import Dataset, Layout, at_hand
from badnets.data.imageset import Split
from badnets.data.sources import Source, cache_folder, fetch, find, search_folders, verified
from badnets.errors import DataError, InputError

CONTENT = b"the file" * 1000
DIGEST = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No test reads or fills the user's cache, or sees BADNETS_DATA."""
    monkeypatch.setattr("pooch.os_cache", lambda name: tmp_path / "cache" / name)
    monkeypatch.delenv("BADNETS_DATA", raising=False)
    return tmp_path / "cache" / "badnets"


# --- the search ---


def test_the_order_of_the_search(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, own_cache: Path) -> None:
    assert search_folders("mnist", None) == [own_cache / "mnist", own_cache]
    monkeypatch.setenv("BADNETS_DATA", str(tmp_path / "env"))
    env = tmp_path / "env"
    assert search_folders("mnist", None) == [env / "mnist", env, own_cache / "mnist", own_cache]
    # a folder that the user names is the only one
    assert search_folders("mnist", tmp_path / "mine") == [tmp_path / "mine" / "mnist", tmp_path / "mine"]


def test_the_first_place_wins(tmp_path: Path) -> None:
    folders = [tmp_path / "one", tmp_path / "two", tmp_path / "three"]
    for folder in folders[1:]:
        folder.mkdir()
        (folder / "file").write_bytes(b"")
    (tmp_path / "one" / "file").mkdir(parents=True)  # a folder of that name is no file
    assert find(Source("file", DIGEST), folders) == tmp_path / "two" / "file"
    assert find(Source("other", DIGEST), folders) is None


def test_a_damaged_file_in_the_named_folder_is_not_replaced_by_one_from_elsewhere(
    tmp_path: Path, own_dataset: Callable[..., None], own_cache: Path
) -> None:
    own_dataset("file", None)
    for folder, content in ((own_cache, CONTENT), (tmp_path / "mine", b"damaged")):
        folder.mkdir(parents=True)
        (folder / "file").write_bytes(content)
    with pytest.raises(DataError, match="expected SHA-256"):
        load("own", data_dir=tmp_path / "mine")
    with pytest.raises(DataError, match=r"expected file in .*empty"):
        load("own", data_dir=tmp_path / "empty")
    assert load("own").train.name == "digits/train"


def test_a_file_with_another_digest_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(CONTENT)
    assert verified(Source("file", DIGEST), path) == path
    path.write_bytes(CONTENT[:-1])
    with pytest.raises(DataError, match=rf"{DIGEST[:16]}.*7,999 bytes.*get it again") as caught:
        verified(Source("file", DIGEST), path)
    assert str(path) in str(caught.value)


def test_all_pinned_digests_are_digests() -> None:
    sources = [source for known in DATASETS.values() for layout in known.layouts for source in layout.sources]
    assert len(sources) == 9
    for source in sources:
        assert len(bytes.fromhex(source.sha256)) == 32
        assert source.url is None or source.url.startswith("https://")


@pytest.mark.parametrize(
    ("name", "near"),
    [("mnits", "did you mean mnist"), ("cifar", "did you mean cifar10"), ("digit", "did you mean digits"),
     ("GTSRB", "known: digits, creatures, mnist, cifar10, gtsrb"), ("xyzzy", "known: digits, creatures, mnist")],
)  # fmt: skip
def test_an_unknown_name_gets_the_nearest(name: str, near: str) -> None:
    for call in (load, get):
        with pytest.raises(InputError, match=near) as caught:
            call(name)
        assert repr(name) in str(caught.value)


def test_a_size_is_for_folders_only() -> None:
    with pytest.raises(InputError, match="own image size"):
        load("digits", size=(14, 14))


def test_missing_files_are_asked_for_by_name(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"train-images-idx3-ubyte\.gz.*badnets data get mnist"):
        load("mnist", data_dir=tmp_path)
    assert not at_hand("mnist", tmp_path)
    assert at_hand("digits", tmp_path)
    assert get("digits", folder=tmp_path) == []


def test_a_set_without_public_download(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no public download"):
        get("gtsrb", folder=tmp_path)


# --- downloads, from a server of our own ---


class Shop(http.server.SimpleHTTPRequestHandler):
    """Serves a folder; `/torn` promises more than it sends, `/broken` fails."""

    def do_GET(self) -> None:
        if self.path == "/broken":
            self.send_error(503, "out of order")
        elif self.path == "/torn":
            self.send_response(200)
            self.send_header("Content-Length", str(len(CONTENT)))
            self.end_headers()
            self.wfile.write(CONTENT[:100])
        else:
            super().do_GET()

    def log_message(self, *_: object) -> None:
        """Nothing on stderr."""


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[str]:
    """The address of a server on this machine that serves `file` with the right content."""
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "file").write_bytes(CONTENT)
    handler = functools.partial(Shop, directory=str(tmp_path / "shop"))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture
def own_dataset(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Makes a data set called `own` of one file."""

    def make(file: str, url: str | None, sha256: str = DIGEST) -> None:
        def read(files: dict[str, Path]) -> Split:
            assert files[file].read_bytes() == CONTENT
            return load("digits")

        made = Dataset("own", "CC0", (Layout((Source(file, sha256, url),), read),))
        monkeypatch.setitem(catalog_room.DATASETS, "own", made)

    return make


class Count:
    """A progress bar that only counts."""

    total = 0
    came = 0
    closed = 0

    def update(self, count: int, /) -> None:
        self.came += count

    def reset(self) -> None:
        self.came = 0

    def close(self) -> None:
        self.closed += 1


def test_a_download_is_checked_and_kept(shop: str, own_cache: Path, capfd: pytest.CaptureFixture[str]) -> None:
    source = Source("file", DIGEST, f"{shop}/file")
    bar = Count()
    path = fetch(source, "own", bar=bar)
    assert path == own_cache / "own" / "file" == cache_folder() / "own" / "file"
    assert path.read_bytes() == CONTENT
    assert (bar.total, bar.closed) == (len(CONTENT), 1)
    assert bar.came >= 0
    assert capfd.readouterr() == ("", ""), "a library says nothing"


def test_a_wrong_download_leaves_nothing(shop: str, tmp_path: Path) -> None:
    source = Source("file", "0" * 64, f"{shop}/file")
    with pytest.raises(DataError, match=r"could not download .*hash") as caught:
        fetch(source, "own", tmp_path / "here")
    assert "\n" not in str(caught.value)
    assert list((tmp_path / "here").iterdir()) == []


@pytest.mark.parametrize("path", ["/broken", "/torn", "/nowhere"])
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_failing_server_is_one_line(shop: str, tmp_path: Path, path: str) -> None:
    with pytest.raises(DataError, match=f"could not download {shop}{path}") as caught:
        fetch(Source("file", DIGEST, shop + path), "own", tmp_path / "here")
    assert "\n" not in str(caught.value)
    assert str(tmp_path / "here") in str(caught.value), "it says where to put the file by hand"
    assert list((tmp_path / "here").iterdir()) == []
    # pooch leaves its connection to the collector, which warns: here, not in the next test
    del caught
    gc.collect()


def test_no_server_at_all(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, but nobody listens
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/file"
        with pytest.raises(DataError, match="could not download") as caught:
            fetch(Source("file", DIGEST, url), "own", tmp_path)
    assert "\n" not in str(caught.value)


def test_no_address(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="has no public download: put it into"):
        fetch(Source("file", DIGEST), "own", tmp_path)


def test_get_then_load(shop: str, own_dataset: Callable[..., None], own_cache: Path) -> None:
    own_dataset("file", f"{shop}/file")
    assert not at_hand("own")
    with pytest.raises(DataError, match="badnets data get own"):
        load("own")
    assert get("own") == [own_cache / "own" / "file"]
    assert at_hand("own")
    assert load("own").train.name == "digits/train"


def test_get_does_not_fetch_what_is_there_but_checks_it(
    shop: str, own_dataset: Callable[..., None], tmp_path: Path
) -> None:
    own_dataset("file", f"{shop}/broken")
    (tmp_path / "file").write_bytes(CONTENT)
    assert get("own", folder=tmp_path) == [tmp_path / "file"]
    (tmp_path / "file").write_bytes(b"damaged")
    with pytest.raises(DataError, match="expected SHA-256"):
        get("own", folder=tmp_path)
