"""Reads the directory of a zip file so strictly that all readers must see the same members.

Every byte belongs to a local header, a member's data, the central directory or its end record; local and central
headers say the same; nothing lies before, between, after or twice. What is left out of the format: encryption,
several disks, comments, methods other than stored and deflated, and extra fields other than zip64 and times.

Source: PKWARE's .ZIP File Format Specification (APPNOTE) 6.3, sections 4.3 to 4.5.
"""

from __future__ import annotations

import stat
import struct
from dataclasses import dataclass

from badnets.supply.scan import names
from badnets.supply.scan.findings import Finding, Rule, Severity
from badnets.supply.scan.source import Exhausted, Source

STORED, DEFLATED = 0, 8
_LOCAL, _CENTRAL, _END, _DESCRIPTOR = b"PK\3\4", b"PK\1\2", b"PK\5\6", b"PK\7\x08"
_END64, _LOCATOR = b"PK\6\6", b"PK\6\7"
_TIMES = frozenset({0x5455, 0x7875})
_ZIP64 = 1
_FULL = 0xFFFFFFFF
# Of the format, times ten: what deflate and zip64 need is 45; Python reads up to this one.
_NEWEST = 63
_ENCRYPTION = 0x2041
# How hard deflate tried, a descriptor after the bytes, a name in UTF-8.
_KNOWN_FLAGS = 0x080E


def _rule(name: str, what: str, remedy: str, cwe: str) -> Rule:
    return Rule(f"archive-{name}", Severity.REFUSE, what, remedy, cwe=cwe, atlas="AML.T0010.003")


MALFORMED = _rule(
    "malformed", "The archive breaks its own format.", "Get it again, or ask for it packed anew.", "CWE-20"
)
GAP = _rule(
    "gap",
    "Bytes that belong to no member.",
    "Ask for an archive packed anew by a plain tool, nothing appended.",
    "CWE-436",
)
OVERLAP = _rule("overlap", "Members share bytes.", "Ask for an archive packed anew by a plain tool.", "CWE-436")
DIFFERS = _rule(
    "differs",
    "The local header of a member differs from the directory's.",
    "Ask for an archive packed anew.",
    "CWE-436",
)
DUPLICATE = _rule("duplicate", "Two members have one name.", "Ask for an archive with every name once.", "CWE-436")
TWINS = _rule("twins", "Two names are one where case or composition does not count.", "Ask for other names.", "CWE-178")
ENCRYPTED = _rule("encrypted", "A member is encrypted.", "Decrypt it first and scan what comes out.", "CWE-311")
METHOD = _rule(
    "method", "A member is packed in a way that has no reader here.", "Ask for it stored or deflated.", "CWE-693"
)
EXTRA = _rule(
    "extra", "A header carries fields that have no reader here.", "Ask for an archive packed anew.", "CWE-436"
)
LINK = _rule("link", "A member is a link.", "Ask for an archive of plain files.", "CWE-59")
DEVICE = _rule("device", "A member is a device, a pipe or a socket.", "Ask for an archive of plain files.", "CWE-73")
CHECKSUM = _rule(
    "checksum", "A member's bytes do not have their checksum or size.", "Get the archive again.", "CWE-354"
)
RULES = (
    MALFORMED, GAP, OVERLAP, DIFFERS, DUPLICATE, TWINS, ENCRYPTED, METHOD, EXTRA, LINK, DEVICE, CHECKSUM,
)  # fmt: skip


@dataclass(frozen=True)
class Entry:
    """One member: where its bytes are and what they should be.

    Attributes:
        name: as the central directory has it.
        header: offset of the local header in the window.
        data: offset of the member's bytes.
        stored: how many there are.
        size: how many they inflate to.
    """

    name: str
    method: int
    crc: int
    header: int
    data: int
    stored: int
    size: int

    @property
    def is_folder(self) -> bool:
        """Whether it only makes a folder."""
        return self.name.endswith("/")


@dataclass(frozen=True)
class Directory:
    """What the archive holds, in the order of the bytes, and what speaks against it."""

    entries: tuple[Entry, ...]
    findings: tuple[Finding, ...]


class _Broken(Exception):  # noqa: N818 - carries a finding, not a failure of ours
    def __init__(self, finding: Finding) -> None:
        self.finding = finding


