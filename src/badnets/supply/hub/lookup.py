"""What a client finds in metadata that python-tuf's client has verified and written down."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from tuf.api.metadata import Metadata, Root, Snapshot, Targets, Timestamp

from badnets.artifacts import read_bytes
from badnets.errors import InputError
from badnets.supply.hub.draft import REVOKED, S, delegated
from badnets.supply.hub.faults import Fault, Refused, explained


@dataclass(frozen=True)
class Origin:
    """Who offers a model: the role, and how many signatures of how many keys it needs."""

    role: str
    threshold: int
    keys: int


def read_role(folder: Path, role: str, kind: type[S]) -> Metadata[S]:
    """The metadata of a role as it was written down.

    Raises:
        Refused: it cannot be read.
    """
    path = folder / f"{quote(role, '')}.json"
    with explained(str(path)):
        try:
            content = read_bytes(path)
        except InputError as error:
            raise Refused(Fault.MALFORMED, f"{error}: it was there a moment ago") from error
        found = Metadata[S].from_bytes(content)
        if not isinstance(found.signed, kind):
            raise Refused(Fault.MALFORMED, f"{path} is {found.signed.type}")
        return found


def origin_of(folder: Path, model: str) -> Origin:
    """The role that offers a model, in the order in which python-tuf's client asks the roles.

    Raises:
        Refused: nobody offers it, or it was revoked, or one key counts twice for a role on the way.
    """
    root = read_role(folder, Root.type, Root).signed
    _check_distinct(root)
    waiting: list[tuple[str, Root | Targets]] = [(Targets.type, root)]
    seen: set[str] = set()
    revoked = ""
    while waiting:
        role, delegator = waiting.pop()
        if role in seen:
            continue
        seen.add(role)
        if not (folder / f"{quote(role, '')}.json").exists():
            continue
        found = read_role(folder, role, Targets).signed
        _check_distinct(found)
        if model in found.targets:
            held = delegator.get_delegated_role(role)
            return Origin(role, held.threshold, len(held.keyids))
        revoked = revoked or _revocation(found, model)
        following = []
        for name, terminating in found.delegations.get_roles_for_target(model) if found.delegations else ():
            following.append((name, found))
            if terminating:
                waiting = []
                break
        waiting += reversed(following)
    if revoked:
        raise Refused(Fault.REVOKED, f"{model} was taken back by its publisher: {revoked}")
    raise Refused(Fault.UNLISTED, f"the hub offers no model {model}")


def versions(folder: Path) -> dict[str, int]:
    """The version of each piece of metadata that a client's state vouches for, by the name of its role."""
    timestamp = read_role(folder, Timestamp.type, Timestamp).signed
    snapshot = read_role(folder, Snapshot.type, Snapshot).signed
    roles = {name.removesuffix(".json"): meta.version for name, meta in snapshot.meta.items()}
    return {**roles, Snapshot.type: snapshot.version, Timestamp.type: timestamp.version}


def _check_distinct(delegator: Root | Targets) -> None:
    """Refuse a key that is there under two ids: its holder would count as two."""
    if isinstance(delegator, Root):
        roles, keys = delegator.roles, delegator.keys
    elif delegator.delegations:
        roles, keys = dict(delegated(delegator)), delegator.delegations.keys
    else:
        return
    for name, role in roles.items():
        values = [str(keys[keyid].keyval) for keyid in role.keyids if keyid in keys]
        if len(set(values)) < len(values):
            raise Refused(Fault.DUPLICATE_KEYS, f"one key has two ids in the role {name}: it would sign for two")


def _revocation(role: Targets, model: str) -> str:
    entries = role.unrecognized_fields.get(REVOKED)
    entry = entries.get(model) if isinstance(entries, dict) else None
    return f"{entry.get('reason')} ({entry.get('time')})" if isinstance(entry, dict) else ""
