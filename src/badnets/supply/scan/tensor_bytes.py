"""The bytes of a tensor, contiguous and little-endian, streamed from the file that an inventory describes."""

from __future__ import annotations

import itertools
import mmap
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

from badnets.errors import DataError
from badnets.supply.scan.inventory import BITS, Inventory, TensorSpec, extent
from badnets.supply.scan.source import Source

_CHUNK = 2**22
_FORMATS: dict[int, Literal["B", "H", "I", "Q"]] = {1: "B", 2: "H", 4: "I", 8: "Q"}


def tensor_bytes(source: Source, inventory: Inventory, tensor: TensorSpec) -> Iterator[bytes]:
    """The elements of `tensor` in the order of its indices, in pieces of a few megabytes.

    A view that is not contiguous is gathered from a map of the file, or from memory where the source is no file on
    the disk.

    Raises:
        DataError: the file became shorter since it was read.
        Exhausted: time is up.
    """
    start = inventory.storages[tensor.storage].start
    span = extent(tensor)
    if not span.length:
        return
    if tensor.contiguous:
        yield from _straight(source, start + span.start, span.length)
    else:
        with _mapped(source, start + span.start, span.length) as view:
            yield from _joined(_gathered(view, tensor))


def _straight(source: Source, start: int, length: int) -> Iterator[bytes]:
    while length:
        piece = source.read(start, min(_CHUNK, length))
        if not piece:
            raise DataError("the file became shorter while it was read: bring it anew")
        yield piece
        start, length = start + len(piece), length - len(piece)


def _number(source: Source) -> int | None:
    """The system's number of the open file; None for bytes in memory."""
    number = getattr(source.file, "fileno", None)
    try:
        return None if number is None else int(number())
    except OSError:
        return None


@contextmanager
def _mapped(source: Source, start: int, length: int) -> Iterator[memoryview]:
    number = _number(source)
    if length <= _CHUNK or number is None:
        yield memoryview(b"".join(_straight(source, start, length)))
        return
    place = source.start + start
    base = place - place % mmap.ALLOCATIONGRANULARITY
    with mmap.mmap(number, place - base + length, offset=base, access=mmap.ACCESS_READ) as mapped:
        whole = memoryview(mapped)
        view = whole[place - base :]
        try:
            yield view
        finally:
            view.release()
            whole.release()


def _gathered(view: memoryview, tensor: TensorSpec) -> Iterator[bytes]:
    """Row by row: the last dimension by one strided copy, the others by counting."""
    width = BITS[tensor.dtype] // 8
    parts = 2 if width == 16 else 1  # no code for 16 bytes: such numbers are copied in two halves
    shape, stride = tensor.shape, tensor.stride
    with view.cast(_FORMATS[width // parts]) as numbers:
        count, step = shape[-1], stride[-1]
        for index in itertools.product(*(range(size) for size in shape[:-1])):
            first = sum(place * by for place, by in zip(index, stride, strict=False))
            if parts == 1:
                yield numbers[first : first + step * (count - 1) + 1 : step if count > 1 else 1].tobytes()
            else:
                places = range(first, first + step * (count - 1) + 1, step if count > 1 else 1)
                yield b"".join(numbers[2 * place : 2 * place + 2].tobytes() for place in places)


def _joined(pieces: Iterator[bytes]) -> Iterator[bytes]:
    held: list[bytes] = []
    size = 0
    for piece in pieces:
        held.append(piece)
        size += len(piece)
        if size >= _CHUNK:
            yield b"".join(held)
            held, size = [], 0
    if held:
        yield b"".join(held)
