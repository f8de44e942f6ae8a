"""What can be done to signed metadata, with no key, some keys or all: T01, T06, T07, T09 to T11, T15 to T17."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

from tuf.api.metadata import DelegatedRole, Delegations, Metadata, MetaFile, Root, Targets

from badnets.supply.hub.attack import Attack, Ending, Visit
from badnets.supply.hub.commit import assemble, write
from badnets.supply.hub.draft import Draft, Places, Validity, delegated, read_draft, this_second
from badnets.supply.hub.faults import Fault
from badnets.supply.hub.keys import ADMISSION, KeyRing, key_id, tuf_key
from badnets.supply.hub.publisher import refresh, revoke, rotate
from badnets.supply.hub.simulator import EVIL, GOOD, MODEL, OTHER, HostileHub, sends
from badnets.supply.signing import new_key

# As it stands in JSON.
Signature = dict[str, str]
_MOST = 2**31 - 1
ONLINE = ("snapshot", "timestamp")


def fast_forward(hub: HostileHub, visit: Visit) -> None:
    """With the timestamp key, the version is set so high that the honest one is older for ever."""
    _run_ahead(hub)
    visit()
    hub.publish({MODEL: GOOD})
    hub.be_honest()


def fast_forward_healed(hub: HostileHub, visit: Visit) -> None:
    """The same, and the honest side changes that key."""
    fast_forward(hub, visit)
    new = new_key()
    ring = hub.ring | KeyRing.of([new])
    rotate(hub.honest, "timestamp", hub.key_id("timestamp"), new.public_key(), ring)


def in_the_past(folder: Path) -> HostileHub:
    """A hub whose timestamp has expired."""
    return HostileHub(folder, now=this_second() - timedelta(days=5))


def admission_in_the_past(folder: Path) -> HostileHub:
    """A hub whose admissions have expired, and whose timestamp has not."""
    return HostileHub(folder, now=this_second() - timedelta(days=5), validity=Validity(delegated=1))


def nothing(hub: HostileHub, _: Visit) -> None:
    """The attacker holds the hub back as it was made."""
    hub.serve(hub.copy())
    hub.now = this_second()
    hub.publish({MODEL: GOOD})


def refreshed_without_admission(hub: HostileHub, _: Visit) -> None:
    """Only the online keys go on signing."""
    refresh(hub.honest, hub.stolen(*ONLINE))


def frozen(hub: HostileHub, visit: Visit) -> None:
    """What the client saw is served on while the honest side publishes."""
    visit()
    nothing(hub, visit)


def old_snapshot(hub: HostileHub, _: Visit) -> None:
    """The snapshot before, under the name of the newest."""
    before = (hub.honest / hub.newest("snapshot")).read_bytes()
    hub.publish({MODEL: GOOD})
    hub.answer(hub.newest("snapshot"), sends(_no_longer(before, hub, "snapshot")))


def old_admission(hub: HostileHub, _: Visit) -> None:
    """The admissions before, under the name of the newest."""
    before = (hub.honest / hub.newest(ADMISSION)).read_bytes()
    hub.publish({MODEL: GOOD})
    hub.answer(hub.newest(ADMISSION), sends(_no_longer(before, hub, ADMISSION)))


def rolled_back(hub: HostileHub, visit: Visit) -> None:
    """All of the hub as it was, to a client that has seen more."""
    before = hub.copy()
    hub.publish({MODEL: GOOD})
    visit()
    hub.serve(before)


def rolled_back_snapshot(hub: HostileHub, visit: Visit) -> None:
    """With the timestamp key, a new timestamp leads to an old snapshot."""
    old = read_draft(Places(hub.copy()))
    hub.publish({MODEL: GOOD})
    visit()

    def change(draft: Draft) -> None:
        assert draft.timestamp is not None  # noqa: S101 - a hub that was made has one
        assert old.timestamp is not None  # noqa: S101 - the same
        draft.timestamp.signed.snapshot_meta = old.timestamp.signed.snapshot_meta

    _forge_timestamp(hub, change)


def rolled_back_admission(hub: HostileHub, visit: Visit) -> None:
    """With both online keys, a new snapshot leads to old admissions."""
    old = read_draft(Places(hub.copy()))
    hub.publish({MODEL: GOOD})
    visit()

    def change(draft: Draft) -> None:
        assert draft.snapshot is not None  # noqa: S101 - as above
        assert old.snapshot is not None  # noqa: S101 - as above
        name = f"{ADMISSION}.json"
        draft.snapshot.signed.meta[name] = old.snapshot.signed.meta[name]

    hub.forge(hub.stolen(*ONLINE), change)


def rolled_back_root(hub: HostileHub, _: Visit) -> None:
    """The first root under the name of the third."""
    new = new_key()
    rotate(hub.honest, "timestamp", hub.key_id("timestamp"), new.public_key(), hub.ring | KeyRing.of([new]))
    hub.answer("metadata/3.root.json", sends(hub.root))


def revoked(hub: HostileHub, _: Visit) -> None:
    """The model was taken back; its file is still on the server."""
    revoke(hub.honest, [MODEL], hub.ring, reason="a backdoor was found")


def revoked_replayed(hub: HostileHub, visit: Visit) -> None:
    """The model was taken back, and the hub is served as it was to a client that has heard of it."""
    before = hub.copy()
    revoke(hub.honest, [OTHER], hub.ring, reason="a backdoor was found")
    visit()
    hub.serve(before)


def one_signature_twice(hub: HostileHub, _: Visit) -> None:
    """With the publisher's and the online keys: the one signature is there twice."""
    _with_signatures(hub, lambda signatures: [*signatures, signatures[0]])


