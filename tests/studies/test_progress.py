"""The arithmetic of a study's standing, against a machine that works at a known pace."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from badnets.studies.progress import Standing, Tally


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture(scope="module")
def clock() -> Clock:
    return Clock()


@pytest.fixture(autouse=True)
def _our_time(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("badnets.studies.progress.time.monotonic", clock)


def test_by_hand(clock: Clock) -> None:
    """Cells of 10, 10, 20 and 60: the first was known, the second fails, two seconds are worth one."""
    tally = Tally((10.0, 10.0, 20.0, 60.0))
    tally.known(0)
    assert tally.standing() == Standing(4, 1, 0, 0, None)
    tally.begun(1)
    tally.begun(2)
    tally.progress(1, 0.0)
    tally.progress(2, 0.0)
    clock.now += 20
    tally.progress(1, 0.5)
    tally.progress(2, 0.25)
    assert tally.standing() == Standing(4, 1, 2, 0, 20 / 10 * (5 + 15 + 60))
    tally.failed(1)  # what it did was done, what it lacked is not due any more
    assert tally.standing() == Standing(4, 1, 1, 1, 20 / 10 * (15 + 60))
    clock.now += 30
    tally.done(2)
    tally.begun(3)
    assert tally.standing() == Standing(4, 2, 1, 1, 50 / 25 * 60)
    # Taken up where an earlier session left it: that half was not done now.
    tally.progress(3, 0.5)
    assert tally.standing().seconds_left == 50 / 25 * 30
    clock.now += 60
    tally.done(3)
    assert tally.standing() == Standing(4, 3, 0, 1, 0.0)


def test_work_that_is_done_again_is_not_done_twice(clock: Clock) -> None:
    tally = Tally((10.0, 10.0))
    tally.begun(0)
    tally.progress(0, 0.0)
    clock.now += 10
    tally.progress(0, 0.8)
    assert tally.standing().seconds_left == pytest.approx(10 / 8 * 12)
    # Its worker died; the next one starts from a state that was saved.
    tally.begun(0)
    assert tally.standing().running == 1
    tally.progress(0, 0.3)
    clock.now += 10
    tally.progress(0, 0.8)
    assert tally.standing().seconds_left == pytest.approx(20 / 8 * 12)
    clock.now += 5
    tally.done(0)
    assert tally.standing() == Standing(2, 1, 0, 0, 25 / 10 * 10)


def test_cells_that_tell_nothing_while_they_run_still_tell_the_pace(clock: Clock) -> None:
    """As on a cluster."""
    tally = Tally((1.0, 2.0, 3.0))
    for number in range(3):
        tally.begun(number)
    clock.now += 6
    tally.done(1)
    assert tally.standing() == Standing(3, 1, 2, 0, 6 / 2 * 4)


@settings(max_examples=60, deadline=None)
@given(
    cells=some.lists(some.tuples(some.integers(1, 50), some.booleans(), some.floats(0.0, 0.9)), min_size=1, max_size=8),
    workers=some.integers(1, 4),
    pace=some.floats(0.1, 10.0),
    pick=some.randoms(use_true_random=False),
)
def test_at_an_even_pace_the_time_left_is_right_all_along(
    clock: Clock, cells: list[tuple[int, bool, float]], workers: int, pace: float, pick: Random
) -> None:
    """The machine as a whole does `pace` units a second, whichever cell they belong to.

    Of a cell is given what it costs, whether it was known, and how far it was when it was taken up.
    """
    costs, known, begun = zip(*cells, strict=True)
    tally = Tally(tuple(float(cost) for cost in costs))
    waiting = [number for number in range(len(costs)) if not known[number]]
    for number in set(range(len(costs))) - set(waiting):
        tally.known(number)
    running: dict[int, float] = {}
    while waiting or running:
        while waiting and len(running) < workers:
            number = waiting.pop(0)
            tally.begun(number)
            tally.progress(number, begun[number])
            running[number] = begun[number]
        number = pick.choice(sorted(running))
        step = pick.uniform(0.05, 0.5)
        share = min(1.0, running[number] + step)
        clock.now += costs[number] * (share - running[number]) / pace
        running[number] = share
        if share == 1.0:
            del running[number]
            tally.done(number)
        else:
            tally.progress(number, share)
        # What an earlier session did of a cell is known once the cell is taken up again.
        due = sum(costs[n] * (1 - share) for n, share in running.items()) + sum(costs[n] for n in waiting)
        standing = tally.standing()
        assert standing.seconds_left == pytest.approx(due / pace, rel=1e-6, abs=1e-6)
        assert (standing.total, standing.running, standing.failed) == (len(costs), len(running), 0)
        assert standing.done == len(costs) - len(running) - len(waiting)
