"""A strict reader of the zip archives that torch's writer makes: every record, field and byte between them explained.

Rules, in this order: the archive ends with its end record, without comment; before it lies the directory, and before
that the entries, each behind the other from byte 0; an entry's header says what the directory says; it is stored.

Source: PKWARE's APPNOTE 6.3.10 for the records; PyTorch, `third_party/miniz` and `caffe2/serialize/
inline_container.cc` for what torch writes (version and time fields 0, flags 0x0808 with a data descriptor or 0x0800
without, an extra field "FB" that pads with Z, zip64 end records in every archive).
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from typing import NamedTuple

from badnets.supply.scan import zip_rules as rules
from badnets.supply.scan.inventory import Span
from badnets.supply.scan.log import Log, plain
from badnets.supply.scan.source import Exhausted

_END = struct.Struct("<4s4H2IH")
_END64 = struct.Struct("<4sQ2H2I4Q")
_LOCATOR = struct.Struct("<4sIQI")
_CENTRAL = struct.Struct("<4s6H3I5H2I")
_LOCAL = struct.Struct("<4s5H3I2H")
_MOST_16, _MOST_32 = 0xFFFF, 0xFFFFFFFF
_STORED_FLAGS, _EMPTY_FLAGS = 0x0808, 0x0800
_ENCRYPTED = 0x2041
_CHUNK = 2**20


@dataclass(frozen=True)
class Entry:
    """One file in the archive.

    Attributes:
        name: as the directory has it.
        header: offset of its local header in the window.
        record: offset of its record in the directory.
        data: where its bytes lie.
        crc: the checksum that the directory gives.
        flags: of the directory.
    """

    name: str
    header: int
    record: int
    data: Span
    crc: int
    flags: int


class _Central(NamedTuple):
    """A record of the directory, behind its signature."""

    made: int
    needed: int
    flags: int
    method: int
    time: int
    date: int
    crc: int
    packed: int
    size: int
    name: int
    extra: int
    comment: int
    disk: int
    internal: int
    external: int
    offset: int


class _End(NamedTuple):
    """Where the directory lies and how many entries it names; `stop` is where the end records begin."""

    entries: int
    size: int
    offset: int
    stop: int


class Stop(Exception):  # noqa: N818 - caught below: the archive cannot be read on
    """The records cannot be followed any further; the finding is in the log."""


def read_entries(log: Log) -> tuple[list[Entry], bool]:
    """All entries in the order of their bytes, and whether they could be followed; what is odd about them is noted.

    Checksums are not compared: that is `check_sums`. Where the entries could not be followed, their data is nowhere.

    Raises:
        Exhausted: more entries, or a larger directory, than the budget allows.
    """
    entries: list[Entry] = []
    try:
        end = _end(log)
        entries = sorted(_directory(log, end), key=lambda entry: entry.header)
        return _follow(log, entries, end.offset), True
    except Stop:
        return entries, False


def _refuse(log: Log, offset: int, detail: str) -> Stop:
    log.add(rules.DIRECTORY, detail, offset)
    return Stop()


def _end(log: Log) -> _End:
    source = log.source
    place = source.size - _END.size
    tail = source.read(max(0, place), _END.size)
    if len(tail) < _END.size or not tail.startswith(b"PK\5\6"):
        _explain_tail(log)
        raise Stop
    _, disk, start_disk, here, count, size, offset, comment = _END.unpack(tail)
    if comment:
        raise _refuse(log, place, f"a comment of {comment:,} bytes is announced and the file ends")
    if disk or start_disk or here != count:
        raise _refuse(log, place, "an archive of several parts")
    end = _End(count, size, offset, place)
    locator = source.read(max(0, place - _LOCATOR.size), _LOCATOR.size) if place >= _LOCATOR.size else b""
    if locator.startswith(b"PK\6\7"):
        end = _end64(log, end, locator)
    if end.offset + end.size != end.stop:
        raise _refuse(log, place, f"the directory ends at {end.offset + end.size:,}, its end record is at {end.stop:,}")
    return end


def _explain_tail(log: Log) -> None:
    source = log.source
    window = min(source.size, _END.size + _MOST_16)
    tail = source.read(source.size - window, window)
    found = tail.rfind(b"PK\5\6")
    if found < 0:
        log.add(rules.DIRECTORY, "no end record: the archive is cut off, or something follows it", source.size)
        return
    place = source.size - window + found
    comment = struct.unpack("<H", tail[found + 20 : found + 22])[0] if len(tail) >= found + 22 else 0
    left = window - found - _END.size
    if comment and comment == left:
        log.add(rules.COMMENT, f"{comment:,} bytes", place + _END.size, comment)
    elif left > 0:
        log.add(rules.GAP, f"{left:,} bytes after the archive", place + _END.size, left)
    else:
        log.add(rules.DIRECTORY, "the end record is cut off", place)


def _end64(log: Log, end: _End, locator: bytes) -> _End:
    place = end.stop - _LOCATOR.size
    _, disk, offset, disks = _LOCATOR.unpack(locator)
    record = log.source.read(offset, _END64.size)
    if disk or disks > 1 or offset != place - _END64.size or len(record) < _END64.size or record[:4] != b"PK\6\6":
        raise _refuse(log, place, "the zip64 end record does not lie before its locator")
    _, length, _made, _needed, disk, start_disk, here, count, size, start = _END64.unpack(record)
    if length != _END64.size - 12 or disk or start_disk or here != count:
        raise _refuse(log, offset, "the zip64 end record has another length, or several parts")
    for short, wide, most in (
        (end.entries, count, _MOST_16),
        (end.size, size, _MOST_32),
        (end.offset, start, _MOST_32),
    ):
        if short != min(wide, most):
            raise _refuse(log, offset, f"the zip64 end record says {wide:,}, the end record {short:,}")
    return _End(count, size, start, offset)


def _directory(log: Log, end: _End) -> list[Entry]:
    source = log.source
    if end.entries > source.budget.limits.members:
        raise Exhausted(f"{end.entries:,} entries, {source.budget.limits.members:,} are allowed")
    directory = source.read(end.offset, end.size)
    if end.offset > source.size or len(directory) < end.size:
        raise _refuse(log, end.stop, "the directory lies outside the file")
    entries: list[Entry] = []
    position = 0
    while position < len(directory):
        if len(directory) - position < _CENTRAL.size or directory[position : position + 4] != b"PK\1\2":
            raise _refuse(log, end.offset + position, "no record of the directory")
        record = _Central(*_CENTRAL.unpack_from(directory, position)[1:])
        stop = position + _CENTRAL.size + record.name + record.extra + record.comment
        if stop > len(directory):
            raise _refuse(log, end.offset + position, "a record of the directory is cut off")
        variable = directory[position + _CENTRAL.size : stop]
        entries.append(_entry(log, record, variable, end.offset + position))
        position = stop
    if len(entries) != end.entries:
        raise _refuse(log, end.stop, f"{len(entries):,} records, {end.entries:,} are announced")
    return entries


def _entry(log: Log, record: _Central, variable: bytes, place: int) -> Entry:
    name = variable[: record.name].decode("utf-8", "backslashreplace")
    extra = variable[record.name : record.name + record.extra]
    shown = plain(name, 80)
    if record.flags & _ENCRYPTED:
        log.add(rules.ENCRYPTED, shown, place)
    elif record.method or record.packed != record.size:
        log.add(rules.COMPRESSED, f"{shown}: method {record.method}", place)
    elif record.flags not in (_STORED_FLAGS, _EMPTY_FLAGS):
        log.add(rules.FIELD, f"{shown}: flags 0x{record.flags:04x}", place)
    fields = (record.made, record.needed, record.time, record.date, record.disk, record.internal, record.external)
    if any(fields) or record.comment:
        log.add(rules.FIELD, f"{shown}: version, time, disk, attributes or comment are not empty", place)
    size, packed, offset = record.size, record.packed, record.offset
    wide = [value == _MOST_32 for value in (size, packed, offset)]
    expected = 4 + 8 * sum(wide) if any(wide) else 0
    if len(extra) != expected or (expected and struct.unpack("<2H", extra[:4]) != (1, expected - 4)):
        log.add(rules.FIELD, f"{shown}: {len(extra)} bytes of extra fields, {expected} of zip64 are expected", place)
    elif expected:
        values = list(struct.unpack(f"<{sum(wide)}Q", extra[4:]))
        size, packed, offset = (
            values.pop(0) if far else near for far, near in zip(wide, (size, packed, offset), strict=True)
        )
        if packed != size:
            log.add(rules.COMPRESSED, f"{shown}: {packed:,} bytes for {size:,}", place)
    return Entry(name, offset, place, Span(0, size), record.crc, record.flags)


def _follow(log: Log, entries: list[Entry], end: int) -> list[Entry]:
    """Go through the entries one behind the other, from byte 0 to the directory."""
    placed: list[Entry] = []
    position = 0
    for entry in entries:
        if entry.header > position:
            log.add(rules.GAP, f"before {plain(entry.name, 80)}", position, entry.header - position)
        elif entry.header < position:
            log.add(rules.DIRECTORY, f"{plain(entry.name, 80)} lies over the entry before it", entry.record)
            raise Stop
        found, position = _local(log, entry, end)
        placed.append(found)
    if position > end:
        log.add(rules.DIRECTORY, "the last entry lies over the directory", end)
        raise Stop
    if position < end:
        log.add(rules.GAP, "before the directory", position, end - position)
    return placed


def _local(log: Log, entry: Entry, end: int) -> tuple[Entry, int]:
    source, shown = log.source, plain(entry.name, 80)
    head = source.read(entry.header, _LOCAL.size)
    if len(head) < _LOCAL.size or head[:4] != b"PK\3\4":
        raise _refuse(log, entry.header, f"{shown} has no header of its own at {entry.header:,}")
    _, needed, flags, method, time, date, crc, packed, size, name_size, extra_size = _LOCAL.unpack(head)
    variable = source.read(entry.header + _LOCAL.size, name_size + extra_size)
    name = variable[:name_size].decode("utf-8", "backslashreplace")
    if name != entry.name:
        log.add(rules.MISMATCH, f"{shown} is called {plain(name, 80)} there", entry.header)
    if (needed, method, time, date, crc, packed, size) != (0,) * 7 or flags != entry.flags:
        rule = rules.FIELD if flags == entry.flags and not method else rules.MISMATCH
        log.add(rule, f"{shown}: its header has other flags, method, sizes, checksum or time", entry.header)
    far = entry.data.length >= _MOST_32 or entry.header >= _MOST_32
    _extra(log, entry, variable[name_size:], name_size)
    start = entry.header + _LOCAL.size + name_size + extra_size
    stop = start + entry.data.length
    if stop > end:
        raise _refuse(log, entry.header, f"{shown} reaches beyond the directory")
    if flags & 8:
        layout = struct.Struct("<4sIQQ" if far else "<4sIII")
        expected = layout.pack(b"PK\7\x08", entry.crc, entry.data.length, entry.data.length)
        if source.read(stop, layout.size) != expected:
            log.add(rules.MISMATCH, f"{shown}: its data descriptor says something else", stop, layout.size)
        stop += layout.size
    return Entry(entry.name, entry.header, entry.record, Span(start, entry.data.length), entry.crc, entry.flags), stop


def _extra(log: Log, entry: Entry, extra: bytes, name_size: int) -> None:
    """The local extra fields: zip64 where something is wide, then the padding."""
    place = entry.header + _LOCAL.size + name_size
    size, header = entry.data.length, entry.header
    # torch writes 0 as the packed size, which its writer does not know yet.
    values = ([size, 0] if size >= _MOST_32 else []) + ([header] if header >= _MOST_32 else [])
    wide = struct.pack(f"<2H{len(values)}Q", 1, 8 * len(values), *values) if values else b""
    padding = extra[len(wide) :]
    filled = len(padding) - 4
    explained = not padding or (filled >= 0 and padding == b"FB" + struct.pack("<H", filled) + b"Z" * filled)
    if not (extra.startswith(wide) and explained):
        log.add(rules.FIELD, f"{plain(entry.name, 80)}: extra fields other than torch's padding", place, len(extra))


def check_sums(log: Log, entries: list[Entry]) -> None:
    """Read every entry and compare its checksum.

    Raises:
        Exhausted: time is up.
    """
    for entry in entries:
        crc, position, stop = 0, entry.data.start, entry.data.start + entry.data.length
        while position < stop:
            piece = log.source.read(position, min(_CHUNK, stop - position))
            if not piece:
                break
            crc = zlib.crc32(piece, crc)
            position += len(piece)
        if crc != entry.crc or position < stop:
            log.add(rules.CHECKSUM, plain(entry.name, 80), entry.data.start, entry.data.length)