def one_key_listed_twice(hub: HostileHub, _: Visit) -> None:
    """Targets lists the publisher's key twice for the admission: the auditor is not needed."""

    def change(draft: Draft) -> None:
        delegated(draft.edit(Targets.type))[ADMISSION].keyids = [hub.key_id("publisher")] * 2
        hub.list_evil(draft)

    hub.forge(hub.stolen("publisher", "targets", *ONLINE), change)


def one_key_two_ids(hub: HostileHub, _: Visit) -> None:
    """Somebody put the publisher's key into targets under a second id, signed by all: the auditor is not needed."""

    def change(draft: Draft) -> None:
        top = draft.edit(Targets.type)
        assert top.delegations is not None  # noqa: S101 - as above
        twin = tuf_key(hub.keys["publisher"].public_key())
        twin.keyid = "0" * 64
        top.delegations.keys["0" * 64] = twin
        delegated(top)[ADMISSION].keyids = [hub.key_id("publisher"), "0" * 64]
        hub.list_evil(draft)

    folder = hub.forge(hub.stolen("publisher", "targets", *ONLINE), change)
    _sign_again(folder, hub, "0" * 64)


def one_of_two(hub: HostileHub, _: Visit) -> None:
    """With the publisher's and the online keys, and without the auditor's."""
    hub.forge(hub.stolen("publisher", *ONLINE), hub.list_evil)


def online_only(hub: HostileHub, _: Visit) -> None:
    """With the online keys."""
    hub.forge(hub.stolen(*ONLINE), hub.list_evil)


def all_of_them(hub: HostileHub, _: Visit) -> None:
    """With the publisher's, the auditor's and the online keys: that is what the hub consists of."""
    hub.forge(hub.stolen("publisher", "auditor", *ONLINE), hub.list_evil)


def all_of_them_healed(hub: HostileHub, visit: Visit) -> None:
    """The same once the honest side has put a new publisher's key in the place of the stolen one."""
    new = new_key()
    hub.publish({MODEL: GOOD})
    rotate(hub.honest, ADMISSION, hub.key_id("publisher"), new.public_key(), hub.ring | KeyRing.of([new]))
    visit()
    all_of_them(hub, visit)


def no_key(hub: HostileHub, _: Visit) -> None:
    """The file and all that lists it are changed, without any key."""
    hub.forge(hub.stolen(), hub.list_evil)


