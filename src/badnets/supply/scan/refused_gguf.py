"""GGUF weights are refused; their keys are read far enough to name a template that runs, and lengths that lie.

Source: the ggml project, docs/gguf.md, versions 2 and 3.
"""

from __future__ import annotations

import struct

from badnets.supply.scan.findings import Finding, Rule, Severity
from badnets.supply.scan.source import Source

GGUF = Rule(
    "gguf",
    Severity.REFUSE,
    "GGUF weights, which have no reader here that explains every byte.",
    "Ask for the weights as safetensors.",
    cwe="CWE-693",
    atlas="AML.T0011.000",
)
TEMPLATE = Rule(
    "chat-template",
    Severity.REFUSE,
    "A Jinja template: programs run it for every conversation.",
    "Remove it, or write your own.",
    cwe="CWE-1336",
    atlas="AML.T0018.002",
)
MALFORMED = Rule(
    "gguf-malformed",
    Severity.REFUSE,
    "Lengths that do not fit the file.",
    "Get it again, or ask for the weights as safetensors.",
    cwe="CWE-131",
    atlas="AML.T0011.000",
)
RULES = (GGUF, TEMPLATE, MALFORMED)

_WIDTHS = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
_STRING, _ARRAY = 8, 9
_MOST = 1_000_000


class _Lie(Exception):  # noqa: N818 - what the file does, not a failure of ours
    def __init__(self, detail: str, offset: int) -> None:
        super().__init__(detail)
        self.offset = offset


class _Keys:
    """Walks the keys and values after the header."""

    def __init__(self, source: Source) -> None:
        self.source, self.at = source, 24
        self.templates: list[Finding] = []

    def walk(self, count: int) -> None:
        for _ in range(count):
            start = self.at
            key = self.string("key")
            kind = self.number("<I")
            if b"chat_template" in key:
                self.templates.append(
                    Finding(
                        TEMPLATE, f"{key[:80].decode('utf-8', 'replace')!a}", self.source.member, self.source.at(start)
                    )
                )
            self.value(kind)

    def value(self, kind: int) -> None:
        if kind == _STRING:
            self.string("value")
        elif kind == _ARRAY:
            inner, count = self.number("<I"), self.number("<Q")
            if inner == _STRING:
                if count > min(_MOST, self.source.size // 8):
                    raise _Lie(f"an array of {count:,} strings", self.at)
                for _ in range(count):
                    self.string("value")
            else:
                self.skip(self.width(inner) * count)
        else:
            self.skip(self.width(kind))

    def width(self, kind: int) -> int:
        if kind not in _WIDTHS:
            raise _Lie(f"a value of type {kind}", self.at)
        return _WIDTHS[kind]

    def number(self, layout: str) -> int:
        length = struct.calcsize(layout)
        raw = self.source.read(self.at, length)
        self.skip(length)
        return int(struct.unpack(layout, raw)[0])

    def string(self, what: str) -> bytes:
        length = self.number("<Q")
        start = self.at
        if what == "key" and length > 65_535:
            raise _Lie(f"a key of {length:,} bytes", start)
        self.skip(length)
        return self.source.read(start, min(length, 200))

    def skip(self, length: int) -> None:
        if length > self.source.size - self.at:
            raise _Lie(f"{length:,} bytes where {self.source.size - self.at:,} are left", self.at)
        self.at += length


def check(source: Source) -> list[Finding]:
    """Refuse GGUF weights and say what else is wrong with them. Raises `Exhausted`."""
    head = source.read(0, 24)
    findings = [Finding(GGUF, f"starts with {head[:8]!r}", source.member, source.at(0), source.size)]
    keys = _Keys(source)
    try:
        keys.walk(_count(head))
    except _Lie as lie:
        findings.append(Finding(MALFORMED, str(lie), source.member, source.at(lie.offset)))
    return findings + keys.templates


def _count(head: bytes) -> int:
    """How many keys the header states."""
    if len(head) < 24 or head[:4] != b"GGUF":
        raise _Lie("no header of versions 2 or 3 in the usual order of bytes", 0)
    version, _tensors, count = struct.unpack("<4xIQQ", head)
    if version not in (2, 3) or count > _MOST:
        raise _Lie(f"version {version} with {count:,} keys", 4)
    return int(count)
