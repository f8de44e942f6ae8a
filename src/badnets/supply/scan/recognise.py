"""Tells what a file is by its content. The name of a file decides nothing here.

A file that two readers would each take for theirs (a polyglot) is recognised as both.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from badnets.supply.scan import archives_tar, archives_zip, onnx_wire, pickle_head
from badnets.supply.scan.source import Budget, Source

_HEAD = 2**16
# Magic numbers at the very start, by the authors of each format.
_MAGIC: tuple[tuple[bytes, str], ...] = (
    (b"\x93NUMPY", "npy"),
    (b"GGUF", "gguf"), (b"FUGG", "gguf"), (b"lmgg", "ggml"), (b"ggml", "ggml"), (b"tjgg", "ggml"), (b"fmgg", "ggml"),
    (b"7z\xbc\xaf\x27\x1c", "7z"), (b"Rar!\x1a\x07", "rar"),
    (b"\x1f\x8b", "gzip"), (b"BZh", "bzip2"), (b"\xfd7zXZ\0", "xz"), (b"\x5d\0\0", "lzma"),
    (b"\x28\xb5\x2f\xfd", "zstd"), (b"\x04\x22\x4d\x18", "lz4"), (b"\x02\x21\x4c\x18", "lz4"), (b"ZF0x", "joblib-zf"),
    (b"\x7fELF", "native"), (b"MZ", "native"), (b"\xfe\xed\xfa\xce", "native"), (b"\xfe\xed\xfa\xcf", "native"),
    (b"\xce\xfa\xed\xfe", "native"), (b"\xcf\xfa\xed\xfe", "native"), (b"\xca\xfe\xba\xbe", "native"),
    (b"BC\xc0\xde", "native"), (b"\0asm", "native"), (b"!<arch>\n", "native"), (b"#!", "script"),
    (b"\x89PNG\r\n\x1a\n", "png"), (b"\xff\xd8\xff", "jpeg"), (b"GIF87a", "gif"), (b"GIF89a", "gif"),
    (b"%PDF-", "pdf"),
)  # fmt: skip
_HDF5 = b"\x89HDF\r\n\x1a\n"
_LEGACY = bytes.fromhex("6cfc9c46f9206aa85019")
# What a pickle may be in disguise: formats that leave their first bytes free.
_PICKLE_FAMILY = frozenset({"pickle", "joblib", "torch-legacy"})
_CONTROLS = re.compile(rb"[\0-\x08\x0b\x0e-\x1f\x7f]")


@dataclass(frozen=True)
class Recognition:
    """What a file is.

    Attributes:
        format: the first reader that takes it for its own; "unknown" for none.
        claims: all of them, each with the offset in the window where its part begins.
    """

    format: str
    claims: tuple[tuple[str, int], ...]


def recognise(source: Source) -> Recognition:
    """What the content of `source` is. Reads its head, its tail and a few places between. Raises `Exhausted`."""
    head = source.read(0, _HEAD)
    if not head:
        return Recognition("empty", (("empty", 0),))
    claims = list(dict.fromkeys(_claims(source, head)))
    if not claims and (plain := _text(source, head)):
        claims = [(plain, 0)]
    return Recognition(claims[0][0] if claims else "unknown", tuple(claims))


def _claims(source: Source, head: bytes) -> Iterator[tuple[str, int]]:
    start = list(_starts(source, head))
    yield from ((name, 0) for name in start)
    for place in _user_blocks(source):
        if source.read(place, 8) == _HDF5:
            yield "hdf5", place
            break
    if head.startswith((b"PK\3\4", b"PK\5\6", b"PK\7\x08")):
        yield _zip_kind(source), 0
    elif (end := archives_zip.tail(source)) is not None:
        yield "zip", end
    kind, _ = pickle_head.walk(head)
    if not set(start) & _PICKLE_FAMILY and (
        kind is pickle_head.Head.CALLS or (kind is pickle_head.Head.DATA and not start and _is_whole(source, head))
    ):
        yield "pickle", 0


def _starts(source: Source, head: bytes) -> Iterator[str]:
    """What begins at the first byte. A pickle's two are the length of some safetensors header too: its walk decides."""
    others = list(_magics(source, head))
    if len(head) > 1 and head[0] == 0x80 and head[1] <= 5 and (not others or pickle_head.walk(head)[0] != "nothing"):
        yield _pickle_kind(head)
    yield from others


