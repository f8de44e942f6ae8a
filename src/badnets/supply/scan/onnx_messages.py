"""Reads messages of ONNX against the table of their fields; anything else is a fault with its offset."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from badnets.supply.scan import onnx_rules as rules
from badnets.supply.scan.findings import Rule
from badnets.supply.scan.onnx_schema import MESSAGES, FieldType, Kind
from badnets.supply.scan.protobuf import Field, Reader, Wire, signed
from badnets.supply.scan.source import Source

_WIRES = {
    Kind.INT: Wire.VARINT, Kind.FLOAT: Wire.FIXED32, Kind.DOUBLE: Wire.FIXED64, Kind.TEXT: Wire.BYTES,
    Kind.BYTES: Wire.BYTES, Kind.MESSAGE: Wire.BYTES,
}  # fmt: skip
_CONTROLS = re.compile("[\0-\x08\x0b\x0c\x0e-\x1f\x7f]")
_LONGEST = 2**20
_DEEPEST = 40


class Fault(Exception):  # noqa: N818 - what speaks against the model, not a failure of ours
    """A rule, what was found, and where in the window."""

    def __init__(self, rule: Rule, detail: str, offset: int, length: int | None = None) -> None:
        super().__init__(detail)
        self.rule, self.detail, self.offset, self.length = rule, detail, offset, length


@dataclass(frozen=True)
class Message:
    """One message: its fields by name, in the order of the bytes."""

    kind: str
    start: int
    depth: int
    fields: dict[str, list[Field]] = field(default_factory=dict)

    def all(self, name: str) -> list[Field]:
        """Every field of that name."""
        return self.fields.get(name, [])

    def first(self, name: str) -> Field | None:
        """The field of that name, which is there once or not at all."""
        return next(iter(self.all(name)), None)


class Messages:
    """Reads messages out of one model."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.reader = Reader(source)

    def read(self, kind: str, start: int, end: int, depth: int = 0) -> Message:
        """The message there. Raises `Fault`, `WireError`, `Exhausted`."""
        if depth > _DEEPEST:
            raise Fault(rules.DEPTH, f"{kind} within {depth} messages", start)
        message, known = Message(kind, start, depth), MESSAGES[kind]
        for item in self.reader.fields(start, end):
            of = known.get(item.number)
            if of is None or not _fits(of, item):
                detail = f"{kind} field {item.number} in layout {item.wire.name.lower()}"
                raise Fault(rules.FIELD, detail, item.start, item.end - item.start)
            if not of.repeated and of.name in message.fields:
                raise Fault(rules.FIELD, f"{kind}.{of.name} a second time", item.start, item.end - item.start)
            message.fields.setdefault(of.name, []).append(item)
        return message

    def inner(self, outer: Message, name: str) -> Iterator[Message]:
        """The messages in the field `name`. Raises as `read`."""
        of = next(known for known in MESSAGES[outer.kind].values() if known.name == name)
        for item in outer.all(name):
            yield self.read(of.message, item.data, item.end, outer.depth + 1)

    def text(self, message: Message, name: str) -> str:
        """A text, "" where it is not there. Raises `Fault`, `Exhausted`."""
        item = message.first(name)
        return self.decode(item) if item else ""

    def texts(self, message: Message, name: str) -> list[str]:
        """All texts of a repeated field. Raises `Fault`, `Exhausted`."""
        return [self.decode(item) for item in message.all(name)]

    def decode(self, item: Field) -> str:
        """The text of a field. Raises `Fault`, `Exhausted`."""
        if item.value > _LONGEST:
            raise Fault(rules.TEXT, f"{item.value:,} bytes of text", item.start, item.value)
        try:
            text = self.reader.bytes(item.data, item.value).decode()
        except UnicodeDecodeError:
            raise Fault(rules.TEXT, "no UTF-8", item.data, item.value) from None
        if found := _CONTROLS.search(text):
            raise Fault(rules.TEXT, f"control character {found[0]!a}", item.data, item.value)
        return text

    def number(self, message: Message, name: str) -> int | None:
        """An integer, None where it is not there."""
        item = message.first(name)
        return signed(item.value) if item else None

    def numbers(self, message: Message, name: str) -> list[int]:
        """All integers of a short repeated field, packed or not. Raises `WireError`, `Exhausted`."""
        values: list[int] = []
        for item in message.all(name):
            values += self.reader.numbers(item) if item.wire is Wire.BYTES else [item.value]
        return [signed(value) for value in values]

    def count(self, message: Message, name: str) -> int:
        """How many numbers or strings a repeated field has, packed or not. Raises `WireError`, `Exhausted`."""
        of = next(known for known in MESSAGES[message.kind].values() if known.name == name)
        total = 0
        for item in message.all(name):
            if item.wire is not Wire.BYTES or of.kind is Kind.BYTES:
                total += 1
            elif of.kind is Kind.INT:
                total += self._packed(item)
            else:
                total += item.value // (4 if of.kind is Kind.FLOAT else 8)
        return total

    def _packed(self, item: Field) -> int:
        """How many varints are packed there: as many as bytes without the bit that says more."""
        total, run, last = 0, 0, b"\0"
        for last in self.source.pieces(item.data, item.value):
            total += len(last) - len(last.translate(None, _ENDS))
            # Ten bytes are the most that a varint has.
            for block in re.finditer(rb"[\x80-\xff]+", last):
                run = (run if block.start() == 0 else 0) + len(block[0])
                if run > 9:
                    raise Fault(rules.MALFORMED, "a number without an end", item.start)
            run = run if last[-1] & 0x80 else 0
        if last[-1] & 0x80:
            raise Fault(rules.MALFORMED, "a number without an end", item.start)
        return total


_ENDS = bytes(range(0x80))


def _fits(of: FieldType, item: Field) -> bool:
    if item.wire is _WIRES[of.kind]:
        return True
    if not of.repeated or item.wire is not Wire.BYTES or of.kind not in (Kind.INT, Kind.FLOAT, Kind.DOUBLE):
        return False
    return of.kind is Kind.INT or not item.value % (4 if of.kind is Kind.FLOAT else 8)
