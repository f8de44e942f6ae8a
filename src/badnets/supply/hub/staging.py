"""A change that waits for signatures: a file in the hub's folder that no client asks for.

Whoever can write into the folder could put a change there and wait for publisher and auditor to sign on. So what is not
signed by at least one holder of its role must hold nothing that is new: else it is neither staged nor taken up. And
`changes` says in words what a signature would be for.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tuf.api.metadata import Metadata, Root, TargetFile, Targets

from badnets.artifacts import parse_json, read_bytes, write_json
from badnets.errors import InputError
from badnets.supply.hub.draft import Draft
from badnets.supply.hub.faults import Fault, Refused, explained


@dataclass(frozen=True)
class Staged:
    """The metadata of each role as text, and which versions it was made from (0: none)."""

    roles: dict[str, str]
    base: dict[str, int]

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - pydantic reads it, nothing writes it


def stage(draft: Draft) -> None:
    """Keep a change until it is signed.

    Raises:
        InputError: a part of it is new and none of the keys at hand signs for it.
        StorageError: it cannot be written.
    """
    for role in _unvouched(draft):
        raise InputError(f"none of the keys at hand signs for {role}: a change is proposed by somebody who may sign it")
    changed: dict[str, Metadata[Any]] = dict(draft.roles)
    if draft.new_root:
        changed[Root.type] = draft.root
    roles = {role: metadata.to_bytes().decode() for role, metadata in changed.items()}
    write_json(draft.places.staged, Staged(roles, {role: _live_version(draft, role) for role in roles}))


def take_staged(draft: Draft) -> bool:
    """Go on with the change that waits, if there is one; one that was overtaken is dropped.

    Raises:
        DataError: the file that holds it is damaged.
        Refused: it holds something that nobody signed who may.
    """
    places = draft.places
    if not places.staged.exists():
        return False
    staged = parse_json(Staged, read_bytes(places.staged), str(places.staged))
    if staged.base != {role: _live_version(draft, role) for role in staged.base}:
        places.staged.unlink(missing_ok=True)
        return False
    with explained(str(places.staged)):
        for role, text in staged.roles.items():
            if role == Root.type:
                draft.root = Metadata[Root].from_bytes(text.encode())
            else:
                draft.roles[role] = Metadata[Targets].from_bytes(text.encode())
        for role in _unvouched(draft):
            raise Refused(Fault.UNSIGNED, f"{places.staged}: nobody who may has signed its {role}: remove this file")
    draft.staged = True
    return True


def changes(draft: Draft) -> tuple[str, ...]:
    """What a draft changes, a line each."""
    return tuple(_changes(draft))


def _changes(draft: Draft) -> Iterator[str]:
    if draft.new_root:
        yield f"root version {draft.root.signed.version}"
    for role, metadata in draft.roles.items():
        before, after = draft.before(role), metadata.signed
        yield f"{role} version {after.version}"
        known = before.targets if before else {}
        for model in sorted({*known, *after.targets}):
            old, new = known.get(model), after.targets.get(model)
            if new is None:
                yield f"{role}: {model} goes"
            elif old != new:
                yield f"{role}: {model} {'comes' if old is None else 'changes'}, SHA-256 {new.hashes.get('sha256')}"
        if before and before.delegations != after.delegations:
            yield f"{role}: delegations or their keys change"


def _unvouched(draft: Draft) -> Iterator[str]:
    """The changed roles that hold something new, signed by none of their holders."""
    if draft.new_root:
        for root in draft.roots[:1] or (draft.root.signed,):
            if not _signed_by_any(root, Root.type, draft.root):
                yield Root.type
    offered: dict[str, list[TargetFile]] = {}
    for role in draft.roles:
        before = draft.before(role)
        for model, file in before.targets.items() if before else ():
            offered.setdefault(model, []).append(file)
    for role, metadata in draft.roles.items():
        if _signed_by_any(draft.delegator(role), role, metadata):
            continue
        before = draft.before(role)
        same = metadata.signed.delegations == (before.delegations if before else None)
        if not same or any(file not in offered.get(name, ()) for name, file in metadata.signed.targets.items()):
            yield role


def _signed_by_any(delegator: Root | Targets, role: str, metadata: Metadata[Any]) -> bool:
    return bool(delegator.get_verification_result(role, metadata.signed_bytes, metadata.signatures).signed)


def _live_version(draft: Draft, role: str) -> int:
    if role == Root.type:
        return draft.roots[0].version if draft.roots else 0
    meta = draft.snapshot.signed.meta.get(f"{role}.json") if draft.snapshot else None
    return meta.version if meta else 0
