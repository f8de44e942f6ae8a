"""Reads the headers of a tar file strictly: plain files and folders, every other byte zero.

Source: POSIX.1-2017, pax, "ustar Interchange Format" and "pax Header Block"; the "L" entry for long names is GNU tar's.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from badnets.supply.scan import names
from badnets.supply.scan.archives_zip import DEVICE, DUPLICATE, GAP, LINK, MALFORMED, TWINS
from badnets.supply.scan.findings import Finding, Rule, Severity
from badnets.supply.scan.source import Exhausted, Source

ENTRY = Rule(
    "archive-entry",
    Severity.REFUSE,
    "A tar entry of a kind that has no reader here.",
    "Ask for an archive of plain files and folders, made by a plain tar.",
    cwe="CWE-436",
    atlas="AML.T0010.003",
)
RULES = (ENTRY,)

BLOCK = 512
_PAX = frozenset({"path", "size", "mtime", "atime", "ctime", "uid", "gid", "uname", "gname"})
_LONGEST = 2**16


@dataclass(frozen=True)
class Entry:
    """A plain file or folder: its name, and where its bytes are in the window."""

    name: str
    header: int
    data: int
    size: int
    is_folder: bool


class _Broken(Exception):  # noqa: N818 - carries a finding, not a failure of ours
    def __init__(self, rule: Rule, detail: str, offset: int) -> None:
        self.rule, self.detail, self.offset = rule, detail, offset


def is_header(block: bytes) -> bool:
    """Whether these 512 bytes are a tar header: the sum of its bytes is the one that it states."""
    if len(block) < BLOCK or not block[0]:
        return False
    stated = block[148:156].strip(b" \0")
    return re.fullmatch(rb"[0-7]{1,7}", stated) is not None and int(stated, 8) == _sum(block)


def _sum(block: bytes) -> int:
    return sum(block) - sum(block[148:156]) + 8 * 0x20


def read(source: Source) -> tuple[list[Entry], list[Finding]]:
    """The files and folders in the order of the bytes, and what speaks against them. Raises `Exhausted`."""
    entries: list[Entry] = []
    findings: list[Finding] = []
    try:
        for item in _walk(source):
            if isinstance(item, Finding):
                findings.append(item)
            else:
                entries.append(item)
    except _Broken as broken:
        findings.append(Finding(broken.rule, broken.detail, source.member, source.at(broken.offset)))
    return entries, findings + _same_names(source, entries)


def _same_names(source: Source, entries: list[Entry]) -> list[Finding]:
    seen: dict[str, Entry] = {}
    findings = []
    for entry in entries:
        other = seen.setdefault(names.twin_key(entry.name), entry)
        if other is not entry:
            rule = DUPLICATE if other.name == entry.name else TWINS
            findings.append(Finding(rule, f"{other.name!a} and {entry.name!a}", source.member, source.at(entry.header)))
    return findings


def _walk(source: Source) -> Iterator[Entry | Finding]:
    at = 0
    pax: dict[str, str] = {}
    while True:
        block = source.read(at, BLOCK)
        if block == bytes(BLOCK):
            _require_zeros(source, at, source.size - at, "after the last member")
            if source.size - at < 2 * BLOCK or pax:
                raise _Broken(MALFORMED, "no two blocks of zeros at the end", at)
            return
        if not is_header(block):
            raise _Broken(MALFORMED, "no tar header where one should be", at)
        source.budget.count_member()
        kind = chr(block[156])
        size = int(pax["size"]) if "size" in pax else _size(block, at)
        data, after = at + BLOCK, at + BLOCK + -(-size // BLOCK) * BLOCK
        if after > source.size:
            raise _Broken(MALFORMED, f"an entry of {size:,} bytes reaches past the end", at)
        _require_zeros(source, data + size, after - data - size, "after a member")
        if kind in "xL":
            pax |= _overrides(source, kind, data, size)
        else:
            name = _plain(pax.get("path", _name(block)))
            # A reader that knows no long names takes the short one.
            for candidate in {name, _plain(_name(block))}:
                yield from _judge(source, at, kind, candidate)
            if kind in "05\0" and name:
                yield Entry(name, at, data, size, kind == "5" or name.endswith("/"))
            pax = {}
        at = after


def _judge(source: Source, at: int, kind: str, name: str) -> Iterator[Finding]:
    def found(rule: Rule, detail: str) -> Finding:
        return Finding(rule, f"{name!a}: {detail}", source.member, source.at(at))

    if name and (fault := names.fault(name)):
        yield found(*fault)
    if kind in "12":
        yield found(LINK, "a hard link" if kind == "1" else "a symbolic link")
    elif kind in "346":
        yield found(DEVICE, {"3": "a character device", "4": "a block device", "6": "a pipe"}[kind])
    elif kind not in "05\0":
        yield found(ENTRY, f"type {kind!a}")


def _plain(name: str) -> str:
    """The name without the "./" that tar puts before the names in the folder where it was called."""
    return "" if name in (".", "./") else name.removeprefix("./")


def _require_zeros(source: Source, offset: int, length: int, where: str) -> None:
    for piece in source.pieces(offset, length):
        if piece.strip(b"\0"):
            place = offset + len(piece) - len(piece.lstrip(b"\0"))
            raise _Broken(GAP, f"bytes {where}", place)
        offset += len(piece)


def _size(block: bytes, at: int) -> int:
    raw = block[124:136]
    if raw[0] == 0x80:
        return int.from_bytes(raw[1:], "big")
    digits = raw.strip(b" \0")
    if not re.fullmatch(rb"[0-7]*", digits):
        raise _Broken(MALFORMED, f"size {raw!r}", at)
    return int(digits or b"0", 8)


def _name(block: bytes) -> str:
    parts = [block[:100]]
    if block[257:263] == b"ustar\0" and block[345]:
        parts.insert(0, block[345:500])
    return "/".join(_text(part.split(b"\0")[0]) for part in parts)


def _overrides(source: Source, kind: str, data: int, size: int) -> dict[str, str]:
    """What a pax header or a long name says of the next entry."""
    if size > _LONGEST:
        raise Exhausted(f"a tar header of {size:,} bytes, {_LONGEST:,} are allowed")
    raw = source.read(data, size)
    if kind == "L":
        return {"path": _text(raw.rstrip(b"\0"))}
    values: dict[str, str] = {}
    while raw:
        match = re.match(rb"([0-9]{1,6}) ([^=\n]{1,200})=", raw)
        length = int(match[1]) if match else 0
        if match is None or not match.end() < length <= len(raw) or raw[length - 1 : length] != b"\n":
            raise _Broken(MALFORMED, "a pax header", data)
        key, value = _text(match[2]), _text(raw[match.end() : length - 1])
        if key not in _PAX or key in values:
            raise _Broken(ENTRY, f"pax keyword {key!a}", data)
        if key == "size" and not (re.fullmatch("[0-9]{1,15}", value) and int(value) >= 8**11):
            raise _Broken(ENTRY, f"pax size {value!a} where the header has room for it", data)
        values[key] = value
        raw = raw[length:]
    return values


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")
