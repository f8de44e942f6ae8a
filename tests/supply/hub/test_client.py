"""The clients' side: trust, mirrors, resuming, bundles, clocks, and what is left behind."""

from __future__ import annotations

import json
import shutil
import threading
import zipfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from badnets.artifacts import sha256_bytes, write_bytes
from badnets.errors import DataError, InputError, StorageError
from badnets.supply.hub import (
    Client,
    Fault,
    Refused,
    Trusted,
    bring_all,
    default_folder,
    draft,
    export,
    refresh,
    revoke,
    trust,
)
from badnets.supply.hub.client import _key
from badnets.supply.hub.fetcher import LocalFetcher
from badnets.supply.hub.lock import locked
from badnets.supply.hub.server import Handler, serving
from badnets.supply.hub.simulator import endless
from badnets.supply.transport import Pace, opened

from .conftest import Bench

PACE = Pace(seconds=20.0, floor=0.0, window=5.0)


# --- trust ---


@pytest.mark.parametrize(
    "url", ["http://example.org/hub", "ftp://127.0.0.1/", "file:///hub", "hub", "https://u@host/", "https://host/?x=1"]
)
def test_only_plain_addresses_over_https_or_of_this_machine(bench: Bench, url: str) -> None:
    root = (bench.hub / "metadata" / "1.root.json").read_bytes()
    with pytest.raises(InputError):
        trust(bench.folder / "home", root, [url])
    assert not (bench.folder / "home" / "root.json").exists()
    for good in ("https://example.org/hub", "http://127.0.0.1:8000", "http://[::1]:8000/", "http://localhost/x"):
        assert trust(bench.folder / "home", root, [good]).mirrors() == (good.rstrip("/") + "/",)


def test_what_is_no_root(bench: Bench) -> None:
    root = (bench.hub / "metadata" / "1.root.json").read_bytes()
    targets = (bench.hub / "metadata" / "1.targets.json").read_bytes()
    unsigned = json.dumps({**json.loads(root), "signatures": []}).encode()
    for content in (b"", b"{}", b"[" * 100_000, targets, unsigned, root.replace(b'"version":1', b'"version":2')):
        with pytest.raises(Refused) as caught:
            trust(bench.folder / "home", content, [])
        assert caught.value.fault in (Fault.MALFORMED, Fault.UNSIGNED)
        assert "\n" not in str(caught.value)


def test_another_root_is_not_trusted_by_the_way(bench: Bench, tmp_path: Path) -> None:
    bench.trusted()
    other = Bench(tmp_path / "other")
    with pytest.raises(InputError, match="trusts another root already"):
        trust(bench.folder / "home", (other.hub / "metadata" / "1.root.json").read_bytes(), [])


def test_no_trust_no_mirror(bench: Bench) -> None:
    with pytest.raises(InputError, match="no hub is trusted"):
        Client(Trusted(bench.folder / "nowhere"))
    with pytest.raises(InputError, match="no mirror is known"):
        Client(bench.trusted())


def test_another_address_is_held_to_the_same_rules(bench: Bench) -> None:
    for url in ("http://example.org/", "ftp://127.0.0.1/", "http://127.0.0.1/?x"):
        with pytest.raises(InputError):
            Client(bench.trusted(), [url])


def test_no_connection_outlives_an_error(bench: Bench) -> None:
    class Endless(Handler):
        def send(self, *, body: bool) -> None:
            del body
            endless(self)

    before = set(threading.enumerate())
    with serving(bench.hub, Endless) as url:
        with Client(bench.trusted(), [url], pace=PACE).at_work() as client, pytest.raises(Refused) as caught:
            client.refresh()
        # While the error is still looked at.
        assert caught.value.fault == Fault.ENDLESS
        watching = [one for one in set(threading.enumerate()) - before if "_look" in one.name]
        assert watching == []


def test_where_trust_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BADNETS_HUBS", "/here")
    assert default_folder() == Path("/here")
    monkeypatch.delenv("BADNETS_HUBS")
    monkeypatch.setenv("XDG_DATA_HOME", "/data")
    assert default_folder() == Path("/data/badnets/hubs")


# --- getting ---


