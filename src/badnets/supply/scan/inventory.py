"""What a weights file holds, once a reader explained it: tensors, and the bytes of the file that each one shows."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from types import MappingProxyType

from badnets.supply.scan.findings import Rule, Severity
from badnets.supply.scan.log import Log

BITS = MappingProxyType(
    {
        "BOOL": 8, "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6, "U8": 8, "I8": 8,
        "F8_E5M2": 8, "F8_E4M3": 8, "F8_E8M0": 8, "F8_E4M3FNUZ": 8, "F8_E5M2FNUZ": 8,
        "I16": 16, "U16": 16, "F16": 16, "BF16": 16, "I32": 32, "U32": 32, "F32": 32,
        "C64": 64, "F64": 64, "I64": 64, "U64": 64, "C128": 128,
    }
)  # fmt: skip
"""Bits of one element, by the names of safetensors; "C128" is ours, safetensors has no such dtype."""

MOST_DIMENSIONS = 64
_MOST_ALIASES = 64  # tensors over one storage: real files tie a weight two or three times

TENSOR_BOUNDS = Rule(
    "tensor-bounds",
    Severity.REFUSE,
    "A tensor reaches outside the bytes of its storage, or its shape and strides make no tensor.",
    "Do not load it: loaders have had memory faults here. Ask the author for a sound file.",
    cwe="CWE-125",
    atlas="AML.T0011.000",
)
TENSOR_STRIDE = Rule(
    "tensor-stride",
    Severity.REFUSE,
    "A tensor shows the same bytes more than once: small on disk, huge once it is copied.",
    "Ask the author to save it with .contiguous().",
    cwe="CWE-409",
    atlas="AML.T0029",
)
TENSOR_EXPANSION = Rule(
    "tensor-expansion",
    Severity.REFUSE,
    "All tensors together are far larger than the bytes that they share.",
    "Ask the author for a file in which each tensor has its own bytes.",
    cwe="CWE-409",
    atlas="AML.T0029",
)
STORAGE_SLACK = Rule(
    "storage-slack",
    Severity.NOTE,
    "A storage holds bytes that no tensor shows: what is left of a larger tensor, or something hidden.",
    "Convert the file: only bytes that tensors show are kept.",
)


@dataclass(frozen=True)
class Span:
    """Where bytes lie: `length` bytes from `start` of the reader's window."""

    start: int
    length: int


@dataclass(frozen=True, eq=False)
class TensorSpec:
    """One tensor, as a view on a storage.

    Attributes:
        path: its keys in the file's containers, outermost first; one key in a plain state dict.
        dtype: by the names of safetensors, a key of `BITS`.
        shape: counts of elements.
        stride: steps in elements.
        storage: which storage.
        storage_offset: first element, counted in elements of `dtype`.
        requires_grad: as the file says.
        offset: where the file speaks of the tensor, from the start of the reader's window or of its member.
    """

    path: tuple[str | int, ...]
    dtype: str
    shape: tuple[int, ...]
    stride: tuple[int, ...]
    storage: str
    storage_offset: int = 0
    requires_grad: bool = False
    offset: int = 0

    @property
    def name(self) -> str:
        """The path as one name."""
        return ".".join(str(part) for part in self.path)

    @property
    def count(self) -> int:
        """How many elements."""
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        """Bytes once it is contiguous."""
        return (self.count * BITS[self.dtype] + 7) // 8

    @property
    def contiguous(self) -> bool:
        """Whether its elements lie one after the other in the order of its indices."""
        step = 1
        for size, stride in zip(reversed(self.shape), reversed(self.stride), strict=True):
            if size != 1 and stride != step:
                return self.count == 0
            step *= size
        return True


@dataclass(frozen=True)
class Inventory:
    """All tensors of a file, and where the storages lie that they view.

    Attributes:
        tensors: in the order of the file.
        storages: by the key that `TensorSpec.storage` names.
        other: paths of values that are no tensors, such as the epoch of a checkpoint; the first hundred.
    """

    tensors: tuple[TensorSpec, ...]
    storages: dict[str, Span]
    other: tuple[tuple[str | int, ...], ...] = ()


