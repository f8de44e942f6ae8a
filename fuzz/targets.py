"""What is fuzzed: every reader of a format alone, the scan as a whole, and mutations below a correct outer layer.

Each target breaks on

1. any exception but `Exhausted`,
2. more processor time than `SECONDS` for an input of a few kilobytes,
3. a file that is admitted and that its loader then does not load.
"""

from __future__ import annotations

import bz2
import functools
import gzip
import io
import json
import lzma
import struct
import time
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from tests.supply import benign_weights
from tests.supply.hostile_case import array, zipped
from tests.supply.hostile_formats import CASES
from tests.supply.hostile_weights import catalogue
from tests.supply.weights_files import WEIGHTS, legacy, state_dict, tensor, torch_zip

from badnets.supply.scan import dispatch
from badnets.supply.scan.findings import Finding, Verdict, verdict_of
from badnets.supply.scan.recognise import recognise
from badnets.supply.scan.source import Budget, Exhausted, Limits, Source
from fuzz.loaders import LOADERS

SECONDS = 5.0
_LIMITS = Limits(seconds=10.0)
_NAME = "file"
Wrap = Callable[[bytes], bytes]


class Broken(Exception):  # noqa: N818 - what a fuzzer looks for
    """A property does not hold for an input."""


@dataclass(frozen=True)
class Target:
    """One thing to fuzz.

    Attributes:
        name: of the reader, a key of `dispatch.READERS`; "scan" for recognition and all of them.
        wrap: makes the file of the fuzzer's input, for what only a correct outer layer lets through.
        seeds: inputs to start from; those of the format where None.
    """

    name: str
    wrap: Wrap = bytes
    seeds: Callable[[], Iterator[bytes]] | None = None


def over(content: bytes) -> Source:
    """A source on bytes in memory."""
    return Source(io.BytesIO(content), 0, len(content), Budget(_LIMITS))


def check(target: Target, data: bytes) -> bool:
    """Judge one input; whether the file was admitted, and its loader loaded it. Raises `Broken` or what broke."""
    content = target.wrap(data)
    begun = time.process_time()
    form, findings = _judged(target.name, content)
    spent = time.process_time() - begun
    if spent > SECONDS:
        raise Broken(f"{spent:.1f} s of processor time for {len(content):,} bytes")
    clean = verdict_of(finding.rule.severity for finding in findings) is Verdict.CLEAN
    if not clean or form not in LOADERS:
        return False
    try:
        LOADERS[form](content)
    except Exception as error:
        raise Broken(f"admitted as {form}, but: {type(error).__name__}: {error}") from error
    return True


def _judged(name: str, content: bytes) -> tuple[str, list[Finding]]:
    if name == "scan":
        judged = dispatch.judge(over(content), _NAME)
        failed = [finding for finding in judged.findings if finding.rule == dispatch.FAILED]
        if failed:
            raise Broken(f"the reader of {judged.format} failed: {failed[0].detail}")
        return judged.format, judged.findings
    try:
        # What is JSON only by its first letter is judged as text; its name is what makes it settings.
        return name, dispatch.READERS[name](over(content), "file.json" if name == "json" else _NAME)
    except Exhausted as error:
        return name, [Finding(dispatch.BOUND, str(error))]


@functools.cache
def _files() -> list[tuple[str, bytes]]:
    """Every file of the catalogues with its format."""
    files = [case.content for case in catalogue()] + [content for _, content in benign_weights.benign()]
    files += [content for case in CASES for content in case.files().values()]
    return [(recognise(over(content)).format, content) for content in files]


def _honest() -> Iterator[tuple[str, bytes]]:
    """Harmless files in wrappers, of which the catalogues have hostile ones only."""
    plain = array()
    packers: dict[str, Callable[[bytes], bytes]] = {"gzip": gzip.compress, "bzip2": bz2.compress, "xz": lzma.compress}
    packers |= {"zlib": zlib.compress, "lzma": lambda content: lzma.compress(content, lzma.FORMAT_ALONE)}
    for form, pack in packers.items():
        yield form, pack(plain)
    for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        yield "zip", zipped({"a.npy": plain, "b/notes.txt": b"fine\n"}, method)


def seeds(target: Target, most: int = 2**15) -> Iterator[bytes]:
    """Inputs to start from, none longer than `most`."""
    if target.seeds:
        yield from target.seeds()
        return
    for form, content in (*_files(), *_honest()):
        if len(content) <= most and target.name in ("scan", form):
            yield content


def _header(data: bytes) -> bytes:
    """Safetensors with that header, and as many bytes behind it as its last offset asks for."""
    try:
        told = [tensor["data_offsets"][1] for name, tensor in json.loads(data).items() if name != "__metadata__"]
        size = max([0, *(end for end in told if isinstance(end, int))])
    except (ValueError, AttributeError, TypeError, KeyError, IndexError, RecursionError):
        size = 0
    return struct.pack("<Q", len(data)) + data + bytes(min(size, 2**16))


def _headers() -> Iterator[bytes]:
    for content in seeds(Target("safetensors")):
        (length,) = struct.unpack("<Q", content[:8].ljust(8, b"\0"))
        if length < 2**15:
            yield content[8 : 8 + length]


def _pickles() -> Iterator[bytes]:
    """The pickles in torch's archives; those of the catalogue go with the storage of its honest archive."""
    yield WEIGHTS
    yield state_dict(a=tensor(shape=(2, 2), stride=(2, 1)), b=tensor(shape=(2,), start=2))
    for content in seeds(Target("torch-zip")):
        try:
            with zipfile.ZipFile(io.BytesIO(content)) as held:
                yield held.read("archive/data.pkl")
        except (zipfile.BadZipFile, KeyError, RuntimeError, NotImplementedError, OSError):
            continue


def _legacy_pickles() -> Iterator[bytes]:
    """The same as the legacy form has them: its storages may be views of others."""
    for content in _pickles():
        yield content.replace(b"tQ", b"NtQ")


def _array(data: bytes) -> bytes:
    """An array of version 1 with that header, and zeros behind it."""
    return b"\x93NUMPY\1\0" + struct.pack("<H", min(len(data), 2**16 - 1)) + data[: 2**16 - 1] + bytes(48)


def _arrays() -> Iterator[bytes]:
    for kind in ("<f4", "|b1", "<U3", "<c8", "<M8[ns]"):
        for shape in ((), (3,), (2, 3), (0,)):
            yield f"{{'descr': {kind!r}, 'fortran_order': False, 'shape': {shape!r}, }}".encode().ljust(117) + b"\n"


TARGETS: dict[str, Target] = {
    "scan": Target("scan"),
    **{name: Target(name) for name in sorted(dispatch.READERS)},
    "torch-zip, its pickle": Target("torch-zip", torch_zip, _pickles),
    "torch-legacy, its pickle": Target("torch-legacy", legacy, _legacy_pickles),
    "safetensors, its header": Target("safetensors", _header, _headers),
    "npy, its header": Target("npy", _array, _arrays),
}