def test_a_file_that_is_there_is_not_brought_again_and_a_wrong_one_is_replaced(bench: Bench) -> None:
    bench.publish("lab/a", b"model" * 1000)
    out = bench.folder / "out"
    with serving(bench.hub) as url:
        for before, there in ((None, False), (b"model" * 1000, True), (b"other" * 1000, False)):
            if before is not None:
                out.write_bytes(before)
            with Client(bench.trusted(), [url]).at_work() as client:
                assert client.get("lab/a", out).already_there == there
            assert out.read_bytes() == b"model" * 1000
    with Client(bench.trusted(), bench.hub).at_work() as client, pytest.raises(InputError, match="is a folder"):
        client.get("lab/a", bench.folder)


@pytest.mark.parametrize("name", ["lab/none", "../../etc/passwd", "", "a?b", "metadata/1.root.json"])
def test_names_that_are_not_offered(bench: Bench, name: str) -> None:
    with Client(bench.trusted(), bench.hub).at_work() as client, pytest.raises(Refused) as caught:
        client.get(name, bench.folder / "out")
    assert caught.value.fault == Fault.UNLISTED
    assert not caught.value.judged


class Breaking(Handler):
    """Breaks off in the midst of the first two answers for a model's file, and keeps what was asked."""

    asked: list[str | None] = []  # noqa: RUF012 - the handler's class is made anew for each server, the list is emptied

    def send(self, *, body: bool) -> None:
        if ".big" not in self.path:
            super().send(body=body)
            return
        self.asked.append(self.headers.get("Range"))
        if len(self.asked) > 2:
            super().send(body=body)
            return
        path = self.file()
        assert path is not None
        content = path.read_bytes()
        start = self.start(len(content))
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(content) - start))
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.end_headers()
        self.wfile.write(content[start : start + 300_000])
        self.close_connection = True


def test_a_download_that_broke_off_goes_on_where_it_was(bench: Bench) -> None:
    content = bytes(range(256)) * 4000
    bench.publish("lab/big", content)
    Breaking.asked.clear()
    trusted, out, told = bench.trusted(), bench.folder / "out", []
    with serving(bench.hub, Breaking) as url:
        for kept in (300_000, 600_000):
            with Client(trusted, [url], pace=PACE).at_work() as client, pytest.raises(Refused) as caught:
                client.get("lab/big", out)
            assert caught.value.fault == Fault.UNREACHABLE
            assert [path.stat().st_size for path in trusted.partial.iterdir()] == [kept]
            assert not out.exists()
        with Client(trusted, [url], pace=PACE, progress=lambda *seen: told.append(seen)).at_work() as client:
            client.get("lab/big", out)
    assert Breaking.asked == [None, "bytes=300000-", "bytes=600000-"]
    assert out.read_bytes() == content
    assert list(trusted.partial.iterdir()) == []
    assert told[-1] == (len(content), len(content))
    assert told[0][0] > 600_000


