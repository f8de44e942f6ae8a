"""A scan's reports as plain values, for JSON."""

from __future__ import annotations

from collections.abc import Sequence

from badnets.supply.scan.findings import FileReport, Finding, Verdict, verdict_of

Plain = dict[str, object]


def verdict(reports: Sequence[FileReport]) -> Verdict:
    """Of all files together: refused as soon as one is, clean only where all are, and there is one."""
    if not reports:
        return Verdict.UNJUDGED
    return verdict_of(finding.rule.severity for report in reports for finding in report.findings)


def as_plain(reports: Sequence[FileReport]) -> Plain:
    """All reports, as `badnets scan --json` prints them."""
    return {"verdict": str(verdict(reports)), "files": [_file(report) for report in reports]}


def _file(report: FileReport) -> Plain:
    return {
        "path": report.path,
        "verdict": str(report.verdict),
        "format": report.format,
        "size": report.size,
        "sha256": report.sha256,
        "findings": [_finding(finding) for finding in report.findings],
    }


def _finding(finding: Finding) -> Plain:
    rule = finding.rule
    return {
        "rule": rule.id,
        "severity": str(rule.severity),
        "what": rule.what,
        "detail": safe(finding.detail),
        "remedy": rule.remedy,
        "member": safe(finding.member),
        "offset": finding.offset,
        "length": finding.length,
        "cwe": rule.cwe,
        "atlas": rule.atlas,
    }


def safe(text: str) -> str:
    """`text` as it can be written in UTF-8, whatever bytes a name had."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