def row_major(shape: tuple[int, ...]) -> tuple[int, ...]:
    """The strides of a contiguous tensor of that shape, as torch computes them."""
    strides: list[int] = []
    step = 1
    for size in reversed(shape):
        strides.append(step)
        step *= max(size, 1)
    return tuple(reversed(strides))


def view_faults(shape: tuple[int, ...], stride: tuple[int, ...]) -> Iterator[tuple[Rule, str]]:
    """What is wrong with a view, whatever it views."""
    if len(shape) != len(stride):
        yield TENSOR_BOUNDS, f"{len(shape)} sizes and {len(stride)} strides"
    elif len(shape) > MOST_DIMENSIONS:
        yield TENSOR_BOUNDS, f"{len(shape)} dimensions, {MOST_DIMENSIONS} are allowed"
    elif any(size < 0 for size in shape) or any(step < 0 for step in stride):
        yield TENSOR_BOUNDS, "a negative size or stride"
    elif math.prod(max(size, 1) for size in shape) >= 2**63 or any(step >= 2**63 for step in stride):
        yield TENSOR_BOUNDS, f"a shape beyond 64 bits: {shape}"
    elif math.prod(shape) and _overlaps(shape, stride):
        yield TENSOR_STRIDE, f"shape {shape}, strides {stride}"


def _overlaps(shape: tuple[int, ...], stride: tuple[int, ...]) -> bool:
    reach = 0
    for step, size in sorted((step, size) for step, size in zip(stride, shape, strict=True) if size > 1):
        if step <= reach:
            return True
        reach += step * (size - 1)
    return False


def extent(tensor: TensorSpec) -> Span:
    """The bytes of its storage from a tensor's first element to its last; nothing for an empty tensor."""
    width = BITS[tensor.dtype]
    if not tensor.count:
        return Span(tensor.storage_offset * width // 8, 0)
    reach = sum((size - 1) * step for size, step in zip(tensor.shape, tensor.stride, strict=True))
    return Span(tensor.storage_offset * width // 8, ((reach + 1) * width + 7) // 8)


def judge_views(log: Log, tensors: tuple[TensorSpec, ...], sizes: dict[str, int]) -> None:
    """Check every tensor against the sizes in bytes of the storages, and all of them together.

    A tensor whose storage has no size there is passed over: its absence is a finding of the reader's own.
    """
    shown: dict[str, int] = dict.fromkeys(sizes, 0)
    for tensor in tensors:
        size = sizes.get(tensor.storage)
        if size is None:
            continue
        faults = list(_faults(tensor, size))
        for rule, detail in faults:
            log.add(rule, f"{tensor.name}: {detail}", tensor.offset)
        if not faults:
            shown[tensor.storage] += tensor.nbytes
    total, stored = sum(shown.values()), sum(sizes.values())
    if total > _MOST_ALIASES * stored + 2**16:
        log.add(TENSOR_EXPANSION, f"{total:,} bytes of tensors over {stored:,} bytes of storages")
    if any(finding.rule.severity == Severity.REFUSE for finding in log.findings):
        return  # what is refused need not show all its bytes
    for key, size in sizes.items():
        if shown[key] < size:
            log.add(STORAGE_SLACK, f"storage {key}: {size - shown[key]:,} of {size:,} bytes")


def _faults(tensor: TensorSpec, size: int) -> Iterator[tuple[Rule, str]]:
    """What is wrong with a tensor over a storage of `size` bytes."""
    found = list(view_faults(tensor.shape, tensor.stride))
    yield from found
    if not found:
        span = extent(tensor)
        if span.start + span.length > size:
            yield TENSOR_BOUNDS, f"byte {span.start + span.length:,} of a storage of {size:,} bytes"
