"""The publishers' side: what counts, what waits, who must sign, and what a change of keys leaves behind."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from badnets.artifacts import sha256_bytes
from badnets.errors import DataError, InputError
from badnets.supply.hub import (
    Fault,
    Holders,
    KeyRing,
    Refused,
    Setup,
    Validity,
    delegate,
    init,
    key_id,
    make_keys,
    offered,
    public_keys,
    publish,
    publisher,
    refresh,
    revoke,
    rotate,
    setup_from,
    sign,
    split,
    status,
)
from badnets.supply.hub.commit import KEPT
from badnets.supply.hub.publisher import _prefixes
from badnets.supply.signing import new_key

from .conftest import Bench

TOP = ("root", "timestamp", "snapshot", "targets")


def test_a_new_hub_is_a_tuf_repository_that_anybody_can_serve(bench: Bench) -> None:
    assert sorted(path.name for path in bench.hub.iterdir()) == [".lock", "hub.json", "metadata", "targets"]
    assert sorted(path.name for path in (bench.hub / "metadata").iterdir()) == [
        "1.admission.json", "1.root.json", "1.snapshot.json", "1.targets.json", "timestamp.json",
    ]  # fmt: skip
    root = json.loads((bench.hub / "metadata" / "1.root.json").read_bytes())["signed"]
    assert root["consistent_snapshot"] is True
    found = status(bench.hub)
    assert [role.name for role in found.roles] == [*TOP, "admission"]
    assert [(role.threshold, len(role.keys)) for role in found.roles] == [(1, 1)] * 4 + [(2, 2)]
    assert not found.expired
    assert not found.waiting


def test_an_admission_needs_publisher_and_auditor(bench: Bench) -> None:
    outcome = bench.publish("lab/a", b"one", bench.without("auditor"))
    assert not outcome.committed
    (missing,) = outcome.missing
    assert (missing.role, missing.have, missing.need, missing.keys) == ("admission", 1, 2, (bench.id("auditor"),))
    assert offered(bench.hub) == {}
    with pytest.raises(Refused) as caught:
        bench.get("lab/a")
    assert caught.value.fault == Fault.UNLISTED
    assert [(one.name, one.have, one.need) for one in status(bench.hub).waiting] == [("admission", 1, 2)]
    # The auditor has no other key, and the machine that is online completes it.
    assert not sign(bench.hub, bench.without("publisher", "timestamp", "snapshot")).committed
    assert sign(bench.hub, bench.without("publisher", "auditor")).committed
    assert bench.get("lab/a") == b"one"
    with pytest.raises(InputError, match="waits for a signature"):
        sign(bench.hub, bench.ring)


def test_changes_go_on_top_of_one_that_waits_and_must_be_signed_anew(bench: Bench) -> None:
    bench.publish("lab/a", b"one", bench.without("auditor"))
    bench.publish("lab/b", b"two", bench.without("publisher"))
    # What the publisher signed was without lab/b.
    assert [(one.have, one.need) for one in status(bench.hub).waiting] == [(1, 2)]
    assert refresh(bench.hub, bench.ring).committed
    assert offered(bench.hub) == {}, "a refresh leaves what waits alone"
    assert sign(bench.hub, bench.ring).committed
    assert set(offered(bench.hub)) == {"lab/a", "lab/b"}


def test_a_change_that_was_overtaken_is_dropped(bench: Bench) -> None:
    bench.publish("lab/a", b"one", bench.without("auditor"))
    staged = (bench.hub / ".staged.json").read_bytes()
    sign(bench.hub, bench.ring)
    (bench.hub / ".staged.json").write_bytes(staged)
    with pytest.raises(InputError, match="waits for a signature"):
        sign(bench.hub, bench.ring)
    (bench.hub / ".staged.json").write_bytes(b"{")
    with pytest.raises(DataError, match="is not a Staged"):
        sign(bench.hub, bench.ring)


def test_what_nobody_signed_who_may_is_neither_staged_nor_taken_up(bench: Bench) -> None:
    bench.publish("lab/a", b"one")
    with pytest.raises(InputError, match="none of the keys at hand signs for admission"):
        bench.publish("lab/b", b"two", bench.without("publisher", "auditor"))
    assert not (bench.hub / ".staged.json").exists()
    # Somebody who can write into the folder waits for publisher and auditor to sign on.
    bench.publish("lab/b", b"evil", bench.without("auditor"))
    staged = json.loads((bench.hub / ".staged.json").read_bytes())
    admission = json.loads(staged["roles"]["admission"])
    for signatures in ([], [{**admission["signatures"][0], "sig": "00" * 70}]):
        staged["roles"]["admission"] = json.dumps({**admission, "signatures": signatures})
        (bench.hub / ".staged.json").write_text(json.dumps(staged))
        for call in (
            lambda: sign(bench.hub, bench.ring),
            lambda: bench.publish("lab/c", b"three"),
            lambda: status(bench.hub),
        ):
            with pytest.raises(Refused, match="nobody who may has signed its admission") as caught:
                call()
            assert caught.value.fault == Fault.UNSIGNED
    assert set(offered(bench.hub)) == {"lab/a"}


def test_what_a_signature_would_be_for_is_said(bench: Bench) -> None:
    bench.publish("lab/a", b"one")
    bench.publish("lab/b", b"two")
    apart = bench.without("auditor")
    bench.publish("lab/a", b"other", apart)
    bench.publish("lab/c", b"three", apart)
    revoke(bench.hub, ["lab/b"], apart, reason="x")
    assert status(bench.hub).changes == (
        "admission version 4",
        f"admission: lab/a changes, SHA-256 {sha256_bytes(b'other')}",
        "admission: lab/b goes",
        f"admission: lab/c comes, SHA-256 {sha256_bytes(b'three')}",
    )
    sign(bench.hub, bench.ring)
    assert status(bench.hub).changes == ()


def test_a_refresh_keeps_what_waits(bench: Bench) -> None:
    bench.publish("lab/a", b"one", bench.without("auditor"))
    now = datetime.now(UTC).replace(microsecond=0) + timedelta(days=200)
    # Root and targets are signed anew, and the admission is another matter.
    assert refresh(bench.hub, bench.without("publisher", "auditor"), now=now).committed
    assert [role.version for role in status(bench.hub, now=now).roles if role.name in ("root", "targets")] == [2, 2]
    assert sign(bench.hub, bench.ring, now=now).committed
    assert set(offered(bench.hub)) == {"lab/a"}


def test_a_new_auditor_by_who_holds_the_targets_key_alone(bench: Bench) -> None:
    bench.publish("lab/a", b"one")
    new = bench.more_keys("auditor-2")["auditor-2"]
    only = bench.without("publisher", "auditor").without(key_id(new))
    assert not rotate(bench.hub, "admission", bench.id("auditor"), new, only).committed
    assert bench.get("lab/a") == b"one"
    assert sign(bench.hub, bench.ring).committed, "nothing new is in the admissions, so they could wait unsigned"
    assert bench.get("lab/a") == b"one"


def test_without_the_online_keys_nothing_counts_either(bench: Bench) -> None:
    outcome = bench.publish("lab/a", b"one", bench.without("timestamp"))
    assert [one.role for one in outcome.missing] == ["timestamp"]
    assert sign(bench.hub, bench.without("root", "targets", "publisher", "auditor")).committed
    assert bench.get("lab/a") == b"one"


@pytest.mark.parametrize("role", [*TOP, "admission"])
def test_a_new_key_for_each_role_and_clients_follow(bench: Bench, role: str) -> None:
    bench.publish("lab/a", b"one")
    assert bench.get("lab/a", "known") == b"one"
    name = "auditor" if role == "admission" else role
    new = bench.more_keys(f"{name}-2")[f"{name}-2"]
    outcome = rotate(bench.hub, role, bench.id(name)[:12], new, bench.ring)
    assert outcome.committed
    held = {one.name: one.keys for one in status(bench.hub).roles}
    assert key_id(new) in held[role]
    assert bench.id(name) not in held[role]
    assert bench.get("lab/a", "known") == bench.get("lab/a", "new") == b"one"
    # The old key is worth nothing now, and the new one is.
    ring = bench.ring
    bench.publish("lab/b", b"two", ring.without(bench.id(name)))
    assert bench.get("lab/b", "known") == b"two"
    # Once more is no harm: it was done.
    assert rotate(bench.hub, role, bench.id(name)[:12], new, ring).committed


def test_a_lost_key_can_be_replaced(bench: Bench) -> None:
    bench.publish("lab/a", b"one")
    assert bench.get("lab/a", "known") == b"one"
    for name in ("timestamp", "snapshot", "targets"):
        new = bench.more_keys(f"{name}-2")[f"{name}-2"]
        assert rotate(bench.hub, name, bench.id(name), new, bench.without(name)).committed
        assert bench.get("lab/a", "known") == bench.get("lab/a", f"new-{name}") == b"one"


def test_a_lost_root_key_below_the_threshold_is_the_end(bench: Bench) -> None:
    new = bench.more_keys("root-2")["root-2"]
    with pytest.raises(InputError, match="none of the keys at hand signs for root"):
        rotate(bench.hub, "root", bench.id("root"), new, bench.without("root"))
    assert len(list((bench.hub / "metadata").glob("*.root.json"))) == 1


@pytest.mark.parametrize(
    ("role", "old", "words"),
    [("nobody", "", "no role 'nobody'"), ("timestamp", "zz", "0 keys of timestamp"), ("timestamp", "", "0 keys")],
)
def test_a_change_of_keys_that_cannot_be(bench: Bench, role: str, old: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        rotate(bench.hub, role, old, new_key().public_key(), bench.ring)


def test_one_key_does_not_count_twice(bench: Bench) -> None:
    key = bench.keys["publisher"]
    with pytest.raises(InputError, match="would count as two"):
        Holders((key, key), 2)
    with pytest.raises(InputError, match="would count as two"):
        rotate(bench.hub, "admission", bench.id("auditor"), key, bench.ring)
    same = {**bench.keys, "auditor": key}
    with pytest.raises(InputError, match="would count as two"):
        setup_from(same)


def test_an_admission_by_one_cannot_be_set_up(bench: Bench) -> None:
    one = Holders((bench.keys["root"],))
    for judges in (Holders((bench.keys["publisher"],)), Holders((bench.keys["publisher"], bench.keys["auditor"]), 1)):
        with pytest.raises(InputError, match="at least two keys, publisher's and auditor's, and the signatures of all"):
            Setup(one, one, one, one, judges)


def test_two_of_three_root_keys(tmp_path: Path) -> None:
    keys = make_keys(
        tmp_path / "keys", ["root", "root-b", "root-c", "targets", "snapshot", "timestamp", "publisher", "auditor"]
    )
    ring = KeyRing.folder(tmp_path / "keys")
    setup = setup_from(keys, {"root": 2})
    with pytest.raises(InputError, match=r"private keys are missing for root \(1 of 2\)"):
        init(tmp_path / "hub", setup, ring.without(key_id(keys["root"]), key_id(keys["root-b"])))
    assert init(tmp_path / "hub", setup, ring.without(key_id(keys["root"]))).name == "1.root.json"
    with pytest.raises(InputError, match="there is a hub"):
        init(tmp_path / "hub", setup, ring)
    with pytest.raises(InputError, match="a threshold is 1 to the number of keys"):
        setup_from(keys, {"targets": 2})
    with pytest.raises(InputError, match="a threshold is for one of"):
        setup_from(keys, {"admission": 1})


# --- taking back ---


def test_a_revoked_model_is_gone_with_its_reason_and_does_not_come_back(bench: Bench) -> None:
    bench.publish("lab/a", b"one")
    bench.publish("lab/b", b"two")
    assert revoke(bench.hub, ["lab/a"], bench.ring, reason="a backdoor was found").committed
    with pytest.raises(Refused, match="taken back by its publisher: a backdoor was found") as caught:
        bench.get("lab/a")
    assert caught.value.fault == Fault.REVOKED
    assert caught.value.judged
    assert bench.get("lab/b") == b"two"
    with pytest.raises(InputError, match="this content of lab/a was revoked: a backdoor was found"):
        bench.publish("lab/a", b"one")
    bench.publish("lab/a", b"repaired")
    assert bench.get("lab/a") == b"repaired"


@pytest.mark.parametrize(("name", "reason"), [("lab/none", "x"), ("lab/a", " "), ("lab/a", "x" * 501)])
def test_what_cannot_be_revoked(bench: Bench, name: str, reason: str) -> None:
    bench.publish("lab/a", b"one")
    with pytest.raises(InputError):
        revoke(bench.hub, [name], bench.ring, reason=reason)


def test_a_revocation_by_the_publisher_alone_waits(bench: Bench) -> None:
    bench.publish("lab/a", b"one")
    assert not revoke(bench.hub, ["lab/a"], bench.without("auditor"), reason="x").committed
    assert bench.get("lab/a") == b"one"


# --- delegations and bins ---


def test_names_can_be_others(bench: Bench) -> None:
    bench.publish("lab/a", b"one")
    bench.publish("other/a", b"two")
    keys = bench.more_keys("lab", "lab-auditor")
    holders = Holders(tuple(keys.values()), 2)
    assert delegate(bench.hub, "lab", holders, ["lab/*"], bench.ring).committed
    assert {model: role for model, (role, _) in offered(bench.hub).items()} == {"lab/a": "lab", "other/a": "admission"}
    mine = KeyRing.folder(bench.folder / "keys").without(bench.id("publisher"), bench.id("auditor"))
    assert bench.publish("lab/a", b"theirs", mine).committed
    with pytest.raises(InputError, match="none of the keys at hand signs for admission"):
        bench.publish("other/a", b"theirs", mine)
    assert bench.get("lab/a") == b"theirs"
    assert bench.get("other/a") == b"two"


@pytest.mark.parametrize("role", ["root", "timestamp", "admission", "a-b", "", "../x", "a" * 41])
def test_roles_that_cannot_be(bench: Bench, role: str) -> None:
    with pytest.raises(InputError, match="no role may be called"):
        delegate(bench.hub, role, Holders((bench.keys["auditor"],)), ["x/*"], bench.ring)


def test_models_are_spread_over_bins_and_found_there(bench: Bench) -> None:
    models = {f"lab/model-{number}": bench.source(f"{number}".encode(), f"s-{number}") for number in range(40)}
    publish(bench.hub, models, bench.ring)
    revoke(bench.hub, ["lab/model-39"], bench.ring, reason="broken")
    assert bench.get("lab/model-7", "known") == b"7"
    assert split(bench.hub, bench.ring, bits=3).committed
    roles = {model: role for model, (role, _) in offered(bench.hub).items()}
    assert set(roles) == set(models) - {"lab/model-39"}
    assert set(roles.values()) <= {f"admission-{number}" for number in range(8)}
    assert len(set(roles.values())) > 4
    for number in (0, 7, 21):
        assert bench.get(f"lab/model-{number}", "known") == f"{number}".encode()
    with pytest.raises(Refused, match="broken"):
        bench.get("lab/model-39", "new")
    # One more goes into its bin, and nothing else is written anew.
    before = {path.name for path in (bench.hub / "metadata").iterdir()}
    bench.publish("lab/more", b"more")
    added = {path.name for path in (bench.hub / "metadata").iterdir()} - before
    assert len([name for name in added if "admission" in name]) == 1
    with pytest.raises(InputError, match="has bins already"):
        split(bench.hub, bench.ring)
    new = bench.more_keys("auditor-2")["auditor-2"]
    assert rotate(bench.hub, "admission", bench.id("auditor"), new, bench.ring).committed
    assert bench.get("lab/more", "known") == b"more"


def test_past_the_limit_bins_come_by_themselves(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publisher, "MOST", 3)
    monkeypatch.setattr(publisher, "BIN_BITS", 2)
    for number in range(5):
        bench.publish(f"lab/model-{number}", f"{number}".encode())
    assert {role for role, _ in offered(bench.hub).values()} <= {f"admission-{number}" for number in range(4)}
    assert [bench.get(f"lab/model-{number}") for number in range(5)] == [f"{number}".encode() for number in range(5)]


@given(st.integers(1, 12))
def test_bins_cover_every_hash_once(bits: int) -> None:
    prefixes = [prefix for number in range(2**bits) for prefix in _prefixes(number, bits)]
    digits = len(prefixes[0])
    assert sorted(prefixes) == [f"{number:0{digits}x}" for number in range(16**digits)]
    assert all(int(_prefixes(number, bits)[0], 16) >> (digits * 4 - bits) == number for number in (0, 2**bits - 1))


# --- time ---


def test_a_refresh_signs_what_expires(bench: Bench) -> None:
    bench.publish("lab/a", b"one")
    online = bench.without("root", "targets", "publisher", "auditor")
    start = datetime.now(UTC).replace(microsecond=0)
    before = {role.name: role.version for role in status(bench.hub).roles}
    for days, changed in ((1, {"timestamp"}), (8, {"timestamp", "snapshot"}), (50, {"timestamp", "snapshot"})):
        now = start + timedelta(days=days)
        assert refresh(bench.hub, online, now=now).committed
        after = {role.name: role.version for role in status(bench.hub, now=now).roles}
        assert {name for name in after if after[name] > before[name]} == changed
        before = after
    assert status(bench.hub, now=start + timedelta(days=91)).expired == ("timestamp", "snapshot", "admission")
    # With all keys, all that is half over.
    refresh(bench.hub, bench.ring, now=start + timedelta(days=200))
    found = status(bench.hub, now=start + timedelta(days=200))
    assert found.expired == ()
    assert all(role.left(found.now) > 1 for role in found.roles)
    assert {role.name: role.version for role in found.roles}["root"] == 2


def test_how_long_signatures_hold_is_the_hubs_own(tmp_path: Path) -> None:
    keys = make_keys(tmp_path / "keys")
    ring = KeyRing.folder(tmp_path / "keys")
    init(tmp_path / "hub", setup_from(keys), ring, validity=Validity(timestamp=7, delegated=3))
    refresh(tmp_path / "hub", ring)
    left = {role.name: round(role.left(status(tmp_path / "hub").now)) for role in status(tmp_path / "hub").roles}
    assert left == {"root": 365, "timestamp": 7, "snapshot": 14, "targets": 365, "admission": 3}
    with pytest.raises(InputError, match="one day or more"):
        Validity(snapshot=0)


def test_old_versions_do_not_pile_up(bench: Bench) -> None:
    for number in range(KEPT + 6):
        bench.publish("lab/a", f"{number}".encode())
    left = [path.name for path in (bench.hub / "metadata").glob("*.admission.json")]
    assert len(left) == KEPT + 1
    assert bench.get("lab/a") == f"{KEPT + 5}".encode()


# --- what somebody else wrote ---


def test_nobody_signs_over_what_somebody_else_put_into_the_folder(bench: Bench) -> None:
    bench.publish("lab/a", b"one")
    path = bench.hub / "metadata" / "2.admission.json"
    text = path.read_bytes()
    for content in (text.replace(b"lab/a", b"lab/x"), text[:100], b""):
        path.write_bytes(content)
        with pytest.raises(Refused) as caught:
            bench.publish("lab/b", b"two")
        assert caught.value.fault in (Fault.ALTERED, Fault.MALFORMED)
    path.write_bytes(text)
    bench.publish("lab/b", b"two")
    timestamp = bench.hub / "metadata" / "timestamp.json"
    timestamp.write_bytes(timestamp.read_bytes().replace(b'"version":3', b'"version":9'))
    with pytest.raises(Refused, match="unsigned"):
        status(bench.hub)


def test_no_hub(tmp_path: Path) -> None:
    for call in (
        lambda: status(tmp_path),
        lambda: publish(tmp_path, {"a": tmp_path}, KeyRing.of([])),
        lambda: refresh(tmp_path / "none", KeyRing.of([])),
    ):
        with pytest.raises(InputError, match="there is no hub"):
            call()


# --- keys ---


def test_keys_are_private_made_once_and_completed(tmp_path: Path) -> None:
    first = make_keys(tmp_path, password=b"secret")
    for name in ("root", "targets", "publisher", "auditor", "snapshot", "timestamp"):
        private = tmp_path / f"{name}.key"
        assert private.stat().st_mode & 0o077 == 0
        assert (b"ENCRYPTED" in private.read_bytes()) == (name not in ("snapshot", "timestamp"))
    (tmp_path / "root.pub").unlink()
    again = make_keys(tmp_path, password=b"secret")
    assert {name: key_id(key) for name, key in again.items()} == {name: key_id(key) for name, key in first.items()}
    ring = KeyRing.folder(tmp_path, lambda _: b"wrong")
    with pytest.raises(InputError, match="does not open with this password"):
        ring.signer(key_id(first["root"]))
    assert ring.signer(key_id(first["timestamp"])).public_key.keyid == key_id(first["timestamp"])


def test_halves_that_make_no_pair(tmp_path: Path) -> None:
    keys = make_keys(tmp_path, ["root", "targets"])
    (tmp_path / "root.key").write_bytes((tmp_path / "targets.key").read_bytes())
    with pytest.raises(InputError, match="they make no pair"):
        KeyRing.folder(tmp_path).signer(key_id(keys["root"]))
    with pytest.raises(InputError, match="there is no folder"):
        public_keys(tmp_path / "none")
