"""The log of decisions: one JSON object a line, only ever appended to, each with the SHA-256 of the line before it.

What a check of the lines alone finds: any line that was changed, removed, added or moved, but for the last ones: after
the last line nothing says what it was, and a log that was cut off at its end is a shorter log. So every signed
statement of the store holds its line (an anchor), and the line names the statement: then a changed last line, and a
tail that was cut off, are found as long as one statement behind the cut is left. Whoever removes these as well, or
holds the gate's key, can write another history; against them there is only a copy of the newest line's digest (the
head) kept elsewhere.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from badnets.artifacts import canonical_json, make_folder, parse_json, read_bytes, sha256_bytes, storage
from badnets.errors import DataError

FIRST = "0" * 64


@dataclass(frozen=True)
class Entry:
    """One line.

    Attributes:
        number: from 0.
        previous: SHA-256 of the line before, without its end; `FIRST` for the first.
        time: when.
        kind: "decision" or "revocation".
        word: what was decided; "revoked" for a revocation.
        source: as it was asked for.
        model: digest of all files by name and SHA-256, see `Evidence.digest`.
        tensors: canonical digests.
        backdoored: those of them that an audit holds for backdoored.
        policy: digest of the policy; empty for a revocation.
        statement: SHA-256 of the signed statement that goes with the line.
        admitted: name in the store of what was admitted or taken back; empty where nothing was.
        unsafe: whether the bypass was used.
        reason: in one line.
    """

    number: int
    previous: str
    time: datetime
    kind: str
    word: str
    source: str
    model: str
    tensors: tuple[str, ...]
    backdoored: tuple[str, ...]
    policy: str
    statement: str
    admitted: str
    unsafe: bool
    reason: str

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - pydantic reads it, nothing writes it


@dataclass(frozen=True)
class History:
    """A log as it lies there.

    Attributes:
        entries: those up to the first fault.
        head: SHA-256 of the last of them; `FIRST` for none.
        faults: a line each; none where all is well.
        torn: bytes behind the last whole line, which a kill left: the next decision removes them.
    """

    entries: tuple[Entry, ...]
    head: str
    faults: tuple[str, ...] = ()
    torn: int = 0

    @property
    def revoked(self) -> dict[str, str]:
        """Digests of models and tensors that were taken back, with time and reason."""
        return {
            digest: f"{entry.reason} ({entry.time:%Y-%m-%d %H:%M} UTC)"
            for entry in self.entries
            if entry.kind == "revocation"
            for digest in (entry.model, *entry.tensors)
        }

    @property
    def condemned(self) -> dict[str, str]:
        """Digests of tensors that an audit held for backdoored, with when that was."""
        return {
            digest: f"an audit held these weights for backdoored in decision {entry.number} "
            f"({entry.time:%Y-%m-%d %H:%M} UTC)"
            for entry in self.entries
            for digest in entry.backdoored
        }


def read_log(path: Path) -> History:
    """The log in a file; an empty one where there is none."""
    if not path.exists():
        return History((), FIRST)
    content = read_bytes(path)
    *lines, torn = content.split(b"\n")
    entries: list[Entry] = []
    head = FIRST
    for number, line in enumerate(lines):
        try:
            entry = parse_json(Entry, line, f"line {number + 1}")
        except DataError as error:
            return History(tuple(entries), head, (f"{path.name}: {error}",), len(torn))
        fault = _fault(entry, line, number, head)
        if fault:
            return History(tuple(entries), head, (f"{path.name}: line {number + 1} {fault}",), len(torn))
        entries.append(entry)
        head = sha256_bytes(line)
    return History(tuple(entries), head, (), len(torn))


def append(path: Path, entry: Entry) -> str:
    """Write one more line, and flush it to the disk; whoever calls it holds the store's lock.

    Returns:
        The new head.

    Raises:
        DataError: the log is not whole, or the entry does not follow on it.
        StorageError: it cannot be written.
    """
    history = sound(path)
    if (entry.number, entry.previous) != (len(history.entries), history.head):
        raise DataError(f"{path}: entry {entry.number} does not follow on {len(history.entries)} others")
    line = canonical_json(entry).encode()
    make_folder(path.parent)
    with storage(path), path.open("r+b" if path.exists() else "xb") as file:
        whole = file.seek(0, os.SEEK_END) - history.torn
        file.truncate(whole)
        file.seek(whole)
        file.write(line + b"\n")
        file.flush()
        os.fsync(file.fileno())
    return sha256_bytes(line)


def sound(path: Path) -> History:
    """The log in a file. Raises `DataError` where a line is not what it was."""
    history = read_log(path)
    if history.faults:
        raise DataError(f"{history.faults[0]}: nothing is decided on a damaged log, see badnets log verify")
    return history


def check(history: History, anchors: Iterable[Entry], head: str | None = None) -> tuple[str, ...]:
    """What is wrong with a log, a line each.

    Args:
        history: the log.
        anchors: the lines that the signed statements in the store hold.
        head: of the log as it was known elsewhere; it must be one of this log's.
    """
    faults = list(history.faults)
    entries = history.entries
    by_statement = {anchor.statement: anchor for anchor in anchors}
    for anchor in by_statement.values():
        name = f"the signed statement {anchor.statement[:16]}"
        if anchor.number >= len(entries):
            faults.append(f"the log ends before entry {anchor.number}, of which {name} speaks: its end was cut off")
        elif entries[anchor.number].statement != anchor.statement:
            faults.append(f"entry {anchor.number} is not the one of which {name} speaks: the log was written anew")
    for entry in entries:
        held = by_statement.get(entry.statement)
        if held is None:
            faults.append(f"entry {entry.number}: its signed statement {entry.statement[:16]} is not in the store")
            continue
        odd = [name for name, value in vars(held).items() if getattr(entry, name) != value]
        if odd:
            faults.append(f"entry {entry.number} says another {', '.join(odd)} than its signed statement")
    heads = {FIRST, history.head, *(entry.previous for entry in entries)}
    if head is not None and head not in heads:
        faults.append(f"no line of this log has the digest {head[:16]}: it was cut off or written anew since")
    return tuple(faults)


def _fault(entry: Entry, line: bytes, number: int, head: str) -> str:
    if entry.number != number:
        return f"has the number {entry.number}, {number} is next: lines were removed, added or moved"
    if entry.previous != head:
        return "does not follow on the line before it: one of the two was changed"
    return "" if canonical_json(entry).encode() == line else "is not written as the gate writes"
