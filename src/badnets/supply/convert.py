"""Turns torch weights into safetensors: in a child process without network, after a scan, without torch.

The file is copied once into a nameless file beside the destination, and hashed on the way; that copy is what is
scanned and what is converted, so that nobody can exchange the file in between. The child writes into another nameless
file, which becomes the destination only once it was read back.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

from pydantic import TypeAdapter

from badnets.artifacts import make_folder, open_atomic, storage
from badnets.errors import DataError, InputError
from badnets.supply.isolation import Bounds, Isolation
from badnets.supply.safetensors_writer import WRAPPERS
from badnets.supply.scan.findings import FileReport, Finding, Rule, Severity

_CHUNK = 2**20
_MEMORY = 2 * 2**30
_ALIASES = 64  # as many copies of one storage as the scan lets through
_PACKAGE = Path(__file__).resolve().parents[2]
_CHILD = "import sys; sys.path.insert(0, sys.argv[2]); from badnets.supply.convert_child import main; main(sys.argv[1])"

UNKNOWN_FORMAT = Rule(
    "convert-format",
    Severity.REFUSE,
    "The content is neither safetensors nor weights saved by torch.save.",
    "Name a file of weights; `badnets scan` says what this file is.",
)
UNFINISHED = Rule(
    "convert-unfinished",
    Severity.UNJUDGED,
    "The file could not be judged to its end within the bounds of time and memory.",
    "Allow more seconds, or ask the author for a smaller file.",
)


@dataclass(frozen=True)
class Written:
    """What was written.

    Attributes:
        path: the safetensors file.
        sha256: of that file.
        tensor_digest: see `badnets.supply.digests`; it is that of the source's weights too.
        tensors: how many.
        left_out: keys of the checkpoint beside the wrapper, not written.
    """

    path: str
    sha256: str
    tensor_digest: str
    tensors: int
    left_out: tuple[str, ...]


@dataclass(frozen=True)
class Conversion:
    """What came of a conversion: the scan's report, what was written if it was clean, what the child had given up."""

    report: FileReport
    written: Written | None
    isolation: Isolation


def convert(
    source: Path, destination: Path, *, wrapper: str | None = None, finite: bool = False, seconds: float = 600.0
) -> Conversion:
    """Scan `source` and write its weights to `destination` as safetensors, atomically.

    A refused file writes nothing; the findings are in the report.

    Args:
        source: safetensors, or a state dict saved by torch.save.
        destination: replaced if there, once the new file is whole.
        wrapper: take this dict out of a checkpoint, one of "state_dict" and "model"; the rest is left out.
        finite: refuse NaN and infinity.
        seconds: of wall time.

    Raises:
        InputError: no such file, or not only tensors by name in it: the message says what to do.
        DataError: the child process did not end as it should.
        StorageError: the destination cannot be written.
    """
    if wrapper is not None and wrapper not in WRAPPERS:
        raise InputError(f"wrapper is {' or '.join(WRAPPERS)}, got {wrapper!r}")
    if not seconds > 0:
        raise InputError(f"seconds is more than 0, got {seconds!r}")
    make_folder(destination.parent)
    with storage(destination), _nameless(destination) as copy, _nameless(destination) as made:
        size, sha256 = _snapshot(source, copy)
        request = _request(size, wrapper, finite=finite, seconds=seconds)
        answer = _run_child(request, source=copy, target=made)
        report = _report(source, size, sha256, answer)
        isolation = Isolation(**answer["isolation"])
        if not answer.get("sound"):
            return Conversion(report, None, isolation)
        written_sha256 = _publish(made, destination)
    left_out = tuple(answer["left_out"])
    written = Written(str(destination), written_sha256, answer["digest"], answer["tensors"], left_out)
    return Conversion(report, written, isolation)


def _nameless(destination: Path) -> IO[bytes]:
    """A file beside `destination`, so on a disk with room for it, that nobody else can open."""
    return tempfile.TemporaryFile(dir=destination.parent)


def _publish(made: IO[bytes], destination: Path) -> str:
    digest = hashlib.sha256()
    made.seek(0)
    with open_atomic(destination) as target:
        while piece := made.read(_CHUNK):
            digest.update(piece)
            target.write(piece)
    return digest.hexdigest()


def _snapshot(source: Path, copy: IO[bytes]) -> tuple[int, str]:
    digest, size = hashlib.sha256(), 0
    try:
        # Not to wait for a writer where the name is that of a pipe.
        handle = os.open(source, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    except OSError as error:
        raise InputError(f"cannot read {source}: {error.strerror}") from error
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise InputError(f"{source} is no file: name a file of weights")
    with os.fdopen(handle, "rb") as file:
        while piece := file.read(_CHUNK):
            digest.update(piece)
            copy.write(piece)
            size += len(piece)
    copy.flush()
    return size, digest.hexdigest()


def _request(size: int, wrapper: str | None, *, finite: bool, seconds: float) -> dict[str, Any]:
    # The child maps the file to gather what is not contiguous: its length comes on top of the memory.
    bounds = Bounds(_MEMORY + size, int(seconds) + 1, _ALIASES * size + _MEMORY)
    return {"size": size, "wrapper": wrapper, "finite": finite, "seconds": seconds, "bounds": asdict(bounds)}


def _run_child(request: dict[str, Any], *, source: IO[bytes], target: IO[bytes]) -> dict[str, Any]:
    handles = {"source": source.fileno(), "target": target.fileno()}
    command = [sys.executable, "-I", "-c", _CHILD, json.dumps(request | handles), str(_PACKAGE)]
    try:
        done = subprocess.run(  # noqa: S603 - our own interpreter and module, no shell
            command,
            check=False,
            capture_output=True,
            stdin=subprocess.DEVNULL,
            env={},
            pass_fds=tuple(handles.values()),
            timeout=request["seconds"] + 30,
        )
    except subprocess.TimeoutExpired:
        return {"isolation": {}, "error": "Exhausted", "reason": f"no end after {request['seconds']:g} seconds"}
    try:
        answer = json.loads(done.stdout)
    except ValueError as error:
        last = done.stderr.decode(errors="replace").strip().rpartition("\n")[2]
        raise DataError(f"the child process ended with {done.returncode} and no answer: {last[:200]}") from error
    return _checked(answer)


def _checked(answer: dict[str, Any]) -> dict[str, Any]:
    error = answer.get("error")
    if error == "InputError":
        raise InputError(answer["reason"])
    if error not in (None, "Exhausted"):
        raise DataError(answer["reason"])
    if not error and answer.get("sound") is False:
        raise DataError("what was written does not read back as what was read: report this with the file")
    return answer


def _report(source: Path, size: int, sha256: str, answer: dict[str, Any]) -> FileReport:
    findings = TypeAdapter(tuple[Finding, ...]).validate_python(answer.get("findings", ()))
    known = answer.get("format", "unknown")
    if "error" in answer:
        findings = (*findings, Finding(UNFINISHED, answer["reason"]))
    elif known == "unknown":
        findings = (*findings, Finding(UNKNOWN_FORMAT, "recognised by no reader of weights", offset=0, length=size))
    return FileReport(str(source), known, size, sha256, findings)
