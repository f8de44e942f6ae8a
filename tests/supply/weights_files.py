"""Weights files built byte by byte, without torch: opcodes, archives as torch's writer makes them, safetensors."""

from __future__ import annotations

import json
import struct
import zlib
from dataclasses import dataclass

ORDERED = b"ccollections\nOrderedDict\n)R"
REBUILD = b"ctorch._utils\n_rebuild_tensor_v2\n"
ONES = struct.pack("<4f", 1, 1, 1, 1)


def text(value: str) -> bytes:
    """BINUNICODE."""
    content = value.encode()
    return b"X" + struct.pack("<I", len(content)) + content


def number(value: int) -> bytes:
    """The shortest opcode that a pickler uses for a whole number."""
    if 0 <= value < 256:
        return b"K" + bytes([value])
    if -(2**31) <= value < 2**31:
        return b"J" + struct.pack("<i", value)
    content = value.to_bytes((value.bit_length() + 8) // 8, "little", signed=True)
    return b"\x8a" + bytes([len(content)]) + content


def numbers(values: tuple[int, ...]) -> bytes:
    """A tuple of whole numbers."""
    return b"(" + b"".join(map(number, values)) + b"t"


def storage(
    key: str = "0", count: int = 4, *, kind: str = "torch\nFloatStorage", location: str = "cpu", more: bytes = b""
) -> bytes:
    """A persistent id of a storage, `more` at its end."""
    return (
        b"("
        + text("storage")
        + b"c"
        + kind.encode()
        + b"\n"
        + text(key)
        + text(location)
        + number(count)
        + more
        + b"tQ"
    )


def tensor(
    held: bytes | None = None,
    *,
    start: int = 0,
    shape: tuple[int, ...] = (4,),
    stride: tuple[int, ...] = (1,),
    flag: bytes = b"\x89",
    hooks: bytes = ORDERED,
) -> bytes:
    """A call of `_rebuild_tensor_v2`."""
    place = storage() if held is None else held
    return REBUILD + b"(" + place + number(start) + numbers(shape) + numbers(stride) + flag + hooks + b"tR"


def state_dict(**values: bytes) -> bytes:
    """A pickle of protocol 2: a dict with these values."""
    return b"\x80\x02}(" + b"".join(text(name) + value for name, value in values.items()) + b"u."


WEIGHTS = state_dict(weight=tensor())


@dataclass(frozen=True)
class Member:
    """A file in an archive as torch's writer stores it; the other fields make its records lie.

    Attributes:
        name: below the root; with a leading "!" it is taken as it is.
        content: its bytes.
        local_name: what its own header calls it, if not `name`.
        crc: what the directory says.
        flags: of the directory.
        local_flags: of its own header, if not `flags`.
        method: of the directory.
        date: of both headers.
        extra: extra fields of its own header instead of the padding.
        gap: bytes in front of it.
        descriptor: its data descriptor, if not the right one.
        more: extra fields in the directory.
        internal: attributes in the directory.
    """

    name: str
    content: bytes
    local_name: str | None = None
    crc: int | None = None
    flags: int | None = None
    local_flags: int | None = None
    method: int = 0
    date: int = 0
    extra: bytes | None = None
    gap: bytes = b""
    descriptor: bytes | None = None
    more: bytes = b""
    internal: int = 0


def members(pickle: bytes = WEIGHTS, storages: dict[str, bytes] | None = None) -> list[Member]:
    """What torch 2.15 puts into an archive, in its order."""
    held = {"0": ONES} if storages is None else storages
    return [
        Member("data.pkl", pickle),
        Member(".format_version", b"1"),
        Member(".storage_alignment", b"64"),
        Member("byteorder", b"little"),
        *(Member(f"data/{key}", content) for key, content in held.items()),
        Member("version", b"3\n"),
        Member(".data/serialization_id", b"0" * 40),
    ]


@dataclass(frozen=True)
class Ends:
    """What the end of an archive says, where it lies; see `archive`."""

    comment: bytes = b""
    count: int | None = None
    wide_count: int | None = None
    wide_size: int = 44
    locator: int | None = None
    disks: int = 1
    disk: int = 0
    suffix: bytes = b""
    directory_gap: bytes = b""


def archive(files: list[Member], *, root: str = "archive", ends: Ends | None = None) -> bytes:
    """An archive as torch's writer makes it, but for what the members and the ends are told to lie about."""
    told = ends or Ends()
    body, directory = b"", b""
    for file in files:
        name = (file.name[1:] if file.name.startswith("!") else f"{root}/{file.name}").encode()
        own = name if file.local_name is None else file.local_name.encode()
        crc = zlib.crc32(file.content) if file.crc is None else file.crc
        flags = (0x808 if file.content else 0x800) if file.flags is None else file.flags
        body += file.gap
        header, size = len(body), len(file.content)
        padding = -(header + 30 + len(own) + 4) % 64
        extra = b"FB" + struct.pack("<H", padding) + b"Z" * padding if file.extra is None else file.extra
        local_flags = flags if file.local_flags is None else file.local_flags
        body += struct.pack("<4s5H3I2H", b"PK\3\4", 0, local_flags, 0, 0, file.date, 0, 0, 0, len(own), len(extra))
        body += own + extra + file.content
        if local_flags & 8:
            right = struct.pack("<4s3I", b"PK\7\x08", crc, size, size)
            body += right if file.descriptor is None else file.descriptor
        lengths = (len(name), len(file.more), 0, 0, file.internal)
        directory += struct.pack("<4s6H3I5H2I", b"PK\1\2", 0, 0, flags, file.method, 0, file.date, crc, size, size,
                                 *lengths, 0, header) + name + file.more  # fmt: skip
    body += told.directory_gap
    start, end = len(body), len(body) + len(directory)
    count = len(files) if told.wide_count is None else told.wide_count
    wide = struct.pack("<4sQ2H2I4Q", b"PK\6\6", told.wide_size, 0x31E, 45, 0, 0, count, count, len(directory), start)
    locator = struct.pack("<4sIQI", b"PK\6\7", 0, end if told.locator is None else told.locator, told.disks)
    short = len(files) if told.count is None else told.count
    tail = struct.pack("<4s4H2IH", b"PK\5\6", told.disk, 0, short, short, len(directory), start, len(told.comment))
    return body + directory + wide + locator + tail + told.comment + told.suffix


def torch_zip(pickle: bytes = WEIGHTS, storages: dict[str, bytes] | None = None) -> bytes:
    """An honest archive around that pickle."""
    return archive(members(pickle, storages))


MAGIC = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
VERSION = b"\x80\x02M\xe9\x03."


def facts(little: bytes = b"\x88", more: bytes = b"", size: int = 2) -> bytes:
    """What the legacy format says about the machine."""
    sizes = text("short") + number(size) + text("int") + number(4) + text("long") + number(4)
    return (
        b"\x80\x02}(" + text("protocol_version") + b"M\xe9\x03" + text("little_endian") + little
        + text("type_sizes") + b"}(" + sizes + b"u" + more + b"u."
    )  # fmt: skip


def legacy(
    pickle: bytes | None = None, *, keys: tuple[str, ...] = ("0",), head: bytes | None = None, tail: bytes | None = None
) -> bytes:
    """A legacy stream."""
    start = MAGIC + VERSION + facts() if head is None else head
    main = state_dict(weight=tensor(storage(more=b"N"))) if pickle is None else pickle
    listed = b"\x80\x02](" + b"".join(map(text, keys)) + b"e."
    return start + main + listed + (struct.pack("<q", 4) + ONES if tail is None else tail)


def safetensors(header: bytes | dict[str, object], body: bytes = ONES, *, length: int | None = None) -> bytes:
    """A header in front of a body."""
    content = header if isinstance(header, bytes) else json.dumps(header, separators=(",", ":")).encode()
    return struct.pack("<Q", len(content) if length is None else length) + content + body


def entry(dtype: str = "F32", shape: tuple[int, ...] = (4,), offsets: tuple[int, int] = (0, 16)) -> dict[str, object]:
    """One tensor of a safetensors header."""
    return {"dtype": dtype, "shape": list(shape), "data_offsets": list(offsets)}
