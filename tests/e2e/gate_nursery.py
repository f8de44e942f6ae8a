"""Lets the gate decide in children that it kills: `gate_nursery.py <job> <folder> <kills> <step>`, as hub_nursery.py.

A program of its own, started by test_gate_kill.py. With kills 0 each child dies just before another touch of the disk
below the folder, every `step`-th, until one comes to its end; otherwise so many die at random moments, and `step` is
the seed. Each child has a process group of its own, which is killed as one: the gate has children itself. It prints one
JSON line for each.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from random import Random

from tests.e2e.hub_nursery import die_before, ended
from tests.supply.gate.bench import NOW, Bench, audit_of

from badnets.supply.gate.admitted import check_entry
from badnets.supply.gate.examine import Extras
from badnets.supply.gate.gate import revoke
from badnets.supply.gate.log import check, read_log
from badnets.supply.gate.store import Store, anchors, writing
from badnets.supply.signing import read_private_key

CHOSEN = "new"


def make(base: Path) -> None:
    """A store with one admitted model, and a new one outside."""
    bench = Bench(base)
    bench.admit(bench.write_model("old", (4.0, 5.0)))
    bench.write_model(CHOSEN, (6.0, 7.0))


def opened(folder: Path) -> Bench:
    """The bench that was made in the folder this one is a copy of."""
    bench = Bench.__new__(Bench)
    bench.folder, bench.store, bench.policy_file = folder, Store(folder / "store"), folder / "gate.toml"
    bench.keys, bench.model = {"gate": read_private_key(folder / "gate.key")}, folder / CHOSEN
    return bench


def admit(folder: Path) -> None:
    bench = opened(folder)
    decision = bench.decide(now=NOW, extras=Extras(audits=(audit_of(bench.digest()),)))
    assert decision.word == "admit", decision.outcome


def take_back(folder: Path) -> None:
    bench = opened(folder)
    entry = read_log(bench.store.log).entries[0].admitted
    revoke(entry, "a backdoor", bench.store, bench.keys["gate"])


JOBS: dict[str, Callable[[Path], None]] = {"gate": admit, "revoke": take_back}


def born(job: str, folder: Path, touch: int) -> int:
    """Start a life of the job, which ends before that touch of the disk (0: never)."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            os.setsid()
            if touch:
                die_before(touch, str(folder))
            JOBS[job](folder)
            code = 0
        finally:
            os._exit(code)
    return child


def look(folder: Path) -> dict[str, object]:
    """The store as it was left, and as whoever comes next puts it right; a copy, so that nothing is mended here."""
    copy = folder / "look"
    shutil.copytree(folder / "store", copy, symlinks=True)
    store, policy = Store(copy), opened(folder).policy
    before = read_log(store.log)
    with writing(store, 5.0):
        pass
    history = read_log(store.log)
    known = {entry.admitted for entry in history.entries if entry.word == "admit"}
    gone = {entry.admitted for entry in history.entries if entry.kind == "revocation"}
    here = {path.name for path in store.admitted.iterdir()}
    for name in here:
        check_entry(store.admitted / name, policy, now=NOW)
    told: dict[str, object] = {
        "faults": [*before.faults, *check(history, anchors(store))],
        "strangers": sorted(here - known),
        "missing": sorted(known - gone - here),
        "quarantine": [path.name for path in store.quarantine.iterdir()],
        "words": [entry.word for entry in history.entries],
        "admitted": len(here),
    }
    shutil.rmtree(copy)
    return told


def live(job: str, base: Path, folder: Path, touch: int, seconds: float) -> dict[str, object]:
    """One life that is cut short, what is left of it, and a second one to the end."""
    shutil.copytree(base, folder, symlinks=True)
    child = born(job, folder, touch)
    if not touch:
        time.sleep(seconds)
        try:
            os.killpg(child, signal.SIGKILL)
        except ProcessLookupError:  # it has not come to its own group yet
            os.kill(child, signal.SIGKILL)
    told: dict[str, object] = {"code": ended(child), "left": look(folder)}
    told["second"] = ended(born(job, folder, 0))
    told["after"] = look(folder)
    told["stray"] = [path.name for path in (folder / "store" / "quarantine").iterdir()]
    shutil.rmtree(folder)
    return told


def main(job: str, folder: Path, kills: int, step: int) -> None:
    base = folder / "base"
    base.mkdir()
    make(base)
    if not kills:
        touch, code = step, -9
        while code:
            told = live(job, base, folder / "life", touch, 0.0)
            print(json.dumps(told), flush=True)  # noqa: T201
            touch, code = touch + step, int(str(told["code"]))
        return
    shutil.copytree(base, folder / "life", symlinks=True)
    begun = time.monotonic()
    assert ended(born(job, folder / "life", 0)) == 0
    long = time.monotonic() - begun
    shutil.rmtree(folder / "life")
    random = Random(step)  # noqa: S311 - moments, not secrets
    for _ in range(kills):
        print(json.dumps(live(job, base, folder / "life", 0, random.random() * long)), flush=True)  # noqa: T201


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]).resolve(), int(sys.argv[3]), int(sys.argv[4]))
