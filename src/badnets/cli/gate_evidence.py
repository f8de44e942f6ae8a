"""Reads what is brought to the gate beside the model: verdicts of audits, and waivers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from badnets.supply.gate.evidence import AuditEvidence, WaiverEvidence
    from badnets.supply.gate.policy import Policy


def read_audits(paths: Sequence[Path], policy: Policy) -> tuple[AuditEvidence, ...]:
    """The audits in these files; `FILE.sig` beside one says who signed it.

    Raises:
        InputError: no such file.
        DataError: its content is no verdict of an audit.
    """
    from badnets.artifacts import parse_json, read_bytes, sha256_bytes
    from badnets.audit.verdict import VERDICT, Verdict
    from badnets.testimony import evidence_of

    found = []
    for path in paths:
        file = path / VERDICT if path.is_dir() else path
        content = read_bytes(file)
        signer = _signer(file, sha256_bytes(content), policy)
        found.append(evidence_of(parse_json(Verdict, content, str(file)), sha256_bytes(content), signer))
    return tuple(found)


def read_waivers(paths: Sequence[Path], policy: Policy) -> tuple[WaiverEvidence, ...]:
    """The waivers in these files that count under a policy.

    Raises:
        InputError: no such file, or a waiver that does not count, with the reason.
    """
    from datetime import UTC, datetime

    from badnets.artifacts import read_bytes
    from badnets.errors import InputError
    from badnets.supply.gate.envelope import parse
    from badnets.supply.gate.waiver import checked_waiver
    from badnets.supply.signing import Refused

    found = []
    for path in paths:
        try:
            found.append(checked_waiver(parse(read_bytes(path), str(path)), policy, datetime.now(UTC), str(path)))
        except Refused as refusal:
            raise InputError(str(refusal)) from refusal
    return tuple(found)


def _signer(file: Path, sha256: str, policy: Policy) -> str:
    """Which key of the policy signed the file of this digest, as `FILE.sig` beside it says; empty for none."""
    from badnets.supply.signing import Refused, authenticate, read_bundle

    signature = file.with_name(f"{file.name}.sig")
    if not signature.exists():
        return ""
    for name, trust in policy.trust.items():
        try:
            _, manifest = authenticate(read_bundle(signature), trust)
        except Refused:
            continue
        if [resource.digest for resource in manifest.resources] == [sha256] and manifest.shard_size is None:
            return name
    return ""