def own_keys(hub: HostileHub, _: Visit) -> None:
    """Another hub altogether, with keys of its own, under this address."""
    other = HostileHub(hub.folder / "other")
    other.publish({MODEL: EVIL})
    hub.serve(other.honest)


def own_root(hub: HostileHub, _: Visit) -> None:
    """A next root with the attacker's keys, signed with these."""
    hub.answer("metadata/2.root.json", sends(evil_root(hub)))


def evil_root(hub: HostileHub) -> bytes:
    """The second root, by the attacker."""
    other = HostileHub(hub.folder / "other")
    root = Metadata[Root].from_bytes(other.root)
    root.signed.version = 2
    root.signatures.clear()
    root.sign(other.ring.signer(other.key_id("root")))
    return root.to_bytes()


def diamond(hub: HostileHub, _: Visit) -> None:
    """Two roles lead to a third, each with a key of its own; it is signed with the key of the second only."""
    one, two = new_key(), new_key()

    def change(draft: Draft) -> None:
        top = draft.edit(Targets.type)
        assert top.delegations is not None  # noqa: S101 - as above
        judges = delegated(top)[ADMISSION]
        first = DelegatedRole("left", judges.keyids, judges.threshold, terminating=True, paths=["lab/*"])
        second = DelegatedRole("right", judges.keyids, judges.threshold, terminating=True, paths=["elsewhere/*"])
        top.delegations.roles = {"left": first, "right": second}
        for role, key, paths in (("left", one, ["lab/*"]), ("right", two, ["elsewhere/*"])):
            third = DelegatedRole("tip", [key_id(key.public_key())], 1, terminating=True, paths=paths)
            keys = {key_id(key.public_key()): tuf_key(key.public_key())}
            draft.add(role).delegations = Delegations(keys, {"tip": third})
        tip = draft.add("tip")
        tip.targets[MODEL] = draft.role(ADMISSION).targets[MODEL]

    folder = hub.copy()
    draft = read_draft(Places(folder), this_second())
    change(draft)
    signer = KeyRing.of([two]).signer(key_id(two.public_key()))
    draft.roles["tip"].sign(signer)
    tip = draft.roles.pop("tip")
    _write_with(draft, hub.ring, {"tip": tip})
    hub.serve(folder)


def _no_longer(content: bytes, hub: HostileHub, role: str) -> bytes:
    """At most as long as what the client expects: it stops reading there."""
    return content[: (hub.honest / hub.newest(role)).stat().st_size]


def _run_ahead(hub: HostileHub) -> None:
    def change(draft: Draft) -> None:
        assert draft.timestamp is not None  # noqa: S101 - as above
        draft.timestamp.signed.version = _MOST - 1

    _forge_timestamp(hub, change)


def _forge_timestamp(hub: HostileHub, change: Callable[[Draft], None]) -> None:
    """With the timestamp key alone: the snapshot stays as it is."""
    folder = hub.copy()
    draft = read_draft(Places(folder), this_second())
    change(draft)
    write(draft, *assemble(draft, hub.stolen("timestamp")))
    hub.serve(folder)


def _with_signatures(hub: HostileHub, change: Callable[[list[Signature]], list[Signature]]) -> None:
    """Admissions with the attacker's file, whose list of signatures is changed, and snapshot and timestamp to fit."""
    folder = hub.copy()
    draft = read_draft(Places(folder), this_second())
    hub.list_evil(draft)
    assemble(draft, hub.stolen("publisher"))
    plain = json.loads(draft.roles[ADMISSION].to_bytes())
    plain["signatures"] = change(plain["signatures"])
    content = json.dumps(plain).encode()
    version = draft.roles.pop(ADMISSION).signed.version
    assert draft.snapshot is not None  # noqa: S101 - as above
    draft.snapshot.signed.meta[f"{ADMISSION}.json"] = _meta(version, content)
    write(draft, *assemble(draft, hub.stolen(*ONLINE), renew_snapshot=True))
    (folder / "metadata" / f"{version}.{ADMISSION}.json").write_bytes(content)
    hub.serve(folder)


