"""What crosses the disk: atomic writes, canonical JSON, digests, run folders. Imports no torch."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

from badnets.errors import BadnetsError, DataError, InputError, StorageError

T = TypeVar("T")

_REASONS = {
    errno.ENOSPC: "the disk is full: make room or name another folder",
    errno.EDQUOT: "your disk quota is used up: make room or name another folder",
    errno.EROFS: "the file system is read-only: name a folder you may write to",
    errno.EACCES: "permission denied: name a folder you may write to",
    errno.EPERM: "permission denied: name a folder you may write to",
    errno.EEXIST: "a file of that name is in the way: name a folder",
    errno.ENOTDIR: "a part of this path is a file: name a folder",
    errno.EISDIR: "this is a folder: name a file",
}


@contextmanager
def storage(path: Path) -> Iterator[None]:
    """Turn an `OSError` about `path` into a `StorageError` that says what to do."""
    try:
        yield
    except OSError as error:
        reason = _REASONS.get(error.errno or 0, error.strerror or str(error))
        raise StorageError(f"cannot write {path}: {reason}") from error


def make_folder(path: Path) -> Path:
    """Create `path` with its parents and return it.

    Raises:
        StorageError: it cannot be made.
    """
    with storage(path):
        path.mkdir(parents=True, exist_ok=True)
    return path


@contextmanager
def open_atomic(path: Path, *, flush: bool = True) -> Iterator[BinaryIO]:
    """Open a file that replaces `path` only once it is written whole and flushed to the disk.

    A kill at any moment leaves the old file or the new one, never a part. Without `flush` that holds for kills but not
    for a power cut: for thousands of files that can be made again.

    Raises:
        StorageError: the folder is not writable or the disk is full.
    """
    make_folder(path.parent)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    with storage(path):
        # Not tempfile's: that makes private files, and what a user writes obeys their umask.
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    try:
        with storage(path):
            with os.fdopen(handle, "wb") as file:
                yield file
                file.flush()
                if flush:
                    os.fsync(file.fileno())
            temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write_bytes(path: Path, content: bytes, *, flush: bool = True) -> None:
    """Write `content` to `path` atomically, `flush` as in `open_atomic`. Raises `StorageError`."""
    with open_atomic(path, flush=flush) as file:
        file.write(content)


def write_text(path: Path, content: str) -> None:
    """Write `content` to `path` atomically as UTF-8. Raises `StorageError`."""
    write_bytes(path, content.encode())


def canonical_json(value: Any) -> str:  # noqa: ANN401 - any value that pydantic knows how to write
    """JSON with sorted keys and no spaces: values of equal types and content give equal text, so equal digests.

    Dataclasses, paths, tuples and pydantic models are written as JSON knows them. NaN is refused.
    """
    from pydantic_core import to_jsonable_python  # noqa: PLC0415 - 50 ms that `--help` need not pay

    plain = to_jsonable_python(value)
    return json.dumps(plain, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def write_json(path: Path, value: Any) -> None:  # noqa: ANN401 - as canonical_json
    """Write `value` as canonical JSON, atomically. Raises `StorageError`."""
    write_text(path, canonical_json(value) + "\n")


def parse_json(kind: type[T], text: str | bytes, where: str) -> T:
    """Read a value of the dataclass `kind` from JSON; unknown fields are refused.

    Raises:
        DataError: not JSON, or not such a value; the message names `where` and the first fault.
    """
    from pydantic import TypeAdapter, ValidationError  # noqa: PLC0415 - as in canonical_json

    try:
        return TypeAdapter(kind).validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"]) or "the whole file"
        raise DataError(f"{where} is not a {kind.__name__}: {place}: {first['msg']}") from error
    except BadnetsError as error:  # said by the value itself, which does not know where it came from
        raise DataError(f"{where} is not a {kind.__name__}: {error}") from error


def read_json(kind: type[T], path: Path) -> T:
    """Read a `kind` from the JSON file `path`.

    Raises:
        InputError: no such file.
        DataError: its content is not a `kind`.
    """
    return parse_json(kind, read_bytes(path), str(path))


def read_bytes(path: Path) -> bytes:
    """The content of `path`.

    Raises:
        InputError: no such file, or it may not be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from error


def printable(text: str) -> str:
    """`text` with everything escaped that could steer a terminal: names of files and classes come from anybody."""
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text)


def sha256_bytes(content: bytes | memoryview) -> str:
    """SHA-256 of `content` in hex."""
    return hashlib.sha256(content).hexdigest()


def sha256_file(path: Path) -> str:
    """SHA-256 of the file `path` in hex, read in constant memory. Raises `InputError`."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from error


def sha256_json(value: Any) -> str:  # noqa: ANN401 - as canonical_json
    """SHA-256 of the canonical JSON of `value` in hex."""
    return sha256_bytes(canonical_json(value).encode())


@dataclass(frozen=True)
class RunFolder:
    """A folder that one study writes: `spec.json`, `metrics.jsonl`, `result.json`, `models/`, `report.html`."""

    path: Path

    @property
    def spec(self) -> Path:
        """What was asked for, written first."""
        return self.path / "spec.json"

    @property
    def metrics(self) -> Path:
        """One JSON object a line, appended while the run goes on."""
        return self.path / "metrics.jsonl"

    @property
    def result(self) -> Path:
        """What came out; it exists once the run is finished."""
        return self.path / "result.json"

    @property
    def report(self) -> Path:
        """The self-contained page."""
        return self.path / "report.html"

    def model(self, name: str) -> Path:
        """The folder of the model called `name`."""
        return self.path / "models" / name

    def weights(self, digest: str) -> Path:
        """The folder of weights that did not come from this run, by their SHA-256."""
        return self.path / "weights" / digest[:16]

    def claim(self, spec: Any) -> None:  # noqa: ANN401 - any study's spec
        """Make the folder ours for `spec`, or go on with the same run.

        Raises:
            InputError: the folder holds a run of another spec.
            StorageError: it cannot be written.
        """
        wanted = canonical_json(spec)
        if not self.spec.exists():
            write_text(self.spec, wanted + "\n")
        elif read_bytes(self.spec).strip() != wanted.encode():
            raise InputError(
                f"{self.path} holds a run with other settings or other data (see {self.spec}): "
                "name another folder with --out, or remove this one"
            )

    def log(self, record: dict[str, object]) -> None:
        """Append one line to `metrics.jsonl`; what is done again after a kill is there twice.

        Raises:
            StorageError: it cannot be written.
        """
        make_folder(self.path)
        with storage(self.metrics), self.metrics.open("a", encoding="utf-8") as file:
            file.write(canonical_json(record) + "\n")
