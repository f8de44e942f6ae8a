"""Weights in several files that an index puts together, as `model-00001-of-00003.safetensors`: checked, and joined.

The index (`NAME.safetensors.index.json` or `NAME.bin.index.json`, as Hugging Face's libraries write it) says under
`weight_map` which tensor is in which file. Loaders differ on what they make of an index that lies: some load all of a
shard, some what is named, some whatever comes last. So nothing is joined unless index and shards agree in both ways:

1. Every shard that the index names is here, beside it, and every file that is numbered like one is named.
2. Every tensor is in one shard only, in that which the index says, and no shard holds one that the index leaves out.

Tensors are streamed: what is held in memory are the headers.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from badnets.artifacts import make_folder, open_atomic
from badnets.errors import DataError
from badnets.supply.digests import tensor_digest
from badnets.supply.safetensors_writer import Writable, header_of, in_order
from badnets.supply.scan.inventory import Inventory, TensorSpec
from badnets.supply.scan.safetensors import inspect
from badnets.supply.scan.source import Budget, Limits, Source
from badnets.supply.scan.tensor_bytes import tensor_bytes
from badnets.supply.signing.refusal import Refused
from badnets.supply.signing.strict_json import read_object

_INDEX = re.compile(r"(?P<stem>.+)\.(?:safetensors|bin|pt|pth)\.index\.json")
_NUMBERED = re.compile(r"(?P<stem>.+)-\d{5}-of-\d{5}\.(?:safetensors|bin|pt|pth)")
_SAFETENSORS = ".safetensors"


@dataclass(frozen=True)
class ShardIndex:
    """Which tensor is in which file.

    Attributes:
        name: of the index, relative to the model, with `/`.
        tensors: the shard of each tensor, by the tensor's name; shards are relative to the model.
    """

    name: str
    tensors: Mapping[str, str]

    @property
    def shards(self) -> tuple[str, ...]:
        """The files that hold the weights, sorted."""
        return tuple(sorted(set(self.tensors.values())))

    @property
    def whole(self) -> str:
        """What the weights are called once they are joined."""
        return f"{_stem(self.name)}{_SAFETENSORS}"


@dataclass(frozen=True)
class Joined:
    """What was written: SHA-256 of the file, canonical digest of its tensors, and how many they are."""

    sha256: str
    tensor_digest: str
    tensors: int


def is_index(name: str) -> bool:
    """Whether a file of this name is an index of shards."""
    return _INDEX.fullmatch(PurePosixPath(name).name) is not None


def is_numbered(name: str) -> bool:
    """Whether a file of this name is one of several that make up a model."""
    return _NUMBERED.fullmatch(PurePosixPath(name).name) is not None


def read_index(name: str, content: bytes, files: Collection[str]) -> ShardIndex:
    """The index in a file.

    Args:
        name: of the file, relative to the model.
        content: of the file.
        files: the names of all files of the model.

    Raises:
        DataError: it is none, a shard is missing or is no file beside it, or a numbered file is not named.
    """
    try:
        weights = read_object(content, name).get("weight_map")
    except Refused as refusal:
        raise DataError(str(refusal)) from refusal
    if not isinstance(weights, dict) or not weights:
        raise DataError(f"{name} is no index of shards: expected names of tensors and of files under weight_map")
    folder = PurePosixPath(name).parent
    tensors: dict[str, str] = {}
    for tensor, shard in weights.items():
        if not isinstance(shard, str) or not shard or PurePosixPath(shard).name != shard:
            raise DataError(f"{name}: {tensor!r:.80} is said to be in {shard!r:.80}: expected a file beside the index")
        tensors[tensor] = str(folder / shard)
    named = set(tensors.values())
    if missing := sorted(named - set(files)):
        raise DataError(f"{name} names {missing[0]}, which is not here")
    family = _stem(name)
    for file in sorted(files):
        fits = _NUMBERED.fullmatch(file)
        if fits and fits["stem"] == family and _ending(file) == _ending(next(iter(named))) and file not in named:
            raise DataError(f"{file} is numbered as a shard, and {name} does not name it")
    return ShardIndex(name, tensors)


def join(index: ShardIndex, parts: Mapping[str, Path], target: Path, *, seconds: float = 600.0) -> Joined:
    """Write the tensors of all shards into one safetensors file.

    Args:
        index: what is where.
        parts: the shards as safetensors files, by their names in the model.
        target: replaced if there, once the new file is whole.
        seconds: of wall time.

    Raises:
        DataError: a shard is no sound safetensors file, or index and shards do not agree.
        Exhausted: time is up.
        StorageError: it cannot be written.
    """
    make_folder(target.parent)
    with ExitStack() as held:
        budget = Budget(Limits(seconds=seconds))
        opened = {shard: _opened(parts[shard], shard, held, budget) for shard in index.shards}
        places = _places(index, {shard: inventory for shard, (_, inventory) in opened.items()})
        digest = hashlib.sha256()
        whole = Inventory(tuple(tensor for _, tensor in places.values()), {})
        with open_atomic(target) as file:
            _write(whole, places, opened, _Hashing(file, digest.update))
        written = held.enter_context(target.open("rb"))
        source = Source(written, 0, os.fstat(written.fileno()).st_size, budget)
        findings, there = inspect(source)
        if there is None or findings:
            raise DataError(f"{target.name} does not read back as it was written")
        return Joined(digest.hexdigest(), tensor_digest(source, there), len(there.tensors))


@dataclass(frozen=True)
class _Hashing:
    """Hashes what it passes on."""

    file: IO[bytes]
    update: Callable[[bytes], object]

    def write(self, content: bytes, /) -> int:
        """Append."""
        self.update(content)
        return self.file.write(content)


def _places(index: ShardIndex, shards: Mapping[str, Inventory]) -> dict[str, tuple[str, TensorSpec]]:
    """For each tensor its shard and what that says of it. Raises `DataError` where index and shards do not agree."""
    found: dict[str, tuple[str, TensorSpec]] = {}
    for shard, tensor in _all(shards):
        if tensor.name in found:
            raise DataError(f"the tensor {tensor.name!r:.80} is in {found[tensor.name][0]} and in {shard}")
        if index.tensors.get(tensor.name) != shard:
            said = index.tensors.get(tensor.name)
            elsewhere = f"in {said}" if said else "nowhere"
            raise DataError(f"the tensor {tensor.name!r:.80} is in {shard}; by {index.name} it is {elsewhere}")
        found[tensor.name] = shard, tensor
    if lacking := sorted(set(index.tensors) - set(found)):
        raise DataError(f"{index.name} names the tensor {lacking[0]!r:.80}, which is in no shard")
    return found


def _all(shards: Mapping[str, Inventory]) -> Iterator[tuple[str, TensorSpec]]:
    for shard, inventory in shards.items():
        for tensor in inventory.tensors:
            yield shard, tensor


def _opened(path: Path, shard: str, held: ExitStack, budget: Budget) -> tuple[Source, Inventory]:
    file = held.enter_context(path.open("rb"))
    source = Source(file, 0, os.fstat(file.fileno()).st_size, budget)
    findings, inventory = inspect(source)
    if inventory is None or findings:
        raise DataError(f"{shard} is no sound safetensors file{f': {findings[0].detail}' if findings else ''}")
    return source, inventory


def _write(
    whole: Inventory,
    places: Mapping[str, tuple[str, TensorSpec]],
    opened: Mapping[str, tuple[Source, Inventory]],
    target: Writable,
) -> None:
    tensors = in_order(whole)
    target.write(header_of(tensors))
    for tensor in tensors:
        source, inventory = opened[places[tensor.name][0]]
        for piece in tensor_bytes(source, inventory, tensor):
            target.write(piece)


def _stem(name: str) -> str:
    fits = _INDEX.fullmatch(name)
    if fits is None:
        raise DataError(f"{name} is not called as an index of shards is: expected NAME.safetensors.index.json")
    return fits["stem"]


def _ending(name: str) -> str:
    return PurePosixPath(name).suffix
