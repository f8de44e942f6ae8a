"""The bytes of models in a hub: files under their SHA-256, and a list for a model that is a folder.

A file at `targets/<name>` lies at `targets/<folder>/<sha256>.<last part>`, as consistent snapshots have it, so a new
version stands beside the old. A model that is a folder is one target: a list of its files by name, length and SHA-256,
which is signed as any file is. So its files can neither be mixed with those of another version nor added to.
"""

from __future__ import annotations

import hashlib
import os
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from tuf.api.metadata import TargetFile

from badnets.artifacts import canonical_json, make_folder, parse_json, sha256_bytes, storage, write_bytes
from badnets.errors import DataError, InputError
from badnets.supply.hashing import list_folder, plain_file
from badnets.supply.hub.names import check_files

# The part of a target's `custom` that is ours.
CUSTOM = "badnets"
FILE, FOLDER = "file", "folder"
LONGEST_LIST = 4_000_000
_BLOCK = 512 * 1024
_INCOMING = ".incoming-"


@dataclass(frozen=True)
class Part:
    """A file of a model that is a folder: its name with `/`, its length in bytes, its SHA-256 in hex."""

    name: str
    length: int
    sha256: str

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - pydantic reads it, nothing writes it


@dataclass(frozen=True)
class FileList:
    """What a model that is a folder consists of, sorted by name."""

    files: tuple[Part, ...]

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - as above

    def __post_init__(self) -> None:
        if not self.files:
            raise InputError("a model has at least one file")
        names = [part.name for part in self.files]
        if names != sorted(set(names)):
            raise InputError("the files of a model are listed once each, sorted by name")
        check_files(names)
        for part in self.files:
            if part.length < 0 or len(part.sha256) != 64 or set(part.sha256) - set("0123456789abcdef"):
                raise InputError(f"{part.name}: expected a length and a SHA-256 in hex")


def read_list(content: bytes, where: str) -> FileList:
    """The list that `content` is. Raises `DataError` where it is none."""
    return parse_json(FileList, content, where)


def target_of(name: str, part: Part) -> TargetFile:
    """The file of a folder as a target of its own."""
    return TargetFile(part.length, {"sha256": part.sha256}, f"{name}/{part.name}")


def place(targets: Path, name: str, source: Path, about: dict[str, Any]) -> TargetFile:
    """Copy a model, a file or a folder, into a hub's `targets`; nothing refers to it yet.

    Args:
        targets: the hub's folder of files.
        name: of the model.
        source: the file or folder.
        about: what goes into the target's `custom` beside our own part.

    Raises:
        InputError: something in the folder is no plain file, or has a name that it may not have.
        DataError: a file changed while it was read.
        StorageError: it cannot be written.
    """
    if not source.is_dir():
        file = plain_file(source)
        check_files([file.name])
        part = _copied(targets, name, file.path)
        kind: dict[str, Any] = {"kind": FILE, "file": file.name}
        return _target(part, name, about, kind)
    listing = list_folder(source)
    if listing.odd:
        odd, what = listing.odd[0]
        raise InputError(f"{source / odd} is {what}: a model is plain files and folders")
    check_files(file.name for file in listing.files)
    parts = [_copied(targets, f"{name}/{file.name}", file.path) for file in listing.files]
    named = [Part(file.name, part.length, part.sha256) for file, part in zip(listing.files, parts, strict=True)]
    content = canonical_json(FileList(tuple(sorted(named, key=lambda part: part.name)))).encode()
    if len(content) > LONGEST_LIST:
        raise InputError(f"{source} has too many files for one model: {len(named):,}")
    digest = sha256_bytes(content)
    write_bytes(stored(targets, name, digest), content)
    return _target(Part(name, len(content), digest), name, about, {"kind": FOLDER, "file": source.name})


def stored(targets: Path, name: str, sha256: str) -> Path:
    """Where the file of the target `name` with this digest lies."""
    folder, slash, last = name.rpartition("/")
    return targets / f"{folder}{slash}{sha256}.{last}"


def sweep(targets: Path) -> None:
    """Remove the torn files that a kill left."""
    for torn in targets.glob(f"{_INCOMING}*"):
        torn.unlink(missing_ok=True)


def _target(part: Part, name: str, about: dict[str, Any], own: dict[str, Any]) -> TargetFile:
    if CUSTOM in about:
        raise InputError(f"the part {CUSTOM!r} of custom data is the hub's own: choose another name")
    fields = {"custom": {**about, CUSTOM: own}}
    return TargetFile(part.length, {"sha256": part.sha256}, name, fields)


def _copied(targets: Path, name: str, source: Path) -> Part:
    """Copy a file while hashing: what is listed are the bytes that were written, whatever happens to the source."""
    make_folder(targets)
    torn = targets / f"{_INCOMING}{secrets.token_hex(8)}"
    try:
        try:
            file = source.open("rb")
        except OSError as error:
            raise InputError(f"cannot read {source}: {error.strerror}") from error
        with file, storage(torn), torn.open("xb") as copy:
            length, digest = _pour(file, copy)
        final = stored(targets, name, digest)
        make_folder(final.parent)
        with storage(final):
            torn.replace(final)
    finally:
        torn.unlink(missing_ok=True)
    return Part(name, length, digest)


def _pour(source: BinaryIO, copy: BinaryIO) -> tuple[int, str]:
    before = os.fstat(source.fileno())
    sha256, length = hashlib.sha256(), 0
    while block := source.read(_BLOCK):
        sha256.update(block)
        length += len(block)
        copy.write(block)
    after = os.fstat(source.fileno())
    if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns) or length != after.st_size:
        raise DataError(f"{source.name} changed while it was read: publish it once it is written")
    copy.flush()
    os.fsync(copy.fileno())
    return length, sha256.hexdigest()
