"""Strict safetensors: a length, a JSON header, and tensors that tile the rest of the file without a gap.

Rules, in this order: the header's length lies within the file and within 100 MB; the header has the closed grammar of
`safetensors_header`; metadata is {"format": ...} or short plain notes; dtypes are known; a shape and a dtype give the
length of the span; the spans, sorted, begin at 0, follow each other and end with the file. Only the header is read:
the size of the file does not matter.

Source: huggingface/safetensors, README ("Format") and `safetensors/src/tensor.rs`.
"""

from __future__ import annotations

import math

from badnets.supply.scan.findings import Finding, Rule, Severity
from badnets.supply.scan.finite import check_finite
from badnets.supply.scan.inventory import BITS, MOST_DIMENSIONS, Inventory, Span, TensorSpec, row_major
from badnets.supply.scan.log import Log, plain
from badnets.supply.scan.safetensors_header import DUPLICATE, JSON, Entry, Fault, Header, parse
from badnets.supply.scan.source import Source
from badnets.supply.scan.text import TENSOR_NAME, bad_name, suspicion

LONGEST_HEADER = 100_000_000
_FORMATS = frozenset({"pt", "np", "tf", "flax", "jax", "mlx"})
_LONGEST_NOTE = 1024
_LONGEST_KEY = 128
_WRITE_ANEW = "Ask the author to write the file with the safetensors library."


def _refuse(name: str, what: str, cwe: str) -> Rule:
    return Rule(name, Severity.REFUSE, what, _WRITE_ANEW, cwe=cwe, atlas="AML.T0011.000")


LENGTH = _refuse("safetensors-length", "The header's length is impossible, or beyond 100 MB.", "CWE-130")
DTYPE = _refuse("safetensors-dtype", "A tensor has a dtype that safetensors does not have.", "CWE-20")
SHAPE = _refuse("safetensors-shape", "A tensor's shape and dtype do not give the length of its bytes.", "CWE-130")
OFFSETS = _refuse("safetensors-offsets", "The bytes of two tensors overlap, or leave a gap.", "CWE-436")
SIZE = _refuse("safetensors-size", "The file is longer or shorter than its header says.", "CWE-436")
METADATA = Rule(
    "safetensors-metadata",
    Severity.REFUSE,
    "The metadata holds long text, markup, code or packed data, which no weights need.",
    "Convert the file: the metadata is left behind.",
    cwe="CWE-506",
    atlas="AML.T0011.000",
)
NOTE = Rule(
    "safetensors-note",
    Severity.NOTE,
    "The metadata holds a note of its author; nothing was checked about what it says.",
    "Convert the file if the note is not wanted.",
)
RULES = (LENGTH, JSON, DUPLICATE, DTYPE, SHAPE, OFFSETS, SIZE, METADATA, NOTE)


def check(source: Source, *, finite: bool = False) -> list[Finding]:
    """Judge a file; with `finite`, the tensors are read, and NaN and infinity refuse it too.

    Raises:
        Exhausted: a bound of the budget is reached.
    """
    return inspect(source, finite=finite)[0]


def inspect(source: Source, *, finite: bool = False) -> tuple[list[Finding], Inventory | None]:
    """As `check`, and what the file holds: None where its header could not be read.

    Raises:
        Exhausted: a bound of the budget is reached.
    """
    log = Log(source)
    length = int.from_bytes(source.read(0, 8), "little")
    if source.size < 10 or not 2 <= length <= min(LONGEST_HEADER, source.size - 8):
        log.add(LENGTH, f"{length:,} bytes of header in a file of {source.size:,}", 0, 8)
        return log.sorted(), None
    try:
        header = parse(source.read(8, length), source.budget)
    except Fault as fault:
        log.add(fault.rule, fault.reason, 8 + fault.offset)
        return log.sorted(), None
    _judge_metadata(log, header)
    for entry in header.entries:
        _judge_entry(log, entry)
    _judge_tiling(log, header, 8 + length)
    inventory = _inventory(header, 8 + length)
    if finite and not any(finding.rule.severity == Severity.REFUSE for finding in log.findings):
        check_finite(log, inventory)
    return log.sorted(), inventory


def _judge_metadata(log: Log, header: Header) -> None:
    for key, value, offset in header.metadata:
        if key == "format" and value in _FORMATS:
            continue
        reason = suspicion(key) or suspicion(value)
        if len(key) > _LONGEST_KEY or len(value) > _LONGEST_NOTE:
            reason = f"{max(len(key), len(value)):,} characters, {_LONGEST_NOTE:,} are allowed"
        detail = f"{plain(key, 60)}: {plain(value, 60)}"
        log.add(METADATA if reason else NOTE, f"{detail} ({reason})" if reason else detail, 8 + offset)


def _judge_entry(log: Log, entry: Entry) -> None:
    place, shown = 8 + entry.offset, plain(entry.name, 80)
    reason = bad_name(entry.name)
    if reason:
        log.add(TENSOR_NAME, f"{shown}: {reason}", place)
    bits = BITS.get(entry.dtype)
    if bits is None or entry.dtype == "C128":
        log.add(DTYPE, f"{shown}: {plain(entry.dtype, 40)}", place)
        return
    if len(entry.shape) > MOST_DIMENSIONS or math.prod(max(size, 1) for size in entry.shape) >= 2**63:
        log.add(SHAPE, f"{shown}: {len(entry.shape)} dimensions beyond what a tensor can have", place)
        return
    total = math.prod(entry.shape) * bits
    if total % 8 or total // 8 != entry.end - entry.begin:
        log.add(
            SHAPE, f"{shown}: {total / 8:,.0f} bytes of {entry.dtype}, its span has {entry.end - entry.begin:,}", place
        )


def _judge_tiling(log: Log, header: Header, start: int) -> None:
    position = 0
    for entry in sorted(header.entries, key=lambda entry: (entry.begin, entry.end)):
        if entry.begin != position or entry.end < entry.begin:
            log.add(
                OFFSETS, f"{plain(entry.name, 80)} begins at {entry.begin:,}, {position:,} is next", 8 + entry.offset
            )
            return
        position = entry.end
    held = log.source.size - start
    if position != held:
        what = "follow the last tensor" if held > position else "are missing"
        log.add(SIZE, f"{abs(held - position):,} bytes {what}", min(start + position, log.source.size))


def _inventory(header: Header, start: int) -> Inventory:
    tensors = tuple(
        TensorSpec((entry.name,), entry.dtype, entry.shape, row_major(entry.shape), entry.name, offset=8 + entry.offset)
        for entry in header.entries
    )
    spans = {entry.name: Span(start + entry.begin, max(0, entry.end - entry.begin)) for entry in header.entries}
    return Inventory(tensors, spans)
