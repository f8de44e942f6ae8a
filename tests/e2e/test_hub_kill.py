"""Killed at any moment, a hub is the old one or the new one, a client's file too, and the same command completes it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from badnets.errors import StorageError
from badnets.supply.hub import KeyRing, init, make_keys, offered, publish, setup_from
from badnets.supply.hub.lock import locked

if sys.platform == "win32":
    pytest.skip("SIGKILL and fork are not Windows'", allow_module_level=True)

NURSERY = Path(__file__).with_name("hub_nursery.py")
# Which model a client may find in the hub after the kill, and must find when the job was run again.
LEFT = {"publish": {"old", "new"}, "rotate": {"old"}, "rotate-lost": {"old"}, "get": {"new"}}
AFTER = {"publish": "new", "rotate": "old", "rotate-lost": "old", "get": "new"}
WINDOW = "Refused: unsigned: local:/: timestamp was signed by 0/1 keys"


def lives(job: str, folder: Path, *, kills: int, step: int) -> list[dict[str, Any]]:
    """What the nursery says of each life, see there."""
    arguments = [sys.executable, str(NURSERY), job, str(folder), str(kills), str(step)]
    done = subprocess.run(arguments, capture_output=True, text=True, check=False, timeout=900)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return [json.loads(line) for line in done.stdout.splitlines()]


def check(job: str, life: dict[str, Any]) -> None:
    left, after = life["left"], life["after"]
    if job != "rotate-lost" or WINDOW not in (left["known"], left["new"]):
        assert left["known"] in LEFT[job]
        assert left["new"] == left["known"]
    assert left["brought"] in ({"old", "new"} if job == "get" else {"old"})
    assert life["second"] == 0
    assert after["known"] == after["new"] == AFTER[job]
    assert after["brought"] == ("new" if job == "get" else "old")
    assert all(now >= before for now, before in zip(after["versions"], left["versions"], strict=False))
    assert life["stray"] == []
    assert life["folder"] == (["a", "b", "c"] if job == "get" else [])


# Primes, so that each run meets other kinds of touches; the nursery's step 1 tries all 420 of them.
@pytest.mark.parametrize(("job", "step"), [("publish", 5), ("rotate", 13), ("rotate-lost", 3), ("get", 7)])
def test_a_kill_before_touches_of_the_disk(job: str, step: int, tmp_path: Path) -> None:
    told = lives(job, tmp_path, kills=0, step=step)
    assert [life["code"] for life in told[:-1]] == [-signal.SIGKILL] * (len(told) - 1)
    assert told[-1]["code"] == 0
    assert len(told) > 10
    for life in told:
        check(job, life)
    if job == "rotate-lost":
        # No key is left to bridge old and new: for a moment clients refuse the hub, and that is told.
        windows = [life["left"]["known"] == WINDOW for life in told]
        assert sum(windows) <= 3


@pytest.mark.parametrize(("job", "kills"), [("publish", 14), ("rotate", 12), ("rotate-lost", 10), ("get", 14)])
def test_a_kill_at_random_moments(job: str, kills: int, tmp_path: Path) -> None:
    told = lives(job, tmp_path, kills=kills, step=kills)
    assert len(told) == kills
    assert sum(life["code"] == -signal.SIGKILL for life in told) > kills // 3
    for life in told:
        check(job, life)


PUBLISHER = """
import sys
from pathlib import Path
from badnets.supply.hub import KeyRing, publish
folder, name = Path(sys.argv[1]), sys.argv[2]
for number in range(4):
    source = folder / f"{name}-{number}"
    source.write_text(source.name)
    publish(folder / "hub", {f"{name}/model-{number}": source}, KeyRing.folder(folder / "keys"), wait=60.0)
"""


def test_two_publishers_at_once_wait_for_each_other(tmp_path: Path) -> None:
    init(tmp_path / "hub", setup_from(make_keys(tmp_path / "keys")), KeyRing.folder(tmp_path / "keys"))
    both = [subprocess.Popen([sys.executable, "-c", PUBLISHER, str(tmp_path), name]) for name in ("one", "two")]
    assert [process.wait(timeout=120) for process in both] == [0, 0]
    assert set(offered(tmp_path / "hub")) == {
        f"{name}/model-{number}" for name in ("one", "two") for number in range(4)
    }


def test_a_publisher_who_waits_no_longer_says_so(tmp_path: Path) -> None:
    keys = make_keys(tmp_path / "keys")
    ring = KeyRing.folder(tmp_path / "keys")
    init(tmp_path / "hub", setup_from(keys), ring)
    (tmp_path / "model").write_bytes(b"model")
    with locked(tmp_path / "hub", "the hub"), pytest.raises(StorageError, match="is being changed by another process"):
        publish(tmp_path / "hub", {"a": tmp_path / "model"}, ring, wait=0.0)
    assert offered(tmp_path / "hub") == {}
