"""What an audit says, as the gate hears it: a room of its own, as `audit` and `supply` know nothing of each other."""

from __future__ import annotations

from badnets.audit.verdict import Verdict
from badnets.supply.gate.evidence import AuditEvidence


def evidence_of(verdict: Verdict, sha256: str, trusted_as: str = "") -> AuditEvidence:
    """What a policy can ask of an audit's verdict.

    Args:
        verdict: the audit's.
        sha256: of its file.
        trusted_as: the policy's key that signed the file.
    """
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


def _score(stage: str, z: float | None, detail: str) -> str:
    return f"{stage}: {detail}" if z is None else f"{stage}: z = {z:.3g}: {detail}"
