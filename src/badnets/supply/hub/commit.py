"""How a change of a hub is signed and written: all of it, or none, whenever it is cut short.

1. Each changed role is signed with the keys at hand. Where that is not enough, the change is staged: it waits, in a
   file that no client asks for, until those who are missing have signed it too.
2. New versions are written beside the old ones; nothing leads to them yet.
3. `timestamp.json` is replaced. That is the moment at which the change counts.
4. Old versions that no client can be reading any more are removed.

A new root takes effect where it stands, so what it vouches for must be there before it: snapshot and timestamp are
signed under the old root and the new one, and the root is written last. Where an old key is lost that cannot be, and
the root goes first: between it and the timestamp clients refuse the hub, and the next change or refresh heals it.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from tuf.api.metadata import Metadata, MetaFile, Root, Snapshot, Targets, Timestamp

from badnets.artifacts import make_folder, write_bytes
from badnets.errors import InputError
from badnets.supply.hub.draft import Draft, Places
from badnets.supply.hub.keys import KeyRing
from badnets.supply.hub.staging import stage

# Versions of a role that are kept beside the live one, for clients that are in the midst of an update.
KEPT = 8


@dataclass(frozen=True)
class Missing:
    """A role whose signatures are not enough: how many there are, how many are needed, and whose keys could sign."""

    role: str
    have: int
    need: int
    keys: tuple[str, ...]


@dataclass(frozen=True)
class Outcome:
    """What came of a change: it counts (`committed`), or it is staged and these signatures are missing."""

    committed: bool
    missing: tuple[Missing, ...] = ()


def commit(draft: Draft, ring: KeyRing, *, renew_snapshot: bool = False) -> Outcome:
    """Sign a change and write it, or stage it where signatures are missing.

    The timestamp is signed anew in any case; the snapshot where something changes, or with `renew_snapshot`.

    Raises:
        InputError: a private key does not open, or there is none for a part of the change.
        StorageError: the hub cannot be written.
    """
    snapshot, timestamp = assemble(draft, ring, renew_snapshot=renew_snapshot)
    missing = tuple(dict.fromkeys(_missing(draft, snapshot, timestamp)))
    if missing:
        if draft.roles or draft.new_root:
            stage(draft)
        return Outcome(committed=False, missing=missing)
    write(draft, snapshot, timestamp)
    if draft.staged:
        draft.places.staged.unlink(missing_ok=True)
    _prune(draft.places)
    return Outcome(committed=True)


def assemble(
    draft: Draft, ring: KeyRing, *, renew_snapshot: bool = False
) -> tuple[Metadata[Snapshot] | None, Metadata[Timestamp]]:
    """Sign what changes, and make the snapshot (None where the old one stays) and the timestamp that go with it.

    Nothing is checked: whether the signatures are enough is another matter, see `commit`.
    """
    for role, metadata in draft.roles.items():
        _sign(metadata, _signers(draft, role), ring)
    if draft.new_root:
        _sign(draft.root, _keyids((draft.root.signed, *draft.roots[:1]), Root.type), ring)
    snapshot = _new_snapshot(draft, ring) if renew_snapshot or _needs_snapshot(draft) else None
    return snapshot, _new_timestamp(draft, snapshot, ring)


def _needs_snapshot(draft: Draft) -> bool:
    if draft.roles or draft.new_root or draft.snapshot is None:
        return True
    metadata = draft.snapshot  # after a kill in the midst of a change of keys it may be the old key's
    root = draft.root.signed
    return not root.get_verification_result(Snapshot.type, metadata.signed_bytes, metadata.signatures)


def _signers(draft: Draft, role: str) -> list[str]:
    if role == Targets.type:
        return _keyids((draft.root.signed, *draft.roots[:1]), role)
    return draft.delegator(role).get_delegated_role(role).keyids


def _new_snapshot(draft: Draft, ring: KeyRing) -> Metadata[Snapshot]:
    old = draft.snapshot.signed if draft.snapshot else None
    meta = dict(old.meta) if old else {}
    for role, metadata in draft.roles.items():
        meta[f"{role}.json"] = _meta(metadata)
    made = Metadata(Snapshot(version=old.version + 1 if old else 1, meta=meta))
    return _signed_online(draft, made, Snapshot.type, ring)


def _new_timestamp(draft: Draft, snapshot: Metadata[Snapshot] | None, ring: KeyRing) -> Metadata[Timestamp]:
    old = draft.timestamp.signed if draft.timestamp else None
    if snapshot is not None:
        meta = _meta(snapshot)
    elif old is not None:
        meta = old.snapshot_meta
    else:
        raise InputError("a hub without a timestamp needs a snapshot first")
    made = Metadata(Timestamp(version=old.version + 1 if old else 1, snapshot_meta=meta))
    return _signed_online(draft, made, Timestamp.type, ring)


def _signed_online(draft: Draft, metadata: Metadata[Any], role: str, ring: KeyRing) -> Metadata[Any]:
    draft.fresh(metadata.signed, role)
    _sign(metadata, _keyids((draft.root.signed, *draft.roots), role), ring)
    return metadata


def _meta(metadata: Metadata[Any]) -> MetaFile:
    return MetaFile.from_data(metadata.signed.version, metadata.to_bytes(), ["sha256"])


def _keyids(roots: Iterable[Root], role: str) -> list[str]:
    return list(dict.fromkeys(keyid for root in roots for keyid in root.roles[role].keyids))


def _sign(metadata: Metadata[Any], keyids: Iterable[str], ring: KeyRing) -> None:
    lacking = [keyid for keyid in keyids if keyid not in metadata.signatures and keyid in ring]
    # Once for all signers: for ten thousand models this takes longer than the signature.
    content = metadata.signed_bytes if lacking else b""
    for keyid in lacking:
        metadata.signatures[keyid] = ring.signer(keyid).sign(content)


def _missing(draft: Draft, snapshot: Metadata[Any] | None, timestamp: Metadata[Any]) -> Iterable[Missing]:
    checks: list[tuple[str, Metadata[Any], Root | Targets]] = [
        (role, metadata, draft.delegator(role)) for role, metadata in draft.roles.items()
    ]
    root = draft.root.signed
    if draft.new_root:
        checks += [(Root.type, draft.root, one) for one in (*draft.roots[:1], root)]
    checks += [(Snapshot.type, snapshot, root)] if snapshot else []
    checks.append((Timestamp.type, timestamp, root))
    for role, metadata, delegator in checks:
        result = delegator.get_verification_result(role, metadata.signed_bytes, metadata.signatures)
        if not result:
            yield Missing(role, len(result.signed), result.threshold, tuple(result.unsigned))


def write(draft: Draft, snapshot: Metadata[Snapshot] | None, timestamp: Metadata[Timestamp]) -> None:
    """Write what `assemble` made, in the order that the module tells."""
    places = draft.places
    make_folder(places.metadata)
    for role, metadata in draft.roles.items():
        write_bytes(places.role(role, metadata.signed.version), metadata.to_bytes())
    if snapshot:
        write_bytes(places.role(Snapshot.type, snapshot.signed.version), snapshot.to_bytes())
    root = places.role(Root.type, draft.root.signed.version), draft.root.to_bytes()
    bridged = _bridged(draft, snapshot, timestamp)
    if draft.new_root and not bridged:
        write_bytes(*root)
    write_bytes(places.timestamp, timestamp.to_bytes())
    if draft.new_root and bridged:
        write_bytes(*root)


def _bridged(draft: Draft, snapshot: Metadata[Any] | None, timestamp: Metadata[Any]) -> bool:
    """Whether those who know the old root only can follow the new timestamp."""
    if not draft.roots:
        return False
    targets = draft.roles.get(Targets.type)
    checked = {Snapshot.type: snapshot or draft.snapshot, Timestamp.type: timestamp, Targets.type: targets}
    return all(
        draft.roots[0].get_verification_result(role, metadata.signed_bytes, metadata.signatures)
        for role, metadata in checked.items()
        if metadata
    )


def _prune(places: Places) -> None:
    """Remove versions that are older than those kept. Whatever goes wrong here can be done next time."""
    found: dict[str, dict[int, str]] = {}
    for path in places.metadata.glob("[0-9]*.*.json"):
        number, role = path.name.removesuffix(".json").split(".", 1)
        if number.isdigit() and role != Root.type:
            found.setdefault(role, {})[int(number)] = path.name
    for versions in found.values():
        for version in sorted(versions)[: -KEPT - 1]:
            with suppress(OSError):
                (places.metadata / versions[version]).unlink(missing_ok=True)
