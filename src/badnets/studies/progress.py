"""How far a study is, and how long it will still take."""

from __future__ import annotations

import time
from dataclasses import dataclass


@dataclass(frozen=True)
class Standing:
    """A study at one moment.

    Attributes:
        total: cells, all told.
        done: of these, finished now or earlier.
        running: under way.
        failed: without a result.
        seconds_left: until all is done, if it goes on as fast; None while that cannot be told.
    """

    total: int
    done: int
    running: int
    failed: int
    seconds_left: float | None


class Tally:
    """Counts cells and measures the pace of this session; what was finished before it has no pace.

    Args:
        costs: what each cell costs, in any unit.
    """

    def __init__(self, costs: tuple[float, ...]) -> None:
        self.costs = costs
        self.shares = [0.0] * len(costs)
        self.begun_at: dict[int, float] = {}
        self.running: set[int] = set()
        self.finished: set[int] = set()
        self.lost: set[int] = set()
        self.earned = 0.0
        self.since = time.monotonic()

    def known(self, number: int) -> None:
        """It was finished before this session."""
        self.finished.add(number)

    def begun(self, number: int) -> None:
        """Somebody works on it."""
        self.running.add(number)
        self.begun_at.pop(number, None)

    def progress(self, number: int, share: float) -> None:
        """It is that far, in 0..1. Where it was when it was taken up again is not this session's work."""
        before = self.begun_at.setdefault(number, share)
        self.earned += self.costs[number] * max(0.0, share - max(before, self.shares[number]))
        self.shares[number] = max(share, self.shares[number])

    def done(self, number: int) -> None:
        """It is finished; one that never told how far it is was done from start to end."""
        self.begun_at.setdefault(number, 0.0)
        self.progress(number, 1.0)
        self.running.discard(number)
        self.finished.add(number)

    def failed(self, number: int) -> None:
        """It has no result."""
        self.running.discard(number)
        self.lost.add(number)

    def standing(self) -> Standing:
        """All of it, now."""
        due = sum(
            cost * (1 - share)
            for number, (cost, share) in enumerate(zip(self.costs, self.shares, strict=True))
            if number not in self.finished and number not in self.lost
        )
        elapsed = time.monotonic() - self.since
        left = elapsed * due / self.earned if self.earned else None
        return Standing(len(self.costs), len(self.finished), len(self.running), len(self.lost), left)
