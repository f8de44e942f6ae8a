"""Bounded random access to the bytes under judgement, and the budget that no file can exceed."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from badnets.errors import BadnetsError


class Exhausted(BadnetsError):  # noqa: N818 - not a failure of ours: the file asks for too much
    """A bound was reached: what it was and how much of it was allowed."""


@dataclass(frozen=True)
class Limits:
    """How much work one named file may cause, its members included.

    Attributes:
        seconds: of wall time.
        read: bytes that a reader may hold in memory at once.
        members: files in all archives together.
        depth: archives within archives.
        ratio: inflated bytes for each stored byte.
        inflated: bytes that all compressed members together may inflate to.
        opcodes: of one pickle.
    """

    seconds: float = 60.0
    read: int = 64 * 2**20
    members: int = 100_000
    depth: int = 3
    ratio: float = 200.0
    inflated: int = 2**30
    opcodes: int = 5_000_000


@dataclass
class Budget:
    """What is left of the limits while one named file is judged."""

    limits: Limits
    members: int = 0
    inflated: int = 0
    deadline: float = field(init=False)

    def __post_init__(self) -> None:
        self.deadline = time.monotonic() + self.limits.seconds

    def tick(self) -> None:
        """Raise `Exhausted` when time is up; readers call it in every loop."""
        if time.monotonic() > self.deadline:
            raise Exhausted(f"no end after {self.limits.seconds:g} seconds")

    def count_member(self) -> None:
        """One more file in an archive. Raises `Exhausted`."""
        self.members += 1
        if self.members > self.limits.members:
            raise Exhausted(f"more than {self.limits.members:,} files in archives")

    def count_inflated(self, size: int) -> None:
        """So many more bytes came out of compression. Raises `Exhausted`."""
        self.inflated += size
        if self.inflated > self.limits.inflated:
            raise Exhausted(f"more than {self.limits.inflated:,} inflated bytes")


@runtime_checkable
class Readable(Protocol):
    """What a source needs of a file: an open one, or bytes in memory."""

    def seek(self, offset: int, /) -> int:
        """Go there."""
        ...

    def read(self, size: int, /) -> bytes:
        """At most so many bytes from there."""
        ...


class Source:
    """A window on an open file, or on bytes: what a reader of a format is handed.

    Args:
        file: open for reading, seekable.
        start: where the window begins in `file`.
        size: how long it is.
        budget: shared by all windows on one named file.
        member: see `Finding.member`.
    """

    def __init__(self, file: Readable, start: int, size: int, budget: Budget, member: str = "") -> None:
        self.file, self.start, self.size, self.budget, self.member = file, start, size, budget, member

    def read(self, offset: int, length: int) -> bytes:
        """The bytes there, fewer at the end of the window.

        Raises:
            Exhausted: more than a reader may hold, or time is up.
        """
        self.budget.tick()
        length = max(0, min(length, self.size - offset))
        if length > self.budget.limits.read:
            raise Exhausted(f"{length:,} bytes in one piece, {self.budget.limits.read:,} are allowed")
        if not length:
            # A lie may point further than any file can be: no system seeks there.
            return b""
        self.file.seek(self.start + offset)
        return self.file.read(length)

    def part(self, offset: int, length: int, member: str) -> Source:
        """A window within this one, for a member that is stored as it is."""
        path = f"{self.member}!/{member}" if self.member else member
        return Source(self.file, self.start + offset, length, self.budget, path)

    def pieces(self, offset: int, length: int, size: int = 2**20) -> Iterator[bytes]:
        """The bytes there, `size` at a time, fewer at the end of the window. Raises `Exhausted`."""
        end = min(offset + length, self.size)
        while offset < end and (piece := self.read(offset, min(size, end - offset))):
            yield piece
            offset += len(piece)

    def at(self, offset: int) -> int:
        """What a finding calls the byte at `offset` of this window; its end, where a lie points further."""
        return self.start + min(offset, self.size)

    @property
    def depth(self) -> int:
        """How many archives are around this window."""
        return self.member.count("!/") + 1 if self.member else 0
