"""Scans a file, or every file of a folder: opens each once, judges its bytes, and hashes the same bytes.

Nothing but plain files is ever opened: no links, pipes, devices or sockets.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

from badnets.errors import InputError
from badnets.supply.scan import names
from badnets.supply.scan.dispatch import BOUND, judge
from badnets.supply.scan.findings import FileReport, Finding, Rule, Severity
from badnets.supply.scan.source import Budget, Exhausted, Limits, Source


def _rule(name: str, severity: Severity, what: str, remedy: str, cwe: str) -> Rule:
    return Rule(name, severity, what, remedy, cwe=cwe, atlas="AML.T0010.003")


UNREADABLE = _rule(
    "unreadable", Severity.UNJUDGED, "It cannot be read.", "Make it readable for you and scan it again.", "CWE-755"
)
LINK = _rule(
    "link",
    Severity.UNJUDGED,
    "A link, which is not followed.",
    "Scan what it points to, or put the file itself there.",
    "CWE-59",
)
NO_FILE = _rule(
    "no-plain-file", Severity.UNJUDGED, "A device, a pipe or a socket, which is not opened.", "Remove it.", "CWE-73"
)
CHANGED = _rule(
    "changed-while-read",
    Severity.UNJUDGED,
    "It changed while it was read.",
    "Scan a copy that nobody writes to.",
    "CWE-367",
)
RULES = (UNREADABLE, LINK, NO_FILE, CHANGED)

# Each second of the time limit buys this many bytes more where a file is large: hashing alone takes that long.
_PACE = 2**26
# Neither follow a link, nor wait for the other end of a pipe; Windows knows only the last one.
OPEN_FLAGS = os.O_RDONLY
for _flag in ("O_NOFOLLOW", "O_NONBLOCK", "O_CLOEXEC", "O_BINARY"):
    OPEN_FLAGS |= getattr(os, _flag, 0)

Progress = Callable[[FileReport], None]


def scan(path: Path, *, limits: Limits | None = None, progress: Progress | None = None) -> list[FileReport]:
    """Judge the file `path`, or every file of the folder `path`.

    Args:
        path: a file or a folder; a link to either is not followed.
        limits: for each file.
        progress: told of each report as soon as it is there.

    Returns:
        A report for each file, in the order of their names; never none.

    Raises:
        InputError: there is nothing of that name.
    """
    from badnets.supply.scan.folder import scan_folder  # noqa: PLC0415 - the folder scans its files through this module

    try:
        mode = path.lstat().st_mode
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from error
    limits = limits or Limits()
    if stat.S_ISDIR(mode):
        return scan_folder(path, limits, progress)
    report = scan_file(path, limits, name=path.name, shown=shown(path))
    if progress:
        progress(report)
    return [report]


def scan_file(path: Path, limits: Limits, *, name: str, shown: str) -> FileReport:
    """Judge one file, whatever it is. Raises nothing.

    Args:
        path: what to open.
        limits: how much work it may cause.
        name: its name or path as its users will know it; judged too.
        shown: what the report calls it.
    """
    try:
        handle = os.open(path, OPEN_FLAGS)
    except OSError as error:
        return _unopened(path, shown, error)
    with os.fdopen(handle, "rb", buffering=0) as raw:
        before = os.fstat(raw.fileno())
        if not stat.S_ISREG(before.st_mode):
            return FileReport(shown, "unknown", None, None, (Finding(NO_FILE, _kind(before.st_mode)),))
        return _judge(raw, before, limits, name, shown)


def _judge(raw: BinaryIO, before: os.stat_result, limits: Limits, name: str, shown: str) -> FileReport:
    size = before.st_size
    budget = Budget(replace(limits, seconds=limits.seconds + size / _PACE))
    judged = judge(Source(raw, 0, size, budget), name)
    findings = list(judged.findings)
    if fault := names.fault(name):
        findings.insert(0, Finding(fault[0], f"{name!a}: {fault[1]}"))
    digest = None
    try:
        digest = _digest(raw, budget)
    except Exhausted as error:
        findings.append(Finding(BOUND, f"its digest: {error}"))
    except OSError as error:
        findings.append(Finding(UNREADABLE, error.strerror or str(error)))
    after = os.fstat(raw.fileno())
    if (before.st_size, before.st_mtime_ns, before.st_ctime_ns) != (
        after.st_size,
        after.st_mtime_ns,
        after.st_ctime_ns,
    ):
        findings.append(Finding(CHANGED, f"{before.st_size:,} bytes before, {after.st_size:,} after"))
        digest = None
    return FileReport(shown, judged.format, size, digest, tuple(findings))


def _digest(raw: BinaryIO, budget: Budget) -> str:
    digest = hashlib.sha256()
    raw.seek(0)
    while piece := raw.read(2**20):
        budget.tick()
        digest.update(piece)
    return digest.hexdigest()


def _unopened(path: Path, shown: str, error: OSError) -> FileReport:
    try:
        mode = path.lstat().st_mode
    except OSError:
        mode = 0
    if error.errno in (errno.ELOOP, errno.EMLINK) or stat.S_ISLNK(mode):
        finding = Finding(LINK, f"to {_target(path)!a}")
    elif mode and not stat.S_ISREG(mode):
        finding = Finding(NO_FILE, _kind(mode))
    else:
        finding = Finding(UNREADABLE, error.strerror or str(error))
    return FileReport(shown, "unknown", None, None, (finding,))


def _target(path: Path) -> str:
    try:
        return str(path.readlink())
    except OSError:
        return "?"


def _kind(mode: int) -> str:
    kinds = (
        (stat.S_ISFIFO, "a pipe"),
        (stat.S_ISSOCK, "a socket"),
        (stat.S_ISBLK, "a device"),
        (stat.S_ISCHR, "a device"),
    )
    return next((words for test, words in kinds if test(mode)), "a folder")


def shown(path: Path) -> str:
    """The path as text that can be written anywhere, whatever bytes its name has."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")
