"""Weights as torch and safetensors really write them, and how to read them back for a comparison."""

from __future__ import annotations

import io
import warnings
from collections import OrderedDict
from collections.abc import Iterator
from typing import Any

import torch
from safetensors.torch import save as save_safetensors
from torch import nn

DTYPES = {
    "BOOL": torch.bool, "U8": torch.uint8, "I8": torch.int8, "I16": torch.int16, "I32": torch.int32, "I64": torch.int64,
    "U16": torch.uint16, "U32": torch.uint32, "U64": torch.uint64, "F16": torch.float16, "BF16": torch.bfloat16,
    "F32": torch.float32, "F64": torch.float64, "C64": torch.complex64, "F8_E4M3": torch.float8_e4m3fn,
    "F8_E5M2": torch.float8_e5m2, "F8_E8M0": torch.float8_e8m0fnu, "F8_E4M3FNUZ": torch.float8_e4m3fnuz,
    "F8_E5M2FNUZ": torch.float8_e5m2fnuz, "C128": torch.complex128,
}  # fmt: skip
# These have no typed storage; torch writes them as bytes with a dtype, which its legacy loader cannot read.
_UNTYPED = frozenset({"U16", "U32", "U64", *(name for name in DTYPES if name.startswith("F8"))})


def saved(value: object, *, legacy: bool = False, protocol: int = 2) -> bytes:
    """What torch.save writes."""
    buffer = io.BytesIO()
    torch.save(value, buffer, pickle_protocol=protocol, _use_new_zipfile_serialization=not legacy)
    return buffer.getvalue()


def loaded(content: bytes) -> Any:  # noqa: ANN401 - whatever the file holds
    """What torch's weights-only loader makes of a file."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Detected pickle protocol")
        return torch.load(io.BytesIO(content), weights_only=True, map_location="cpu")


def raw(tensor: torch.Tensor) -> bytes:
    """The elements in the order of the indices, little-endian."""
    if not tensor.numel():
        return b""
    row = tensor.detach().clone(memory_format=torch.contiguous_format).reshape(-1)
    return bytes(row.view(torch.uint8).numpy().tobytes())


def flat(value: object, path: tuple[object, ...] = ()) -> Iterator[tuple[tuple[object, ...], torch.Tensor]]:
    """The tensors of nested containers, with their paths."""
    if isinstance(value, torch.Tensor):
        yield path, value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from flat(item, (*path, key))
    elif isinstance(value, list | tuple):
        for number, item in enumerate(value):
            yield from flat(item, (*path, number))


def model() -> nn.Module:
    """A few layers with parameters and buffers, the same each time."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(8, 3))


def values() -> dict[str, Any]:
    """What is saved, by name."""
    torch.manual_seed(0)
    net, weight = model(), torch.randn(4, 6)
    tied = nn.ParameterDict({"a": nn.Parameter(weight), "b": nn.Parameter(weight)})
    return {
        "a state dict": net.state_dict(),
        "parameters": dict(net.named_parameters()),
        "an ordered dict": OrderedDict(weight=weight, bias=torch.zeros(4)),
        "an empty dict": {},
        "a transposed view": {"w": weight.t(), "whole": weight},
        "a permuted view": {"w": torch.randn(2, 3, 4).permute(2, 0, 1)},
        "a slice": {"w": weight[:, ::2], "whole": weight},
        "channels last": {"w": torch.randn(2, 3, 4, 5).to(memory_format=torch.channels_last)},
        "tied weights": tied.state_dict(),
        "an empty tensor": {"e": torch.empty(0, 3), "w": weight},
        "a scalar": {"s": torch.tensor(3.0), "n": torch.tensor(7)},
        "a small bfloat16": {"p": nn.Parameter(torch.ones(3, dtype=torch.bfloat16))},
        "seventy tensors": {f"layers.{number}.weight": torch.full((3,), float(number)) for number in range(70)},
        "a checkpoint": {
            "epoch": 3, "loss": 0.25, "best": None, "done": True, "note": "the third", "sizes": [1, 2**40],
            "lr": (0.1, 0.2), "state_dict": net.state_dict(),
            "optimizer": torch.optim.AdamW(net.parameters()).state_dict(),
            "size": torch.Size([2, 3]), "device": torch.device("cpu"), "dtype": torch.float16,
        },
        "non-ASCII names": {"größe.重み": weight},
    }  # fmt: skip


def benign() -> Iterator[tuple[str, bytes]]:
    """Files by name: 0 of them may be refused."""
    for name, value in values().items():
        yield f"{name}, zip", saved(value)
        yield f"{name}, zip of protocol 3", saved(value, protocol=3)
        yield f"{name}, legacy", saved(value, legacy=True)
    for dtype, kind in DTYPES.items():
        value = {"w": torch.zeros(2, 3, dtype=kind), "x": torch.zeros(5, dtype=kind)}
        yield f"{dtype}, zip", saved(value)
        if dtype not in _UNTYPED:
            yield f"{dtype}, legacy", saved(value, legacy=True)
        if dtype not in ("C128", "F8_E8M0"):  # which safetensors does not have, and which its torch reader cannot read
            yield f"{dtype}, safetensors", save_safetensors(value)
    plain = {name: tensor.contiguous() for name, tensor in model().state_dict().items()}
    yield "safetensors without metadata", save_safetensors(plain)
    yield "safetensors for torch", save_safetensors(plain, metadata={"format": "pt"})
    yield "safetensors without tensors", save_safetensors({})
