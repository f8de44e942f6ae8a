"""A hub's metadata as it lies in its folder, and the working copy in which a change is prepared.

The folder is a TUF repository with consistent snapshots: `metadata/` and `targets/`. What counts is decided by
`metadata/timestamp.json` and the highest root alone; files that neither leads to are leftovers of a change that was
cut short. Nobody signs over what they have not verified: every piece is checked against its delegator when it is read.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

from tuf.api.exceptions import UnsignedMetadataError
from tuf.api.metadata import DelegatedRole, Metadata, Root, Signed, Snapshot, Targets, Timestamp

from badnets.artifacts import read_bytes, read_json
from badnets.errors import DataError, InputError
from badnets.supply.hub.faults import explained

# Our fields in signed metadata, which TUF lets pass: when it was signed, and what was taken back.
SIGNED_AT = "badnets-signed"
REVOKED = "badnets-revoked"

_TIME = "%Y-%m-%dT%H:%M:%SZ"

S = TypeVar("S", Root, Timestamp, Snapshot, Targets)
Roles = dict[str, Metadata[Targets]]


@dataclass(frozen=True)
class Validity:
    """For how many days a signature of each role holds."""

    root: int = 365
    targets: int = 365
    delegated: int = 90
    snapshot: int = 14
    timestamp: int = 2

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - pydantic reads it, nothing writes it

    def __post_init__(self) -> None:
        if min(self.root, self.targets, self.delegated, self.snapshot, self.timestamp) < 1:
            raise InputError("a signature holds for one day or more")

    def days(self, role: str) -> int:
        """For this role, a delegated one too."""
        return int(getattr(self, role, self.delegated))


@dataclass(frozen=True)
class Places:
    """Where the parts of a hub lie."""

    folder: Path

    @property
    def metadata(self) -> Path:
        """Signed metadata."""
        return self.folder / "metadata"

    @property
    def targets(self) -> Path:
        """Files of models."""
        return self.folder / "targets"

    @property
    def timestamp(self) -> Path:
        """What makes a change count."""
        return self.metadata / "timestamp.json"

    @property
    def staged(self) -> Path:
        """A change that waits for signatures; no client asks for it."""
        return self.folder / ".staged.json"

    @property
    def settings(self) -> Path:
        """For how long signatures hold; read by publishers only."""
        return self.folder / "hub.json"

    def role(self, role: str, version: int) -> Path:
        """The metadata of a role in one version."""
        return self.metadata / f"{version}.{role}.json"


@dataclass
class Draft:
    """A hub as it is, and what a change makes anew.

    Attributes:
        places: its folders.
        now: the time of the change.
        validity: for how long it will hold.
        root: as it will be.
        roots: under which the hub's metadata may be signed as it is: the newest root, and after a kill in the midst of
            a change of keys the one before. Empty in a hub that is being made.
        snapshot: as it is; None in a hub that is being made.
        timestamp: as it is; None in a hub that is being made.
        roles: targets and delegated roles as they will be, those that change.
        staged: whether it goes on with a change that waited.
    """

    places: Places
    now: datetime
    validity: Validity
    root: Metadata[Root]
    roots: tuple[Root, ...] = ()
    snapshot: Metadata[Snapshot] | None = None
    timestamp: Metadata[Timestamp] | None = None
    roles: Roles = field(default_factory=dict)
    staged: bool = False
    _live: Roles = field(default_factory=dict)

    @property
    def new_root(self) -> bool:
        """Whether the root changes."""
        return not self.roots or self.roots[0].version < self.root.signed.version

    def role(self, role: str) -> Targets:
        """A targets role as it will be, to look at. Raises `InputError` where there is none."""
        return self.roles[role].signed if role in self.roles else self._as_it_is(role).signed

    def before(self, role: str) -> Targets | None:
        """A targets role as it is; None where the change makes it."""
        known = self.snapshot is not None and f"{role}.json" in self.snapshot.signed.meta
        return self._as_it_is(role).signed if known else None

    def edit(self, role: str) -> Targets:
        """A targets role to change: its next version, which must be signed anew."""
        if role not in self.roles:
            now = self._as_it_is(role).signed
            # Its targets are values that nobody writes into; delegations are written into.
            parts = now.targets.copy(), deepcopy(now.delegations), deepcopy(now.unrecognized_fields)
            self.roles[role] = Metadata(Targets(now.version + 1, now.spec_version, now.expires, *parts))
        self._restart(self.roles[role], role)
        return self.roles[role].signed

    def add(self, role: str) -> Targets:
        """A new, empty targets role."""
        meta = self.snapshot.signed.meta.get(f"{role}.json") if self.snapshot else None
        # A role that was there once goes on counting, or clients would take it for a rollback.
        self.roles[role] = Metadata(Targets(version=meta.version + 1 if meta else 1))
        self._restart(self.roles[role], role)
        return self.roles[role].signed

    def edit_root(self) -> Root:
        """The root to change: its next version, which must be signed anew, by the old keys too."""
        if not self.new_root:
            self.root = Metadata[Root].from_bytes(self.root.to_bytes())
            self.root.signed.version += 1
        self._restart(self.root, Root.type)
        return self.root.signed

    def fresh(self, signed: Signed, role: str) -> None:
        """Set the time of signing and until when it holds."""
        signed.expires = self.now + timedelta(days=self.validity.days(role))
        signed.unrecognized_fields[SIGNED_AT] = self.now.strftime(_TIME)

    def delegator(self, role: str) -> Root | Targets:
        """Who says whose keys sign for this targets role."""
        if role == Targets.type:
            return self.root.signed
        return self.role(self._parent(role, self.role(Targets.type)))

    def holds(self, role: str) -> bool:
        """Whether what a top-level targets role has signed holds under the newest root."""
        if role in self.roles:  # it will be signed for that root
            return True
        metadata = self._as_it_is(role)
        return bool(self.root.signed.get_verification_result(role, metadata.signed_bytes, metadata.signatures))

    def names(self) -> tuple[str, ...]:
        """All targets roles, in the order in which they are asked."""
        return (Targets.type, *self._below(Targets.type))

    def role_of(self, model: str) -> str:
        """The role that a model of this name belongs to: the first that it is delegated to, down to the last bin.

        Raises:
            InputError: it is delegated to nobody.
        """
        role = Targets.type
        while delegations := self.role(role).delegations:
            following = next(iter(delegations.get_roles_for_target(model)), None)
            if following is None:
                break
            role = following[0]
        if role == Targets.type:
            raise InputError(f"no role may offer {model}: delegate its name with badnets hub delegate")
        return role

    def _below(self, role: str) -> Iterator[str]:
        for name in delegated(self.role(role)):
            yield name
            yield from self._below(name)

    def _restart(self, metadata: Metadata[Any], role: str) -> None:
        metadata.signatures.clear()
        self.fresh(metadata.signed, role)

    def _parent(self, role: str, top: Targets) -> str:
        if role in delegated(top):
            return Targets.type
        parent = role.rpartition("-")[0]
        if not parent:
            raise InputError(f"this hub has no role {role!r}: it has {', '.join((Targets.type, *delegated(top)))}")
        return parent

    def _as_it_is(self, role: str) -> Metadata[Targets]:
        if role in self._live:
            return self._live[role]
        meta = self.snapshot.signed.meta.get(f"{role}.json") if self.snapshot else None
        if meta is None:
            raise InputError(f"this hub has no role {role!r}")
        delegators: tuple[Root | Targets, ...] = self.roots
        if role != Targets.type:
            delegators = (self._as_it_is(self._parent(role, self._as_it_is(Targets.type).signed)).signed,)
        path = self.places.role(role, meta.version)
        content = read_bytes(path)
        with explained(str(path)):
            meta.verify_length_and_hashes(content)
            self._live[role] = verified(Metadata[Targets].from_bytes(content), role, delegators)
        return self._live[role]


def read_draft(places: Places, now: datetime | None = None) -> Draft:
    """The hub in a folder, verified, without any change.

    Raises:
        InputError: there is no hub.
        DataError: its settings cannot be read.
        Refused: its metadata does not hold together: somebody else wrote into the folder.
    """
    if not places.timestamp.exists():
        raise InputError(f"there is no hub in {places.folder}: make one with badnets hub init")
    validity = read_json(Validity, places.settings) if places.settings.exists() else Validity()
    *older, root = _root_chain(places)
    roots = (root.signed, *(one.signed for one in older[-1:]))
    with explained(str(places.timestamp)):
        timestamp = verified(Metadata[Timestamp].from_bytes(read_bytes(places.timestamp)), Timestamp.type, roots)
    meta = timestamp.signed.snapshot_meta
    path = places.role(Snapshot.type, meta.version)
    content = read_bytes(path)
    with explained(str(path)):
        meta.verify_length_and_hashes(content)
        snapshot = verified(Metadata[Snapshot].from_bytes(content), Snapshot.type, roots)
    return Draft(places, now or this_second(), validity, root, roots, snapshot, timestamp)


def verified(metadata: Metadata[S], role: str, delegators: Sequence[Root | Targets]) -> Metadata[S]:
    """The metadata, if one of the delegators finds enough signatures on it. Raises `UnsignedMetadataError`."""
    *others, last = delegators
    for delegator in others:
        with suppress(UnsignedMetadataError):
            delegator.verify_delegate(role, metadata.signed_bytes, metadata.signatures)
            return metadata
    last.verify_delegate(role, metadata.signed_bytes, metadata.signatures)
    return metadata


def delegated(targets: Targets) -> dict[str, DelegatedRole]:
    """The roles that a targets role delegates to, by name, in their order."""
    return (targets.delegations.roles or {}) if targets.delegations else {}


def _root_chain(places: Places) -> list[Metadata[Root]]:
    """The roots, each signed under the one before, as far as they go."""
    chain: list[Metadata[Root]] = []
    while (path := places.role(Root.type, len(chain) + 1)).exists():
        with explained(str(path)):
            found = Metadata[Root].from_bytes(read_bytes(path))
            if found.signed.version != len(chain) + 1:
                raise DataError(f"{path} holds version {found.signed.version}")
            for delegator in (found, *chain[-1:]):
                verified(found, Root.type, [delegator.signed])
        chain.append(found)
    if not chain:
        raise DataError(f"{places.metadata} has no 1.root.json: bring the hub back from a copy")
    return chain


def this_second() -> datetime:
    """The time, as exactly as metadata knows it."""
    return datetime.now(UTC).replace(microsecond=0)


def signed_at(signed: Signed) -> datetime | None:
    """When metadata was signed, as it says itself; None where another tool made it."""
    text = signed.unrecognized_fields.get(SIGNED_AT)
    try:
        return datetime.strptime(str(text), _TIME).replace(tzinfo=UTC)
    except ValueError:
        return None
