"""Weights as torch.save has written them since version 1.6: a zip archive of one pickle and the bytes of each storage.

Admitted: one root folder with `data.pkl`, `version`, `data/<number>`, and of later versions `byteorder`,
`.data/serialization_id`, `.format_version`, `.storage_alignment`; see `zip_records` for the archive, `pickles` for the
pickle. Every storage is there with the size that the pickle gives it, and every tensor stays within its storage.

Source: PyTorch, `torch/serialization.py` (`_save`) and `caffe2/serialize/inline_container.cc`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from badnets.supply.scan import zip_rules as rules
from badnets.supply.scan.findings import Finding, Severity
from badnets.supply.scan.finite import check_finite
from badnets.supply.scan.inventory import BITS, Inventory, judge_views
from badnets.supply.scan.log import Log, plain
from badnets.supply.scan.pickle_rules import TRAILING
from badnets.supply.scan.pickles import Pickle, read_pickle
from badnets.supply.scan.policy import WEIGHTS, Policy
from badnets.supply.scan.source import Source
from badnets.supply.scan.tree import Content, walk
from badnets.supply.scan.values import Stored
from badnets.supply.scan.zip_records import Entry, check_sums, read_entries

_STORAGE = re.compile(r"data/(\d{1,20})")
_ROOT = re.compile(r"[^/\\:\x00-\x1f]{1,255}")
# What the small records hold. The version is that of the archive's format: 1 to 10 in all of PyTorch's history.
_RECORDS = {
    "version": re.compile(rb"(?:[1-9]|10)\n"),
    "byteorder": re.compile(rb"little"),
    ".format_version": re.compile(rb"[12]"),
    ".storage_alignment": re.compile(rb"[1-9]\d{0,5}"),
    ".data/serialization_id": re.compile(rb"\d{1,64}"),
}
_LONGEST_RECORD = 64
_CODE = (
    (re.compile(r"constants\.pkl|code/.*|.*\.debug_pkl|attributes\.pkl"), rules.SCRIPT),
    (re.compile(r"archive_(?:format|version)|models/.*|data/(?:aotinductor|weights|constants)/.*"), rules.EXPORT),
    (re.compile(r"\.data/(?:extern_modules|python_version)|.*\.py"), rules.PACKAGE),
)  # fmt: skip


@dataclass(frozen=True)
class _Archive:
    """The entries by their path below the root."""

    pickle: Entry | None
    storages: dict[str, Entry]
    records: dict[str, Entry]


def check(source: Source, policy: Policy = WEIGHTS, *, finite: bool = False) -> list[Finding]:
    """Judge an archive; with `finite`, NaN and infinity in a tensor refuse it too.

    Raises:
        Exhausted: a bound of the budget is reached.
    """
    return inspect(source, policy, finite=finite)[0]


def inspect(
    source: Source, policy: Policy = WEIGHTS, *, finite: bool = False
) -> tuple[list[Finding], Inventory | None]:
    """As `check`, and what the archive holds: None where the pickle could not be read to its end.

    Raises:
        Exhausted: a bound of the budget is reached.
    """
    log = Log(source)
    entries, sound = read_entries(log)
    archive = _sort(log, entries)
    if not sound or archive.pickle is None:
        return log.sorted(), None
    check_sums(log, entries)
    _check_records(log, archive.records)
    member = Log(source.part(archive.pickle.data.start, archive.pickle.data.length, archive.pickle.name))
    found = read_pickle(member, 0, policy)
    inventory = None
    if found.whole:
        content = _explain(member, found, archive)
        _find_unused(log, found, archive)
        spans = {key: entry.data for key, entry in archive.storages.items()}
        inventory = Inventory(content.tensors, spans, content.other)
        if finite and not any(finding.rule.severity == Severity.REFUSE for finding in log.findings + member.findings):
            check_finite(log, inventory)
    log.findings += member.findings
    return log.sorted(), inventory


def _sort(log: Log, entries: list[Entry]) -> _Archive:
    """Sort the entries by what they are, and note those that do not belong there."""
    roots = [entry.name.partition("/")[0] for entry in entries]
    root = roots[0] if roots else ""
    pickle: Entry | None = None
    storages: dict[str, Entry] = {}
    records: dict[str, Entry] = {}
    seen: set[str] = set()
    for entry in entries:
        place, name = entry.header, entry.name
        if name.casefold() in seen:
            log.add(rules.DUPLICATE, plain(name), place)
            continue
        seen.add(name.casefold())
        inner = name.removeprefix(f"{root}/")
        storage = _STORAGE.fullmatch(inner)
        code = next((rule for form, rule in _CODE if form.fullmatch(inner)), None)
        if not _sane(name) or not name.startswith(f"{root}/"):
            log.add(rules.NAME, plain(name), place)
        elif inner == "data.pkl":
            pickle = entry
        elif inner in _RECORDS:
            records[inner] = entry
        elif storage:
            storages[storage[1]] = entry
        else:
            log.add(code or rules.UNKNOWN_ENTRY, plain(name), place)
    for needed, there in (("data.pkl", pickle is not None), ("version", "version" in records)):
        if not there:
            log.add(rules.MISSING_ENTRY, f"{plain(root)}/{needed}")
    return _Archive(pickle, storages, records)


def _sane(name: str) -> bool:
    parts = name.split("/")
    return (
        len(parts) > 1
        and name.isprintable()
        and all(_ROOT.fullmatch(part) and part not in (".", "..") for part in parts)
    )


def _check_records(log: Log, records: dict[str, Entry]) -> None:
    for name, entry in records.items():
        length = entry.data.length
        content = log.source.read(entry.data.start, min(length, _LONGEST_RECORD + 1))
        if name == "byteorder" and content == b"big":
            log.add(rules.BYTE_ORDER, "big", entry.data.start, length)
        elif length > _LONGEST_RECORD or not _RECORDS[name].fullmatch(content):
            log.add(rules.RECORD, f"{plain(entry.name)}: {content[:32]!r}", entry.data.start, length)


def _explain(log: Log, found: Pickle, archive: _Archive) -> Content:
    """Compare the pickle with the storages that are there."""
    if found.end < log.source.size:
        left = log.source.size - found.end
        log.add(TRAILING, f"{left:,} bytes after STOP", found.end, left)
    content = walk(log, found.value, found.steps)
    sizes = {key: entry.data.length for key, entry in archive.storages.items()}
    judge_storages(log, found.storages, sizes)
    judge_views(log, content.tensors, sizes)
    return content


def _find_unused(log: Log, found: Pickle, archive: _Archive) -> None:
    used = {stored.key for stored in found.storages}
    for key, entry in archive.storages.items():
        if key not in used:
            log.add(rules.STORAGE_UNUSED, plain(entry.name), entry.header)


def judge_storages(log: Log, storages: tuple[Stored, ...], sizes: dict[str, int]) -> None:
    """Compare the storages that a pickle refers to with those that are there, by key and size in bytes."""
    first: dict[str, Stored] = {}
    for stored in storages:
        known = first.setdefault(stored.key, stored)
        if known is not stored:
            if (known.dtype, known.count, known.location) != (stored.dtype, stored.count, stored.location):
                log.add(rules.STORAGE_CLASH, f"storage {stored.key}", stored.offset)
            continue
        expected = stored.count * (BITS[stored.dtype] // 8 if stored.dtype else 1)
        size = sizes.get(stored.key)
        if size is None:
            log.add(rules.STORAGE_MISSING, f"storage {stored.key}", stored.offset)
        elif size != expected:
            log.add(
                rules.STORAGE_SIZE, f"storage {stored.key}: {size:,} bytes, the pickle says {expected:,}", stored.offset
            )
