"""Tells whether bytes begin with a pickle: by walking its first opcodes, without running any of them.

Only for recognising: what a pickle holds is judged by its own reader. A pickle of protocol 0 or 1 has no magic number,
so the walk keeps count of the stack as the unpickler would, and gives up where the unpickler would.

Source: CPython, Lib/pickle.py and Lib/pickletools.py.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import StrEnum

_IDENTIFIER = re.compile(rb"[^\W\d][\w.]*")
_INTEGER = re.compile(rb"[+-]?\d{1,40}L?|0[01]")
_FLOAT = re.compile(rb"[+-]?(\d+\.?\d*([eE][+-]?\d+)?|inf|nan)", re.IGNORECASE)

# opcode -> (bytes of argument, items it needs, items it leaves): those with a fixed argument and no mark.
_FIXED: dict[int, tuple[int, int, int]] = {
    ord("0"): (0, 1, 0), ord("2"): (0, 1, 2), ord("G"): (8, 0, 1), ord("J"): (4, 0, 1), ord("K"): (1, 0, 1),
    ord("M"): (2, 0, 1), ord("N"): (0, 0, 1), ord("Q"): (0, 1, 1), ord("R"): (0, 2, 1), ord("]"): (0, 0, 1),
    ord("}"): (0, 0, 1), ord(")"): (0, 0, 1), ord("a"): (0, 2, 1), ord("b"): (0, 2, 1), ord("h"): (1, 0, 1),
    ord("j"): (4, 0, 1), ord("q"): (1, 1, 1), ord("r"): (4, 1, 1), ord("s"): (0, 3, 1), 0x80: (1, 0, 0),
    0x81: (0, 2, 1), 0x82: (1, 0, 1), 0x83: (2, 0, 1), 0x84: (4, 0, 1), 0x85: (0, 1, 1), 0x86: (0, 2, 1),
    0x87: (0, 3, 1), 0x88: (0, 0, 1), 0x89: (0, 0, 1), 0x8F: (0, 0, 1), 0x92: (0, 3, 1), 0x93: (0, 2, 1),
    0x94: (0, 1, 1), 0x95: (8, 0, 0), 0x97: (0, 0, 1), 0x98: (0, 1, 1),
}  # fmt: skip
# opcode -> bytes of the length before its argument.
_COUNTED = {
    ord("T"): 4, ord("U"): 1, ord("X"): 4, 0x8A: 1, 0x8B: 4, 0x8C: 1, 0x8D: 8, 0x8E: 8, 0x96: 8,
    ord("B"): 4, ord("C"): 1,
}  # fmt: skip
# opcode -> (items below the mark, items left in place of all from the mark on).
_MARKED = {
    ord("1"): (0, 0), ord("d"): (0, 1), ord("l"): (0, 1), ord("t"): (0, 1), ord("e"): (1, 1), ord("u"): (1, 1),
    0x90: (1, 1), 0x91: (0, 1), ord("o"): (0, 1), ord("i"): (0, 1),
}  # fmt: skip
_GLOBALS = frozenset({ord("c"), ord("i"), 0x82, 0x83, 0x84, 0x93})
_CALLS = frozenset({ord("R"), ord("o"), ord("i"), ord("b"), 0x81, 0x92})
_LINES = {
    ord("c"): (_IDENTIFIER, _IDENTIFIER), ord("i"): (_IDENTIFIER, _IDENTIFIER), ord("I"): (_INTEGER,),
    ord("L"): (_INTEGER,), ord("F"): (_FLOAT,), ord("S"): (re.compile(rb"'.*'|\".*\""),),
    ord("V"): (re.compile(rb".*"),),
    ord("g"): (re.compile(rb"\d+"),), ord("p"): (re.compile(rb"\d+"),),
}  # fmt: skip


class Head(StrEnum):
    """What the first bytes are to an unpickler."""

    NOTHING = "nothing"
    DATA = "data"
    CALLS = "calls"


@dataclass
class _Stack:
    depth: int = 0
    marks: list[int] = field(default_factory=list)

    def change(self, needs: int, leaves: int) -> bool:
        floor = self.marks[-1] if self.marks else 0
        if self.depth - floor < needs:
            return False
        self.depth += leaves - needs
        return True

    def close(self, below: int, leaves: int) -> bool:
        if not self.marks:
            return False
        self.depth = self.marks.pop()
        return self.change(below, leaves)


def walk(data: bytes, most: int = 20_000) -> tuple[Head, int]:
    """What `data` begins with, and where the walk ended.

    `CALLS` once it would call something that it has looked up by name, even if it breaks later; `DATA` where it comes
    to its end, or to the end of `data`, without that.
    """
    stack, at, looked_up = _Stack(), 0, False
    for _ in range(most):
        if at >= len(data):
            break
        code = data[at]
        if code == ord("."):
            return (Head.DATA if stack.depth and not looked_up else Head.CALLS if looked_up else Head.NOTHING), at + 1
        after = _step(data, at, stack)
        if after is None:
            return Head.NOTHING, at
        looked_up |= code in _GLOBALS
        if looked_up and code in _CALLS:
            return Head.CALLS, after
        at = after
    # Cut off by our window or our patience, not by a fault: a pickle longer than that.
    return (Head.DATA if at > 4096 else Head.NOTHING), at


def _step(data: bytes, at: int, stack: _Stack) -> int | None:  # noqa: PLR0911 - one for each layout of an opcode
    """Where the next opcode is; None where an unpickler would stop with an error."""
    code = data[at]
    if code == ord("("):
        stack.marks.append(stack.depth)
        return at + 1
    if code in _LINES:
        return _lines(data, at, stack)
    if code in _MARKED:
        return at + 1 if stack.close(*_MARKED[code]) else None
    if code in _FIXED:
        length, needs, leaves = _FIXED[code]
        if code == 0x80 and (at + 1 >= len(data) or data[at + 1] > 5):
            return None
        return at + 1 + length if stack.change(needs, leaves) else None
    if code in _COUNTED:
        width = _COUNTED[code]
        stack.change(0, 1)
        return at + 1 + width + int.from_bytes(data[at + 1 : at + 1 + width], "little")
    return None


def _lines(data: bytes, at: int, stack: _Stack) -> int | None:
    code, place = data[at], at + 1
    for pattern in _LINES[code]:
        end = data.find(b"\n", place, place + 2**16)
        if end < 0 or not pattern.fullmatch(data[place:end].rstrip(b"\r")):
            return None
        place = end + 1
    if code == ord("i"):
        return place if stack.close(0, 1) else None
    return place if stack.change(*((1, 1) if code == ord("p") else (0, 1))) else None
