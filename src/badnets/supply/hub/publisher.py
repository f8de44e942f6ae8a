"""What publishers and auditors do with a hub. Each call is one change: it counts whole, waits whole, or never was.

`now` is for tests and for machines whose clock is known to be wrong; keys are a `KeyRing`. A change whose signatures
are not complete is staged, and `sign` by those who are missing completes it. Further changes go on top of a staged one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from tuf.api.metadata import DelegatedRole, Delegations, Metadata, Root, Targets

from badnets.artifacts import make_folder, write_json
from badnets.errors import InputError
from badnets.supply.hub.commit import Outcome, commit
from badnets.supply.hub.content import place, sweep
from badnets.supply.hub.draft import REVOKED, Draft, Places, Validity, delegated, read_draft, this_second
from badnets.supply.hub.keys import ADMISSION, TOP, Holders, KeyRing, Setup, key_id, tuf_key
from badnets.supply.hub.lock import locked
from badnets.supply.hub.names import check_model
from badnets.supply.hub.staging import take_staged
from badnets.supply.signing.keys import PublicKey

# More models than this in one role, and its metadata outgrows what clients take (5 MB, at about 140 bytes each).
MOST = 30_000
BIN_BITS = 8
# Every name: one prefix for each first hex digit. A pattern `*` would not cover names with a `/`.
_ANY = list("0123456789abcdef")
_WHAT = "the hub"


def init(
    folder: Path, setup: Setup, ring: KeyRing, *, now: datetime | None = None, validity: Validity = Validity()
) -> Path:
    """Make an empty hub; the same call again completes one that was cut short.

    Returns:
        The root file that clients start their trust from.

    Raises:
        InputError: there is a hub already, or private keys are missing.
        StorageError: it cannot be written.
    """
    places = Places(folder)
    with locked(folder, _WHAT):
        first = places.role(Root.type, 1)
        if places.timestamp.exists():
            raise InputError(f"there is a hub in {folder} already: name another folder")
        draft = Draft(places, now or this_second(), validity, Metadata(Root(consistent_snapshot=True)))
        root = draft.edit_root()
        for role in TOP:
            _hold(root, role, getattr(setup, role))
        keys, judges = _named(setup.admission)
        every = DelegatedRole(ADMISSION, judges, setup.admission.threshold, terminating=True, path_hash_prefixes=_ANY)
        draft.add(Targets.type).delegations = Delegations(keys, {ADMISSION: every})
        draft.add(ADMISSION)
        make_folder(places.targets)
        write_json(places.settings, validity)
        outcome = commit(draft, ring)
        if not outcome.committed:
            places.staged.unlink(missing_ok=True)
            lacking = ", ".join(f"{one.role} ({one.have} of {one.need})" for one in outcome.missing)
            raise InputError(f"a new hub is signed at once, and private keys are missing for {lacking}")
    return first


def publish(
    folder: Path,
    models: Mapping[str, Path],
    ring: KeyRing,
    *,
    custom: Mapping[str, Any] | None = None,
    now: datetime | None = None,
    wait: float = 10.0,
) -> Outcome:
    """Offer models, each a file or a folder, under their names; a name that is taken gets a new version.

    Args:
        folder: the hub.
        models: where each lies, by name.
        ring: the keys at hand.
        custom: signed along with each of the models, for instance the digest of a verdict.
        now: the time.
        wait: seconds to wait for another publisher.

    Raises:
        InputError: a name that no model may have, no such file, or content that was revoked under this name.
        DataError: a file changed while it was read.
        StorageError: another publisher is at work, or the hub cannot be written.
    """
    if not models:
        raise InputError("no model is named: nothing to publish")
    for name in models:
        check_model(name)
    with _editing(folder, now, wait) as draft:
        targets = draft.places.targets
        for name, source in models.items():
            file = place(targets, name, source, dict(custom or {}))
            role = draft.edit(draft.role_of(name))
            taken_back = _revoked(role).get(name)
            if taken_back and taken_back.get("sha256") == file.hashes["sha256"]:
                raise InputError(f"this content of {name} was revoked: {taken_back.get('reason')}; publish another")
            role.targets[name] = file
        for long in [name for name in delegated(draft.role(Targets.type)) if len(draft.role(name).targets) > MOST]:
            _split(draft, long, BIN_BITS)
        return commit(draft, ring)


def revoke(
    folder: Path, names: Sequence[str], ring: KeyRing, *, reason: str, now: datetime | None = None, wait: float = 10.0
) -> Outcome:
    """Take models back: clients are told so, with the reason, and the same content is not published again.

    Raises:
        InputError: no such model, or no reason.
        StorageError: as in `publish`.
    """
    if not reason.strip() or len(reason) > 500:
        raise InputError("a revocation needs a reason, of 1 to 500 letters")
    with _editing(folder, now, wait) as draft:
        for name in names:
            role = draft.edit(draft.role_of(name))
            file = role.targets.pop(name, None)
            if file is None:
                raise InputError(f"this hub has no model {name}")
            entry = {"sha256": file.hashes.get("sha256", ""), "reason": reason, "time": draft.now.isoformat()}
            role.unrecognized_fields[REVOKED] = {**_revoked(role), name: entry}
        return commit(draft, ring)


def delegate(
    folder: Path, role: str, holders: Holders, paths: Sequence[str], ring: KeyRing, *, now: datetime | None = None
) -> Outcome:
    """Let others publish models whose names match `paths` (`lab/*`): only they, and no longer the admission role.

    A role that is there already gets these keys and paths. Models whose names now belong to another role move there.

    Raises:
        InputError: a name that no role may have, or no path.
        StorageError: as in `publish`.
    """
    if role in TOP or role == ADMISSION or not role.replace("_", "").isalnum() or len(role) > 40:
        raise InputError(f"no role may be called {role[:40]!r}: expected letters, digits and _, and no role of the hub")
    if not paths:
        raise InputError("a delegation needs paths, such as lab/*")
    keys, ids = _named(holders)
    with _editing(folder, now) as draft:
        top = draft.edit(Targets.type)
        assert top.delegations is not None  # noqa: S101 - init made them
        top.delegations.keys |= keys
        made = DelegatedRole(role, ids, holders.threshold, terminating=True, paths=list(paths))
        # Before the admission role, which takes every name.
        others = {name: one for name, one in delegated(top).items() if name not in (role, ADMISSION)}
        is_new = role not in delegated(top)
        top.delegations.roles = {**others, role: made, ADMISSION: delegated(top)[ADMISSION]}
        (draft.add if is_new else draft.edit)(role)
        _forget_unused(top)
        _resettle(draft)
        return commit(draft, ring)


def split(
    folder: Path, ring: KeyRing, *, role: str = ADMISSION, bits: int = BIN_BITS, now: datetime | None = None
) -> Outcome:
    """Spread the models of a role over `2**bits` bins by the hash of their names, so that no list grows too long.

    Raises:
        InputError: it has bins already, or a number of bits that is not 1 to 12.
        StorageError: as in `publish`.
    """
    if not 1 <= bits <= 12:
        raise InputError(f"expected 1 to 12 bits for bins, got {bits}")
    with _editing(folder, now) as draft:
        if role not in delegated(draft.role(Targets.type)) or delegated(draft.role(role)):
            raise InputError(f"the role {role} has bins already, or is one")
        _split(draft, role, bits)
        return commit(draft, ring)


def rotate(folder: Path, role: str, old: str, new: PublicKey, ring: KeyRing, *, now: datetime | None = None) -> Outcome:
    """Put the key `new` in place of the one whose id begins with `old`, for one role.

    All that the role has signed is signed anew. The ring should have both keys; if the old is lost, see `commit`.

    Raises:
        InputError: no such role or key, or the new key holds the role already.
        StorageError: as in `publish`.
    """
    with _editing(folder, now) as draft:
        own = delegated(draft.role(Targets.type))
        if role not in (*TOP, *own):
            raise InputError(f"this hub has no role {role[:40]!r} with keys: expected {', '.join((*TOP, *own))}")
        holder: Root | Targets = draft.root.signed if role in TOP else draft.role(Targets.type)
        ids = holder.get_delegated_role(role).keyids
        gone = [keyid for keyid in ids if old and keyid.startswith(old)]
        if not gone and key_id(new) in ids:  # done before, and then cut short
            return commit(draft, ring)
        if len(gone) != 1:
            raise InputError(f"{len(gone)} keys of {role} begin with {old!r}: its keys are {', '.join(ids)}")
        if key_id(new) in ids:
            raise InputError(f"the key {key_id(new)[:16]} holds {role} already: its holder would count as two")
        _exchange(draft, draft.edit_root() if role in TOP else draft.edit(Targets.type), role, gone[0], new)
        return commit(draft, ring)


def refresh(folder: Path, ring: KeyRing, *, now: datetime | None = None, wait: float = 10.0) -> Outcome:
    """Sign anew what expires: the timestamp always, all else once half of its time is over and its keys are at hand.

    Raises:
        InputError: there is no hub, or a key does not open.
        StorageError: as in `publish`.
    """
    with _editing(folder, now, wait, staged=False) as draft:
        if _half_over(draft, draft.root.signed, Root.type) and _signable(draft.root.signed, Root.type, ring):
            draft.edit_root()
        for role in draft.names():
            delegator = draft.delegator(role)
            if _half_over(draft, draft.role(role), role) and _signable(delegator, role, ring):
                draft.edit(role)
        assert draft.snapshot is not None  # noqa: S101 - a hub that was read has one
        return commit(draft, ring, renew_snapshot=_half_over(draft, draft.snapshot.signed, "snapshot"))


def sign(folder: Path, ring: KeyRing, *, now: datetime | None = None, wait: float = 10.0) -> Outcome:
    """Add the signatures of these keys to the change that waits; the last one that was missing makes it count.

    Raises:
        InputError: nothing waits.
        StorageError: as in `publish`.
    """
    places = Places(folder)
    with locked(folder, _WHAT, wait=wait):
        draft = read_draft(places, now)
        if not take_staged(draft):
            raise InputError(f"nothing in {folder} waits for a signature")
        return commit(draft, ring)


@contextmanager
def _editing(folder: Path, now: datetime | None, wait: float = 10.0, *, staged: bool = True) -> Iterator[Draft]:
    places = Places(folder)
    if not folder.is_dir():
        raise InputError(f"there is no hub in {folder}: make one with badnets hub init")
    with locked(folder, _WHAT, wait=wait):
        sweep(places.targets)
        draft = read_draft(places, now)
        if staged:
            take_staged(draft)
        # After a kill in the midst of a change of keys: what is still the old key's is signed anew.
        if not draft.holds(Targets.type):
            draft.edit(Targets.type)
        yield draft


def _named(holders: Holders) -> tuple[dict[str, Any], list[str]]:
    keys = {key_id(key): tuf_key(key) for key in holders.keys}
    return keys, list(keys)


def _hold(root: Root, role: str, holders: Holders) -> None:
    for key in holders.keys:
        root.add_key(tuf_key(key), role)
    root.roles[role].threshold = holders.threshold


def _exchange(draft: Draft, holder: Root | Targets, role: str, old: str, new: PublicKey) -> None:
    holder.revoke_key(old, role)
    holder.add_key(tuf_key(new), role)
    if isinstance(holder, Root):
        if role == Targets.type:
            draft.edit(Targets.type)
        return
    draft.edit(role)
    bins = draft.role(role)
    if delegated(bins):  # they are signed by the same keys as the role that they are bins of
        within = draft.edit(role)
        for name in delegated(bins):
            within.revoke_key(old, name)
            within.add_key(tuf_key(new), name)
            draft.edit(name)


def _split(draft: Draft, role: str, bits: int) -> None:
    if delegated(draft.role(role)):
        return
    parent = draft.edit(role)
    delegator = draft.delegator(role)
    held = delegator.get_delegated_role(role)
    keys = {keyid: delegator.get_key(keyid) for keyid in held.keyids}
    names = [f"{role}-{number:0{(bits + 3) // 4}x}" for number in range(2**bits)]
    parent.delegations = Delegations(
        keys,
        {
            name: DelegatedRole(
                name, list(held.keyids), held.threshold, terminating=True, path_hash_prefixes=_prefixes(number, bits)
            )
            for number, name in enumerate(names)
        },
    )
    for name in names:
        draft.add(name)
    _resettle(draft)


def _resettle(draft: Draft) -> None:
    """Move models, and what is known of revoked ones, to the roles that their names belong to."""
    for name in draft.names()[1:]:
        role = draft.role(name)
        moving = {model: draft.role_of(model) for model in (*role.targets, *_revoked(role))}
        for model, other in moving.items():
            if other == name:
                continue
            here, there = draft.edit(name), draft.edit(other)
            if model in here.targets:
                there.targets[model] = here.targets.pop(model)
            if model in _revoked(here):
                entry = _revoked(here).pop(model)
                there.unrecognized_fields[REVOKED] = {**_revoked(there), model: entry}


def _prefixes(number: int, bits: int) -> list[str]:
    """The hex prefixes that have these first bits."""
    digits = (bits + 3) // 4
    rest = digits * 4 - bits
    return [f"{(number << rest) + more:0{digits}x}" for more in range(2**rest)]


def _revoked(role: Targets) -> dict[str, dict[str, str]]:
    found = role.unrecognized_fields.get(REVOKED, {})
    return found if isinstance(found, dict) else {}


def _forget_unused(top: Targets) -> None:
    assert top.delegations is not None  # noqa: S101 - the caller made them
    used = {keyid for one in delegated(top).values() for keyid in one.keyids}
    top.delegations.keys = {keyid: key for keyid, key in top.delegations.keys.items() if keyid in used}


def _half_over(draft: Draft, signed: Any, role: str) -> bool:  # noqa: ANN401 - any kind of metadata
    return bool((signed.expires - draft.now).total_seconds() < draft.validity.days(role) * 43_200)


def _signable(delegator: Root | Targets, role: str, ring: KeyRing) -> bool:
    held = delegator.get_delegated_role(role)
    return sum(keyid in ring for keyid in held.keyids) >= held.threshold
