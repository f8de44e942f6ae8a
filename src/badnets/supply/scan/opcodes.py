"""The opcodes of pickle protocols 0 to 5, and a bounded reader that turns bytes into them. Nothing is executed.

Source: CPython, `Lib/pickletools.py` (the table of opcodes and their arguments) and `Lib/pickle.py` (the order of
bytes). Every length is checked against what is left of the window before anything is read.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from types import MappingProxyType

from badnets.supply.scan.source import Exhausted, Source

Argument = int | float | str | bytes | tuple[str, str] | None

_CHUNK = 2**16
_LONGEST_LINE = 2**16


class Broken(Exception):  # noqa: N818 - caught within the scanner: never seen by a user
    """The stream of opcodes ends or makes no sense at `offset`."""

    def __init__(self, offset: int, reason: str, *, cut: bool = False) -> None:
        super().__init__(reason)
        self.offset, self.reason, self.cut = offset, reason, cut


@dataclass(frozen=True, slots=True)
class Opcode:
    """One opcode: its name in CPython, how its argument is stored, and the protocol that brought it."""

    name: str
    argument: str
    protocol: int


_TABLE = """
I INT line 0;J BININT i4 1;K BININT1 u1 1;M BININT2 u2 1;L LONG line 0;8a LONG1 long1 2;8b LONG4 long4 2
S STRING line 0;T BINSTRING s4 1;U SHORT_BINSTRING s1 1;B BINBYTES b4 3;C SHORT_BINBYTES b1 3;8e BINBYTES8 b8 4
96 BYTEARRAY8 b8 5;97 NEXT_BUFFER - 5;98 READONLY_BUFFER - 5;N NONE - 0;88 NEWTRUE - 2;89 NEWFALSE - 2
V UNICODE line 0;8c SHORT_BINUNICODE t1 4;X BINUNICODE t4 1;8d BINUNICODE8 t8 4;F FLOAT line 0;G BINFLOAT f8 1
] EMPTY_LIST - 1;a APPEND - 0;e APPENDS - 1;l LIST - 0;) EMPTY_TUPLE - 1;t TUPLE - 0;85 TUPLE1 - 2;86 TUPLE2 - 2
87 TUPLE3 - 2;} EMPTY_DICT - 1;d DICT - 0;s SETITEM - 0;u SETITEMS - 1;8f EMPTY_SET - 4;90 ADDITEMS - 4
91 FROZENSET - 4;0 POP - 0;2 DUP - 0;( MARK - 0;1 POP_MARK - 1;g GET line 0;h BINGET u1 1;j LONG_BINGET u4 1
p PUT line 0;q BINPUT u1 1;r LONG_BINPUT u4 1;94 MEMOIZE - 4;82 EXT1 u1 2;83 EXT2 u2 2;84 EXT4 i4 2
c GLOBAL pair 0;93 STACK_GLOBAL - 4;R REDUCE - 0;b BUILD - 0;i INST pair 0;o OBJ - 1;81 NEWOBJ - 2;92 NEWOBJ_EX - 4
80 PROTO u1 2;. STOP - 0;95 FRAME u8 4;P PERSID line 0;Q BINPERSID - 1
"""


def _table() -> MappingProxyType[int, Opcode]:
    rows = [row.split() for row in _TABLE.strip().replace("\n", ";").split(";")]
    return MappingProxyType(
        {
            (ord(code) if len(code) == 1 else int(code, 16)): Opcode(name, argument, int(protocol))
            for code, name, argument, protocol in rows
        }
    )


OPCODES = _table()
"""By their byte; 68 of them."""

_INTEGERS = {"u1": "<B", "u2": "<H", "i4": "<i", "u4": "<I", "u8": "<Q"}
_LENGTHS = {"1": "<B", "4": "<I", "8": "<Q"}


class Cursor:
    """Reads a source from `position` on, in chunks, without running past its end."""

    def __init__(self, source: Source, position: int = 0) -> None:
        self.source, self.position = source, position
        self._chunk, self._start = b"", position

    def take(self, count: int, opcode: int) -> bytes:
        """The next `count` bytes; raises `Broken` at `opcode` where there are fewer."""
        begin = self.position - self._start
        piece = self._chunk[begin : begin + count]
        if len(piece) < count:
            if count > self.source.size - self.position:
                left = max(0, self.source.size - self.position)
                raise Broken(opcode, f"{count:,} bytes expected, {left:,} are left", cut=True)
            self._chunk, self._start = self.source.read(self.position, max(count, _CHUNK)), self.position
            piece = self._chunk[:count]
            if len(piece) < count:
                raise Broken(opcode, "the file became shorter while it was read", cut=True)
        self.position += count
        return piece

    def line(self, opcode: int) -> bytes:
        """The bytes up to the next newline, without it."""
        start, collected = self.position, b""
        while True:
            piece = self.take(min(256, max(1, self.source.size - self.position)), opcode)
            end = piece.find(b"\n")
            if end >= 0:
                self.position += end + 1 - len(piece)
                return collected + piece[:end]
            collected += piece
            if self.position - start > _LONGEST_LINE:
                raise Broken(opcode, f"a line of more than {_LONGEST_LINE:,} bytes")


def read_opcode(cursor: Cursor) -> tuple[int, Opcode, Argument]:
    """The next opcode: its offset, what it is, its argument.

    Raises:
        Broken: no such opcode, its argument is cut off or cannot be decoded.
        Exhausted: a bound of the budget is reached.
    """
    offset = cursor.position
    code = cursor.take(1, offset)[0]
    opcode = OPCODES.get(code)
    if opcode is None:
        raise Broken(offset, f"no opcode has the byte 0x{code:02x}")
    if opcode.argument == "-":
        return offset, opcode, None
    try:
        return offset, opcode, _argument(cursor, opcode.argument, offset)
    except (UnicodeDecodeError, ValueError) as error:
        raise Broken(offset, f"{opcode.name}: {error}") from error


def _argument(cursor: Cursor, kind: str, offset: int) -> Argument:
    if kind in _INTEGERS:
        layout = _INTEGERS[kind]
        value: Argument = int(struct.unpack(layout, cursor.take(struct.calcsize(layout), offset))[0])
    elif kind == "f8":
        value = float(struct.unpack(">d", cursor.take(8, offset))[0])
    elif kind == "line":
        value = cursor.line(offset).decode("utf-8", "surrogateescape")
    elif kind == "pair":
        value = cursor.line(offset).decode(), cursor.line(offset).decode()
    elif kind.startswith("long"):
        value = int.from_bytes(_counted(cursor, kind[-1], offset), "little", signed=True)
    else:
        content = _counted(cursor, kind[1], offset)
        value = content if kind[0] == "b" else content.decode()
    return value


def _counted(cursor: Cursor, width: str, offset: int) -> bytes:
    layout = _LENGTHS[width]
    count = int(struct.unpack(layout, cursor.take(struct.calcsize(layout), offset))[0])
    if count <= cursor.source.size - cursor.position and count > cursor.source.budget.limits.read:
        raise Exhausted(f"{count:,} bytes in one value of a pickle")
    return cursor.take(count, offset)
