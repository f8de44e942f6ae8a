"""The gate: fetch, quarantine, provenance, scan, convert, audit, verdict, admitted store; one decision on one model.

The decision counts once its line is in the log; a kill at any moment leaves a store in which every admitted model has
its line, and the same call again completes it.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from pydantic_core import to_jsonable_python

from badnets.artifacts import canonical_json, make_folder, sha256_bytes, write_bytes, write_text
from badnets.errors import InputError
from badnets.supply.gate.bom import bill
from badnets.supply.gate.conversion import converted
from badnets.supply.gate.envelope import Envelope, sealed
from badnets.supply.gate.evidence import Evidence, files_digest
from badnets.supply.gate.examine import IN_FOLDER, Extras, examine, remembering
from badnets.supply.gate.intake import Bring
from badnets.supply.gate.log import Entry, History, sound
from badnets.supply.gate.outcome import Outcome, Word
from badnets.supply.gate.policy import Policy, decide
from badnets.supply.gate.store import MODEL, Plan, Store, commit, ready_evidence, ready_model, running, writing
from badnets.supply.gate.verdict import REVOCATION, TENSORS, VERDICT, Draft, seal_verdict, verdict_text
from badnets.supply.signing.keys import PrivateKey

BOM, POLICY = "mlbom.cdx.json", "policy.json"
_NOTHING = Extras()


@dataclass(frozen=True)
class Keeper:
    """Who decides.

    Attributes:
        policy: what may come in.
        store: where decisions and admitted models are kept.
        key: that signs verdicts; None decides without a verdict, a line in the log, or anything admitted.
        wait: seconds to wait for another gate that is just writing.
    """

    policy: Policy
    store: Store
    key: PrivateKey | None
    wait: float = 60.0


@dataclass(frozen=True)
class Decision:
    """What the gate decided about one model.

    Attributes:
        outcome: the word, and the rules that it is due to.
        evidence: that they were asked about.
        unsafe: whether the bypass was used.
        path: of the admitted model in the store; None where it is not admitted.
        folder: of the signed evidence in the store; None in a dry run.
        expires: until when the verdict holds; None in a dry run.
        pin: what a hub signs along with the model so that its users know the verdict; empty where there is none.
        head: of the log, to keep elsewhere; empty in a dry run.
    """

    outcome: Outcome
    evidence: Evidence
    unsafe: bool
    path: Path | None = None
    folder: Path | None = None
    expires: datetime | None = None
    pin: dict[str, object] | None = None
    head: str = ""

    @property
    def word(self) -> Word:
        """What was decided."""
        return self.outcome.word


def gate(bring: Bring, keeper: Keeper, *, extras: Extras = _NOTHING, now: datetime | None = None) -> Decision:
    """Decide about one model, and admit it or not.

    Args:
        bring: brings the model, see `intake`.
        keeper: policy, store and key.
        extras: what comes beside the model.
        now: the time.

    Raises:
        InputError: no such model.
        DataError: the log is damaged, or the model could not be had as it is.
        hub.Refused: what came from a hub cannot be accepted.
        StorageError: another process holds the store for too long, or it cannot be written.
    """
    now = (now or datetime.now(UTC)).replace(microsecond=0)
    policy, store = keeper.policy, keeper.store
    with running(store, keeper.wait) as place:
        files = make_folder(place / "files")
        brought = bring(files, policy.terms.limits)
        evidence = remembering(examine(place, brought, policy, extras, now=now), sound(store.log))
        outcome = decide(policy, evidence)
        if keeper.key is None:
            return Decision(outcome, evidence, any(leaf.unsafe for leaf in outcome.leaves()))
        admitted = _prepare(place, evidence) if outcome.word == Word.ADMIT else {}
        with writing(store, keeper.wait):
            history = sound(store.log)
            evidence = remembering(evidence, history)  # what others have decided meanwhile counts too
            draft = _draft(policy, evidence, decide(policy, evidence), admitted, history)
            return _commit(store, place, keeper.key, draft)


def revoke(entry: str, reason: str, store: Store, key: PrivateKey, *, wait: float = 60.0) -> Entry:
    """Take an admitted model back: it leaves the store, and neither its files nor its tensors are admitted again.

    Args:
        entry: its name in the store.
        reason: in one line.
        store: that holds it.
        key: that signs it.
        wait: seconds to wait for a gate that is just deciding.

    Raises:
        InputError: the log knows of no such model, or the reason is missing.
        DataError: the log is damaged.
        StorageError: as in `gate`.
    """
    if not reason.strip() or len(reason) > 500:
        raise InputError("a revocation needs a reason, of 1 to 500 letters")
    now = datetime.now(UTC).replace(microsecond=0)
    with running(store, wait) as place, writing(store, wait):
        history = sound(store.log)
        known = [one for one in history.entries if one.admitted == entry]
        if not known:
            raise InputError(f"the log knows of no admitted model {entry[:64]}")
        if known[-1].kind == "revocation":
            return known[-1]
        last = known[-1]
        line = Entry(
            number=len(history.entries), previous=history.head, time=now, kind="revocation", word="revoked",
            source=last.source, model=last.model, tensors=last.tensors, backdoored=(), policy="",
            statement="", admitted=entry, unsafe=False, reason=reason,
        )  # fmt: skip
        statement = _revocation(line, key)
        folder = make_folder(ready_evidence(place))
        write_text(folder / VERDICT, verdict_text((statement,)))
        line = replace(line, statement=statement.digest)
        commit(store, place, Plan(statement.digest, ""), line)
    with writing(store, wait):  # which takes out of the store what the log takes back
        return line


def _prepare(place: Path, evidence: Evidence) -> dict[str, str]:
    """Lay the model out as it is admitted; its files by name and SHA-256."""
    model = make_folder(ready_model(place) / MODEL)
    by_source = {one.source: one for one in evidence.weights}
    parts = {shard for one in evidence.weights for shard in one.shards}
    admitted: dict[str, str] = {}
    for file in evidence.files:
        weights = by_source.get(file.name)
        if file.name in parts or (file.name == IN_FOLDER and weights is None):
            continue  # a signature is of what came, and says nothing of what is admitted
        name = weights.name if weights else file.name
        source = converted(place, weights.name) if weights else place / "files" / file.name
        make_folder((model / name).parent)
        shutil.move(source, model / name)
        (model / name).chmod(0o444)
        admitted[name] = weights.sha256 if weights else file.sha256
    return admitted


def _draft(policy: Policy, evidence: Evidence, outcome: Outcome, admitted: dict[str, str], history: History) -> Draft:
    if outcome.word != Word.ADMIT:
        admitted = {}
    entry = files_digest(admitted.items()) if admitted else ""
    bom = sha256_bytes(canonical_json(bill(evidence, outcome)).encode())
    digests = {one.tensor_digest for one in evidence.weights}
    condemned = {one.tensor_digest for one in evidence.audits if one.word == "backdoored"}
    line = Entry(
        number=len(history.entries), previous=history.head, time=evidence.now, kind="decision",
        word=str(outcome.word), source=evidence.source, model=evidence.digest, tensors=tuple(sorted(digests)),
        backdoored=tuple(sorted(digests & condemned)), policy=policy.digest, statement="", admitted=entry,
        unsafe=any(leaf.unsafe for leaf in outcome.leaves()),
        reason="; ".join(f"{leaf.rule}: {leaf.reason}" for leaf in outcome.deciding())[:500],
    )  # fmt: skip
    return Draft(policy, evidence, outcome, admitted, entry, bom, line)


def _commit(store: Store, place: Path, key: PrivateKey, draft: Draft) -> Decision:
    evidence, outcome = draft.evidence, draft.outcome
    envelopes = seal_verdict(draft, key)
    content = verdict_text(envelopes).encode()
    folder = make_folder(ready_evidence(place))
    write_bytes(folder / VERDICT, content)
    write_text(folder / BOM, canonical_json(bill(evidence, outcome)))
    write_text(folder / POLICY, draft.policy.document)
    if draft.entry:
        write_bytes(ready_model(place) / VERDICT, content)
    line = replace(draft.line, statement=envelopes[0].digest)
    head = commit(store, place, Plan(envelopes[0].digest, draft.entry), line)
    pin: dict[str, object] = {
        "verdict_sha256": sha256_bytes(content), "policy_sha256": draft.policy.digest, "word": str(outcome.word),
        "expires": draft.expires.isoformat(),
    }  # fmt: skip
    return Decision(
        outcome,
        evidence,
        draft.unsafe,
        path=store.admitted / draft.entry if draft.entry else None,
        folder=store.evidence / envelopes[0].digest,
        expires=draft.expires,
        pin=pin,
        head=head,
    )


def _revocation(line: Entry, key: PrivateKey) -> Envelope:
    subject: list[dict[str, object]] = [{"name": "model", "digest": {"badnetsFilesV1": line.model}}]
    subject += [{"name": f"tensors/{digest[:16]}", "digest": {TENSORS: digest}} for digest in line.tensors]
    return sealed(REVOCATION, subject, {"reason": line.reason, "log": to_jsonable_python(line)}, key)