def test_a_part_that_somebody_changed_costs_one_more_attempt(bench: Bench) -> None:
    content = bytes(range(256)) * 4000
    bench.publish("lab/big", content)
    Breaking.asked.clear()
    trusted, out = bench.trusted(), bench.folder / "out"
    with serving(bench.hub, Breaking) as url:
        with Client(trusted, [url], pace=PACE).at_work() as client, pytest.raises(Refused):
            client.get("lab/big", out)
        (part,) = trusted.partial.iterdir()
        part.write_bytes(b"evil" * (part.stat().st_size // 4))
        Breaking.asked.append("skip the second break")
        with Client(trusted, [url], pace=PACE).at_work() as client:
            client.get("lab/big", out)
    assert out.read_bytes() == content
    assert Breaking.asked[-2:] == ["bytes=300000-", None]


class Forgetful(Handler):
    """Answers every request for a part with the whole, or with a part that was not asked for."""

    wrong = False

    def start(self, size: int) -> int:
        if self.headers.get("Range") and type(self).wrong:
            self.send_response(206)
            self.send_header("Content-Range", f"bytes 5-{size - 1}/{size}")
            self.send_header("Content-Length", str(size - 5))
            self.end_headers()
            raise ConnectionError
        return 0


@pytest.mark.parametrize("wrong", [False, True])
def test_servers_that_know_no_parts(bench: Bench, monkeypatch: pytest.MonkeyPatch, *, wrong: bool) -> None:
    content = bytes(range(256)) * 40
    bench.publish("lab/big", content)
    trusted, out = bench.trusted(), bench.folder / "out"
    with Client(trusted, bench.hub).at_work() as client:
        target = client.find("lab/big").target

    write_bytes(trusted.partial / sha256_bytes(_key(target).encode()), content[:999])
    monkeypatch.setattr(Forgetful, "wrong", wrong)
    with serving(bench.hub, Forgetful) as url, Client(trusted, [url], pace=PACE).at_work() as client:
        if wrong:
            with pytest.raises(Refused, match="the server sends others"):
                client.get("lab/big", out)
        else:
            client.get("lab/big", out)
            assert out.read_bytes() == content


# --- mirrors ---


def test_a_mirror_that_is_behind_is_overruled_and_named(bench: Bench) -> None:
    bench.publish("lab/a", b"one")
    shutil.copytree(bench.hub, bench.folder / "behind")
    bench.publish("lab/a", b"two")
    for order in ((0, 1), (1, 0)):
        with serving(bench.folder / "behind") as behind, serving(bench.hub) as ahead:
            urls = [(behind, ahead)[number] for number in order]
            with Client(bench.trusted(f"home-{order[0]}"), urls, pace=PACE).at_work() as client:
                got = client.get("lab/a", bench.folder / "out")
        assert (bench.folder / "out").read_bytes() == b"two"
        (fault,) = got.found.freshness.faults
        assert behind in fault


def test_a_missing_file_comes_from_the_other_mirror(bench: Bench) -> None:
    bench.publish("lab/a", b"one")
    shutil.copytree(bench.hub, bench.folder / "half")
    shutil.rmtree(bench.folder / "half" / "targets")
    with serving(bench.folder / "half") as half, serving(bench.hub) as whole:
        with Client(bench.trusted(), [half, whole], pace=PACE).at_work() as client:
            client.get("lab/a", bench.folder / "out")
        with Client(bench.trusted("x"), [half], pace=PACE).at_work() as client, pytest.raises(Refused) as caught:
            client.get("lab/a", bench.folder / "out-x")
    assert caught.value.fault == Fault.UNREACHABLE
    assert "answers 404" in str(caught.value)


# --- age and clocks ---


def test_the_age_of_what_is_known(bench: Bench) -> None:
    now = datetime.now(UTC).replace(microsecond=0)
    refresh(bench.hub, bench.ring, now=now - timedelta(hours=30))
    with Client(bench.trusted(), bench.hub, clock=lambda: now).at_work() as client:
        fresh = client.refresh()
    assert fresh.age == timedelta(hours=30)
    assert fresh.expires == now + timedelta(hours=18)
    assert fresh.signed == now - timedelta(hours=30)


def test_a_clock_that_was_set_back(bench: Bench) -> None:
    bench.publish("lab/a", b"one")
    now = datetime.now(UTC)
    bench.get("lab/a")
    late = Client(bench.trusted(), bench.hub, clock=lambda: now - timedelta(hours=2))
    with late.at_work(), pytest.raises(Refused, match="set the clock") as caught:
        late.refresh()
    assert caught.value.fault == Fault.CLOCK
    bench.trusted().seen.write_bytes(b"{")
    assert bench.get("lab/a") == b"one"


def test_a_hub_that_does_not_say_when_it_was_signed(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:

    monkeypatch.setattr(draft, "SIGNED_AT", "something-else")
    refresh(bench.hub, bench.ring)
    monkeypatch.undo()
    with Client(bench.trusted(), bench.hub).at_work() as client:
        assert client.refresh().age is None


# --- bundles ---


def test_a_bundle_carries_models_across_a_gap(bench: Bench) -> None:
    bench.publish("lab/a", b"one")
    bench.publish("lab/folder", {"x": b"x", "y/z": b"z"})
    bench.publish("lab/other", b"not in it")
    bundle = bench.folder / "bundle.zip"
    with serving(bench.hub) as url:
        trusted = bench.trusted()
        with Client(trusted, [url], pace=PACE).at_work() as client:
            export(client, trusted, ["lab/a", "lab/folder"], bundle)
    there = bench.trusted("there")
    with Client(there, bundle).at_work() as client:
        brought = bring_all(client, [], bench.folder / "models")
    assert [got.found.name for got in brought] == ["lab/a", "lab/folder"]
    assert (bench.folder / "models" / "lab" / "a").read_bytes() == b"one"
    assert (bench.folder / "models" / "lab" / "folder" / "y" / "z").read_bytes() == b"z"
    assert brought[0].found.freshness.age is not None
    with Client(there, bundle).at_work() as client, pytest.raises(Refused) as caught:
        client.get("lab/other", bench.folder / "other")
    assert caught.value.fault == Fault.UNREACHABLE
    # What a bundle brought is remembered: an older hub is refused afterwards, and a newer one accepted.
    revoke(bench.hub, ["lab/a"], bench.ring, reason="x")
    with Client(there, bench.hub).at_work() as client, pytest.raises(Refused, match="revoked"):
        client.find("lab/a")
    with Client(there, bundle).at_work() as client, pytest.raises(Refused) as caught:
        client.refresh()
    assert caught.value.fault == Fault.ROLLBACK


def test_an_old_bundle_is_refused(bench: Bench) -> None:
    bench.publish("lab/a", b"one")
    refresh(bench.hub, bench.ring, now=datetime.now(UTC) - timedelta(days=3))
    with Client(bench.trusted(), bench.hub).at_work() as client, pytest.raises(Refused) as caught:
        client.refresh()
    assert caught.value.fault == Fault.EXPIRED
    assert "here it is" in str(caught.value)


def test_bundles_that_are_none_or_were_changed(bench: Bench) -> None:
    bench.publish("lab/a", b"one" * 1000)
    trusted, bundle = bench.trusted(), bench.folder / "bundle.zip"
    with Client(trusted, bench.hub).at_work() as client:
        export(client, trusted, ["lab/a"], bundle)
        with pytest.raises(InputError, match="at least one"):
            export(client, trusted, [], bundle)
    content = bundle.read_bytes()
    for broken in (b"", b"PK", content[: len(content) // 2]):
        bundle.write_bytes(broken)
        with pytest.raises(DataError, match="neither a hub's folder nor a bundle"):
            LocalFetcher(bundle)
    bundle.write_bytes(content.replace(b"oneone", b"twotwo"))
    with Client(bench.trusted("there"), bundle).at_work() as client, pytest.raises(Refused) as caught:
        client.get("lab/a", bench.folder / "out")
    assert caught.value.fault in (Fault.ALTERED, Fault.UNREACHABLE)
    with zipfile.ZipFile(bundle, "w") as archive:
        archive.writestr("bundle.json", '{"models":[]}')
    with pytest.raises(Refused), Client(bench.trusted("there"), bundle).at_work() as client:
        bring_all(client, [], bench.folder / "models")


# --- two at once ---


def test_two_clients_of_one_folder(bench: Bench) -> None:
    trusted = bench.trusted()
    client = Client(trusted, bench.hub)
    busy = pytest.raises(StorageError, match="by another process")
    with locked(trusted.folder, "the client's folder"), busy, client.at_work(wait=0.0):
        pass


# --- the server for trying ---


@pytest.mark.parametrize(
    "path",
    ["keys", ".lock", "hub.json", "metadata", "metadata/", "metadata/../hub.json", "metadata/%2e%2e/hub.json",
     "metadata/..%2fhub.json", "targets/link", "", "metadata/none.json", "metadata/x%00"],
)  # fmt: skip
def test_what_is_not_served(bench: Bench, path: str) -> None:

    (bench.folder / "secret").write_bytes(b"secret")
    (bench.hub / "targets" / "link").symlink_to(bench.folder / "secret")
    with serving(bench.hub) as url:
        with opened(f"{url}{path}", PACE) as (response, _):
            assert response.status == 404
        with opened(f"{url}metadata/timestamp.json", PACE) as (response, _):
            assert response.status == 200
        with opened(f"{url}metadata/timestamp.json", PACE, {"Range": "bytes=99999999-"}) as (response, _):
            assert response.status == 416


# --- disks ---


def test_a_full_disk(bench: Bench, full_disk: Path) -> None:
    bench.publish("lab/big", bytes(200_000))
    before = sorted(full_disk.iterdir())
    with Client(bench.trusted(), bench.hub).at_work() as client, pytest.raises(StorageError, match="the disk is full"):
        client.get("lab/big", full_disk / "model")
    assert sorted(full_disk.iterdir()) == before
