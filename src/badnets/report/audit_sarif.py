"""An audit's verdict in SARIF 2.1.0, for code hosts and review tools."""

from __future__ import annotations

import hashlib
from pathlib import Path
from urllib.parse import quote

from badnets.audit.verdict import Suspicion, Verdict
from badnets.supply.scan.report import Plain, safe
from badnets.supply.scan.sarif import SCHEMA

_RULES = {
    "audit-backdoored": (
        "The network behaves as if it had a backdoor.",
        "error",
        "Do not use it; badnets report shows why.",
    ),
    "audit-undecided": ("The network could not be judged.", "warning", "Do what the message says, and audit it again."),
}


def audit_sarif(verdict: Verdict, weights: Path) -> Plain:
    """The verdict on the file `weights` as one run: a result for a suspicion that holds, or one that says why none.

    A clean verdict has no result; `executionSuccessful` is false for an undecided one.
    """
    rules = list(_RULES)
    results = [_result(verdict, weights, "audit-backdoored", one) for one in verdict.suspicions if not one.refuted]
    if verdict.word == "undecided":
        results = [_result(verdict, weights, "audit-undecided", None)]
    elif verdict.word == "clean":
        results = []
    for result in results:
        result["ruleIndex"] = rules.index(str(result["ruleId"]))
    undecided = verdict.word == "undecided"
    told = [{"level": "warning", "message": {"text": safe(verdict.reason)}}] if undecided else []
    run: Plain = {
        "tool": {
            "driver": {
                "name": "badnets audit",
                "version": verdict.versions.get("badnets", "0"),
                "rules": [_rule(name) for name in rules],
            }
        },
        "columnKind": "unicodeCodePoints",
        "invocations": [{"executionSuccessful": not undecided, "toolExecutionNotifications": told}],
        "artifacts": [{"location": _place(weights), "properties": {"tensors-v1": verdict.model.digest}}],
        "results": results,
        "properties": {
            "verdict": verdict.word,
            "alpha": verdict.alpha,
            "pValue": verdict.p_value,
            "calibrated": verdict.calibrated,
            "guarantee": verdict.calibration.guarantee,
            "notTested": list(map(safe, verdict.not_tested)),
        },
    }
    return {"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}


def _rule(name: str) -> Plain:
    what, level, remedy = _RULES[name]
    return {
        "id": name,
        "shortDescription": {"text": what},
        "help": {"text": remedy},
        "defaultConfiguration": {"level": level},
        "properties": {"tags": ["security"]},
    }


def _place(weights: Path) -> Plain:
    return {"uri": quote(str(weights), safe="/")}


def _result(verdict: Verdict, weights: Path, rule: str, suspicion: Suspicion | None) -> Plain:
    detail = verdict.reason if suspicion is None else suspicion.detail
    parts = (verdict.model.digest, rule, "" if suspicion is None else suspicion.stage, detail)
    return {
        "ruleId": rule,
        "level": _RULES[rule][1],
        "kind": "open" if suspicion is None else "fail",
        "message": {"text": safe(detail)},
        "locations": [{"physicalLocation": {"artifactLocation": {**_place(weights), "index": 0}}}],
        "partialFingerprints": {"badnetsAudit/v1": hashlib.sha256("\0".join(parts).encode()).hexdigest()},
    }
