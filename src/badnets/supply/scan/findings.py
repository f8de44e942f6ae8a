"""What a scan says: findings with a stable id, and the verdict that follows from them.

A file is clean only when a reader of its format explained every byte. Anything against it refuses it; anything that
kept it from being read to the end leaves it unjudged, which is never clean.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    """What a finding does to the verdict."""

    REFUSE = "refuse"
    UNJUDGED = "unjudged"
    NOTE = "note"


class Verdict(StrEnum):
    """What a scan says of a file; the command line exits with 0, 1 or 2."""

    CLEAN = "clean"
    REFUSED = "refused"
    UNJUDGED = "unjudged"


@dataclass(frozen=True)
class Rule:
    """Why a file can be refused.

    Attributes:
        id: stable for ever, such as "pickle-global".
        severity: what it does to the verdict.
        what: the fault in one line, for people.
        remedy: what to do about it.
        cwe: of the Common Weakness Enumeration, such as "CWE-502".
        atlas: technique of MITRE ATLAS, such as "AML.T0011.000".
    """

    id: str
    severity: Severity
    what: str
    remedy: str
    cwe: str | None = None
    atlas: str | None = None


@dataclass(frozen=True)
class Finding:
    """One thing that a scan noticed.

    Attributes:
        rule: why.
        detail: what was found there, in one printable line.
        member: the path inside the file, such as "archive/data.pkl", outermost first, joined by "!/"; empty for
            the file itself.
        offset: of the first byte concerned, from the start of the file itself where the bytes lie there as they
            are, else from the start of the member; None for the file as a whole.
        length: how many bytes are concerned; None where that means nothing.
    """

    rule: Rule
    detail: str
    member: str = ""
    offset: int | None = None
    length: int | None = None


@dataclass(frozen=True)
class FileReport:
    """What a scan says of one file.

    Attributes:
        path: as the user named it, or relative to the folder they named.
        format: what the content is, such as "safetensors" or "torch-zip"; "unknown" where no reader knows it.
        size: in bytes; None where it could not be read.
        sha256: of the whole file; None where it was not read to its end.
        findings: in the order of their offsets.
    """

    path: str
    format: str
    size: int | None
    sha256: str | None
    findings: tuple[Finding, ...]

    @property
    def verdict(self) -> Verdict:
        """Refused as soon as anything speaks against it, else unjudged if anything was left unread."""
        return verdict_of(finding.rule.severity for finding in self.findings)


def verdict_of(severities: Iterable[Severity]) -> Verdict:
    """The verdict that follows from the severities of all findings."""
    found = set(severities)
    if Severity.REFUSE in found:
        return Verdict.REFUSED
    return Verdict.UNJUDGED if Severity.UNJUDGED in found else Verdict.CLEAN
