"""What the tests of worker processes share: a look at the processes of this machine."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

Look = Callable[[int], list[int]]


@pytest.fixture
def children() -> Look:
    """The processes that were started by the process of that number and not yet waited for."""
    if sys.platform != "linux":
        pytest.skip("processes are looked at in /proc, which is Linux's")
    return children_of


def children_of(parent: int) -> list[int]:
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            text = status.read_text()
        except OSError:  # it ended meanwhile
            continue
        # "number (name) state parent ...", and a name may hold anything
        if int(text.rpartition(")")[2].split()[1]) == parent:
            found.append(int(status.parent.name))
    return found


@pytest.fixture
def soon() -> Callable[[Callable[[], bool]], bool]:
    """Whether something comes true within some minutes: the machine may be busy."""

    def wait(what: Callable[[], bool]) -> bool:
        end = time.monotonic() + 300
        while not what():
            if time.monotonic() > end:
                return False
            time.sleep(0.02)
        return True

    return wait
