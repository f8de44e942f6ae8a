"""The canonical tensor digest of a model in memory: the same as `badnets.supply.digests` finds in its file.

The supply rooms read files without torch and lie above this one; a test holds both to the same digests.
"""

from __future__ import annotations

import hashlib
import json

from safetensors.torch import save
from torch import Tensor

from badnets.errors import InputError

_TITLE = b"badnets tensors v1\n"


def tensors_digest(tensors: dict[str, Tensor]) -> str:
    """SHA-256 in hex over names, dtypes, shapes and elements, as `badnets.supply.digests` defines it.

    Raises:
        InputError: a tensor of a dtype that safetensors cannot hold.
    """
    digest = hashlib.sha256(_TITLE + _number(len(tensors)))
    for name in sorted(tensors, key=str.encode):
        try:
            content = save({"x": tensors[name].detach().cpu().contiguous().clone()})
        except (KeyError, ValueError) as error:
            raise InputError(f"{name} is of {tensors[name].dtype}, which has no digest") from error
        length = int.from_bytes(content[:8], "little")
        entry = json.loads(content[8 : 8 + length])["x"]
        dtype, elements = entry["dtype"].encode(), content[8 + length :]
        digest.update(_number(len(name.encode())) + name.encode() + _number(len(dtype)) + dtype)
        digest.update(_number(len(entry["shape"])) + b"".join(map(_number, entry["shape"])) + _number(len(elements)))
        digest.update(elements)
    return digest.hexdigest()


def _number(value: int) -> bytes:
    return value.to_bytes(8, "little")
