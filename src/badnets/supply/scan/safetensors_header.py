"""The JSON header of a safetensors file, by a grammar that knows nothing else: no nesting, no key twice.

    header   = "{" [ item *( "," item ) ] "}" *SPACE
    item     = "__metadata__" ":" "{" text ":" text, ... "}"
             | name ":" "{" "dtype", "shape", "data_offsets" in any order "}"

Source: huggingface/safetensors, README ("Format") and `safetensors/src/tensor.rs`. Text is JSON's (RFC 8259) in UTF-8.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import NoReturn

from badnets.supply.scan.findings import Rule, Severity
from badnets.supply.scan.source import Budget

JSON = Rule(
    "safetensors-json",
    Severity.REFUSE,
    "The header is no JSON of the form that safetensors has.",
    "Ask the author to write the file with the safetensors library.",
    cwe="CWE-20",
    atlas="AML.T0011.000",
)
DUPLICATE = Rule(
    "safetensors-duplicate",
    Severity.REFUSE,
    "The header has a key twice: two readers may load two different models from it.",
    "Ask the author to write the file with the safetensors library.",
    cwe="CWE-436",
    atlas="AML.T0011.000",
)

_SPACE = re.compile(rb"[ \t\n\r]*+")
_TEXT = re.compile(rb'"(?:[^"\\\x00-\x1f]++|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*+"')
_WHOLE = re.compile(rb"(?:0|[1-9]\d{0,19})(?![\d.eE])")
_FIELDS = frozenset({"dtype", "shape", "data_offsets"})


class Fault(Exception):  # noqa: N818 - caught by the reader, which notes it
    """What is wrong, and where in the header."""

    def __init__(self, rule: Rule, reason: str, offset: int) -> None:
        super().__init__(reason)
        self.rule, self.reason, self.offset = rule, reason, offset


@dataclass(frozen=True)
class Entry:
    """One tensor as the header has it, nothing checked but its form; `offset` is where its name begins."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int
    offset: int


@dataclass(frozen=True)
class Header:
    """The tensors in the order of the header, and the metadata as (key, value, offset)."""

    entries: tuple[Entry, ...]
    metadata: tuple[tuple[str, str, int], ...]


def parse(header: bytes, budget: Budget) -> Header:
    """Read a header.

    Raises:
        Fault: at the first byte that does not belong there.
        Exhausted: time is up.
    """
    return _Parser(header, budget).run()


class _Parser:
    def __init__(self, header: bytes, budget: Budget) -> None:
        self.header, self.budget, self.position = header, budget, 0

    def run(self) -> Header:
        entries: dict[str, Entry] = {}
        metadata: tuple[tuple[str, str, int], ...] | None = None
        self._expect(b"{", space=False)
        while self._more(empty=not entries and metadata is None):
            self.budget.tick()
            self._space()
            offset = self.position
            name = self._text()
            self._expect(b":")
            if name in entries or (name == "__metadata__" and metadata is not None):
                raise Fault(DUPLICATE, f"the name {name!r} twice", offset)
            if name == "__metadata__":
                metadata = self._metadata()
            else:
                entries[name] = self._entry(name, offset)
        padding = self.header[self.position :]
        if padding.strip(b" "):
            where = self.position + len(padding) - len(padding.lstrip(b" "))
            raise Fault(JSON, "something follows the header's last brace", where)
        return Header(tuple(entries.values()), metadata or ())

    def _metadata(self) -> tuple[tuple[str, str, int], ...]:
        found: dict[str, tuple[str, str, int]] = {}
        self._expect(b"{")
        while self._more(empty=not found):
            self._space()
            offset = self.position
            key = self._text()
            if key in found:
                raise Fault(DUPLICATE, f"the metadata key {key!r} twice", offset)
            self._expect(b":")
            found[key] = (key, self._text(), offset)
        return tuple(found.values())

    def _entry(self, name: str, offset: int) -> Entry:
        dtype = ""
        numbers: dict[str, tuple[int, ...]] = {}
        seen: set[str] = set()
        self._expect(b"{")
        while self._more(empty=not seen):
            self._space()
            place = self.position
            key = self._text()
            if key in seen:
                raise Fault(DUPLICATE, f"{key!r} twice in the entry of {name!r}", place)
            if key not in _FIELDS:
                raise Fault(JSON, f"a tensor has no field {key!r}", place)
            seen.add(key)
            self._expect(b":")
            if key == "dtype":
                dtype = self._text()
            else:
                numbers[key] = self._numbers()
        if seen != _FIELDS:
            raise Fault(JSON, f"{name!r} has no {', '.join(sorted(_FIELDS - seen))}", offset)
        if len(numbers["data_offsets"]) != 2:
            raise Fault(JSON, f"{name!r} has {len(numbers['data_offsets'])} offsets, 2 are expected", offset)
        return Entry(name, dtype, numbers["shape"], *numbers["data_offsets"], offset)

    def _numbers(self) -> tuple[int, ...]:
        found: list[int] = []
        self._expect(b"[")
        while self._more(empty=not found, close=b"]"):
            self._space()
            match = _WHOLE.match(self.header, self.position)
            if match is None or int(match[0]) >= 2**64:
                self._fail("a whole number that is not negative and fits 64 bits")
            found.append(int(match[0]))
            self.position = match.end()
        return tuple(found)

    def _text(self) -> str:
        self._space()
        match = _TEXT.match(self.header, self.position)
        if match is None:
            self._fail("a text in quotes")
        try:
            text = json.loads(match[0].decode())
            text.encode()  # a lone surrogate is JSON and no text
        except ValueError:
            self._fail("text in UTF-8")
        self.position = match.end()
        return str(text)

    def _more(self, *, empty: bool, close: bytes = b"}") -> bool:
        """Step over a comma, or over the closing bracket; whether another item follows."""
        self._space()
        here = self.header[self.position : self.position + 1]
        if here == close:
            self.position += 1
            return False
        if empty:
            return True
        if here != b",":
            self._fail(f"a comma or {close.decode()}")
        self.position += 1
        return True

    def _expect(self, mark: bytes, *, space: bool = True) -> None:
        if space:
            self._space()
        if self.header[self.position : self.position + 1] != mark:
            self._fail(mark.decode())
        self.position += 1

    def _space(self) -> None:
        match = _SPACE.match(self.header, self.position)
        self.position = match.end() if match else self.position

    def _fail(self, expected: str) -> NoReturn:
        got = self.header[self.position : self.position + 12]
        raise Fault(JSON, f"expected {expected}, got {got!r}", self.position)
