"""What a child process gives up before it reads a foreign file, and the record of what was really given up."""

from __future__ import annotations

import ctypes
import os
from dataclasses import dataclass
from pathlib import Path

_CLONE_NEWUSER, _CLONE_NEWNET = 0x10000000, 0x40000000
_NO_NEW_PRIVILEGES = 38
_NETWORK = Path("/proc/self/ns/net")


@dataclass(frozen=True)
class Bounds:
    """What the child may use.

    Attributes:
        memory: bytes of address space.
        seconds: of processor time.
        written: bytes of the longest file it may write.
    """

    memory: int
    seconds: int
    written: int


@dataclass(frozen=True)
class Isolation:
    """What was really on while the child read the file; False also where the system cannot do it.

    Attributes:
        network: it had no network, not even a way to one.
        memory: its address space was bounded.
        time: its processor time was bounded.
        written: the length of files it could write was bounded.
        privileges: it could not gain any, by a set-uid program for instance.
        environment: it had none of the parent's variables.
    """

    network: bool = False
    memory: bool = False
    time: bool = False
    written: bool = False
    privileges: bool = False
    environment: bool = False


def isolate(bounds: Bounds) -> Isolation:
    """Give up what the system lets this process give up; for a child of a single thread, it cannot be undone."""
    network = _leave_network()
    privileges = _renounce_privileges()
    try:
        import resource  # noqa: PLC0415 - not on every system
    except ImportError:
        return Isolation(network=network, privileges=privileges, environment=_bare_environment())
    return Isolation(
        network=network,
        memory=_bound(resource.RLIMIT_AS, bounds.memory),
        time=_bound(resource.RLIMIT_CPU, bounds.seconds),
        written=_bound(resource.RLIMIT_FSIZE, bounds.written) and _bound(resource.RLIMIT_CORE, 0),
        privileges=privileges,
        environment=_bare_environment(),
    )


def _bound(kind: int, most: int) -> bool:
    import resource  # noqa: PLC0415 - as above

    try:
        resource.setrlimit(kind, (most, most))
        return resource.getrlimit(kind) == (most, most)
    except (OSError, ValueError):
        return False


def _leave_network() -> bool:
    """Enter a network of our own without any interface; true only if the kernel says that it is another one."""
    try:
        before = _NETWORK.readlink()
        if ctypes.CDLL(None, use_errno=True).unshare(_CLONE_NEWUSER | _CLONE_NEWNET):
            return False
        return _NETWORK.readlink() != before
    except (OSError, AttributeError, TypeError):
        return False


def _renounce_privileges() -> bool:
    try:
        return int(ctypes.CDLL(None).prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0)) == 0
    except (OSError, AttributeError, TypeError):
        return False


def _bare_environment() -> bool:
    return set(os.environ) <= {"LC_CTYPE", "SYSTEMROOT"}  # what Python or Windows puts there itself
