"""One writer at a time for a folder. The system lets go of the lock when its holder ends, however it ends."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from badnets.artifacts import make_folder, storage
from badnets.errors import StorageError

LOCK = ".lock"
_TICK = 0.05


@contextmanager
def locked(folder: Path, what: str, *, wait: float = 10.0) -> Iterator[None]:
    """Hold the lock of `folder`, after waiting for it so many seconds at most.

    Raises:
        StorageError: another process holds it still, or the folder is not writable.
    """
    make_folder(folder)
    path = folder / LOCK
    with storage(path):
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        end = time.monotonic() + wait
        while not _taken(handle):
            if time.monotonic() >= end:
                raise StorageError(f"{what} {folder} is being changed by another process: try again when it has ended")
            time.sleep(_TICK)
        yield
    finally:
        os.close(handle)


def _taken(handle: int) -> bool:
    try:
        import fcntl  # noqa: PLC0415 - not on Windows
    except ImportError:
        return _taken_on_windows(handle)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _taken_on_windows(handle: int) -> bool:
    import msvcrt  # noqa: PLC0415 - only on Windows

    try:
        msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
    except OSError:
        return False
    return True
