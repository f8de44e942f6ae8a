"""A waiver: a person's signed word that one rule need not hold for one model, for some time.

It is an in-toto statement whose subject is the model: every file by name and SHA-256, as `Evidence.digest` has it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from badnets.artifacts import canonical_json, parse_json
from badnets.errors import BadnetsError, InputError
from badnets.supply.gate.envelope import Envelope, opened, sealed
from badnets.supply.gate.evidence import WaiverEvidence
from badnets.supply.gate.policy import Policy
from badnets.supply.signing.keys import PrivateKey
from badnets.supply.signing.refusal import Refused

PREDICATE = "urn:x-badnets:gate-waiver:v1"
_LONGEST_REASON = 500


@dataclass(frozen=True)
class Waiver:
    """What is signed.

    Attributes:
        model: digest of the model's files.
        rule: the name of the rule.
        reason: in one line.
        issued: when.
        expires: until when it holds.
    """

    model: str
    rule: str
    reason: str
    issued: datetime
    expires: datetime

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - pydantic reads it, nothing writes it

    def __post_init__(self) -> None:
        if len(self.model) != 64 or set(self.model) - set("0123456789abcdef"):
            raise InputError("a waiver names a model by its digest, 64 small hex digits, which gate --explain shows")
        if not self.reason.strip() or len(self.reason) > _LONGEST_REASON:
            raise InputError(f"a waiver needs a reason, of 1 to {_LONGEST_REASON} letters")
        if self.expires.tzinfo is None or self.issued.tzinfo is None or self.expires <= self.issued:
            raise InputError("a waiver expires after it is issued, both with their time zone")


def seal_waiver(waiver: Waiver, key: PrivateKey) -> Envelope:
    """Sign a waiver."""
    subject: list[dict[str, object]] = [{"name": "model", "digest": {"badnetsFilesV1": waiver.model}}]
    fields = {
        "rule": waiver.rule, "reason": waiver.reason,
        "issued": waiver.issued.isoformat(), "expires": waiver.expires.isoformat(),
    }  # fmt: skip
    return sealed(PREDICATE, subject, dict(fields), key)


def checked_waiver(envelope: Envelope, policy: Policy, now: datetime, where: str) -> WaiverEvidence:
    """A waiver that counts under a policy.

    Raises:
        Refused: it is signed by nobody who may, for a rule that may not be waived, for too long, or has expired.
    """
    terms = policy.terms.waivers
    signer, statement = opened(envelope, policy.keys(terms.signers), where)
    waiver = _read(statement, where)
    if waiver.rule not in terms.rules:
        raise Refused(f"{where}: the policy lets nobody waive the rule {waiver.rule[:40]!r}")
    if now < waiver.issued - timedelta(hours=1) or now >= waiver.expires:
        raise Refused(f"{where} holds from {waiver.issued:%Y-%m-%d %H:%M} to {waiver.expires:%Y-%m-%d %H:%M} UTC")
    if waiver.expires - waiver.issued > timedelta(days=terms.days):
        raise Refused(f"{where} holds for longer than the {terms.days:g} days that the policy allows")
    return WaiverEvidence(waiver.model, waiver.rule, waiver.reason, waiver.expires, signer, envelope.digest)


def _read(statement: dict[str, object], where: str) -> Waiver:
    if statement["predicateType"] != PREDICATE:
        raise Refused(f"{where} is no waiver, but {statement['predicateType']!r}")
    try:
        fields = statement["predicate"]
        subjects = statement["subject"]
        digest = subjects[0]["digest"]["badnetsFilesV1"]  # type: ignore[index]
        return parse_json(Waiver, canonical_json({**fields, "model": digest}), where)  # type: ignore[dict-item]
    except (TypeError, KeyError, IndexError, BadnetsError) as error:
        raise Refused(f"{where} is no waiver: {' '.join(str(error).split())[:200]}") from error
