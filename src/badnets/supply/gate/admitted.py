"""What a consumer asks before it loads: are these very bytes admitted, under this policy, at this moment?

The file is read once; what is hashed is what is handed over, so that nobody can exchange it in between.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path, PurePosixPath

from badnets.artifacts import read_bytes, sha256_bytes
from badnets.errors import BadnetsError, InputError
from badnets.supply.gate.log import sound
from badnets.supply.gate.outcome import Word
from badnets.supply.gate.pin import Pin, check_digest
from badnets.supply.gate.policy import Policy
from badnets.supply.gate.store import MODEL, Store, admitted_files
from badnets.supply.gate.verdict import VERDICT, Checked, check_verdict
from badnets.supply.signing.refusal import Refused

# A clock may differ from the gate's by so much.
_SKEW = timedelta(hours=1)


class NotAdmitted(BadnetsError):  # noqa: N818 - a verdict, not a failure of ours
    """These bytes may not be loaded; the message says why in one line."""


@dataclass(frozen=True)
class Admitted:
    """Weights that may be loaded.

    Attributes:
        name: of the file in the model.
        content: its bytes, whose digest the verdict names.
        verdict: on them.
    """

    name: str
    content: bytes
    verdict: Checked


def read_admitted(path: Path, policy: Policy, *, pin: Pin | None = None, now: datetime | None = None) -> Admitted:
    """The bytes of an admitted file of weights.

    Args:
        path: the safetensors file below an admitted model's `model/`, or the admitted model's folder where it has one.
        policy: the consumer's own; the verdict must have been found under it, by a gate that it names.
        pin: what a hub signed along with the model: no other verdict counts then. A policy can ask for it.
        now: the time.

    Raises:
        NotAdmitted: no verdict, one that does not hold, or other bytes than it speaks of.
        InputError: no such file, or several to choose from.
        DataError: the log of the store that holds the model is damaged.
    """
    entry, name = _place(path)
    verdict = _holding(entry, policy, pin, now or datetime.now(UTC))
    weights = [one for one in verdict.admitted if one.endswith(".safetensors")]
    if name is None and len(weights) != 1:
        raise InputError(f"{path} has {len(weights)} files of weights: name one of {', '.join(weights)}")
    name = weights[0] if name is None else name
    content = read_bytes(entry / MODEL / name)
    if verdict.admitted.get(name) != sha256_bytes(content):
        expected = verdict.admitted.get(name)
        words = f"SHA-256 {expected[:16]}... was admitted under this name" if expected else "no such file was admitted"
        raise NotAdmitted(f"{entry / MODEL / name} has SHA-256 {sha256_bytes(content)[:16]}...: {words}")
    return Admitted(name, content, verdict)


def check_entry(entry: Path, policy: Policy, *, pin: Pin | None = None, now: datetime | None = None) -> Checked:
    """The verdict on an admitted model, after every one of its files was compared. Raises as `read_admitted`."""
    verdict = _holding(entry, policy, pin, now or datetime.now(UTC))
    here = admitted_files(entry)
    for name in sorted({*here, *verdict.admitted}):
        if here.get(name) != verdict.admitted.get(name):
            fault = "is missing" if name not in here else "was not admitted, or is not as it was"
            raise NotAdmitted(f"{entry / MODEL / name} {fault}")
    return verdict


def _signed(entry: Path, policy: Policy, pin: Pin | None) -> Checked:
    """The verdict on an admitted model, signed by a gate that counts, and the pinned one where a pin is given."""
    signers = policy.keys(policy.terms.verdict.signers)
    if not signers:
        raise NotAdmitted(f"{policy.name} names no signers under [verdict]: no verdict counts")
    if policy.terms.verdict.pinned and pin is None:
        raise NotAdmitted(f"{entry}: {policy.name} asks for the pin that a hub signs along with a model")
    content = read_bytes(entry / VERDICT)
    try:
        if pin is not None:
            check_digest(pin, content, str(entry))
        return check_verdict(content, signers, str(entry / VERDICT))
    except Refused as refusal:
        raise NotAdmitted(str(refusal)) from refusal


def _holding(entry: Path, policy: Policy, pin: Pin | None, now: datetime) -> Checked:
    verdict = _signed(entry, policy, pin)
    if verdict.word != Word.ADMIT:
        raise NotAdmitted(f"{entry}: the gate's word was {verdict.word}")
    if verdict.policy != policy.digest:
        raise NotAdmitted(
            f"{entry} was admitted under another policy ({verdict.policy[:16]}..., here {policy.digest[:16]}...): "
            "let the gate decide again"
        )
    if not verdict.issued - _SKEW <= now < verdict.expires:
        raise NotAdmitted(
            f"{entry}: the verdict holds from {verdict.issued:%Y-%m-%d %H:%M} to {verdict.expires:%Y-%m-%d %H:%M} UTC, "
            f"and here it is {now:%Y-%m-%d %H:%M}: let the gate decide again"
        )
    store = Store(entry.resolve().parent.parent)
    if store.log.exists() and entry.resolve().parent == store.admitted:
        taken_back = sound(store.log).revoked
        for digest in (verdict.model, *verdict.tensors):
            if digest in taken_back:
                raise NotAdmitted(f"{entry} was taken back: {taken_back[digest]}")
    return verdict


def _place(path: Path) -> tuple[Path, str | None]:
    """The admitted model that a path belongs to, and the name of the file in it."""
    if (path / VERDICT).is_file():
        return path, None
    for folder in path.parents:
        if (folder / VERDICT).is_file() and folder / MODEL in path.parents:
            return folder, str(PurePosixPath(*path.relative_to(folder / MODEL).parts))
    if not path.exists():
        raise InputError(f"there is no {path}")
    raise NotAdmitted(f"{path} has no verdict: expected a file below {MODEL}/ with {VERDICT} beside that folder")
