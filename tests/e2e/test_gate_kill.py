"""Killed at any moment, the gate's store is whole, and the same command completes what was begun."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.supply.gate.bench import Bench

from badnets.supply.gate.log import check, read_log
from badnets.supply.gate.store import Store, anchors

if sys.platform == "win32":
    pytest.skip("SIGKILL and fork are not Windows'", allow_module_level=True)

ROOT = Path(__file__).parents[2]
NURSERY = Path(__file__).with_name("gate_nursery.py")
WORDS = {"gate": ["admit", "admit"], "revoke": ["admit", "revoked"]}


def lives(job: str, folder: Path, *, kills: int, step: int) -> list[dict[str, Any]]:
    """What the nursery says of each life, see there."""
    arguments = [sys.executable, str(NURSERY), job, str(folder), str(kills), str(step)]
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    done = subprocess.run(
        arguments, capture_output=True, text=True, check=False, timeout=900, env={**os.environ, "PYTHONPATH": path}
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def check_life(job: str, life: dict[str, Any]) -> None:
    for moment in ("left", "after"):
        told = life[moment]
        assert told["faults"] == []
        assert told["strangers"] == [], "nothing is admitted that the log does not know"
        assert told["missing"] == [], "what the log admits is there"
        assert told["quarantine"] == []
    assert life["second"] == 0
    assert life["stray"] == []
    words = life["after"]["words"]
    assert words[:2] == WORDS[job]
    assert len(words) <= 3, "killed behind the line, the same command decides once more"
    assert life["after"]["admitted"] == (2 if job == "gate" else 0)


@pytest.mark.parametrize(("job", "step"), [("gate", 23), ("revoke", 7)])
def test_a_kill_before_touches_of_the_disk(job: str, step: int, tmp_path: Path) -> None:
    told = lives(job, tmp_path, kills=0, step=step)
    assert [life["code"] for life in told[:-1]] == [-signal.SIGKILL] * (len(told) - 1)
    assert told[-1]["code"] == 0
    assert len(told) > 4
    for life in told:
        check_life(job, life)


def test_a_kill_at_random_moments(tmp_path: Path) -> None:
    told = lives("gate", tmp_path, kills=6, step=6)
    assert len(told) == 6
    for life in told:
        check_life("gate", life)


GATE = """
import sys
from pathlib import Path
from tests.e2e.gate_nursery import opened
from badnets.supply.gate.examine import Extras
from tests.supply.gate.bench import audit_of
bench = opened(Path(sys.argv[1]))
bench.model = Path(sys.argv[1]) / sys.argv[2]
assert bench.decide(extras=Extras(audits=(audit_of(bench.digest()),))).word == "admit"
"""


def test_two_gates_at_once_wait_for_each_other(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    for name, values in (("one", (1.0,)), ("two", (2.0,))):
        bench.write_model(name, values)
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    both = [
        subprocess.Popen([sys.executable, "-c", GATE, str(tmp_path), name], env={**os.environ, "PYTHONPATH": path})
        for name in ("one", "two", "one")
    ]
    try:
        assert [process.wait(timeout=120) for process in both] == [0, 0, 0]
    finally:
        for process in both:
            process.kill()
            process.wait()
    store = Store(tmp_path / "store")
    assert [entry.number for entry in read_log(store.log).entries] == [0, 1, 2]
    assert check(read_log(store.log), anchors(store)) == ()
    assert len(list(store.admitted.iterdir())) == 2
    assert list(store.quarantine.iterdir()) == []
