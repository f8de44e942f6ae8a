"""Finds out what can be found out about a model in quarantine: signatures, scan, conversion, audits.

A stage that would only be about what an earlier one has turned away is skipped, and the evidence says so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from importlib.metadata import version
from pathlib import Path

from badnets.artifacts import printable
from badnets.errors import BadnetsError, DataError
from badnets.supply.gate.conversion import convert_all, converted
from badnets.supply.gate.evidence import (
    AuditEvidence,
    Evidence,
    FileEvidence,
    SignatureEvidence,
    WaiverEvidence,
    worst_audits,
)
from badnets.supply.gate.intake import Brought
from badnets.supply.gate.log import History
from badnets.supply.gate.policy import Limits, Policy, leaf_rules
from badnets.supply.gate.rules import Signed
from badnets.supply.hashing import list_folder, sha256_files
from badnets.supply.scan import source as scan_source
from badnets.supply.scan.findings import FileReport, Severity
from badnets.supply.scan.scan import scan
from badnets.supply.signing import Refused, read_bundle, verify

# Has the weights in a safetensors file audited.
Auditor = Callable[[Path], AuditEvidence]
IN_FOLDER = "model.sig"


@dataclass(frozen=True)
class Extras:
    """What comes beside the model.

    Attributes:
        signature: a signature file; None looks for `model.sig` in a folder.
        audits: evidence from files.
        waivers: those that count.
        auditor: runs an audit where none was given; None runs none.
    """

    signature: Path | None = None
    audits: tuple[AuditEvidence, ...] = ()
    waivers: tuple[WaiverEvidence, ...] = ()
    auditor: Auditor | None = None


def examine(place: Path, brought: Brought, policy: Policy, extras: Extras, *, now: datetime) -> Evidence:
    """All evidence about the model in `place/files`; converted weights are left in `place/converted`.

    Raises:
        DataError: a file is not what it was when it came.
    """
    files = place / "files"
    listing = list_folder(files)
    digests = sha256_files(listing.files)
    found = tuple(FileEvidence(file.name, digests[file.name], file.state.size) for file in listing.files)
    evidence = Evidence(
        brought.source,
        brought.kind,
        brought.name,
        now,
        files=found,
        odd=brought.odd + tuple(f"{name} is {kind}" for name, kind in listing.odd),
        hub=brought.hub,
        commit=brought.commit,
        waivers=extras.waivers,
        tools={"badnets": version("badnets")},
    )
    evidence = replace(evidence, signatures=tuple(_signatures(files, brought, policy, extras.signature)))
    evidence = replace(evidence, files=tuple(_scanned(evidence, files, policy.terms.limits)))
    if any(file.verdict != "clean" for file in evidence.files):
        return replace(evidence, skipped=("conversion and audit: not every file is clean",))
    evidence = convert_all(evidence, place, policy.terms.limits)
    if not evidence.weights:
        return replace(evidence, skipped=("audit: no weights were converted",))
    return replace(evidence, audits=_audits(evidence, place, extras))


def remembering(evidence: Evidence, history: History) -> Evidence:
    """The evidence with what the log says of this very model and of these very tensors."""
    own = {evidence.digest, *(one.tensor_digest for one in evidence.weights)}
    return replace(
        evidence,
        condemned={digest: why for digest, why in history.condemned.items() if digest in own},
        revoked={digest: why for digest, why in history.revoked.items() if digest in own},
    )


def _signatures(files: Path, brought: Brought, policy: Policy, signature: Path | None) -> Iterator[SignatureEvidence]:
    one_file = brought.kind == "file"
    path = signature or (None if one_file else files / IN_FOLDER)
    rules = [rule for rule in leaf_rules(policy.terms.require) if isinstance(rule, Signed)]
    names = sorted({name for rule in rules for name in (*rule.keys, *rule.authorities)})
    if path is None or not path.exists():
        return
    held = list_folder(files).files
    model = held[0].path if len(held) == 1 and path.parent != files else files
    for name in names:
        try:
            done = verify(model, read_bundle(path), policy.trust[name], signature=path)
        except (Refused, BadnetsError) as error:
            yield SignatureEvidence(name, None, ok=False, reason=str(error))
            continue
        if done.ok:
            yield SignatureEvidence(name, done.signer, ok=True, reason=f"{done.files:,} file(s) as signed")
        else:
            first = done.mismatches[0] if done.mismatches else None
            reason = done.refusal or (f"{first.name}: {first.fault}: {first.detail}" if first else "refused")
            yield SignatureEvidence(name, done.signer, ok=False, reason=printable(reason))


def _scanned(evidence: Evidence, files: Path, limits: Limits) -> Iterator[FileEvidence]:
    reports = {report.path: report for report in scan(files, limits=scan_source.Limits(seconds=limits.seconds))}
    for file in evidence.files:
        report = reports.get(file.name)
        if report is None:
            yield replace(file, verdict="unjudged", findings=("the scan did not come to it",))
            continue
        if report.sha256 not in (None, file.sha256):
            raise DataError(f"{file.name} changed in the quarantine: somebody else writes there")
        yield replace(
            file,
            format=report.format,
            verdict=str(report.verdict),
            findings=tuple(_lines(report, (Severity.REFUSE, Severity.UNJUDGED))),
            notes=tuple(_lines(report, (Severity.NOTE,))),
        )


def _lines(report: FileReport, wanted: tuple[Severity, ...]) -> Iterator[str]:
    for severity in wanted:
        for finding in report.findings[:100]:
            if finding.rule.severity == severity:
                member = f" in {finding.member}" if finding.member else ""
                yield printable(f"{finding.rule.id}{member}: {finding.detail}")


def _audits(evidence: Evidence, place: Path, extras: Extras) -> tuple[AuditEvidence, ...]:
    given = {audit.tensor_digest for audit in extras.audits}
    missing = [one for one in evidence.weights if one.tensor_digest not in given] if extras.auditor else []
    ran = [replace(extras.auditor(converted(place, one.name)), ran_here=True) for one in missing if extras.auditor]
    return worst_audits((*extras.audits, *ran))
