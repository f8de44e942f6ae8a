"""`badnets hub`: a model's way from publisher and auditor to its user, and what each command says when it cannot."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from badnets.supply.hub import Client, KeyRing, refresh, serving, trust

from .conftest import Call

ROOT = "hub/metadata/1.root.json"


@pytest.fixture
def hub(badnets: Call, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[str]:
    """A hub in `hub`, keys in `keys`, a model in `model`, served; its address."""
    monkeypatch.setenv("BADNETS_HUBS", str(tmp_path / "state"))
    assert badnets("hub", "keys", "keys", "--no-password").code == 0
    assert badnets("hub", "init", "hub").out == f"{ROOT}\n"
    Path("model").write_bytes(b"model" * 100)
    with serving(Path("hub")) as url:
        yield url


def test_the_whole_way(badnets: Call, hub: str) -> None:
    said = badnets("hub", "publish", "hub", "lab/a", "model")
    assert (said.code, said.out) == (0, "")
    assert "lab/a is offered" in said.err
    said = badnets("hub", "trust", ROOT, "--repo", hub)
    assert (said.code, said.out) == (0, f"{os.environ['BADNETS_HUBS']}/default\n")
    said = badnets("hub", "get", "lab/a")
    assert (said.code, said.out) == (0, "a\n")
    assert Path("a").read_bytes() == b"model" * 100
    assert "1 file(s) as signed, role admission (2 of 2)" in said.err
    assert "newest signature is" in said.err
    assert "news since then would not be seen" in said.err
    told = json.loads(badnets("hub", "get", "lab/a", "--json").out)
    assert told["already_there"] is True
    assert told["origin"] == {"keys": 2, "role": "admission", "threshold": 2}
    assert told["freshness"]["age_seconds"] >= 0
    said = badnets("hub", "revoke", "hub", "lab/a", "--reason", "a backdoor was found")
    assert said.code == 0
    said = badnets("hub", "get", "lab/a", "--out", "b")
    assert (said.code, said.out) == (1, "")
    assert "badnets: refused: revoked: lab/a was taken back by its publisher: a backdoor was found" in said.err
    assert not Path("b").exists()


def test_publisher_and_auditor_apart(badnets: Call, hub: str) -> None:
    Path("auditor").mkdir()
    for name in ("auditor.key", "auditor.pub"):
        Path("keys", name).rename(Path("auditor", name))
    said = badnets("hub", "publish", "hub", "lab/a", "model", "--json")
    told = json.loads(said.out)
    assert told["committed"] is False
    assert [(one["role"], one["have"], one["need"]) for one in told["missing"]] == [("admission", 1, 2)]
    assert "waits: admission version 2, signed by 1 of 2" in badnets("hub", "status", "hub").err
    said = badnets("hub", "sign", "hub", "--keys", "auditor")
    assert "nothing counts yet" in said.err, "snapshot and timestamp are on the other machine"
    assert "the change counts now" in badnets("hub", "sign", "hub").err
    badnets("hub", "trust", ROOT, "--repo", hub)
    assert badnets("hub", "get", "lab/a").code == 0


def test_exit_codes_and_lines_of_a_swapped_file_and_a_dead_server(badnets: Call, hub: str) -> None:
    badnets("hub", "publish", "hub", "lab/a", "model")
    badnets("hub", "trust", ROOT, "--repo", hub)
    (blob,) = Path("hub/targets/lab").iterdir()
    blob.write_bytes(b"other" * 100)
    said = badnets("hub", "get", "lab/a")
    assert (said.code, said.out) == (1, "")
    (line,) = said.err.splitlines()
    assert line.startswith("badnets: refused: altered: ")
    said = badnets("hub", "get", "lab/a", "--repo", "http://127.0.0.1:1/", "--hub", "default")
    assert (said.code, said.out) == (2, "")
    (line,) = said.err.splitlines()
    assert line.startswith("badnets: unreachable: ")
    assert badnets("hub", "get", "lab/none").code == 2
    assert sorted(path.name for path in Path().iterdir()) == ["hub", "keys", "model", "state"]


def test_folders_and_bundles(badnets: Call, hub: str) -> None:
    Path("many").mkdir()
    Path("many/x").write_bytes(b"x")
    badnets("hub", "publish", "hub", "lab/many", "many")
    badnets("hub", "trust", ROOT, "--repo", hub, "--hub", "ours")
    assert badnets("hub", "get", "lab/many", "--out", "got").out == "got\n"
    assert Path("got/x").read_bytes() == b"x"
    assert badnets("hub", "export", "lab/many", "--out", "bundle.zip").out == "bundle.zip\n"
    said = badnets("hub", "trust", ROOT, "--state", "gap")
    assert said.code == 0
    said = badnets("hub", "import", "bundle.zip", "--state", "gap")
    assert (said.code, said.out) == (0, "models/lab/many\n")
    assert "newest signature is" in said.err
    told = json.loads(badnets("hub", "import", "bundle.zip", "--state", "gap", "--json").out)
    assert [one["name"] for one in told] == ["lab/many"]
    assert badnets("hub", "get", "lab/many", "--repo", "bundle.zip", "--state", "gap", "--out", "g2").code == 0
    assert badnets("hub", "get", "lab/many", "--repo", "hub", "--out", "g3").code == 0, "a folder is a hub too"
    said = badnets("hub", "import", "none.zip", "--state", "gap")
    assert (said.code, said.err) == (2, "badnets: there is no bundle none.zip\n")


@pytest.mark.usefixtures("hub")
def test_new_keys_delegations_bins_and_status(badnets: Call) -> None:
    badnets("hub", "publish", "hub", "lab/a", "model")
    assert badnets("hub", "keys", "keys", "timestamp-2", "lab", "--no-password").code == 0
    said = badnets("hub", "rotate", "hub", "timestamp", "--old", "keys/timestamp.pub", "--new", "keys/timestamp-2.pub")
    assert "timestamp has a new key" in said.err
    said = badnets(
        "hub", "delegate", "hub", "lab", "--path", "lab/*", "--key", "keys/lab.pub", "--key", "keys/auditor.pub"
    )
    assert "lab offers lab/*" in said.err
    assert "admission has 4 bins" in badnets("hub", "delegate", "hub", "admission", "--bins", "2").err
    assert badnets("hub", "refresh", "hub").code == 0
    told = json.loads(badnets("hub", "status", "hub", "--json").out)
    assert [role["name"] for role in told["roles"]][:6] == [
        "root",
        "timestamp",
        "snapshot",
        "targets",
        "lab",
        "admission",
    ]
    assert told["models"] == 1
    said = badnets("hub", "status", "hub")
    assert said.code == 0
    assert "admission-3" in said.out
    said = badnets("hub", "delegate", "hub", "single", "--path", "x/*", "--key", "keys/lab.pub")
    assert "one signature is enough" in said.err


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("get", "lab/a"), "0 hubs are trusted: give a root file to badnets hub trust"),
        (("publish", "nowhere", "lab/a", "model"), "there is no hub in nowhere"),
        (("publish", "hub", "../a", "model"), "no model may be called '../a'"),
        (("publish", "hub", "lab/a", "none"), "cannot read none"),
        (("publish", "hub", "lab/a", "model", "--keys", "none"), "there is no folder none with keys"),
        (("publish", "hub", "lab/a", "model", "--custom", "model"), "model is not strict JSON"),
        (("sign", "hub"), "nothing in hub waits for a signature"),
        (("init", "hub"), "there is a hub in hub already"),
        (("init", "new", "--threshold", "root"), "expected ROLE=NUMBER"),
        (("init", "new", "--threshold", "root=2"), "a threshold is 1 to the number of keys, 1"),
        (("init", "new", "--days", "x=2"), "no signatures are called 'x'"),
        (("rotate", "hub", "root", "--old", "ff", "--new", "keys/none.pub"), "cannot read keys/none.pub"),
        (("revoke", "hub", "lab/none", "--reason", "x"), "this hub has no model lab/none"),
        (("delegate", "hub", "lab", "--path", "lab/*"), "a delegation needs keys"),
        (("delegate", "hub", "lab", "--key", "keys/root.pub"), "a delegation needs paths"),
        (("delegate", "hub", "admission", "--bins", "2", "--path", "x"), "--bins goes without --path"),
        (("trust", "model"), None),
        (("trust", ROOT, "--repo", "http://example.org/"), "http://example.org/: not fetched over http"),
        (("trust", ROOT, "--hub", "../x"), "no hub may be called '../x'"),
        (("status", "nowhere"), "there is no hub in nowhere"),
        (("serve", "nowhere"), "there is no hub in nowhere"),
        (("keys", "keys", "../x", "--no-password"), "no key may be called '../x'"),
        (("keys", "more"), "a password is needed"),
        (("keys", "more", "--no-password", "--password-file", "x"), "give one of them"),
    ],
    ids=str,
)
def test_what_cannot_be_done_is_one_line(badnets: Call, hub: str, words: tuple[str, ...], line: str | None) -> None:
    del hub
    said = badnets("hub", *words)
    lines = [one for one in said.err.splitlines() if one.startswith("badnets: ")]
    assert said.out == ""
    if line is None:
        assert said.code == 1
        assert lines == [lines[0]]
        assert "refused: malformed: the root file" in lines[0]
    else:
        assert said.code == 2, said.err
        assert line in lines[-1]
    assert "Traceback" not in said.err


def test_an_expired_hub(badnets: Call, hub: str) -> None:

    refresh(Path("hub"), KeyRing.folder(Path("keys")), now=datetime.now(UTC) - timedelta(days=4))
    badnets("hub", "trust", ROOT, "--repo", hub)
    said = badnets("hub", "get", "lab/a")
    assert said.code == 1
    assert "refused: expired" in said.err
    assert badnets("hub", "status", "hub").code == 1
    assert badnets("hub", "refresh", "hub").code == 0
    assert badnets("hub", "status", "hub").code == 0


def test_passwords(badnets: Call) -> None:
    Path("secret").write_text("correct horse\n")
    Path("wrong").write_text("battery\n")
    assert badnets("hub", "keys", "keys", "--password-file", "secret").code == 0
    said = badnets("hub", "init", "hub", "--password-file", "wrong")
    assert said.code == 2
    assert "does not open with this password" in said.err
    assert not Path("hub/metadata/timestamp.json").exists()
    assert badnets("hub", "init", "hub", "--password-file", "secret").code == 0
    assert badnets("hub", "refresh", "hub").code == 0, "the online keys have none"


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM])
def test_serve_says_where_and_ends_when_told(badnets: Call, hub: str, end: signal.Signals) -> None:
    badnets("hub", "publish", "hub", "lab/a", "model")
    command = [str(Path(sys.executable).with_name("badnets")), "hub", "serve", "hub", "--port", "0"]
    deaf = signal.signal(signal.SIGINT, signal.SIG_IGN)  # as a shell starts what runs in the background
    try:
        running = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    finally:
        signal.signal(signal.SIGINT, deaf)
    with running:
        assert running.stdout is not None
        assert running.stderr is not None
        url = running.stdout.readline().decode().strip()
        try:
            assert url.startswith("http://127.0.0.1:")
            trusted = trust(Path("home"), Path(ROOT).read_bytes(), [url])
            with Client(trusted).at_work() as client:
                client.get("lab/a", Path("out"))
            running.send_signal(end)
            assert running.wait(timeout=60) == 130
            assert b"Traceback" not in running.stderr.read()
        finally:
            running.kill()  # leaving the block waits for it, whatever went wrong
    del hub


def test_zoo_attack(badnets: Call) -> None:
    told = json.loads(badnets("run", "zoo-attack", "--json").out)
    fell = {row["attack"]: tuple(row[who]["fell"] for who in ("zoo", "zoo_sha1", "hub")) for row in told["rows"]}
    assert all(zoo for zoo, _, _ in fell.values())
    assert [attack for attack, (_, sha1, _) in fell.items() if not sha1] == [
        "the file is swapped", "a mirror serves another file",
    ]  # fmt: skip
    assert [attack for attack, (_, _, hub) in fell.items() if hub] == [
        "frozen at it, within the timestamp's time", "publisher's and auditor's keys are stolen",
    ]  # fmt: skip
    said = badnets("run", "zoo-attack")
    assert said.code == 0
    assert "users of the zoo fell for 11, with SHA-1 for 9, users of the hub for 2" in " ".join(said.err.split())