@dataclass(frozen=True)
class _Central:
    """A header of the central directory: its place, and what the local one must repeat."""

    place: int
    raw_name: bytes
    flags: int
    method: int
    time: int
    crc: int
    stored: int
    size: int
    header: int
    mode: int


def names_of(source: Source, most: int = 100_000) -> list[str]:
    """The names in the directory, in its order; empty where it cannot be read. Raises `Exhausted`."""
    try:
        start, end, count = _locate(source)
        return [_text(entry.raw_name) for entry in _centrals(source, start, end, min(count, most))]
    except _Broken:
        return []


def tail(source: Source) -> int | None:
    """Where the end record is that lenient readers of zip files would find, with a directory before it."""
    length = min(source.size, 22 + 0xFFFF)
    window = source.read(source.size - length, length)
    place = len(window)
    while (place := window.rfind(_END, 0, place)) >= 0:
        if len(window) - place >= 22 and _directory_before(
            source, source.size - length + place, window[place : place + 22]
        ):
            return source.size - length + place
    return None


def _directory_before(source: Source, place: int, record: bytes) -> bool:
    count, size, offset = struct.unpack("<10xHIIxx", record)
    if not count:
        return place == 0  # an empty archive is one only where nothing is before it
    if source.read(max(0, place - 20), 4) == _LOCATOR:
        return True
    return any(at >= 0 and source.read(at, 4) == _CENTRAL for at in (place - size, offset))


def read(source: Source) -> Directory:
    """The directory of the zip file in `source`. Raises `Exhausted`."""
    try:
        start, end, count = _locate(source)
        centrals = _centrals(source, start, end, count)
    except _Broken as broken:
        return Directory((), (broken.finding,))
    findings: list[Finding] = []
    entries = []
    reached = 0
    for central in sorted(centrals, key=lambda entry: entry.header):
        source.budget.count_member()
        try:
            entry, after = _local(source, central, start)
        except _Broken as broken:
            return Directory((), (*findings, broken.finding))
        findings += _placed(source, entry, reached)
        findings += _judge(source, central, entry)
        reached = max(reached, after)
        entries.append(entry)
    if reached != start:
        kind = GAP if reached < start else OVERLAP
        low, high = sorted((reached, start))
        findings.append(Finding(kind, "before the central directory", source.member, source.at(low), high - low))
    findings += _same_names(source, entries)
    return Directory(tuple(entries), tuple(findings))


def _placed(source: Source, entry: Entry, reached: int) -> list[Finding]:
    if entry.header == reached:
        return []
    kind = GAP if entry.header > reached else OVERLAP
    low, high = sorted((entry.header, reached))
    return [Finding(kind, f"before {entry.name!a}", source.member, source.at(low), high - low)]


def _judge(source: Source, central: _Central, entry: Entry) -> list[Finding]:
    def found(rule: Rule, detail: str) -> Finding:
        return Finding(rule, f"{entry.name!a}: {detail}", source.member, source.at(entry.header))

    findings = []
    if fault := names.fault(entry.name):
        findings.append(found(*fault))
    elif not (entry.name.isascii() or central.flags & 0x800):
        findings.append(found(names.DECEPTIVE, "letters beyond ASCII that are not marked as UTF-8"))
    if central.flags & _ENCRYPTION:
        findings.append(found(ENCRYPTED, f"flags {central.flags:#06x}"))
    if central.flags & ~(_KNOWN_FLAGS | _ENCRYPTION):
        findings.append(found(METHOD, f"flags {central.flags:#06x}"))
    if central.method not in (STORED, DEFLATED):
        findings.append(found(METHOD, f"method {central.method}"))
    if entry.method == STORED and entry.stored != entry.size:
        findings.append(found(MALFORMED, f"stored in {entry.stored:,} bytes, of {entry.size:,}"))
    if entry.is_folder and entry.size:
        findings.append(found(MALFORMED, "a folder with bytes"))
    return findings + [found(rule, detail) for rule, detail in _mode(central.mode)]


def _mode(mode: int) -> list[tuple[Rule, str]]:
    """What a member's Unix mode says that it is, besides a file or a folder."""
    if stat.S_ISLNK(mode):
        return [(LINK, "a symbolic link")]
    return [] if stat.S_IFMT(mode) in (0, stat.S_IFREG, stat.S_IFDIR) else [(DEVICE, f"mode {mode:o}")]


