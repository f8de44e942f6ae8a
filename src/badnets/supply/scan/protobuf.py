"""The wire format of protocol buffers: the fields of a message, each with its place, without a schema.

Source: Protocol Buffers Documentation, "Encoding".
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum

from badnets.supply.scan.source import Source

_WINDOW = 2**16


class Wire(IntEnum):
    """How a field's value is laid out; groups are not in any schema read here."""

    VARINT = 0
    FIXED64 = 1
    BYTES = 2
    FIXED32 = 5


class WireError(Exception):
    """Bytes that are no field.

    Attributes:
        offset: in the window.
    """

    def __init__(self, detail: str, offset: int) -> None:
        super().__init__(detail)
        self.offset = offset


@dataclass(frozen=True, slots=True)
class Field:
    """One field.

    Attributes:
        number: in its message.
        wire: how it is laid out.
        value: of a number, unsigned; the length of bytes.
        start: offset of its tag in the window.
        data: offset of its value in the window.
        end: offset after it.
    """

    number: int
    wire: Wire
    value: int
    start: int
    data: int
    end: int


class Reader:
    """Reads fields out of a source through a small window, so that large values cost no memory."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self._window = b""
        self._start = 0

    def fields(self, start: int, end: int) -> Iterator[Field]:
        """The fields of the message there.

        Raises:
            WireError: bytes that are no field, or a field that reaches past the end.
            Exhausted: time is up.
        """
        at = start
        while at < end:
            tag, data = self.varint(at, end)
            number, kind = tag >> 3, tag & 7
            if kind not in (0, 1, 2, 5) or not 0 < number < 2**29:
                raise WireError(f"tag {tag}", at)
            wire = Wire(kind)
            if wire is Wire.VARINT:
                value, after = self.varint(data, end)
            elif wire is Wire.BYTES:
                value, data = self.varint(data, end)
                after = data + value
            else:
                width = 8 if wire is Wire.FIXED64 else 4
                after = data + width
                raw = self.bytes(data, width)
                value = int.from_bytes(raw, "little")
            if after > end:
                raise WireError(f"field {number} reaches {after - end:,} bytes past its message", at)
            yield Field(number, wire, value, at, data, after)
            at = after

    def varint(self, at: int, end: int) -> tuple[int, int]:
        """The number there and the offset after it. Raises `WireError`, `Exhausted`."""
        raw = self.bytes(at, min(10, end - at))
        value = 0
        for index, byte in enumerate(raw):
            value |= (byte & 0x7F) << (7 * index)
            if byte < 0x80:
                if value >= 2**64:
                    break
                # A longer way to write the same number is read alike by all, but written by none.
                if index and not byte:
                    raise WireError("a number with needless bytes", at)
                return value, at + index + 1
        raise WireError("a number without an end", at)

    def bytes(self, at: int, length: int) -> bytes:
        """The bytes there. Raises `Exhausted`."""
        if length > _WINDOW:
            return self.source.read(at, length)
        low = at - self._start
        if low < 0 or low + length > len(self._window):
            self._window, self._start, low = self.source.read(at, _WINDOW), at, 0
        return self._window[low : low + length]

    def numbers(self, field: Field) -> Iterator[int]:
        """The varints packed into a field. Raises `WireError`, `Exhausted`."""
        at = field.data
        while at < field.end:
            value, at = self.varint(at, field.end)
            yield value


def signed(value: int) -> int:
    """An int32, int64 or enum as the number it stands for."""
    return value - 2**64 if value >= 2**63 else value
