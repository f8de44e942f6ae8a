"""A user's script that trains two models, without the guard that some ways to start processes need."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

from long_orders import orders  # type: ignore[import-not-found]  # it lies beside this script

from badnets.errors import Stopped
from badnets.training import ManySession, fit_many

flags: list[int] = []
signal.signal(signal.SIGINT, lambda number, _: flags.append(number))


def tell(number: int, progress: object) -> None:
    print(number, progress, flush=True)  # noqa: T201 - what the test waits for


session = ManySession(workers=2, save_seconds=1e9, on_progress=tell, stop=lambda: bool(flags))
try:
    fit_many(orders(Path(sys.argv[1])), session)
except Stopped as stopped:
    print(stopped)  # noqa: T201
    sys.exit(1)
