"""Digests against hashlib over memory, and everything that must not be hashed."""

from __future__ import annotations

import hashlib
import os
import socket
import threading
import tracemalloc
from pathlib import Path

import pytest

from badnets.errors import DataError, InputError
from badnets.supply import hashing
from badnets.supply.hashing import digests, list_folder, plain_file, sha256_files, sha256_folder, shards, whole


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Files around the size of the buffer, an empty one, and names that sort differently by part and by letter."""
    root = tmp_path / "folder"
    for name, size in (("a.bin", hashing._BUFFER), ("a/b", hashing._BUFFER + 1), ("a/c/d", 3 * hashing._BUFFER - 1),
                       ("empty", 0), ("é", 1)):  # fmt: skip
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(os.urandom(size))
    return root


def test_digests_of_whole_files(folder: Path) -> None:
    expected = {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }
    assert sha256_folder(folder) == expected
    assert list(sha256_folder(folder)) == sorted(expected)


@pytest.mark.parametrize("size", [1, 7, 1000, hashing._BUFFER, hashing._BUFFER + 1, 10**9])
def test_shards_tile_a_file(tmp_path: Path, size: int) -> None:
    content = os.urandom(5000 if size < hashing._BUFFER else 2 * hashing._BUFFER + 3)
    (tmp_path / "f").write_bytes(content)
    pieces = shards(plain_file(tmp_path / "f"), size)
    assert [(piece.start, piece.end) for piece in pieces] == [
        (start, min(start + size, len(content))) for start in range(0, len(content), size)
    ]
    assert digests(pieces) == [hashlib.sha256(content[piece.start : piece.end]).hexdigest() for piece in pieces]


def test_an_empty_file_has_no_shards_and_the_digest_of_nothing(tmp_path: Path) -> None:
    (tmp_path / "f").touch()
    file = plain_file(tmp_path / "f")
    assert shards(file, 10) == ()
    assert digests([whole(file)]) == [hashlib.sha256().hexdigest()]
    assert digests([]) == []


@pytest.mark.parametrize("threads", [1, 2, 7])
def test_threads_do_not_change_the_order(folder: Path, threads: int) -> None:
    files = list_folder(folder).files
    assert sha256_files(files, threads=threads) == sha256_folder(folder)


def test_progress_ends_with_everything_and_comes_in_our_thread(folder: Path) -> None:
    heard: list[tuple[int, int, bool]] = []
    ours = threading.current_thread()
    files = list_folder(folder).files
    sha256_files(files, progress=lambda done, total: heard.append((done, total, threading.current_thread() is ours)))
    total = sum(file.state.size for file in files)
    assert heard[-1] == (total, total, True)
    assert [done for done, _, _ in heard] == sorted(done for done, _, _ in heard)


def test_progress_is_told_while_a_file_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hashing, "_TICK", 0.001)
    with (tmp_path / "f").open("wb") as file:
        file.truncate(200 * 2**20)
    heard: list[int] = []
    sha256_files([plain_file(tmp_path / "f")], progress=lambda done, _: heard.append(done))
    assert any(0 < done < 200 * 2**20 for done in heard)


def test_a_sparse_gigabyte_takes_no_memory(tmp_path: Path) -> None:
    with (tmp_path / "f").open("wb") as file:
        file.truncate(2**28)
    tracemalloc.start()
    try:
        sha256_files([plain_file(tmp_path / "f")])
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 4 * 2**20


def test_what_is_no_plain_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "link").symlink_to("file")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder-link").symlink_to("folder")
    (tmp_path / "dangling").symlink_to("nowhere")
    os.mkfifo(tmp_path / "fifo")
    with socket.socket(socket.AF_UNIX) as end:
        end.bind(os.path.relpath(tmp_path / "socket"))
    listing = list_folder(tmp_path)
    assert [file.name for file in listing.files] == ["file"]
    assert listing.odd == (
        ("dangling", "a symbolic link"),
        ("fifo", "a FIFO"),
        ("folder-link", "a symbolic link"),
        ("link", "a symbolic link"),
        ("socket", "a socket"),
    )
    assert listing.empty == ("folder",)
    with pytest.raises(InputError, match=r"dangling is a symbolic link: expected plain files"):
        sha256_folder(tmp_path)
    for name, kind in listing.odd:
        with pytest.raises(InputError, match=f"{name} is {kind}: expected a plain file"):
            plain_file(tmp_path / name)
    with pytest.raises(InputError, match="is a folder"):
        plain_file(tmp_path)


def test_a_device_is_refused_and_not_opened() -> None:
    with pytest.raises(InputError, match="/dev/zero is a device"):
        plain_file(Path("/dev/zero"))


def test_skipped_paths_are_not_looked_into(folder: Path) -> None:
    os.mkfifo(folder / "a" / "fifo")
    listing = list_folder(folder, skip=["a", "é", "nothing"])
    assert [file.name for file in listing.files] == ["a.bin", "empty"]
    assert listing.skipped == ("a", "é")
    assert not listing.odd


def test_a_missing_file_and_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"cannot read .*nothing: No such file"):
        plain_file(tmp_path / "nothing")
    with pytest.raises(InputError, match=r"cannot read .*nothing: No such file"):
        list_folder(tmp_path / "nothing")


def replace(path: Path) -> None:
    path.unlink()
    path.write_bytes(b"b" * 100)


def link(path: Path) -> None:
    path.rename(path.with_name("elsewhere"))
    path.symlink_to("elsewhere")


def fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def rewrite(path: Path) -> None:
    before = path.stat()
    path.write_bytes(b"b" * 100)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))  # the inode's own time still tells


@pytest.mark.parametrize(
    ("swap", "kind", "words"),
    [
        (replace, DataError, "changed while it was read"),
        (rewrite, DataError, "changed while it was read"),
        (fifo, DataError, "changed while it was read"),
        (link, InputError, "cannot read"),
        (lambda path: path.write_bytes(b"a" * 101), DataError, "changed while it was read"),
        (lambda path: path.write_bytes(b""), DataError, "changed while it was read"),
        (lambda path: path.unlink(), InputError, "cannot read .*: No such file"),
    ],
    ids=["replaced", "rewritten, time set back", "fifo", "link", "longer", "emptied", "gone"],
)
def test_a_file_that_is_another_when_it_is_opened(tmp_path: Path, swap, kind, words) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001
    (tmp_path / "f").write_bytes(b"a" * 100)
    file = plain_file(tmp_path / "f")
    swap(tmp_path / "f")
    with pytest.raises(kind, match=words):
        digests([whole(file)])


@pytest.mark.parametrize("grow", [True, False], ids=["appended to", "cut"])
def test_a_file_that_changes_while_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, grow: bool) -> None:
    size = 3 * hashing._BUFFER
    (tmp_path / "f").write_bytes(bytes(size))
    file = plain_file(tmp_path / "f")
    blocks = hashing._blocks

    def meddle(opened, piece):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
        for number, block in enumerate(blocks(opened, piece)):
            if number == 1:
                os.truncate(tmp_path / "f", size + 1 if grow else hashing._BUFFER)
            yield block

    monkeypatch.setattr(hashing, "_blocks", meddle)
    with pytest.raises(DataError, match="changed while it was read: try again"):
        digests([whole(file)])


def test_one_fault_ends_the_work_of_all_threads(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = list_folder(folder).files
    (folder / "a.bin").unlink()
    begun: list[str] = []
    opened = hashing._opened

    def count(file):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
        begun.append(file.name)
        return opened(file)

    monkeypatch.setattr(hashing, "_opened", count)
    with pytest.raises(InputError, match=r"a\.bin"):
        sha256_files([files[0], *files[1:] * 200], threads=1)
    assert len(begun) < 100


def test_a_folder_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=r"cannot read .*file: Not a directory"):
        list_folder(tmp_path / "file")
