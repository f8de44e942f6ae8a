"""The signed verdict on a model: what other machines read, check and enforce.

Three in-toto statements about the same subjects, one DSSE envelope a line: the gate's own statement of evidence, which
is what `load_admitted` goes by, SLSA's verification summary (VSA v1), and a simple verification result (SVR v0.2, only
where the model was admitted). Subjects are every file as it was fetched (`source/NAME`), every file that is admitted
(`admitted/NAME`), and the tensors of each file of weights under their canonical digest (`tensors/NAME`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from importlib.metadata import version
from typing import Any
from urllib.parse import quote

from pydantic import TypeAdapter
from pydantic_core import to_jsonable_python

from badnets.artifacts import canonical_json, parse_json
from badnets.errors import DataError
from badnets.supply.gate.envelope import Envelope, opened, parse, render, sealed, statement_of
from badnets.supply.gate.evidence import Evidence
from badnets.supply.gate.log import Entry
from badnets.supply.gate.outcome import Outcome, Word
from badnets.supply.gate.policy import Policy
from badnets.supply.signing.keys import PrivateKey, PublicKey
from badnets.supply.signing.refusal import Refused
from badnets.supply.signing.strict_json import Object, object_of, objects_of, text_of

VERDICT = "verdict.intoto.jsonl"
VSA = "https://slsa.dev/verification_summary/v1"
SVR = "https://in-toto.io/attestation/svr/v0.2"
EVIDENCE = "urn:x-badnets:gate-evidence:v1"
REVOCATION = "urn:x-badnets:gate-revocation:v1"
VERIFIER = "urn:x-badnets:gate"
FILES, TENSORS = "sha256", "badnetsTensorsV1"
_MOST_LINES = 8


@dataclass(frozen=True)
class Draft:
    """What a verdict says, before it is signed.

    Attributes:
        policy: that was asked.
        evidence: that it was asked about.
        outcome: what came of it.
        admitted: files of the model as they are admitted, name and SHA-256; none where it is not.
        entry: name of the admitted model in the store; empty where it is not admitted.
        bom: SHA-256 of the bill of materials.
        line: of the log that goes with it, without the digest of this statement.
    """

    policy: Policy
    evidence: Evidence
    outcome: Outcome
    admitted: dict[str, str]
    entry: str
    bom: str
    line: Entry

    @property
    def expires(self) -> datetime:
        """Until when it holds."""
        return self.evidence.now + timedelta(days=self.policy.terms.verdict.days)

    @property
    def unsafe(self) -> bool:
        """Whether the bypass was used."""
        return any(leaf.unsafe for leaf in self.outcome.leaves())


@dataclass(frozen=True)
class Checked:
    """A verdict whose signature was checked.

    Attributes:
        signer: the key's name.
        statement: SHA-256 of the statement of evidence.
        word: what was decided.
        policy: digest of the policy.
        issued: when.
        expires: until when it holds.
        unsafe: whether the bypass was used.
        admitted: files by name and SHA-256.
        model: digest of the model as it was fetched.
        tensors: canonical digests.
        predicate: all that it says.
    """

    signer: str
    statement: str
    word: str
    policy: str
    issued: datetime
    expires: datetime
    unsafe: bool
    admitted: dict[str, str]
    model: str
    tensors: tuple[str, ...]
    predicate: Object


def seal_verdict(draft: Draft, key: PrivateKey) -> tuple[Envelope, ...]:
    """The statements of a verdict, signed: evidence first, then VSA, then SVR where the model is admitted."""
    subjects = subjects_of(draft.evidence, draft.admitted)
    evidence = sealed(EVIDENCE, subjects, _evidence(draft), key)
    kinds = [evidence, sealed(VSA, subjects, _summary(draft, evidence.digest), key)]
    if draft.outcome.word == Word.ADMIT:
        kinds.append(sealed(SVR, subjects, _result(draft), key))
    return tuple(kinds)


def verdict_text(envelopes: tuple[Envelope, ...]) -> str:
    """The verdict as a file: an envelope a line."""
    return "".join(f"{render(envelope)}\n" for envelope in envelopes)


def read_lines(content: bytes, where: str) -> tuple[Envelope, ...]:
    """The envelopes of a verdict's file. Raises `Refused`."""
    lines = content.splitlines()
    if not 1 <= len(lines) <= _MOST_LINES:
        raise Refused(f"{where}: expected from 1 to {_MOST_LINES} statements, got {len(lines)}")
    return tuple(parse(line, where) for line in lines)


