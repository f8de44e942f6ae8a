"""Things that take time to read, decode or draw, made in good time before they are asked for."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")

# Things that are made while another is used: one would do on an even machine.
_AHEAD = 2


def made_ahead(make: Callable[[int], T], first: int, end: int) -> Iterator[T]:
    """What `make` makes of `first` to `end` - 1, in this order.

    While one is used, the next two are made in threads: one can read and decode while another scales and stamps. An
    error of `make` is raised when its turn has come.
    """
    maker = ThreadPoolExecutor(_AHEAD, "ahead")
    coming: deque[Future[T]] = deque()
    try:
        for number in range(first, end):
            while len(coming) < _AHEAD and number + len(coming) < end:
                coming.append(maker.submit(make, number + len(coming)))
            yield coming.popleft().result()
    finally:
        maker.shutdown(cancel_futures=True)
