"""Tensors and types of an ONNX model: as many bytes as type and shape ask for, or a place in another file."""

from __future__ import annotations

import re
from dataclasses import dataclass
from math import prod

from badnets.supply.scan import names
from badnets.supply.scan import onnx_rules as rules
from badnets.supply.scan.onnx_messages import Fault, Message, Messages
from badnets.supply.scan.onnx_schema import DATA_TYPES

_TYPED = ("float_data", "int32_data", "string_data", "int64_data", "double_data", "uint64_data")
_KEYS = frozenset({"location", "offset", "length", "checksum"})
_STRING = 8
# Keys of a map: integers and strings.
_MAP_KEYS = frozenset({2, 3, 4, 5, 6, 7, 8, 12, 13})


@dataclass(frozen=True)
class External:
    """Weights in another file.

    Attributes:
        tensor: its name.
        location: the file, relative to the model's folder.
        offset: of its first byte there.
        length: how many bytes.
        at: offset of the tensor in the model's window.
    """

    tensor: str
    location: str
    offset: int
    length: int
    at: int


def check_tensor(messages: Messages, tensor: Message) -> External | None:
    """Compare a tensor's bytes with its type and shape; where they are in another file, say which.

    Raises:
        Fault: they do not fit, or the other file is out of the folder.
        WireError: a number that is none.
        Exhausted: a bound was reached.
    """
    name = messages.text(tensor, "name")
    messages.text(tensor, "doc_string")
    check_entries(messages, tensor, "metadata_props")
    dims = messages.numbers(tensor, "dims")
    data_type = messages.number(tensor, "data_type") or 0
    if data_type not in DATA_TYPES:
        raise Fault(rules.TENSOR, f"{name!a} of data type {data_type}", tensor.start)
    if len(dims) > 64 or any(not 0 <= dim < 2**48 for dim in dims) or prod(dims) >= 2**60:
        raise Fault(rules.TENSOR, f"{name!a} of shape {dims[:64]}", tensor.start)
    bits, typed, each = DATA_TYPES[data_type]
    count = prod(dims)
    length = -(-count * bits // 8)
    location = messages.number(tensor, "data_location") or 0
    held = [field for field in (*_TYPED, "raw_data") if tensor.all(field)]
    if location or tensor.all("external_data"):
        if location != 1 or held or data_type == _STRING:
            raise Fault(rules.TENSOR, f"{name!a} is both here and in another file", tensor.start)
        return _external(messages, tensor, name, length)
    if held == ["raw_data"] and data_type != _STRING:
        raw = tensor.all("raw_data")[0]
        if raw.value != length:
            raise Fault(
                rules.TENSOR,
                f"{name!a} has {raw.value:,} bytes, its shape {dims} asks for {length:,}",
                raw.start,
                raw.value,
            )
        return None
    if held not in ([], [typed]) or (held and not typed):
        raise Fault(rules.TENSOR, f"{name!a} of data type {data_type} in {', '.join(held)}", tensor.start)
    entries = messages.count(tensor, typed) if typed else 0
    if entries != count * each:
        raise Fault(
            rules.TENSOR, f"{name!a} has {entries:,} entries, its shape {dims} asks for {count * each:,}", tensor.start
        )
    return None


def _external(messages: Messages, tensor: Message, name: str, length: int) -> External:
    values = check_entries(messages, tensor, "external_data")
    if unknown := set(values) - _KEYS:
        raise Fault(rules.EXTERNAL_KEY, f"{name!a}: {', '.join(sorted(unknown))!a}", tensor.start)
    location = values.get("location", "")
    fault = names.fault(location)
    if fault or "%" in location or location.endswith("/"):
        raise Fault(rules.OUTSIDE, f"{name!a} in {location!a}: {fault[1] if fault else 'no plain name'}", tensor.start)
    numbers = [values.get("offset", "0"), values.get("length", str(length))]
    if not all(re.fullmatch("[0-9]{1,18}", number) for number in numbers):
        raise Fault(rules.EXTERNAL_KEY, f"{name!a}: offset {numbers[0]!a}, length {numbers[1]!a}", tensor.start)
    if int(numbers[1]) != length:
        raise Fault(
            rules.TENSOR, f"{name!a} has {numbers[1]} bytes elsewhere, its shape asks for {length:,}", tensor.start
        )
    return External(name, location, int(numbers[0]), length, tensor.start)


def check_entries(messages: Messages, message: Message, field: str) -> dict[str, str]:
    """Pairs of texts, each key once. Raises `Fault`, `Exhausted`."""
    values: dict[str, str] = {}
    for entry in messages.inner(message, field):
        key = messages.text(entry, "key")
        if key in values:
            raise Fault(rules.FIELD, f"{message.kind}.{field}: {key!a} a second time", entry.start)
        values[key] = messages.text(entry, "value")
    return values


def check_value(messages: Messages, value: Message, *, typed: bool) -> str:
    """An input, output or other value: its name; `typed` where it must have a type. Raises `Fault`, `Exhausted`."""
    name = messages.text(value, "name")
    messages.text(value, "doc_string")
    check_entries(messages, value, "metadata_props")
    if not name or (typed and not value.all("type")):
        raise Fault(rules.GRAPH, f"value {name!a} without a name or type", value.start)
    for kind in messages.inner(value, "type"):
        check_type(messages, kind)
    return name


def check_type(messages: Messages, kind: Message) -> None:
    """A type: one of tensor, sequence, map, optional. Raises `Fault`, `WireError`, `Exhausted`."""
    messages.text(kind, "denotation")
    choices = [name for name in ("tensor_type", "sequence_type", "map_type", "optional_type") if kind.all(name)]
    if len(choices) != 1:
        raise Fault(rules.FIELD, f"a type that is {' and '.join(choices) or 'nothing'}", kind.start)
    inner = next(messages.inner(kind, choices[0]))
    if choices[0] == "tensor_type":
        _check_tensor_type(messages, inner)
        return
    if choices[0] == "map_type" and messages.number(inner, "key_type") not in _MAP_KEYS:
        raise Fault(rules.FIELD, "a map without a type of keys", inner.start)
    field = "value_type" if choices[0] == "map_type" else "elem_type"
    if not inner.all(field):
        raise Fault(rules.FIELD, f"{choices[0]} of nothing", inner.start)
    for element in messages.inner(inner, field):
        check_type(messages, element)


def _check_tensor_type(messages: Messages, tensor: Message) -> None:
    if messages.number(tensor, "elem_type") not in DATA_TYPES:
        raise Fault(rules.FIELD, f"tensor of type {messages.number(tensor, 'elem_type')}", tensor.start)
    for shape in messages.inner(tensor, "shape"):
        for dimension in messages.inner(shape, "dim"):
            messages.text(dimension, "dim_param")
            messages.text(dimension, "denotation")
            value = messages.number(dimension, "dim_value")
            if (value is not None and value < 0) or (value is not None and dimension.all("dim_param")):
                raise Fault(rules.FIELD, f"dimension {value}", dimension.start)
