r"""The canonical tensor digest: equal for the same weights, whatever format, order or strides a file has them in.

SHA-256 over this text, all numbers as 8 bytes, little-endian, not negative:

    "badnets tensors v1\n"
    number of tensors
    for each tensor, sorted by the UTF-8 bytes of its name:
        length of the name, the name in UTF-8
        length of the dtype, the dtype in ASCII, by the names of safetensors ("F32"; "C128" for complex128)
        number of dimensions, each dimension
        number of bytes, the elements in the order of the indices, little-endian

Lengths come before what they measure, so that no two sets of tensors give the same text. What a file says beside its
tensors (gradients wanted, device, metadata, the epoch of a checkpoint) has no part in it.
"""

from __future__ import annotations

import hashlib
import itertools

from badnets.errors import InputError
from badnets.supply.scan.inventory import Inventory
from badnets.supply.scan.source import Source
from badnets.supply.scan.tensor_bytes import tensor_bytes

_TITLE = b"badnets tensors v1\n"


def tensor_digest(source: Source, inventory: Inventory) -> str:
    """The canonical digest of all tensors of `inventory`, in hex, streamed from `source`.

    Raises:
        InputError: two tensors have one name.
        DataError: the file became shorter since it was read.
        Exhausted: time is up.
    """
    tensors = sorted(inventory.tensors, key=lambda tensor: tensor.name.encode())
    names = [tensor.name for tensor in tensors]
    if len(set(names)) < len(names):
        twice = next(name for name, following in itertools.pairwise(names) if name == following)
        raise InputError(f"two tensors are called {twice!r}: name a part of the file, such as its state_dict")
    digest = hashlib.sha256(_TITLE + _number(len(tensors)))
    for tensor in tensors:
        name, dtype = tensor.name.encode(), tensor.dtype.encode()
        digest.update(_number(len(name)) + name + _number(len(dtype)) + dtype)
        digest.update(_number(len(tensor.shape)) + b"".join(map(_number, tensor.shape)) + _number(tensor.nbytes))
        for piece in tensor_bytes(source, inventory, tensor):
            digest.update(piece)
    return digest.hexdigest()


def _number(value: int) -> bytes:
    return value.to_bytes(8, "little")