def _magics(source: Source, head: bytes) -> Iterator[str]:
    yield from (name for magic, name in _MAGIC if head.startswith(magic))
    if len(head) > 8 and head[8:9] == b"{" and 2 <= struct.unpack("<Q", head[:8])[0] <= source.size - 8:
        yield "safetensors"
    if archives_tar.is_header(head[:512]):
        yield "torch-tar" if {b"sys_info", b"pickle", b"storages", b"tensors"} & set(_tar_names(source)) else "tar"
    if _is_zlib(head):
        yield "zlib"
    if head[4:8] == b"TFL3":
        yield "tflite"
    if head[2:4] == b"\r\n" and len(head) >= 16 and 3000 <= struct.unpack("<H", head[:2])[0] <= 4000:
        yield "pyc"
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        yield "webp"
    if wire := onnx_wire.kind(source):
        yield wire


def _is_zlib(head: bytes) -> bool:
    """RFC 1950, section 2.2; its two bytes are common in texts, so what follows must inflate too."""
    if len(head) < 2 or head[0] & 0x0F != 8 or head[0] >> 4 > 7 or head[1] & 32 or (head[0] << 8 | head[1]) % 31:
        return False
    try:
        zlib.decompressobj().decompress(head, 4096)
    except zlib.error:
        return False
    return True


def _tar_names(source: Source) -> Iterator[bytes]:
    """The names of a tar file's first members, as far as they are plain."""
    entries, _ = archives_tar.read(Source(source.file, source.start, source.size, Budget(source.budget.limits)))
    yield from (entry.name.removeprefix("./").encode("utf-8", "surrogateescape") for entry in entries[:16])


def _pickle_kind(head: bytes) -> str:
    if _LEGACY in head[:32]:
        return "torch-legacy"
    return "joblib" if b"joblib" in head else "pickle"


def _is_whole(source: Source, head: bytes) -> bool:
    """Whether a pickle of plain data ends where the file does: else a text that begins like one is taken for one."""
    kind, end = pickle_head.walk(head)
    return kind is pickle_head.Head.DATA and (end == source.size or end >= len(head))


def _user_blocks(source: Source) -> Iterator[int]:
    """Where the superblock of an HDF5 file may be (HDF5 File Format Specification, II.A)."""
    yield 0
    place = 512
    while place + 8 <= source.size:
        yield place
        place *= 2


def _zip_kind(source: Source) -> str:
    found = archives_zip.names_of(source)
    inner = {name.partition("/")[2] for name in found}
    if any(name == "constants.pkl" or name.startswith("code/") for name in inner):
        return "torchscript"
    if inner & {"archive_format", "models/model.json"} or {"serialized_exported_program.json", "archive_format"} & set(
        found
    ):
        return "torch-export"
    if "data.pkl" in inner or "data.pkl" in found:
        return "torch-zip"
    if {"config.json", "metadata.json"} <= set(found):
        return "keras"
    if "schema.json" in found:
        return "skops"
    return "npz" if found and all(name.endswith(".npy") for name in found) else "zip"


def _text(source: Source, head: bytes) -> str | None:
    """JSON or text, where all of the head is UTF-8 without control characters; the reader looks at the rest."""
    if _CONTROLS.search(head):
        return None
    try:
        head.decode()
    except UnicodeDecodeError as error:
        if len(head) == source.size or error.start < len(head) - 3:
            return None
    return "json" if head.lstrip()[:1] in (b"{", b"[") else "text"
