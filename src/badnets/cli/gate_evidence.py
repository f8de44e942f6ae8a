"""Reads what is brought to the gate beside the model: verdicts of audits, and waivers.

The audit's verdict and the gate's evidence know nothing of each other; here they are joined.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from badnets.audit.verdict import Verdict
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

    found = []
    for path in paths:
        file = path / VERDICT if path.is_dir() else path
        content = read_bytes(file)
        signer = _signer(file, sha256_bytes(content), policy)
        found.append(evidence_of(parse_json(Verdict, content, str(file)), sha256_bytes(content), signer))
    return tuple(found)


def evidence_of(verdict: Verdict, sha256: str, trusted_as: str = "") -> AuditEvidence:
    """What a policy can ask of an audit's verdict.

    Args:
        verdict: the audit's.
        sha256: of its file.
        trusted_as: the policy's key that signed the file.
    """
    from badnets.supply.gate.evidence import AuditEvidence

    calibration = verdict.calibration
    return AuditEvidence(
        tensor_digest=verdict.model.digest,
        word=verdict.word,
        reason=verdict.reason,
        alpha=verdict.alpha,
        p_value=verdict.p_value,
        population=calibration.population,
        false_positive_rate=calibration.false_positive_rate,
        guarantee=calibration.guarantee,
        tests=tuple(stage.name for stage in verdict.stages if stage.outcome == "ran"),
        not_tested=verdict.not_tested,
        scores=tuple(_score(one.stage, one.z, one.detail) for one in verdict.suspicions)
        + tuple(f"{stage.name}: {stage.outcome}: {stage.detail}" for stage in verdict.stages),
        seed=verdict.seed,
        versions=verdict.versions,
        sha256=sha256,
        trusted_as=trusted_as,
    )


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


def _score(stage: str, z: float | None, detail: str) -> str:
    return f"{stage}: {detail}" if z is None else f"{stage}: z = {z:.3g}: {detail}"


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