def _sign_again(folder: Path, hub: HostileHub, keyid: str) -> None:
    """Add the publisher's signature under a second id, and lead to it."""
    draft = read_draft(Places(folder), this_second())
    assert draft.snapshot is not None  # noqa: S101 - as above
    version = draft.snapshot.signed.meta[f"{ADMISSION}.json"].version
    path = draft.places.role(ADMISSION, version)
    plain = json.loads(path.read_bytes())
    plain["signatures"].append({**plain["signatures"][0], "keyid": keyid})
    content = json.dumps(plain).encode()
    path.write_bytes(content)
    draft.snapshot.signed.meta[f"{ADMISSION}.json"] = _meta(version, content)
    write(draft, *assemble(draft, hub.stolen(*ONLINE), renew_snapshot=True))


def _meta(version: int, content: bytes) -> MetaFile:
    return MetaFile.from_data(version, content, ["sha256"])


def _write_with(draft: Draft, ring: KeyRing, signed: dict[str, Metadata[Targets]]) -> None:
    """Write a draft with further roles that are signed already."""
    assert draft.snapshot is not None  # noqa: S101 - as above
    for role, metadata in signed.items():
        content = metadata.to_bytes()
        draft.snapshot.signed.meta[f"{role}.json"] = _meta(metadata.signed.version, content)
        draft.places.role(role, metadata.signed.version).write_bytes(content)
    write(draft, *assemble(draft, ring))


_EXPIRED = Fault.EXPIRED
METADATA = (
    Attack("T01", "file and listing swapped together", no_key, Fault.UNSIGNED),
    Attack("T01", "another hub under this address", own_keys, Fault.UNSIGNED),
    Attack("T01", "a next root with other keys", own_root, Fault.UNSIGNED),
    Attack("T06", "fast-forward with the timestamp key", fast_forward, Fault.ROLLBACK),
    Attack("T06", "fast-forward, healed by a new key", fast_forward_healed, Ending.GOOD),
    Attack("T07", "freeze beyond the timestamp's time", nothing, _EXPIRED, make=in_the_past),
    Attack("T07", "admissions expired", refreshed_without_admission, _EXPIRED, make=admission_in_the_past),
    Attack("T07", "freeze within the timestamp's time", frozen, Ending.OLD),
    Attack("T07", "freeze of one mirror, a good one listed", frozen, Ending.GOOD, mirror=True),
    Attack("T09", "mix and match: an old snapshot", old_snapshot, Fault.ALTERED),
    Attack("T09", "mix and match: old admissions", old_admission, Fault.ALTERED),
    Attack("T10", "rollback of the whole hub", rolled_back, Fault.ROLLBACK),
    Attack("T10", "rollback of the snapshot, timestamp key stolen", rolled_back_snapshot, Fault.ROLLBACK),
    Attack("T10", "rollback of the admissions, online keys stolen", rolled_back_admission, Fault.ROLLBACK),
    Attack("T10", "rollback of the root", rolled_back_root, Fault.ROLLBACK),
    Attack("T11", "a revoked model", revoked, Fault.REVOKED),
    Attack("T11", "replay of the time before a revocation", revoked_replayed, Fault.ROLLBACK),
    Attack("T15", "one signature twice", one_signature_twice, Fault.MALFORMED),
    Attack("T15", "one key listed twice", one_key_listed_twice, Fault.MALFORMED),
    Attack("T15", "one key under two ids", one_key_two_ids, Fault.DUPLICATE_KEYS),
    Attack("T16", "online keys stolen", online_only, Fault.UNSIGNED),
    Attack("T16", "publisher's and online keys stolen", one_of_two, Fault.UNSIGNED),
    Attack("T16", "publisher's, auditor's and online keys stolen", all_of_them, Ending.EVIL),
    Attack("T16", "the same, after a new publisher's key", all_of_them_healed, Fault.UNSIGNED),
    Attack("T17", "diamond: signed for the other way", diamond, Fault.UNSIGNED),
)  # fmt: skip