def _same_names(source: Source, entries: list[Entry]) -> list[Finding]:
    seen: dict[str, Entry] = {}
    findings = []
    for entry in entries:
        other = seen.setdefault(names.twin_key(entry.name), entry)
        if other is not entry:
            rule = DUPLICATE if other.name == entry.name else TWINS
            detail = f"{other.name!a} and {entry.name!a}"
            findings.append(Finding(rule, detail, source.member, source.at(entry.header)))
    return findings


def _locate(source: Source) -> tuple[int, int, int]:
    """Start and end of the central directory, and how many entries it has."""
    place = source.size - 22
    record = source.read(max(0, place), 22)
    if place < 0 or record[:4] != _END:
        found = tail(source)
        if found is None:
            raise _Broken(Finding(MALFORMED, "no end record", source.member, source.at(max(0, place))))
        after = found + 22
        raise _Broken(Finding(GAP, "after the end record", source.member, source.at(after), source.size - after))
    disk, first, here, count, size, offset, comment = struct.unpack("<4x4HIIH", record)
    if disk or first or here != count or comment:
        raise _Broken(
            Finding(MALFORMED, "an end record of several disks or with a comment", source.member, source.at(place))
        )
    if count == 0xFFFF or _FULL in (size, offset) or source.read(max(0, place - 20), 4) == _LOCATOR:
        wide = _locate64(source, place)
        short = ((count, 0xFFFF, wide[2]), (offset, _FULL, wide[0]), (size, _FULL, wide[1] - wide[0]))
        if any(value not in (full, long) for value, full, long in short):
            raise _Broken(
                Finding(MALFORMED, "two end records that say different things", source.member, source.at(place))
            )
        return wide
    if offset + size != place:
        raise _Broken(
            Finding(MALFORMED, f"directory said to be at {offset:,}+{size:,}, end record at {place:,}", source.member,
                    source.at(place))
        )  # fmt: skip
    return offset, place, count


def _locate64(source: Source, place: int) -> tuple[int, int, int]:
    at = place - 20
    locator = source.read(max(0, at), 20)
    if at < 56 or locator[:4] != _LOCATOR:
        raise _Broken(Finding(MALFORMED, "no zip64 locator", source.member, source.at(max(0, at))))
    disk, record_at, disks = struct.unpack("<4xIQI", locator)
    record = source.read(at - 56, 56)
    length, number, first, here, count, size, offset = struct.unpack("<4xQ4xIIQQQQ", record)
    sound = record[:4] == _END64 and length == 44 and (disk, number, first, disks) == (0, 0, 0, 1)
    if not sound or record_at != at - 56 or here != count or offset + size != record_at:
        raise _Broken(Finding(MALFORMED, "a zip64 end record that does not fit", source.member, source.at(at - 56)))
    return offset, record_at, count


def _centrals(source: Source, start: int, end: int, count: int) -> list[_Central]:
    entries = []
    at = start
    if count > source.budget.limits.members:
        raise Exhausted(f"an archive of {count:,} files, {source.budget.limits.members:,} are allowed")
    for _ in range(count):
        fixed = source.read(at, 46)
        if len(fixed) < 46 or fixed[:4] != _CENTRAL or at + 46 > end:
            raise _Broken(Finding(MALFORMED, "a directory shorter than its count", source.member, source.at(at)))
        made, needs, flags, method, time, crc, stored, size = struct.unpack("<4xHHHHIIII", fixed[:28])
        n_name, n_extra, n_comment, disk, _inner, outer, header = struct.unpack("<HHHHHII", fixed[28:])
        tail_ = source.read(at + 46, n_name + n_extra)
        if needs > _NEWEST:
            raise _Broken(Finding(METHOD, f"needs version {needs} of the format", source.member, source.at(at)))
        if n_comment or disk:
            raise _Broken(Finding(EXTRA, "a comment or a disk number", source.member, source.at(at)))
        extra = _extra(source, tail_[n_name:], at)
        size, stored, header = _widen(source, extra, (size, stored, header), at)
        mode = outer >> 16 if made >> 8 in (3, 19) else 0
        entries.append(_Central(at, tail_[:n_name], flags, method, time, crc, stored, size, header, mode))
        if at + 46 + n_name + n_extra > end:
            raise _Broken(Finding(MALFORMED, "a directory longer than its size", source.member, source.at(at)))
        at += 46 + n_name + n_extra
    if at != end:
        raise _Broken(Finding(GAP, "in the central directory", source.member, source.at(at), end - at))
    return entries


