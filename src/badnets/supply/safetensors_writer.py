"""Writes safetensors from an inventory: the same tensors give the same bytes, those of the safetensors library.

Tensors are sorted as `safetensors/src/tensor.rs` sorts them, wider dtypes first and then by name, so that all are
aligned; the header is padded with spaces to 8 bytes.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Protocol, runtime_checkable

from badnets.errors import InputError
from badnets.supply.scan.inventory import BITS, Inventory, TensorSpec
from badnets.supply.scan.source import Source
from badnets.supply.scan.tensor_bytes import tensor_bytes

WRAPPERS = ("state_dict", "model")
_ORDER = {dtype: number for number, dtype in enumerate(BITS)}


@runtime_checkable
class Writable(Protocol):
    """What is written to: an open file, or bytes in memory."""

    def write(self, content: bytes, /) -> int:
        """Append."""
        ...


def weights_of(inventory: Inventory, wrapper: str | None) -> Inventory:
    """The tensors to write, each with one key as its name.

    Args:
        inventory: of the whole file.
        wrapper: the key of the dict to take out of a checkpoint, one of `WRAPPERS`; None for a plain state dict.

    Raises:
        InputError: there is more around the tensors than `wrapper` names, or no tensor.
    """
    if wrapper is not None and wrapper not in WRAPPERS:
        raise InputError(f"wrapper is {' or '.join(WRAPPERS)}, got {wrapper!r}")
    prefix = () if wrapper is None else (wrapper,)
    depth = len(prefix)
    tensors = [tensor for tensor in inventory.tensors if tensor.path[:depth] == prefix]
    if not tensors:
        raise InputError(f"no tensors {f'under {wrapper!r} ' if wrapper else ''}in the file: nothing to convert")
    odd = [tensor.path for tensor in tensors if len(tensor.path) != depth + 1 or not isinstance(tensor.path[-1], str)]
    odd += [path for path in inventory.other if path[:depth] == prefix]
    if odd:
        shown = ".".join(str(part) for part in odd[0]) or "the whole file"
        around = [name for name in WRAPPERS if any(tensor.path[:1] == (name,) for tensor in tensors)]
        todo = (
            f"name the part that holds the weights: {' or '.join(around)}" if around else "ask for a plain state dict"
        )
        raise InputError(f"expected a dict of names and tensors, got something else at {shown!r}: {todo}")
    wide = next((tensor.name for tensor in tensors if tensor.dtype == "C128"), None)
    if wide is not None:
        raise InputError(f"{wide!r} is complex128, which safetensors does not have: ask for complex64")
    if any(tensor.path[-1] == "__metadata__" for tensor in tensors):
        raise InputError("a tensor is called '__metadata__', which safetensors keeps for itself: ask for another name")
    return replace(inventory, tensors=tuple(replace(tensor, path=tensor.path[depth:]) for tensor in tensors), other=())


def header_of(tensors: list[TensorSpec]) -> bytes:
    """The first bytes of the file: length, JSON, padding."""
    fields: dict[str, object] = {"__metadata__": {"format": "pt"}}
    position = 0
    for tensor in tensors:
        offsets = [position, position + tensor.nbytes]
        fields[tensor.name] = {"dtype": tensor.dtype, "shape": tensor.shape, "data_offsets": offsets}
        position += tensor.nbytes
    text = json.dumps(fields, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text


def in_order(inventory: Inventory) -> list[TensorSpec]:
    """The tensors in the order of the file."""
    return sorted(inventory.tensors, key=lambda tensor: (-_ORDER[tensor.dtype], tensor.name.encode()))


def write_safetensors(source: Source, inventory: Inventory, target: Writable) -> None:
    """Write the tensors of `inventory`, whose bytes are in `source`.

    Raises:
        DataError: the file became shorter since it was read.
        Exhausted: time is up.
    """
    tensors = in_order(inventory)
    target.write(header_of(tensors))
    for tensor in tensors:
        for piece in tensor_bytes(source, inventory, tensor):
            target.write(piece)
