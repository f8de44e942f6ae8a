"""What a hostile case is, and the inert payloads of them all: nothing here is ever loaded."""

from __future__ import annotations

import io
import pickle
import struct
import tarfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Case:
    """One hostile file or folder.

    Attributes:
        family: as in the table of families.
        name: unique in the catalogue.
        files: makes the content by name; more than one is a folder.
        rule: id of the rule that must refuse it.
        at: the offset that the finding must have: a number, or the bytes that lie there in the file itself; None where
            the finding is on the file as a whole or on what was inflated.
        admitted: whether "unjudged" is the right answer, not "refused".
    """

    family: str
    name: str
    files: Callable[[], dict[str, bytes]]
    rule: str
    at: int | bytes | None = None
    unjudged: bool = False


def one(family: str, file: str, content: Callable[[], bytes], rule: str, at: int | bytes | None = None) -> Case:
    """A case of one file; named by the family and the file."""
    return Case(family, f"{family}: {file}", lambda: {file: content()}, rule, at)


OLD_PICKLE = b"cos\nsystem\n(S'true'\ntR."


class _Call:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return exec, ("pass",)


def call_pickle(protocol: int = 4) -> bytes:
    """A pickle that would call something."""
    return pickle.dumps(_Call(), protocol=protocol)


def data_pickle() -> bytes:
    """A pickle of plain data, with a name that only an unpickler would look up."""
    return pickle.dumps(np.arange(3), protocol=2)


def zipped(files: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    """A plain zip file."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(name), content, method)
    return buffer.getvalue()


def edited(content: bytes, *edits: tuple[bytes, bytes]) -> bytes:
    """`content` with each text replaced by another one of the same length, everywhere."""
    for old, new in edits:
        assert len(old) == len(new)
        assert old in content
        content = content.replace(old, new)
    return content


def tarred(*members: tuple[str, bytes, bytes], form: int = tarfile.USTAR_FORMAT) -> bytes:
    """A tar file of (name, type, content); links point to what `content` says."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=form) as archive:
        for name, kind, content in members:
            info = tarfile.TarInfo(name)
            info.type = kind
            if kind in (tarfile.SYMTYPE, tarfile.LNKTYPE):
                info.linkname = content.decode()
            elif kind in (tarfile.REGTYPE, tarfile.AREGTYPE):
                info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def array(values: object = (1.0, 2.0)) -> bytes:
    """A plain .npy file."""
    buffer = io.BytesIO()
    np.save(buffer, np.asarray(values, dtype=np.float32))
    return buffer.getvalue()


def weights() -> bytes:
    """A plain safetensors file of one tensor."""
    header = b'{"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}  '
    return struct.pack("<Q", len(header)) + header + struct.pack("<2f", 1, 2)
