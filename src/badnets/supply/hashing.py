"""SHA-256 of files and folders as they stream by, several at a time, in constant memory.

What is not a plain file is named, never opened: a FIFO would wait for ever, a device has no end, a symbolic link can
point anywhere. A file that is not the same after it was read as before has no digest.
"""

from __future__ import annotations

import hashlib
import os
import stat
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from io import FileIO
from pathlib import Path

from badnets.artifacts import storage
from badnets.errors import DataError, InputError

# Told of bytes done and bytes in all, a few times a second, in the thread of the caller.
Progress = Callable[[int, int], None]

# Small enough that what was just copied from the page cache is still in the processor's when it is hashed.
_BUFFER = 512 * 1024
_TICK = 0.1
_PLAIN = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
_KINDS = (
    (stat.S_ISLNK, "a symbolic link"),
    (stat.S_ISFIFO, "a FIFO"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
    (stat.S_ISDIR, "a folder"),
)


@dataclass(frozen=True)
class FileState:
    """What tells one content of a file from another without reading it.

    Attributes:
        device: number of the file system.
        inode: number of the file in it.
        size: in bytes.
        modified: of the content, in ns.
        changed: of content or inode, in ns; unlike `modified` nobody can set it back.
    """

    device: int
    inode: int
    size: int
    modified: int
    changed: int

    @classmethod
    def of(cls, found: os.stat_result) -> FileState:
        """From what `stat` says."""
        return cls(found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)


@dataclass(frozen=True)
class PlainFile:
    """A regular file: its name relative to the folder, with `/`; where it lies; its state when it was found."""

    name: str
    path: Path
    state: FileState


@dataclass(frozen=True)
class Listing:
    """What lies in a folder, sorted by name.

    Attributes:
        files: the regular ones.
        odd: name and kind ("a symbolic link") of all that is neither a file nor a folder.
        empty: names of folders with nothing in them.
        skipped: names from `skip` that are there and were not looked into.
    """

    files: tuple[PlainFile, ...]
    odd: tuple[tuple[str, str], ...] = ()
    empty: tuple[str, ...] = ()
    skipped: tuple[str, ...] = ()


@dataclass(frozen=True)
class Piece:
    """The bytes of a file from `start` up to `end`."""

    file: PlainFile
    start: int
    end: int


def plain_file(path: Path, name: str | None = None) -> PlainFile:
    """The regular file at `path`, called `name` or by its own last part.

    Raises:
        InputError: there is none, or it is something else.
    """
    try:
        found = path.lstat()
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from error
    if not stat.S_ISREG(found.st_mode):
        raise InputError(f"{path} is {kind_of(found.st_mode)}: expected a plain file")
    return PlainFile(path.name if name is None else name, path, FileState.of(found))


def list_folder(root: Path, *, skip: Collection[str] = ()) -> Listing:
    """Everything in the folder `root` and below it; the names in `skip` are not looked into.

    Raises:
        InputError: a folder that cannot be read.
    """
    files: list[PlainFile] = []
    odd: list[tuple[str, str]] = []
    empty: list[str] = []
    skipped: list[str] = []
    waiting = [("", root)]
    while waiting:
        prefix, folder = waiting.pop()
        entries = _entries(folder)
        if not entries and prefix:
            empty.append(prefix.removesuffix("/"))
        for entry in entries:
            name, found = prefix + entry.name, entry.stat(follow_symlinks=False)
            if name in skip:
                skipped.append(name)
            elif stat.S_ISDIR(found.st_mode):
                waiting.append((f"{name}/", Path(entry.path)))
            elif stat.S_ISREG(found.st_mode):
                files.append(PlainFile(name, Path(entry.path), FileState.of(found)))
            else:
                odd.append((name, kind_of(found.st_mode)))
    return Listing(
        tuple(sorted(files, key=lambda file: file.name)),
        tuple(sorted(odd)),
        tuple(sorted(empty)),
        tuple(sorted(skipped)),
    )


def kind_of(mode: int) -> str:
    """What a file of this `st_mode` is, in words."""
    return next((words for test, words in _KINDS if test(mode)), "no plain file")


def shards(file: PlainFile, size: int) -> tuple[Piece, ...]:
    """The file in consecutive pieces of `size` bytes, the last one shorter; none of an empty file."""
    whole = file.state.size
    return tuple(Piece(file, start, min(start + size, whole)) for start in range(0, whole, size))


def whole(file: PlainFile) -> Piece:
    """The file in one piece."""
    return Piece(file, 0, file.state.size)


def digests(pieces: Sequence[Piece], *, threads: int | None = None, progress: Progress | None = None) -> list[str]:
    """SHA-256 in hex of each piece, in their order.

    Args:
        pieces: of any files, in any order.
        threads: how many pieces are read at a time; one for each processor by default.
        progress: see `Progress`.

    Raises:
        InputError: a file that cannot be read, or is no longer a plain file.
        DataError: a file that is not what it was when it was found.
    """
    work = _Work()
    total = sum(piece.end - piece.start for piece in pieces)
    pool = ThreadPoolExecutor(max(1, min(threads or os.cpu_count() or 1, len(pieces))), "hashing")
    try:
        futures = [pool.submit(work.digest, piece) for piece in pieces]
        found = [_wait(future, lambda: progress and progress(work.done, total)) for future in futures]
    finally:
        work.stopped.set()
        pool.shutdown(cancel_futures=True)
    if progress:
        progress(total, total)
    return found


def sha256_files(
    files: Iterable[PlainFile], *, threads: int | None = None, progress: Progress | None = None
) -> dict[str, str]:
    """SHA-256 in hex of whole files by name. Raises as `digests`."""
    some = list(files)
    found = digests([whole(file) for file in some], threads=threads, progress=progress)
    return {file.name: digest for file, digest in zip(some, found, strict=True)}


def sha256_folder(root: Path, *, progress: Progress | None = None) -> dict[str, str]:
    """SHA-256 in hex of every file in the folder `root`, by name.

    Raises:
        InputError: something in it is no plain file, or cannot be read.
        DataError: as `digests`.
    """
    listing = list_folder(root)
    for name, kind in listing.odd:
        raise InputError(f"{root / name} is {kind}: expected plain files and folders only")
    return sha256_files(listing.files, progress=progress)


def copy_file(file: PlainFile, target: Path) -> None:
    """Write the bytes of a file to `target`, a new one.

    Raises:
        InputError: it cannot be read, or is no longer a plain file.
        DataError: it is not what it was when it was found.
        StorageError: the copy cannot be written.
    """
    with _opened(file) as opened, storage(target), target.open("xb") as copy:
        for block in _blocks(opened, whole(file)):
            copy.write(block)


class _Work:
    """What the threads share: how far they are, and whether to stop."""

    def __init__(self) -> None:
        self.done = 0
        self.stopped = threading.Event()
        self._lock = threading.Lock()

    def digest(self, piece: Piece) -> str:
        total = hashlib.sha256()
        with _opened(piece.file) as opened:
            for block in _blocks(opened, piece):
                total.update(block)
                with self._lock:
                    self.done += len(block)
                if self.stopped.is_set():
                    break
        return total.hexdigest()


@contextmanager
def _opened(file: PlainFile) -> Iterator[FileIO]:
    """The very file that was found, and still the same when we are done with it."""
    try:
        handle = os.open(file.path, _PLAIN)
    except OSError as error:
        raise InputError(f"cannot read {file.path}: {error.strerror}") from error
    with FileIO(handle) as opened:
        _check_same(opened, file)
        yield opened
        _check_same(opened, file)


def _check_same(opened: FileIO, file: PlainFile) -> None:
    if FileState.of(os.fstat(opened.fileno())) != file.state:
        raise _changed(file)


def _blocks(opened: FileIO, piece: Piece) -> Iterator[memoryview]:
    buffer = memoryview(bytearray(min(_BUFFER, piece.end - piece.start)))
    position = opened.seek(piece.start)
    while position < piece.end:
        try:
            count = opened.readinto(buffer[: piece.end - position])
        except OSError as error:
            raise InputError(f"cannot read {piece.file.path}: {error.strerror}") from error
        if not count:
            raise _changed(piece.file)
        yield buffer[:count]
        position += count


def _changed(file: PlainFile) -> DataError:
    return DataError(f"{file.path} changed while it was read: try again when nothing writes to it")


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except OSError as error:
        raise InputError(f"cannot read {folder}: {error.strerror}") from error


def _wait(future: Future[str], tick: Callable[[], object]) -> str:
    while True:
        try:
            return future.result(timeout=_TICK)
        except TimeoutError:
            if future.done():  # not ours: a network disk gave up
                raise
            tick()