def check_verdict(content: bytes, keys: Mapping[str, PublicKey], where: str) -> Checked:
    """The verdict in a file, once it is established who signed it.

    Raises:
        Refused: it is no verdict, is signed by none of the keys, or its statements contradict each other.
    """
    opened_all = [(envelope, *opened(envelope, keys, where)) for envelope in read_lines(content, where)]
    by_kind = {text_of(statement, "predicateType", where): statement for _, _, statement in opened_all}
    if len(by_kind) < len(opened_all) or not {EVIDENCE, VSA} <= set(by_kind):
        raise Refused(f"{where}: expected one statement of evidence and one verification summary")
    envelope, signer, statement = next(one for one in opened_all if one[2]["predicateType"] == EVIDENCE)
    if any(other["subject"] != statement["subject"] for other in by_kind.values()):
        raise Refused(f"{where}: its statements speak of different files")
    passed = object_of(by_kind[VSA], "predicate", where).get("verificationResult") == "PASSED"
    checked = _checked(statement, signer, envelope.digest, where)
    if passed != (checked.word == Word.ADMIT):
        raise Refused(f"{where}: its statements contradict each other")
    return checked


def stated(content: bytes, where: str) -> Checked:
    """What a verdict's file says, whoever signed it: for those who know the file's digest from elsewhere.

    Raises:
        Refused: it is no verdict.
    """
    for envelope in read_lines(content, where):
        statement = statement_of(envelope, where)
        if text_of(statement, "predicateType", where) == EVIDENCE:
            return _checked(statement, "", envelope.digest, where)
    raise Refused(f"{where}: expected a statement of evidence")


def anchor_of(envelopes: tuple[Envelope, ...], where: str) -> Entry:
    """The line of the log that a verdict or revocation in the store holds. Raises `Refused`."""
    envelope = envelopes[0]
    predicate = object_of(statement_of(envelope, where), "predicate", where)
    try:
        line = parse_json(Entry, canonical_json(object_of(predicate, "log", where)), where)
    except DataError as error:
        raise Refused(str(error)) from error
    return replace(line, statement=envelope.digest)


def subjects_of(evidence: Evidence, admitted: Mapping[str, str]) -> list[Object]:
    """Every file by name and digest, and the tensors by their canonical digest."""
    found = [(f"source/{file.name}", FILES, file.sha256) for file in evidence.files]
    found += [(f"admitted/{name}", FILES, digest) for name, digest in sorted(admitted.items())]
    found += [(f"tensors/{one.source}", TENSORS, one.tensor_digest) for one in evidence.weights]
    return [{"name": name, "digest": {kind: digest}} for name, kind, digest in found]


def levels(outcome: Outcome, evidence: Evidence) -> list[str]:
    """What was verified, one word for each rule that admitted; none where the model was not."""
    if outcome.word != Word.ADMIT:
        return []
    words = []
    for leaf in outcome.leaves():
        name = leaf.rule.upper().replace("-", "_")
        if leaf.unsafe:
            words.append("GATE_UNSAFE_BYPASS")
        elif leaf.waived:
            words.append(f"GATE_WAIVED_{name}")
        elif leaf.rule == "audit" and leaf.word == Word.ADMIT:
            rates = [one.false_positive_rate for one in evidence.audits if one.false_positive_rate is not None]
            words.append(f"GATE_AUDIT_FPR_{max(rates, default=1.0):.3g}")
        elif leaf.word == Word.ADMIT:
            words.append(f"GATE_{name}")
    return list(dict.fromkeys(words))


