"""Tells which protocol buffer a file is, by the numbers and layouts of its outermost fields."""

from __future__ import annotations

from badnets.supply.scan.onnx_schema import MESSAGES, Kind
from badnets.supply.scan.protobuf import Reader, Wire, WireError
from badnets.supply.scan.source import Source

_MOST = 10_000
_MODEL = {
    number: Wire.VARINT if field.kind is Kind.INT else Wire.BYTES for number, field in MESSAGES["ModelProto"].items()
}


def kind(source: Source) -> str | None:
    """`onnx`, `savedmodel`, or None. Raises `Exhausted`.

    An ONNX model has fields of a ModelProto only up to the first thing that is no field, and among them either a graph
    and a version, or both versions; so one with a strange field or a broken end is still one, for its reader to refuse.
    """
    reader, seen = Reader(source), set[int]()
    strange = False
    try:
        for count, field in enumerate(reader.fields(0, source.size)):
            if count > _MOST:
                break
            if _MODEL.get(field.number) is not field.wire:
                if not seen:
                    return None
                strange = True
                continue
            seen.add(field.number)
    except WireError:
        strange = True
    if not strange and seen == {1, 2} and reader.bytes(0, 3)[:3] == b"\x08\x01\x12":
        return "savedmodel"
    return "onnx" if {1, 7} <= seen or {7, 8} <= seen or {1, 8} <= seen else None
