"""The benchmark of the hub does its work on a small one; how fast it is, is no matter of tests."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = Path(__file__).parents[2] / "benchmarks" / "hub.py"


@pytest.mark.skipif(sys.platform == "win32", reason="it forks")
@pytest.mark.parametrize("bins", [0, 2])
def test_a_small_hub(bins: int) -> None:
    words = [sys.executable, str(PROGRAM), "--models", "12", "--rounds", "1", "--bins", str(bins), "--json"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert (told["models"], told["bins"]) == (12, bins)
    assert {name: len(values) for name, values in told["work"].items()} == {
        "make": 1, "publish": 1, "first": 1, "again": 1, "unchanged": 1,
    }  # fmt: skip
    assert all(cost["seconds"] > 0 and cost["peak"] > 1 for values in told["work"].values() for cost in values)
