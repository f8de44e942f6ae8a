"""How a model comes into the quarantine: from this machine, from a hub, or from the Hugging Face Hub, within bounds.

What is judged afterwards is the copy in the quarantine, and nothing else: nobody can exchange it in between.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from badnets.artifacts import make_folder
from badnets.errors import DataError, InputError, MissingPart
from badnets.supply.gate.evidence import HubEvidence
from badnets.supply.gate.pin import pin_of
from badnets.supply.gate.policy import Limits
from badnets.supply.hashing import Listing, copy_file, list_folder, plain_file
from badnets.supply.hub import Client, Fault, Found, Refused
from badnets.supply.hub.content import CUSTOM
from badnets.supply.hub.names import check_files

_HUGGING_FACE = re.compile(r"([A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95})@([0-9a-f]{40})")
_FETCH = """
import resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[4]),) * 2)
from huggingface_hub import HfApi, hf_hub_download
repository, commit, folder, most, files = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]), int(sys.argv[5])
siblings = HfApi().model_info(repository, revision=commit, files_metadata=True).siblings
total = sum(one.size or 0 for one in siblings)
if total > most or len(siblings) > files:
    sys.exit(f"{len(siblings):,} files of {total:,} bytes: the policy allows {files:,} files and {most:,} bytes")
for one in siblings:
    hf_hub_download(repository, one.rfilename, revision=commit, local_dir=folder)
"""


@dataclass(frozen=True)
class Brought:
    """What came: its files are in the folder that was named.

    Attributes:
        source: as it was asked for.
        kind: file, folder, hub or huggingface.
        name: of the model.
        odd: what is neither a file nor a folder, a line each; it was not copied.
        hub: where it came from one.
        commit: where it came from the Hugging Face Hub.
    """

    source: str
    kind: str
    name: str
    odd: tuple[str, ...] = ()
    hub: HubEvidence | None = None
    commit: str | None = None


# Brings a model into an empty folder, within limits.
Bring = Callable[[Path, Limits], Brought]


def from_disk(source: Path) -> Bring:
    """A file or a folder of this machine. Links are not followed.

    Raises:
        InputError: there is none, or it is larger than the policy allows.
    """
    if not source.exists():
        raise InputError(f"there is no {source}")

    def bring(folder: Path, limits: Limits) -> Brought:
        is_folder = source.is_dir()
        name = source.resolve().name or "model"
        listing = list_folder(source) if is_folder else Listing((plain_file(source),))
        _check_size([file.state.size for file in listing.files], limits)
        for file in listing.files:
            target = folder / file.name
            make_folder(target.parent)
            copy_file(file, target)
        odd = tuple(f"{name} is {kind}" for name, kind in listing.odd)
        return Brought(str(source), "folder" if is_folder else "file", name, odd)

    return bring


def from_hub(client: Client, root_sha256: str, name: str) -> Bring:
    """A model of a hub, whose client is at work; see `hub.Client.get` for what is raised."""

    def bring(folder: Path, limits: Limits) -> Brought:
        found = client.find(name)
        sizes = [part.length for part in client.files_of(found).files] if found.is_folder else [found.target.length]
        _check_size(sizes, limits)
        if found.is_folder:
            folder.rmdir()  # the client wants to make it
            client.get(name, folder)
        else:
            client.get(name, folder / _file_name(found))
        return Brought(f"hub:{name}", "hub", name, hub=_hub_evidence(found, root_sha256))

    return bring


def from_hugging_face(address: str) -> Bring:
    """A model of the Hugging Face Hub, written ORG/NAME@COMMIT with all 40 digits of the commit.

    Raises:
        InputError: a branch or tag, which can be moved, instead of a commit; or no such address.
        MissingPart: huggingface_hub is not installed.
        DataError: it could not be had within the limits.
    """
    fits = _HUGGING_FACE.fullmatch(address)
    if not fits:
        raise InputError(
            f"expected hf:ORG/NAME@COMMIT with the 40 hex digits of a commit, got hf:{address[:120]}: "
            "a branch or a tag can be moved to other files"
        )
    if find_spec("huggingface_hub") is None:
        raise MissingPart("models of the Hugging Face Hub need huggingface_hub: pip install huggingface_hub")

    def bring(folder: Path, limits: Limits) -> Brought:
        _fetch(fits[1], fits[2], folder, limits)
        shutil.rmtree(folder / ".cache", ignore_errors=True)  # the library's own notes
        _check_size([file.state.size for file in list_folder(folder).files], limits)
        return Brought(f"hf:{address}", "huggingface", fits[1], commit=fits[2])

    return bring


def _fetch(repository: str, commit: str, folder: Path, limits: Limits) -> None:
    """Download in a child process that is cut off: the library has no bound on time or size of its own."""
    command = [sys.executable, "-c", _FETCH, repository, commit, str(folder), str(limits.bytes), str(limits.files)]
    quiet = {**os.environ, "HF_HUB_DISABLE_PROGRESS_BARS": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}
    try:
        done = subprocess.run(  # noqa: S603 - our own interpreter and program, no shell
            command, check=False, capture_output=True, stdin=subprocess.DEVNULL, env=quiet, timeout=limits.seconds
        )
    except subprocess.TimeoutExpired as error:
        raise DataError(f"{repository}: no end after {limits.seconds:g} seconds: nothing was kept") from error
    if done.returncode:
        last = done.stderr.decode(errors="replace").strip().rpartition("\n")[2]
        raise DataError(f"{repository} at {commit[:12]} could not be had: {last[:200] or done.returncode}")


def _check_size(sizes: list[int], limits: Limits) -> None:
    if len(sizes) > limits.files or sum(sizes) > limits.bytes:
        raise DataError(
            f"{len(sizes):,} files of {sum(sizes):,} bytes: the policy allows {limits.files:,} files and "
            f"{limits.bytes:,} bytes, see [limits]"
        )


def _file_name(found: Found) -> str:
    """The name that the file had when it was published, where it is a plain one; it says how the file is loaded."""
    own = found.custom.get(CUSTOM)
    name = own.get("file") if isinstance(own, dict) else None
    last = found.name.rpartition("/")[2]
    if not isinstance(name, str) or "/" in name:
        return last
    try:
        check_files([name])
    except InputError as error:
        raise Refused(Fault.MALFORMED, f"{found.name}: {error}") from error
    return name


def _hub_evidence(found: Found, root_sha256: str) -> HubEvidence:
    fresh, pin = found.freshness, pin_of(found.custom, found.name)  # which the client has compared
    return HubEvidence(
        name=found.name,
        root_sha256=root_sha256,
        role=found.origin.role,
        signatures=found.origin.threshold,
        keys=found.origin.keys,
        target_sha256=found.sha256,
        version=fresh.version,
        expires=fresh.expires,
        age_hours=round(fresh.age.total_seconds() / 3600, 3) if fresh.age is not None else None,
        custom=found.custom,
        faults=fresh.faults,
        verdict=pin.verdict_sha256 if pin else "",
    )
