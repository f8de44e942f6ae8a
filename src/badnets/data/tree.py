"""A tree of files by name, in a folder or read in place from a zip archive."""

from __future__ import annotations

import os
import threading
import zipfile
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, runtime_checkable

from badnets.errors import DataError

# A picture that unpacks to more than this is not one: a few bytes of an archive can unpack to any size.
LARGEST_FILE = 256 << 20


@runtime_checkable
class Tree(Protocol):
    """Files by their path within it, written with "/"."""

    @property
    def name(self) -> str:
        """What it is called in messages and cards."""
        ...

    def files(self) -> tuple[str, ...]:
        """The paths of all files, sorted; hidden ones and what systems leave behind are passed over."""
        ...

    def read(self, path: str) -> bytes:
        """The content of a file. Raises `DataError`."""
        ...

    def where(self, path: str) -> str:
        """What messages call that file."""
        ...


@dataclass(frozen=True)
class Folder:
    """A folder on disk; links to files are followed, links to folders are not."""

    root: Path

    @property
    def name(self) -> str:
        """Its own name."""
        return self.root.resolve().name

    def files(self) -> tuple[str, ...]:
        """The paths of all files within it, sorted."""
        found = []
        for place, folders, names in os.walk(self.root):
            folders[:] = [name for name in folders if _is_shown(name)]
            here = Path(place).relative_to(self.root)
            found += [(here / name).as_posix() for name in names if _is_shown(name)]
        return tuple(sorted(found))

    def read(self, path: str) -> bytes:
        """The content of a file. Raises `DataError`."""
        try:
            return (self.root / path).read_bytes()
        except OSError as error:
            raise DataError(f"{self.where(path)}: cannot be read ({error.strerror or error})") from error

    def where(self, path: str) -> str:
        """Its path on disk."""
        return str(self.root / path)


@dataclass(frozen=True)
class Archive:
    """A zip archive; threads may read from it at once, and another process opens it anew.

    Raises:
        DataError: not a readable zip archive.
    """

    file: Path
    _open: zipfile.ZipFile = field(init=False, repr=False, compare=False)
    _lock: threading.Lock = field(init=False, repr=False, compare=False, default_factory=threading.Lock)

    def __post_init__(self) -> None:
        try:
            object.__setattr__(self, "_open", zipfile.ZipFile(self.file))
        except (OSError, zipfile.BadZipFile) as error:
            raise DataError(f"{self.file}: not a readable zip archive ({error})") from error

    def __reduce__(self) -> tuple[type[Archive], tuple[Path]]:
        return Archive, (self.file,)

    @property
    def name(self) -> str:
        """The file's name without its ending."""
        return self.file.stem

    def files(self) -> tuple[str, ...]:
        """The paths of all files within it, sorted."""
        entries = (entry.filename for entry in self._open.infolist() if not entry.is_dir())
        return tuple(sorted(path for path in entries if all(map(_is_shown, path.split("/")))))

    def read(self, path: str) -> bytes:
        """The content of a file. Raises `DataError`."""
        try:
            with self._lock:
                size = self._open.getinfo(path).file_size
                if size > LARGEST_FILE:
                    raise DataError(f"{self.where(path)}: {size:,} bytes unpacked, more than any picture")
                return self._open.read(path)
        except (OSError, KeyError, zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError) as error:
            raise DataError(f"{self.where(path)}: cannot be read ({error})") from error

    def where(self, path: str) -> str:
        """The archive and the path within it."""
        return f"{self.file}/{path}"


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


def _is_shown(name: str) -> bool:
    return bool(name) and not name.startswith(".") and name not in ("__MACOSX", "Thumbs.db", "desktop.ini")
