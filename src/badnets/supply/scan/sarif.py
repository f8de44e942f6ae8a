"""A scan's reports in SARIF 2.1.0, for code hosts and review tools.

Source: OASIS, Static Analysis Results Interchange Format (SARIF) Version 2.1.0 Plus Errata 01.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from importlib.metadata import version
from urllib.parse import quote

from badnets.supply.scan.findings import FileReport, Finding, Rule, Severity, Verdict
from badnets.supply.scan.report import Plain, safe
from badnets.supply.scan.rules import all_rules

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
_LEVELS = {Severity.REFUSE: "error", Severity.UNJUDGED: "warning", Severity.NOTE: "note"}


def as_sarif(reports: Sequence[FileReport]) -> Plain:
    """All reports as one run; `executionSuccessful` is false where anything was left unjudged."""
    rules = all_rules()
    index = {id_: number for number, id_ in enumerate(rules)}
    unjudged = [report for report in reports if any(f.rule.severity is Severity.UNJUDGED for f in report.findings)]
    run: Plain = {
        "tool": {
            "driver": {
                "name": "badnets scan",
                "version": version("badnets"),
                "rules": [_rule(rule) for rule in rules.values()],
            }
        },
        "columnKind": "unicodeCodePoints",
        "invocations": [
            {
                "executionSuccessful": not unjudged,
                "toolExecutionNotifications": [
                    {
                        "level": "warning",
                        "message": {"text": "left unjudged: " + "; ".join(_unread(report))},
                        "locations": [{"physicalLocation": {"artifactLocation": _place(report)}}],
                    }
                    for report in unjudged
                ],
            }
        ],
        "artifacts": [_artifact(report) for report in reports],
        "results": [
            _result(report, number, finding, index)
            for number, report in enumerate(reports)
            for finding in report.findings
        ],
    }
    return {"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}


def _unread(report: FileReport) -> list[str]:
    return [f"{f.rule.id}: {safe(f.detail)}" for f in report.findings if f.rule.severity is Severity.UNJUDGED]


def _rule(rule: Rule) -> Plain:
    return {
        "id": rule.id,
        "shortDescription": {"text": rule.what},
        "help": {"text": rule.remedy},
        "defaultConfiguration": {"level": _LEVELS[rule.severity]},
        "properties": _tags(rule),
    }


def _tags(rule: Rule) -> Plain:
    named = {"cwe": rule.cwe, "atlas": rule.atlas}
    return {key: value for key, value in named.items() if value} | {"tags": ["security"]}


def _place(report: FileReport) -> Plain:
    return {"uri": quote(report.path, safe="/")}


def _artifact(report: FileReport) -> Plain:
    artifact: Plain = {
        "location": _place(report),
        "properties": {"format": report.format, "verdict": str(report.verdict)},
    }
    if report.size is not None:
        artifact["length"] = report.size
    if report.sha256 is not None:
        artifact["hashes"] = {"sha-256": report.sha256}
    return artifact


def _result(report: FileReport, number: int, finding: Finding, index: dict[str, int]) -> Plain:
    rule = finding.rule
    physical: Plain = {"artifactLocation": {**_place(report), "index": number}}
    # A region is of the file itself; offsets in what was inflated are told in words.
    if finding.offset is not None and report.size is not None and finding.offset <= report.size:
        physical["region"] = {"byteOffset": finding.offset}
        if finding.length is not None:
            physical["region"] = {"byteOffset": finding.offset, "byteLength": finding.length}
    location: Plain = {"physicalLocation": physical}
    if finding.member:
        location["logicalLocations"] = [{"fullyQualifiedName": safe(finding.member), "kind": "member"}]
    return {
        "ruleId": rule.id,
        "ruleIndex": index[rule.id],
        "level": _LEVELS[rule.severity],
        "kind": "open" if rule.severity is Severity.UNJUDGED and report.verdict is not Verdict.REFUSED else "fail",
        "message": {"text": f"{rule.what}: {safe(finding.detail)}. {rule.remedy}"},
        "locations": [location],
        "partialFingerprints": {"badnetsScan/v1": _fingerprint(report, finding)},
        "properties": _tags(rule),
    }


def _fingerprint(report: FileReport, finding: Finding) -> str:
    parts = (report.sha256 or report.path, finding.rule.id, safe(finding.member), str(finding.offset))
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()