def _extra(source: Source, raw: bytes, at: int) -> bytes:
    """The zip64 field among the extra fields."""
    wide = b""
    while raw:
        kind, length = struct.unpack("<HH", raw[:4]) if len(raw) >= 4 else (-1, 0)
        if kind not in (_ZIP64, *_TIMES) or 4 + length > len(raw) or length > 32 or (kind == _ZIP64 and wide):
            raise _Broken(Finding(EXTRA, f"extra field {kind:#06x} of {length} bytes", source.member, source.at(at)))
        if kind == _ZIP64:
            wide = raw[4 : 4 + length]
        raw = raw[4 + length :]
    return wide


def _widen(source: Source, wide: bytes, values: tuple[int, int, int], at: int) -> tuple[int, int, int]:
    """Size, stored size and offset, from the zip64 field where the short ones are full."""
    full = [value == _FULL for value in values]
    if len(wide) != 8 * sum(full):
        raise _Broken(Finding(EXTRA, f"a zip64 field of {len(wide)} bytes", source.member, source.at(at)))
    more = iter(struct.unpack(f"<{len(wide) // 8}Q", wide))
    size, stored, header = (next(more) if is_full else value for is_full, value in zip(full, values, strict=True))
    return size, stored, header


def _local(source: Source, central: _Central, limit: int) -> tuple[Entry, int]:
    """The member as its local header has it, and where its bytes end."""
    at = central.header

    def broken(rule: Rule, detail: str) -> _Broken:
        return _Broken(
            Finding(rule, f"{_text(central.raw_name)!a}: {detail}", source.member, source.at(min(at, source.size)))
        )

    fixed = source.read(at, 30)
    if len(fixed) < 30 or fixed[:4] != _LOCAL:
        raise broken(MALFORMED, "no local header where the directory says")
    needs, flags, method, time, crc, stored, size, n_name, n_extra = struct.unpack("<4xHHHIIIIHH", fixed)
    rest = source.read(at + 30, n_name + n_extra)
    wide = _extra(source, rest[n_name:], at)
    if wide:
        told = struct.unpack("<QQ", wide) if len(wide) == 16 else None
        # Python before 3.11.4 gives small sizes in both places, and so does every npz file that it wrote.
        if told is None or (size, stored) not in ((_FULL, _FULL), told):
            raise broken(EXTRA, f"a local zip64 field of {len(wide)} bytes")
        size, stored = told
    described = bool(flags & 8)
    local = (rest[:n_name], flags, method, time)
    if local != (central.raw_name, central.flags, central.method, central.time) or needs > _NEWEST:
        said = f"local name {_text(rest[:n_name])!a}, flags {flags:#06x}, method {method}, version {needs}"
        raise broken(DIFFERS, said)
    if described and (crc, stored, size) in ((0, 0, 0), (0, _FULL, _FULL)):
        crc, stored, size = central.crc, central.stored, central.size
    if (crc, stored, size) != (central.crc, central.stored, central.size):
        raise broken(
            DIFFERS, f"local size {size:,} in {stored:,} bytes, directory {central.size:,} in {central.stored:,}"
        )
    data = at + 30 + n_name + n_extra
    after = data + stored
    if after > limit:
        raise broken(OVERLAP, "reaches into the central directory")
    extent = _descriptor(source, after, (crc, stored, size)) if described else 0
    if described and not extent:
        raise broken(MALFORMED, "no data descriptor after its bytes")
    after += extent
    return Entry(_text(central.raw_name), method, crc, at, data, stored, size), after


def _descriptor(source: Source, at: int, values: tuple[int, int, int]) -> int:
    """How long the data descriptor is that repeats `values` there; 0 for none."""
    raw = source.read(at, 24)
    for layout in ("<4sIQQ", "<4sIII"):
        length = struct.calcsize(layout)
        if len(raw) >= length and all(value < 2**32 or layout == "<4sIQQ" for value in values):
            expected = struct.pack(layout, _DESCRIPTOR, *values)
            if raw[:length] == expected:
                return length
    return 0


def _text(raw: bytes) -> str:
    """The name as text, every byte that is no UTF-8 kept apart."""
    return raw.decode("utf-8", "surrogateescape")
