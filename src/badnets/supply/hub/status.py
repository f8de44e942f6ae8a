"""How a hub stands: who signs what, until when it holds, and what waits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from tuf.api.metadata import Root, Signed, Snapshot, Timestamp

from badnets.supply.hub.draft import Draft, Places, read_draft, signed_at
from badnets.supply.hub.keys import TOP
from badnets.supply.hub.staging import changes, take_staged


@dataclass(frozen=True)
class RoleStatus:
    """One role.

    Attributes:
        name: of the role.
        version: of its metadata.
        signed: when; None where that is not said.
        expires: until when it holds.
        threshold: signatures needed.
        keys: ids of the keys that may sign.
        models: offered by this role itself.
    """

    name: str
    version: int
    signed: datetime | None
    expires: datetime
    threshold: int
    keys: tuple[str, ...]
    models: int = 0

    def left(self, now: datetime) -> float:
        """Days until it expires; below 0 it has."""
        return (self.expires - now).total_seconds() / 86_400


@dataclass(frozen=True)
class Waiting:
    """A staged role: its next version, how many have signed it, and how many must."""

    name: str
    version: int
    have: int
    need: int


@dataclass(frozen=True)
class Status:
    """A hub.

    Attributes:
        roles: in the order in which they are asked.
        waiting: the roles of the change that waits.
        changes: what that would change, in words, a line each.
        now: the time of looking.
    """

    roles: tuple[RoleStatus, ...]
    waiting: tuple[Waiting, ...]
    changes: tuple[str, ...]
    now: datetime

    @property
    def models(self) -> int:
        """How many models it offers."""
        return sum(role.models for role in self.roles)

    @property
    def expired(self) -> tuple[str, ...]:
        """The roles that clients refuse now."""
        return tuple(role.name for role in self.roles if role.expires <= self.now)


def status(folder: Path, *, now: datetime | None = None) -> Status:
    """How the hub in `folder` stands.

    Raises:
        InputError: there is none.
        Refused: its metadata does not hold together.
    """
    draft = read_draft(Places(folder), now)
    assert draft.snapshot is not None  # noqa: S101 - a hub that was read has both
    assert draft.timestamp is not None  # noqa: S101 - the same
    root = draft.root.signed
    top: tuple[tuple[str, Signed], ...] = (
        (Root.type, root), (Timestamp.type, draft.timestamp.signed), (Snapshot.type, draft.snapshot.signed)
    )  # fmt: skip
    roles = [_role(name, signed, root.roles[name]) for name, signed in top]
    for name in draft.names():
        targets = draft.role(name)
        held = draft.delegator(name).get_delegated_role(name)
        roles.append(_role(name, targets, held, models=len(targets.targets)))
    waiting = read_draft(Places(folder), now)
    found = _waiting(waiting)
    return Status(tuple(roles), found, changes(waiting) if found else (), draft.now)


def offered(folder: Path) -> dict[str, tuple[str, str]]:
    """The models of a hub by name, with the role that offers each and its SHA-256.

    Raises:
        InputError: there is none.
        Refused: its metadata does not hold together.
    """
    draft = read_draft(Places(folder))
    return {
        model: (name, str(file.hashes.get("sha256")))
        for name in draft.names()
        for model, file in draft.role(name).targets.items()
    }


def key_roles(folder: Path) -> dict[str, Sequence[str]]:
    """The roles that each key holds, by the key's id. Raises as `status`."""
    found: dict[str, list[str]] = {}
    for role in status(folder).roles:
        for key in role.keys:
            found.setdefault(key, []).append(role.name)
    return dict(found)


def _role(name: str, signed: Signed, held: Any, *, models: int = 0) -> RoleStatus:  # noqa: ANN401 - any kind of role
    return RoleStatus(
        name, signed.version, signed_at(signed), signed.expires, held.threshold, tuple(held.keyids), models
    )


def _waiting(draft: Draft) -> tuple[Waiting, ...]:
    if not take_staged(draft):
        return ()
    found = []
    changed: list[tuple[str, Any]] = list(draft.roles.items())
    if draft.new_root:
        changed.append((Root.type, draft.root))
    for name, metadata in changed:
        delegator = draft.root.signed if name in TOP else draft.delegator(name)
        result = delegator.get_verification_result(name, metadata.signed_bytes, metadata.signatures)
        found.append(Waiting(name, metadata.signed.version, len(result.signed), result.threshold))
    return tuple(found)
