"""Things made ahead: in order, no more than a few too many, and errors where they belong."""

from __future__ import annotations

import threading

import pytest

from badnets.data.ahead import made_ahead


def test_in_order_and_not_far_ahead() -> None:
    asked: list[int] = []

    def make(number: int) -> int:
        asked.append(number)
        return 10 * number

    made = made_ahead(make, 3, 9)
    assert [next(made), next(made)] == [30, 40]
    made.close()  # type: ignore[attr-defined]
    assert set(asked) <= {3, 4, 5}
    assert list(made_ahead(make, 5, 9)) == [50, 60, 70, 80]
    assert list(made_ahead(make, 4, 4)) == []


def test_two_are_made_at_once() -> None:
    both = threading.Barrier(2, timeout=20)
    assert list(made_ahead(lambda number: (both.wait() < 2, number), 0, 2)) == [(True, 0), (True, 1)]


def test_an_error_comes_in_its_turn() -> None:
    made = made_ahead(lambda number: 6 // (2 - number), 0, 5)
    assert [next(made), next(made)] == [3, 6]
    with pytest.raises(ZeroDivisionError):
        next(made)
