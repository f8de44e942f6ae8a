"""The bill of materials of a model: CycloneDX 1.6 with a machine-learning component, each field verified or claimed.

Verified is what the gate found in the bytes itself: names, digests, formats, counts. Claimed is what somebody said and
nobody can check here, such as an audit's account of a training population. The property `badnets:status` says which.

Source: CycloneDX 1.6 JSON schema (`bom-1.6.schema.json`).
"""

from __future__ import annotations

from importlib.metadata import version
from uuid import UUID

from badnets.artifacts import sha256_json
from badnets.supply.gate.evidence import AuditEvidence, Evidence, FileEvidence, WeightsEvidence
from badnets.supply.gate.outcome import Outcome

Object = dict[str, object]
_STATUS = "badnets:status"


def bill(evidence: Evidence, outcome: Outcome) -> Object:
    """The bill of one model. The same evidence gives the same bill."""
    serial = UUID(bytes=bytes.fromhex(sha256_json([evidence.digest, evidence.now]))[:16], version=4)
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{serial}",
        "version": 1,
        "metadata": {
            "timestamp": evidence.now.isoformat(timespec="seconds").replace("+00:00", "Z"),
            "tools": {"components": [{"type": "application", "name": "badnets", "version": version("badnets")}]},
            "component": _model(evidence, outcome),
        },
        "components": [_file(file) for file in evidence.files] + [_weights(one) for one in evidence.weights],
    }


def _model(evidence: Evidence, outcome: Outcome) -> Object:
    properties = [
        _verified("badnets:model-digest", evidence.digest),
        _verified("badnets:decision", str(outcome.word)),
        *(_verified("badnets:tensor-digest", one.tensor_digest) for one in evidence.weights),
        _claimed("badnets:source", evidence.source),
        _claimed("badnets:name", evidence.name),
    ]
    if evidence.hub:
        properties.append(_verified("badnets:hub-signatures", f"{evidence.hub.signatures} of {evidence.hub.keys}"))
    good = [one for one in evidence.signatures if one.ok]
    properties += [_verified("badnets:signed-by", f"{one.signer} ({one.trusted_as})") for one in good]
    card: Object = {
        "quantitativeAnalysis": {"performanceMetrics": [_metric(audit) for audit in evidence.audits]},
        "considerations": {"technicalLimitations": _limits(evidence.audits)},
        "properties": [
            {"name": f"{_STATUS}:{part}", "value": "claimed"} for part in ("quantitativeAnalysis", "considerations")
        ],
    }
    return {
        "type": "machine-learning-model",
        "bom-ref": evidence.digest,
        "name": evidence.name,
        "version": evidence.commit or evidence.digest[:16],
        "modelCard": card,
        "properties": [one for pair in properties for one in pair],
    }


def _file(file: FileEvidence) -> Object:
    properties = (
        _verified("badnets:format", file.format),
        _verified("badnets:scan", file.verdict or "not scanned"),
        _verified("badnets:size", str(file.size)),
    )
    return _component(f"source/{file.name}", file.sha256, properties)


def _weights(one: WeightsEvidence) -> Object:
    properties = (
        _verified("badnets:converted-from", one.source),
        _verified("badnets:tensor-digest", one.tensor_digest),
        _verified("badnets:parameters", str(one.parameters)),
        _verified("badnets:dtypes", ",".join(one.dtypes)),
    )
    return _component(f"admitted/{one.name}", one.sha256, properties)


def _component(name: str, sha256: str, properties: tuple[list[Object], ...]) -> Object:
    return {
        "type": "file",
        "bom-ref": f"{name}#{sha256}",
        "name": name,
        "hashes": [{"alg": "SHA-256", "content": sha256}],
        "properties": [one for pair in properties for one in pair],
    }


def _metric(audit: AuditEvidence) -> Object:
    rate = "not stated" if audit.false_positive_rate is None else f"{audit.false_positive_rate:.3g}"
    value = "none" if audit.p_value is None else f"{audit.p_value:.3g}"
    return {"type": f"backdoor audit: {audit.word}, p-value (stated false-positive rate {rate})", "value": value}


def _limits(audits: tuple[AuditEvidence, ...]) -> list[str]:
    return sorted({f"not tested: {line}" for audit in audits for line in audit.not_tested}) or ["no audit was done"]


def _verified(name: str, value: str) -> list[Object]:
    return [{"name": name, "value": value}, {"name": f"{_STATUS}:{name}", "value": "verified"}]


def _claimed(name: str, value: str) -> list[Object]:
    return [{"name": name, "value": value}, {"name": f"{_STATUS}:{name}", "value": "claimed"}]
