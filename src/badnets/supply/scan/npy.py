"""Reads a numpy array file: a header of a closed grammar, a plain type, and exactly the bytes that they ask for.

The header is a Python literal, and numpy evaluates it; here it is matched against what numpy itself writes.

Source: NEP 1 and numpy.lib.format, versions 1.0 to 3.0.
"""

from __future__ import annotations

import re
from math import prod

from badnets.supply.scan.findings import Finding, Rule, Severity
from badnets.supply.scan.source import Source


def _rule(name: str, what: str, remedy: str, cwe: str) -> Rule:
    return Rule(f"npy-{name}", Severity.REFUSE, what, remedy, cwe=cwe, atlas="AML.T0011.000")


OBJECT = _rule("object", "An array of Python objects: loading it unpickles them.", "Ask for numbers only.", "CWE-502")
DTYPE = _rule("dtype", "An array of a type that is no plain number, time or text.", "Ask for plain arrays.", "CWE-843")
HEADER = _rule("header", "A header that numpy does not write.", "Save the array again with numpy.save.", "CWE-20")
SIZE = _rule("size", "As many bytes as type and shape do not ask for.", "Get it again, nothing appended.", "CWE-131")
RULES = (OBJECT, DTYPE, HEADER, SIZE)

_LENGTHS = {1: 2, 2: 4, 3: 4}
_LONGEST = 10_000
_DIMENSION = r"(?:0|[1-9][0-9]{0,18})"
_HEADER = re.compile(
    r"\{'descr': (?P<descr>'[^'\\]{1,40}'|\[.*\]), 'fortran_order': (?:True|False), "
    rf"'shape': \((?P<shape>|{_DIMENSION},|{_DIMENSION}(?:, {_DIMENSION}){{1,31}},?)\), ?\}} *\n"
)
_PLAIN = re.compile(
    r"'(?:\|[biu](?P<one>1)|[<>][iufc](?P<size>2|4|8|16|32)|\|S(?P<bytes>[1-9]\d{0,6})|[<>]U(?P<text>[1-9]\d{0,6})|"
    r"[<>][mM](?P<time>8)(?:\[(?:[YMWDhms]|ms|us|ns|ps|fs|as)\])?)'",
    re.ASCII,
)
_WIDTHS = {"i": (2, 4, 8), "u": (2, 4, 8), "f": (2, 4, 8, 16), "c": (8, 16, 32)}


def check(source: Source) -> list[Finding]:  # noqa: PLR0911 - one for each fault, in the order of the bytes
    """Judge a numpy array file. Raises `Exhausted`."""
    head = source.read(0, 12)
    version = head[6] if len(head) > 7 and head[:6] == b"\x93NUMPY" and head[7] == 0 else 0
    if version not in _LENGTHS or len(head) < 8 + _LENGTHS[version]:
        return [_found(source, HEADER, f"starts with {head!r}", 0, len(head))]
    start = 8 + _LENGTHS[version]
    length = int.from_bytes(head[8:start], "little")
    if length > _LONGEST:
        return [_found(source, HEADER, f"a header of {length:,} bytes, {_LONGEST:,} are allowed", 8, start - 8)]
    raw = source.read(start, length)
    header = _HEADER.fullmatch(raw.decode("utf-8" if version == 3 else "latin-1", "replace"))
    if header is None or len(raw) < length:
        return [_found(source, HEADER, f"{raw[:120]!a}", start, length)]
    descr = header["descr"]
    width = _width(descr)
    if width is None:
        is_object = descr.strip("'") in ("O", "|O", "<O", ">O", "=O") or (descr[0] == "[" and "O" in descr)
        return [
            _found(
                source, OBJECT if is_object else DTYPE, descr[:120], start + raw.find(descr[:2].encode()), len(descr)
            )
        ]
    shape = [int(dimension) for dimension in re.findall(r"\d+", header["shape"])]
    if prod(dimension or 1 for dimension in shape) * width >= 2**63:
        return [_found(source, SIZE, f"shape {tuple(shape)} of {descr}", start, length)]
    expected, held = prod(shape) * width, source.size - start - length
    if expected != held:
        detail = f"{held:,} bytes, shape {tuple(shape)} of {descr} asks for {expected:,}"
        return [_found(source, SIZE, detail, start + length + min(expected, held), abs(held - expected))]
    return []


def _width(descr: str) -> int | None:
    """Bytes of an element; None for a type that is not plain."""
    match = _PLAIN.fullmatch(descr)
    if match is None:
        return None
    if match["size"] and int(match["size"]) not in _WIDTHS[descr[2]]:
        return None
    return int(match["one"] or match["size"] or match["bytes"] or match["time"] or 4 * int(match["text"] or 0))


def _found(source: Source, rule: Rule, detail: str, offset: int, length: int) -> Finding:
    return Finding(rule, detail, source.member, source.at(offset), length)