def _summary(draft: Draft, evidence: str) -> Object:
    audits = [{"uri": "urn:x-badnets:audit", "digest": {"sha256": one.sha256}} for one in draft.evidence.audits]
    return {
        "verifier": {"id": VERIFIER, "version": {"badnets": version("badnets")}},
        "timeVerified": _time(draft.evidence.now),
        "resourceUri": _uri(draft.evidence),
        "policy": {"uri": f"file:{quote(draft.policy.name)}", "digest": {"sha256": draft.policy.digest}},
        "inputAttestations": [{"uri": EVIDENCE, "digest": {"sha256": evidence}}, *audits],
        "verificationResult": "PASSED" if draft.outcome.word == Word.ADMIT else "FAILED",
        "verifiedLevels": levels(draft.outcome, draft.evidence),
        "urn:x-badnets:expires": _time(draft.expires),
    }


def _result(draft: Draft) -> Object:
    policy = {"name": draft.policy.name, "digest": {"sha256": draft.policy.digest}}
    days = f"GATE_HOLDS_{draft.policy.terms.verdict.days:g}_DAYS"
    return {
        "verifier": {"id": VERIFIER, "policies": [policy]},
        "timeCreated": _time(draft.evidence.now),
        "properties": [*levels(draft.outcome, draft.evidence), days],
    }


def _evidence(draft: Draft) -> Object:
    evidence = draft.evidence
    return {
        "decision": draft.outcome.word,
        "issued": _time(evidence.now),
        "expires": _time(draft.expires),
        "unsafe": draft.unsafe,
        "policy": {"name": draft.policy.name, "digest": {"sha256": draft.policy.digest}},
        "model": evidence.digest,
        "entry": draft.entry,
        "outcome": _plain(draft.outcome),
        "evidence": _plain(evidence),
        "notTested": sorted({line for one in evidence.audits for line in one.not_tested}),
        "bom": {"digest": {"sha256": draft.bom}},
        "log": _plain(draft.line),
    }


def _checked(statement: Object, signer: str, digest: str, where: str) -> Checked:
    predicate = object_of(statement, "predicate", where)
    policy = object_of(object_of(predicate, "policy", where), "digest", where)
    subjects: dict[str, dict[str, str]] = {"admitted": {}, "tensors": {}, "source": {}}
    for subject in objects_of(statement, "subject", where):
        area, _, name = text_of(subject, "name", where).partition("/")
        kind = TENSORS if area == "tensors" else FILES
        held = subjects.setdefault(area, {})
        if name in held:
            raise Refused(f"{where}: {area}/{name} comes twice")
        held[name] = text_of(object_of(subject, "digest", where), kind, where)
    times = TypeAdapter(datetime)
    try:
        issued, expires = (times.validate_python(text_of(predicate, name, where)) for name in ("issued", "expires"))
        if issued.tzinfo is None or expires.tzinfo is None:
            raise Refused(f"{where}: a time without its zone")
    except ValueError as error:
        raise Refused(f"{where}: a time that is none") from error
    return Checked(
        signer=signer,
        statement=digest,
        word=text_of(predicate, "decision", where),
        policy=text_of(policy, "sha256", where),
        issued=issued,
        expires=expires,
        unsafe=predicate.get("unsafe") is not False,
        admitted=subjects["admitted"],
        model=text_of(predicate, "model", where),
        tensors=tuple(sorted(set(subjects["tensors"].values()))),
        predicate=predicate,
    )


def _uri(evidence: Evidence) -> str:
    if evidence.kind == "huggingface":
        return f"pkg:huggingface/{quote(evidence.name)}@{evidence.commit}"
    return f"{'hub' if evidence.kind == 'hub' else 'file'}:{quote(evidence.name)}"


def _time(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z")


def _plain(value: object) -> Any:  # noqa: ANN401 - what JSON knows
    return to_jsonable_python(value)
