"""Finds NaN and infinity in the bytes of tensors, streaming, without a numeric library.

A number is not finite when all bits of its exponent are set. The bytes that hold the exponent are taken out of a chunk
with a stride, mapped to 1 where they match, and joined as whole numbers: all in compiled code.
"""

from __future__ import annotations

from types import MappingProxyType

from badnets.supply.scan.findings import Rule, Severity
from badnets.supply.scan.inventory import Inventory
from badnets.supply.scan.log import Log

TENSOR_NONFINITE = Rule(
    "tensor-nonfinite",
    Severity.REFUSE,
    "A tensor holds NaN or infinity: the model cannot have been tested as it is.",
    "Ask the author whether the training diverged; do not use the file.",
    cwe="CWE-1339",
    atlas="AML.T0018.000",
)

_CHUNK = 2**22


def _table(mask: int, value: int) -> bytes:
    return bytes(int(byte & mask == value) for byte in range(256))


_HIGH7 = _table(0x7F, 0x7F)
# width of a number, and for each byte that decides, its place and the bytes that match; all must.
_EXPONENTS: MappingProxyType[str, tuple[int, tuple[tuple[int, bytes], ...]]] = MappingProxyType(
    {
        "F64": (8, ((7, _HIGH7), (6, _table(0xF0, 0xF0)))),
        "F32": (4, ((3, _HIGH7), (2, _table(0x80, 0x80)))),
        "BF16": (2, ((1, _HIGH7), (0, _table(0x80, 0x80)))),
        "F16": (2, ((1, _table(0x7C, 0x7C)),)),
        "F8_E5M2": (1, ((0, _table(0x7C, 0x7C)),)),
        "F8_E4M3": (1, ((0, _HIGH7),)),
        "F8_E8M0": (1, ((0, _table(0xFF, 0xFF)),)),
        "F8_E4M3FNUZ": (1, ((0, _table(0xFF, 0x80)),)),
        "F8_E5M2FNUZ": (1, ((0, _table(0xFF, 0x80)),)),
    }
)
_PARTS = {"C64": "F32", "C128": "F64"}


def first_nonfinite(chunk: bytes, dtype: str) -> int | None:
    """The place of the first number in `chunk` that is not finite, in bytes; None where all are."""
    known = _EXPONENTS.get(_PARTS.get(dtype, dtype))
    if known is None:
        return None
    width, deciding = known
    count = len(chunk) // width
    bits = -1
    for place, table in deciding:
        bits &= int.from_bytes(chunk[place : count * width : width].translate(table), "little")
    if bits <= 0:
        return None
    return ((bits & -bits).bit_length() - 1) // 8 * width


def check_finite(log: Log, inventory: Inventory) -> None:
    """Stream every storage and note the first number of each that is not finite.

    Raises:
        Exhausted: time is up.
    """
    dtypes = {tensor.storage: (tensor.dtype, tensor.name) for tensor in reversed(inventory.tensors)}
    for key, (dtype, name) in dtypes.items():
        span = inventory.storages[key]
        for start in range(span.start, span.start + span.length, _CHUNK):
            chunk = log.source.read(start, min(_CHUNK, span.start + span.length - start))
            place = first_nonfinite(chunk, dtype)
            if place is not None:
                log.add(TENSOR_NONFINITE, f"{name}, {dtype}", start + place)
                break
