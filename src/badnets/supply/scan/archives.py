"""Walks archives and compressed files: every member is judged by its content, or the archive is not clean."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from pathlib import PurePosixPath

from badnets.supply.scan import archives_tar, archives_zip, names
from badnets.supply.scan.findings import Finding, Rule, Severity
from badnets.supply.scan.inflate import BROKEN, inflate
from badnets.supply.scan.recognise import recognise
from badnets.supply.scan.source import Exhausted, Source

COMPRESSED_PICKLE = Rule(
    "compressed-pickle",
    Severity.REFUSE,
    "A compressed pickle, as joblib writes it: loading it runs what it says.",
    "Ask for the weights as safetensors, or the model as ONNX.",
    cwe="CWE-502",
    atlas="AML.T0011.000",
)
RULES = (COMPRESSED_PICKLE,)

# Judges a member by its content: a window on its bytes and its name, for the extension.
Judge = Callable[[Source, str], list[Finding]]

_PICKLES = frozenset({"pickle", "joblib", "torch-legacy"})
_ENDINGS = (".gz", ".bz2", ".xz", ".lzma", ".z", ".zlib", ".tgz")


def check_zip(source: Source, judge: Judge) -> list[Finding]:
    """Judge a zip file and all its members. Raises `Exhausted`."""
    _bound_depth(source)
    directory = archives_zip.read(source)
    findings = list(directory.findings)
    if findings:
        return findings
    for entry in directory.entries:
        if not entry.is_folder:
            findings += _zip_member(source, entry, judge)
    return findings


def _zip_member(source: Source, entry: archives_zip.Entry, judge: Judge) -> list[Finding]:
    stored = source.part(entry.data, entry.stored, entry.name)
    if entry.method == archives_zip.STORED:
        crc = 0
        for piece in stored.pieces(0, stored.size):
            crc = zlib.crc32(piece, crc)
        return _checked(stored, crc, entry.crc) or judge(stored, entry.name)
    with inflate(stored, "deflate", size=entry.size) as out:
        if out.source is None:
            return out.findings
        return _checked(stored, out.crc, entry.crc) or judge(out.source, entry.name)


def _checked(stored: Source, crc: int, expected: int) -> list[Finding]:
    if crc == expected:
        return []
    detail = f"CRC-32 {crc:08x} instead of {expected:08x}"
    return [Finding(archives_zip.CHECKSUM, detail, stored.member, stored.at(0), stored.size)]


def check_tar(source: Source, judge: Judge) -> list[Finding]:
    """Judge a tar file and all its members. Raises `Exhausted`."""
    _bound_depth(source)
    entries, findings = archives_tar.read(source)
    if findings:
        return findings
    for entry in entries:
        if not entry.is_folder:
            findings += judge(source.part(entry.data, entry.size, entry.name), entry.name)
        elif entry.size:
            findings.append(
                Finding(
                    archives_zip.MALFORMED,
                    f"{entry.name!a}: a folder with bytes",
                    source.member,
                    source.at(entry.header),
                )
            )
    return findings


def check_stream(source: Source, kind: str, name: str, judge: Judge) -> list[Finding]:
    """Judge a compressed file by what it inflates to; `kind` as in `inflate.decoder`. Raises `Exhausted`."""
    _bound_depth(source)
    findings = _gzip_header(source) if kind == "gzip" else []
    inner_name = inner_of(name)
    with inflate(source, kind, member=inner_name) as out:
        findings += out.findings
        if out.source is None:
            return findings
        if (found := recognise(out.source).format) in _PICKLES:
            findings.append(
                Finding(COMPRESSED_PICKLE, f"a {found} in {kind}", source.member, source.at(0), source.size)
            )
        return findings + judge(out.source, inner_name)


def inner_of(name: str) -> str:
    """What a compressed file is called once it is inflated."""
    path = PurePosixPath(name)
    if path.suffix.lower() == ".tgz":
        return f"{path.stem}.tar"
    return path.stem if path.suffix.lower() in _ENDINGS else path.name or "content"


def _gzip_header(source: Source) -> list[Finding]:
    """RFC 1952, section 2.3: no flag but the one for the original name."""
    head = source.read(0, 4096)
    flags = head[3] if len(head) > 3 else 0
    if flags & ~0x08:
        return [Finding(BROKEN, f"gzip flags {flags:#04x}: only the name is known", source.member, source.at(3), 1)]
    if flags:
        raw, zero, _ = head[10:].partition(b"\0")
        if not zero or names.fault(raw.decode("latin-1")):
            return [Finding(names.DECEPTIVE, f"gzip name {raw[:80]!a}", source.member, source.at(10))]
    return []


def _bound_depth(source: Source) -> None:
    if source.depth >= source.budget.limits.depth:
        raise Exhausted(f"an archive within {source.depth} others, {source.budget.limits.depth} are allowed")
