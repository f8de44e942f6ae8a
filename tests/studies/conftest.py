"""What the tests of the studies share: an observer that keeps books, and few digits."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
import torch

from badnets.data import ImageSet, Split, load
from badnets.studies.cells import CellResult
from badnets.studies.progress import Standing
from badnets.training import Progress


class Quiet:
    """Looks on at queues one after the other, and stops after so many questions; a failure is one of the test."""

    def __init__(self, patience: int = 10**9) -> None:
        self.patience = patience
        self.started: list[str] = []

    def begun(self, name: str, standing: Standing) -> None:  # noqa: ARG002 - as all observers
        self.started.append(name)

    def progress(self, name: str, progress: Progress, standing: Standing) -> None: ...

    def done(self, name: str, cell: Any, standing: Standing) -> None: ...  # noqa: ANN401 - results of several kinds

    def failed(self, name: str, reason: str, standing: Standing) -> None:
        raise AssertionError(f"{name}: {reason} ({standing})")

    def stop(self) -> bool:
        self.patience -= 1
        return self.patience < 0


class Watcher:
    """Remembers what it was told, checks that the standing agrees with it, and stops after so many questions."""

    def __init__(self, patience: int = 10**9) -> None:
        self.patience = patience
        self.started: list[str] = []
        self.finished: list[tuple[str, CellResult]] = []
        self.reasons: dict[str, str] = {}
        self.standing: Standing | None = None
        self.seen: list[tuple[str, Progress]] = []

    def begun(self, name: str, standing: Standing) -> None:
        self.started.append(name)
        self._check(standing)

    def progress(self, name: str, progress: Progress, standing: Standing) -> None:
        assert name in self.started
        self.seen.append((name, progress))
        self._check(standing)

    def done(self, name: str, cell: CellResult, standing: Standing) -> None:
        self.finished.append((name, cell))
        self._check(standing)

    def failed(self, name: str, reason: str, standing: Standing) -> None:
        assert name not in self.reasons
        self.reasons[name] = reason
        self._check(standing)

    def stop(self) -> bool:
        self.patience -= 1
        return self.patience < 0

    def _check(self, standing: Standing) -> None:
        done = Counter(name for name, _ in self.finished)
        assert all(count == 1 for count in done.values()), "nothing is counted twice"
        # A study first tells of all that it finds finished, one by one.
        assert standing.done >= len(done)
        assert standing.failed == len(self.reasons)
        assert standing.running == len(set(self.started) - set(done) - set(self.reasons))
        assert standing.done + standing.failed + standing.running <= standing.total
        assert standing.seconds_left is None or standing.seconds_left >= 0
        self.standing = standing


@pytest.fixture(scope="session")
def watch() -> Callable[..., Any]:
    """Makes observers."""
    return Watcher


@pytest.fixture(scope="session")
def few() -> Split:
    """200 digits to train on, 100 to test on."""
    whole = load("digits")
    return Split(whole.train.select(torch.arange(200)), whole.test.select(torch.arange(100)))


@pytest.fixture(scope="session")
def three() -> Split:
    """The zeros, ones and twos among few digits: six pairs instead of ninety."""
    whole = load("digits")
    halves = []
    for half, count in ((whole.train, 300), (whole.test, 100)):
        kept = half.select(torch.arange(count)).select(half.labels[:count] < 3)
        halves.append(ImageSet(kept.images, kept.labels, half.classes[:3], half.name))
    return Split(halves[0], halves[1])


@pytest.fixture(scope="session")
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
