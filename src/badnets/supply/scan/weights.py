"""The readers of weights behind one door: which of them knows a file, what it says, what the file holds."""

from __future__ import annotations

from badnets.supply.scan import safetensors, torch_legacy, torch_zip
from badnets.supply.scan.findings import Finding
from badnets.supply.scan.inventory import Inventory
from badnets.supply.scan.source import Source

_LEGACY_MAGIC = b"\x8a\n" + torch_legacy.MAGIC.to_bytes(10, "little")


def weights_format(source: Source) -> str | None:
    """Which reader knows a file, by its first bytes: "torch-zip", "torch-legacy", "safetensors", or None."""
    head = source.read(0, 32)
    if head.startswith(b"PK\3\4"):
        return "torch-zip"
    if head[:1] == b"\x80" and _LEGACY_MAGIC in head:
        return "torch-legacy"
    if head[8:9] == b"{" and int.from_bytes(head[:8], "little") <= source.size:
        return "safetensors"
    return None


def inspect_weights(source: Source, *, finite: bool = False) -> tuple[list[Finding], Inventory | None]:
    """What the reader of its format says of a file, and what the file holds; nothing where no reader knows it.

    Raises:
        Exhausted: a bound of the budget is reached.
    """
    readers = {"torch-zip": torch_zip.inspect, "torch-legacy": torch_legacy.inspect}
    known = weights_format(source)
    if known == "safetensors":
        return safetensors.inspect(source, finite=finite)
    return readers[known](source, finite=finite) if known else ([], None)
