"""A tree of files by name, in a folder or read in place from a zip archive.

Paths within a tree are written with "/"; the root is "". Hidden files and folders (a name that begins with a dot) and
what systems leave behind are passed over.
"""

from __future__ import annotations

import os
import struct
import threading
import zipfile
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, runtime_checkable

from badnets.errors import DataError

# A picture that unpacks to more than this is not one: a few bytes of an archive can unpack to any size.
LARGEST_FILE = 256 << 20

# Of other methods Python unpacks all at once, whatever the entry says of its size.
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_DAMAGE = (
    OSError, EOFError, RuntimeError, ValueError, OverflowError, struct.error, zipfile.BadZipFile, zlib.error,
)  # fmt: skip


@runtime_checkable
class Tree(Protocol):
    """Files by their path within it."""

    @property
    def name(self) -> str:
        """What it is called in messages and cards."""
        ...

    def files(self) -> tuple[str, ...]:
        """The paths of all files, sorted part by part. Raises `DataError`."""
        ...

    def folders(self) -> tuple[str, ...]:
        """The paths of all folders, empty ones too, sorted part by part. Raises `DataError`."""
        ...

    def read(self, path: str) -> bytes:
        """The content of a file; threads may call it at once. Raises `DataError`, as for more than `LARGEST_FILE`."""
        ...

    def where(self, path: str) -> str:
        """What messages call that file or folder."""
        ...


@dataclass(frozen=True)
class Folder:
    """A folder on disk. Links are followed, but for a link to a folder that it lies in itself."""

    root: Path

    @property
    def name(self) -> str:
        """Its own name."""
        return self.root.resolve().name

    def files(self) -> tuple[str, ...]:
        """The paths of all files within it, sorted part by part. Raises `DataError` for a folder it may not look into.

        A link that leads nowhere is a file that cannot be read. Pipes, sockets and devices are none.
        """
        return self._walk()[0]

    def folders(self) -> tuple[str, ...]:
        """The paths of all folders within it, sorted part by part. Raises `DataError`, as `files`."""
        return self._walk()[1]

    def read(self, path: str) -> bytes:
        """The content of a file. Raises `DataError`."""
        place = self.root / path
        try:
            with place.open("rb") as file:
                size = os.fstat(file.fileno()).st_size
                if size > LARGEST_FILE:
                    raise DataError(f"{self.where(path)}: {size:,} bytes, more than any picture")
                return file.read()
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            raise DataError(f"{self.where(path)}: cannot be read ({reason})") from error

    def where(self, path: str) -> str:
        """Its path on disk."""
        return str(self.root / path)

    def _walk(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        files: list[str] = []
        folders: list[str] = []

        def look(place: str, above: frozenset[tuple[int, int]]) -> None:
            try:
                status = (self.root / place).stat()
                with os.scandir(self.root / place) as entries:
                    shown = [entry for entry in entries if _is_shown(entry.name)]
            except OSError as error:
                raise DataError(f"{self.where(place)}: cannot be looked into ({error.strerror or error})") from error
            identity = (status.st_dev, status.st_ino)
            if identity in above:
                return
            if place:
                folders.append(place)
            for entry in shown:
                path = f"{place}/{entry.name}" if place else entry.name
                if entry.is_dir():
                    look(path, above | {identity})
                elif entry.is_file() or not Path(entry.path).exists():
                    files.append(path)

        look("", frozenset())
        return _sorted(files), _sorted(folders)


@dataclass(frozen=True)
class Archive:
    """A zip archive, read in place; threads may read from it at once, and another process opens it anew.

    Entries are called by their path without `.` and empty parts; those with `..` in it lie in no folder of this tree
    and are passed over, as hidden ones are.

    Raises:
        DataError: not a readable zip archive, or two entries of one name.
    """

    file: Path
    _open: _Opened = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_open", _Opened(self.file))

    def __reduce__(self) -> tuple[type[Archive], tuple[Path]]:
        return Archive, (self.file,)

    @property
    def name(self) -> str:
        """The file's name without its ending."""
        return self.file.stem

    def files(self) -> tuple[str, ...]:
        """The paths of all files within it, sorted part by part."""
        return _sorted([path for path, entry in self._open.entries.items() if not entry.is_dir()])

    def folders(self) -> tuple[str, ...]:
        """The paths of all folders within it, whether they have an entry of their own or not, sorted part by part."""
        found = {path for path, entry in self._open.entries.items() if entry.is_dir()}
        for path in self._open.entries:
            parts = path.split("/")
            found |= {"/".join(parts[:depth]) for depth in range(1, len(parts))}
        return _sorted(list(found))

    def read(self, path: str) -> bytes:
        """The content of a file. Raises `DataError`."""
        if os.getpid() != self._open.process:  # a forked child shares the parent's place in the file
            object.__setattr__(self, "_open", _Opened(self.file))
        entry = self._open.entries.get(path)
        if entry is None:
            raise DataError(f"{self.where(path)}: no such entry in the archive")
        if entry.flag_bits & 1:
            raise DataError(f"{self.where(path)}: encrypted: unpack the archive with its password first")
        if entry.compress_type not in _METHODS:
            raise DataError(
                f"{self.where(path)}: packed by method {entry.compress_type}: only stored and deflated work"
            )
        if entry.file_size > LARGEST_FILE:
            raise DataError(f"{self.where(path)}: {entry.file_size:,} bytes unpacked, more than any picture")
        try:
            with self._open.lock, self._open.archive.open(entry) as file:
                # Never without a number: the size that an entry states need not be that of what it unpacks to.
                return file.read(entry.file_size + 1)
        except _DAMAGE as error:
            raise DataError(f"{self.where(path)}: cannot be read ({error or type(error).__name__})") from error

    def where(self, path: str) -> str:
        """The archive and the path within it."""
        return f"{self.file}/{path}" if path else str(self.file)


class _Opened:
    """A zip file opened by one process."""

    def __init__(self, file: Path) -> None:
        try:
            self.archive = zipfile.ZipFile(file)
        except _DAMAGE as error:
            raise DataError(f"{file}: no such folder, and not a readable zip archive ({error})") from error
        self.process = os.getpid()
        self.lock = threading.Lock()
        self.entries: dict[str, zipfile.ZipInfo] = {}
        for entry in self.archive.infolist():
            # Some programs write the backslashes of Windows, some a leading "./".
            parts = [part for part in entry.filename.replace("\\", "/").split("/") if part not in ("", ".")]
            if not parts or not all(map(_is_shown, parts)):
                continue
            path = "/".join(parts)
            if path in self.entries and not entry.is_dir():
                raise DataError(
                    f"{file}: two entries are called {as_text(path)!r}: which one counts is open, pack it anew"
                )
            self.entries[path] = entry


def open_tree(path: Path) -> Tree:
    """The folder or the zip archive at `path`.

    Raises:
        DataError: neither.
    """
    if path.is_dir():
        return Folder(path)
    if not path.exists():
        raise DataError(f"{path}: no such folder or zip archive")
    return Archive(path)


def as_text(path: str) -> str:
    """A path as text that can be printed and written: file names on disk need not be text."""
    return path.encode(errors="backslashreplace").decode()


def _is_shown(name: str) -> bool:
    return not name.startswith(".") and name not in ("__MACOSX", "Thumbs.db", "desktop.ini")


def _sorted(paths: list[str]) -> tuple[str, ...]:
    return tuple(sorted(paths, key=lambda path: path.split("/")))
