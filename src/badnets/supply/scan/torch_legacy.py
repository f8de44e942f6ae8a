"""Weights as torch.save wrote them before version 1.6, and still does when asked to.

A stream of pickles and raw bytes: a magic number, a protocol version, facts on the machine, the object, the sorted keys
of its storages; then for each key a count in 8 bytes and the elements. Nothing may follow. The tar format from before
version 0.2 is recognised and refused by name: no weights-only loader reads it.

Source: PyTorch, `torch/serialization.py` (`_legacy_save`, `_legacy_load`) and `torch/csrc/generic/serialization.cpp`.
"""

from __future__ import annotations

from dataclasses import replace

from badnets.supply.scan.findings import Finding, Rule, Severity
from badnets.supply.scan.finite import check_finite
from badnets.supply.scan.inventory import BITS, Inventory, Span, judge_views
from badnets.supply.scan.log import Log, plain
from badnets.supply.scan.pickles import Pickle, read_pickle
from badnets.supply.scan.policy import WEIGHTS, Policy
from badnets.supply.scan.source import Source
from badnets.supply.scan.torch_zip import judge_storages
from badnets.supply.scan.tree import Content, walk
from badnets.supply.scan.values import Items, Stored, Table
from badnets.supply.scan.zip_rules import BYTE_ORDER, STORAGE_SIZE

MAGIC = 0x1950A86A20F9469CFC6C
PROTOCOL = 1001
_SIZES = {"short": (2,), "int": (4,), "long": (4, 8)}

HEADER = Rule(
    "torch-legacy-header",
    Severity.REFUSE,
    "The stream does not begin as torch's legacy format does.",
    "Ask the author for a file as torch.save writes it, or for safetensors.",
    cwe="CWE-436",
    atlas="AML.T0011.000",
)
KEYS = Rule(
    "torch-legacy-keys",
    Severity.REFUSE,
    "The list of storages is not the sorted list of those that the pickle refers to.",
    "Ask the author for a file as torch.save writes it, or for safetensors.",
    cwe="CWE-436",
    atlas="AML.T0011.000",
)
TAIL = Rule(
    "torch-legacy-tail",
    Severity.REFUSE,
    "Bytes follow the last storage, or the last storage is cut off.",
    "Ask the author for a file as torch.save writes it, or for safetensors.",
    cwe="CWE-436",
    atlas="AML.T0011.000",
)
TAR = Rule(
    "torch-tar",
    Severity.REFUSE,
    "A tar archive of torch before version 0.2: it is read by running its pickles.",
    "Ask the author for safetensors.",
    cwe="CWE-502",
    atlas="AML.T0011.000",
)
RULES = (HEADER, KEYS, TAIL, TAR)


def check(source: Source, policy: Policy = WEIGHTS, *, finite: bool = False) -> list[Finding]:
    """Judge a legacy stream; with `finite`, NaN and infinity in a tensor refuse it too.

    Raises:
        Exhausted: a bound of the budget is reached.
    """
    return inspect(source, policy, finite=finite)[0]


def check_tar(source: Source) -> list[Finding]:
    """Refuse a tar archive of torch by name."""
    log = Log(source)
    log.add(TAR, "judged by its format", 0, source.size)
    return log.sorted()


def inspect(
    source: Source, policy: Policy = WEIGHTS, *, finite: bool = False
) -> tuple[list[Finding], Inventory | None]:
    """As `check`, and what the stream holds: None where it could not be read to its end.

    Raises:
        Exhausted: a bound of the budget is reached.
    """
    log = Log(source)
    start = _header(log, policy)
    main = read_pickle(log, start, policy, legacy=True) if start is not None else None
    keys = read_pickle(log, main.end, replace(policy, classes=frozenset())) if main and main.whole else None
    if main is None or keys is None or not keys.whole:
        return log.sorted(), None
    content = walk(log, main.value, main.steps)
    spans = _spans(log, main, keys)
    if spans is None:
        return log.sorted(), None
    _explain(log, main, content, spans)
    inventory = Inventory(content.tensors, spans, content.other)
    if finite and not any(finding.rule.severity == Severity.REFUSE for finding in log.findings):
        check_finite(log, inventory)
    return log.sorted(), inventory


def _header(log: Log, policy: Policy) -> int | None:
    """Where the object's pickle begins, behind the three pickles that every stream begins with."""
    simple = replace(policy, classes=frozenset())
    magic = read_pickle(log, 0, replace(simple, number_bits=80))
    if not magic.whole or magic.value != MAGIC:
        log.add(HEADER, "no magic number", 0)
        return None
    version = read_pickle(log, magic.end, simple)
    if not version.whole or version.value != PROTOCOL:
        log.add(HEADER, f"no protocol version {PROTOCOL}", magic.end)
        return None
    facts = read_pickle(log, version.end, simple)
    if not facts.whole:
        return None
    _judge_facts(log, facts, version.end)
    return facts.end


def _judge_facts(log: Log, facts: Pickle, offset: int) -> None:
    table = facts.value.entries if isinstance(facts.value, Table) else {}
    sizes = table.get("type_sizes")
    expected = {"protocol_version", "little_endian", "type_sizes"}
    if set(table) != expected or table["protocol_version"] != PROTOCOL or not isinstance(sizes, Table):
        log.add(HEADER, "the facts on the machine are not those that torch writes", offset)
    elif set(sizes.entries) != set(_SIZES) or any(sizes.entries[name] not in _SIZES[name] for name in _SIZES):
        log.add(HEADER, "the sizes of the machine's numbers are none of a known machine", offset)
    elif table["little_endian"] is not True:
        log.add(BYTE_ORDER, "little_endian is not true", offset)


def _spans(log: Log, main: Pickle, keys: Pickle) -> dict[str, Span] | None:
    """Where the storages lie; None where their list is wrong, so that nothing behind it can be explained."""
    listed = keys.value.items if isinstance(keys.value, Items) else None
    stored: dict[str, Stored] = {}
    for storage in main.storages:
        stored.setdefault(storage.key, storage)
    if listed != sorted(stored):
        log.add(KEYS, f"{len(stored):,} storages in the pickle", main.end)
        return None
    spans: dict[str, Span] = {}
    position = keys.end
    for key in sorted(stored):
        width = BITS[stored[key].dtype] // 8 if stored[key].dtype else 1
        count = int.from_bytes(log.source.read(position, 8), "little", signed=True)
        if count != stored[key].count:
            log.add(STORAGE_SIZE, f"storage {key}: {count:,} elements, the pickle says {stored[key].count:,}", position)
            return None
        spans[key] = Span(position + 8, count * width)
        position += 8 + count * width
        if position > log.source.size:
            log.add(TAIL, f"storage {plain(key)} is cut off", spans[key].start)
            return None
    if position < log.source.size:
        log.add(TAIL, f"{log.source.size - position:,} bytes", position, log.source.size - position)
    return spans


def _explain(log: Log, main: Pickle, content: Content, spans: dict[str, Span]) -> None:
    sizes = {key: span.length for key, span in spans.items()}
    judge_storages(log, main.storages, sizes)
    judge_views(log, content.tensors, sizes)
