"""Where the gate keeps things: models under judgement, admitted models, signed evidence, the log.

    quarantine/<run>/      one for each gate at work, removed when it ends, however it ends
    admitted/<entry>/      model/ with weights as safetensors, and the verdict on them
    evidence/<statement>/  what each decision rests on, signed
    log/decisions.jsonl    see `gate.log`

A decision counts from the moment in which its line is in the log. Everything that goes with it lies ready in the run's
folder by then, and is moved into place behind it; whoever comes next does that for a run that was killed in between.
"""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from badnets.artifacts import make_folder, read_json, sha256_file, storage, write_json
from badnets.errors import BadnetsError, InputError, StorageError
from badnets.supply.gate.evidence import files_digest
from badnets.supply.gate.log import Entry, append, sound
from badnets.supply.gate.verdict import VERDICT, anchor_of, read_lines
from badnets.supply.hashing import list_folder
from badnets.supply.hub.lock import locked

FOLDER = "BADNETS_STORE"
MODEL = "model"
_WHAT = "the gate's store"


@dataclass(frozen=True)
class Store:
    """A folder that the gate keeps; see the module."""

    folder: Path

    @property
    def quarantine(self) -> Path:
        """Models under judgement."""
        return self.folder / "quarantine"

    @property
    def admitted(self) -> Path:
        """Models that may be loaded."""
        return self.folder / "admitted"

    @property
    def evidence(self) -> Path:
        """What decisions rest on."""
        return self.folder / "evidence"

    @property
    def log(self) -> Path:
        """The decisions."""
        return self.folder / "log" / "decisions.jsonl"


@dataclass(frozen=True)
class Plan:
    """What a run moves into place once its line is in the log: evidence, and perhaps an admitted model."""

    statement: str
    entry: str

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - pydantic reads it, nothing writes it


def default_store() -> Path:
    """Where the store is: the folder that BADNETS_STORE names, else one in the user's data folder."""
    named = os.environ.get(FOLDER)
    if named:
        return Path(named)
    data = os.environ.get("XDG_DATA_HOME") or os.environ.get("LOCALAPPDATA")
    return (Path(data) if data else Path.home() / ".local" / "share") / "badnets" / "store"


@contextmanager
def writing(store: Store, wait: float) -> Iterator[None]:
    """Hold the store, after what earlier runs left was put right.

    Raises:
        StorageError: another process holds it, or it cannot be written.
        DataError: the log is damaged.
    """
    with locked(store.folder, _WHAT, wait=wait):
        _recover(store)
        yield


@contextmanager
def running(store: Store, wait: float) -> Iterator[Path]:
    """A private folder in the quarantine, removed at the end. Raises as `writing`."""
    with ExitStack() as held:
        with writing(store, wait):
            place = store.quarantine / secrets.token_hex(8)
            make_folder(store.quarantine)
            with storage(place):
                place.mkdir(mode=0o700)
            held.enter_context(locked(place, "the run", wait=0.0))
        try:
            yield place
        finally:
            _remove(place)


def commit(store: Store, place: Path, plan: Plan, entry: Entry) -> str:
    """Make a decision count; whoever calls it holds the store, and all that the plan names lies in `place`.

    Returns:
        The log's new head.

    Raises:
        DataError: the log is damaged.
        StorageError: it cannot be written.
    """
    for folder in (ready_evidence(place), ready_model(place)):
        _flush(folder)
    write_json(place / "plan.json", plan)
    head = append(store.log, entry)
    _settle(store, place, plan)
    return head


def ready_evidence(place: Path) -> Path:
    """Where a run puts what belongs under `evidence/`."""
    return place / "ready-evidence"


def ready_model(place: Path) -> Path:
    """Where a run puts what belongs under `admitted/`."""
    return place / "ready-model"


def admitted_files(entry: Path) -> dict[str, str]:
    """The files of an admitted model by name and SHA-256, as they lie there. Raises `InputError`."""
    listing = list_folder(entry / MODEL)
    if listing.odd:
        raise InputError(f"{entry / MODEL / listing.odd[0][0]} is {listing.odd[0][1]}")
    return {file.name: sha256_file(file.path) for file in listing.files}


def anchors(store: Store) -> tuple[Entry, ...]:
    """The lines of the log that the signed statements in the store hold. Raises `Refused` where one is damaged."""
    found = []
    for folder in sorted(store.evidence.glob("*")) if store.evidence.is_dir() else ():
        path = folder / VERDICT
        found.append(anchor_of(read_lines(path.read_bytes() if path.exists() else b"", str(path)), str(path)))
    return tuple(found)


def drop(store: Store, entry: str) -> None:
    """Take an admitted model out of the store; whoever calls it holds the store."""
    path = store.admitted / entry
    if entry and path.exists():
        aside = make_folder(store.quarantine) / secrets.token_hex(8)
        with storage(path):
            path.rename(aside)
        _remove(aside)


def _recover(store: Store) -> None:
    """Finish what killed runs had decided, remove what they had not, and what was taken back."""
    for place in sorted(store.quarantine.glob("*")) if store.quarantine.is_dir() else ():
        try:
            with locked(place, "the run", wait=0.0):
                _finish(store, place)
                _remove(place)
        except StorageError:
            continue  # at work
    for entry in sound(store.log).entries:
        if entry.kind == "revocation":
            drop(store, entry.admitted)


def _finish(store: Store, place: Path) -> None:
    path = place / "plan.json"
    if not path.exists():
        return
    plan = read_json(Plan, path)
    if any(entry.statement == plan.statement for entry in sound(store.log).entries):
        _settle(store, place, plan)


def _settle(store: Store, place: Path, plan: Plan) -> None:
    """Move into place what the plan names; what is there already is left."""
    evidence = store.evidence / plan.statement
    make_folder(store.evidence)
    with storage(evidence):
        if ready_evidence(place).exists() and not evidence.exists():
            ready_evidence(place).rename(evidence)
            _sync(store.evidence)
        if plan.entry and ready_model(place).exists():
            _put(store, place, plan.entry)


def _put(store: Store, place: Path, entry: str) -> None:
    there, new = make_folder(store.admitted) / entry, ready_model(place)
    if there.exists() and _intact(there, entry):
        (new / VERDICT).replace(there / VERDICT)
        _remove(new)
    else:
        if there.exists():  # somebody has changed it: what the verdict speaks of takes its place
            there.rename(place / f"damaged-{secrets.token_hex(4)}")
        new.rename(there)
    _sync(store.admitted)


def _intact(there: Path, entry: str) -> bool:
    with suppress(BadnetsError, OSError):
        return files_digest(admitted_files(there).items()) == entry
    return False


def _flush(folder: Path) -> None:
    """Files and folders below are on the disk before anything says that they are."""
    for path in (*folder.rglob("*"), folder) if folder.exists() else ():
        _sync(path)


def _sync(path: Path) -> None:
    if os.name == "nt" and path.is_dir():
        return
    with storage(path):
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _remove(path: Path) -> None:
    shutil.rmtree(path, ignore_errors=True)
