"""Whom a client trusts: a root file that was handed over once, and where that hub is found.

Each trusted hub has a folder: the root as it was given, the mirrors, and what python-tuf's client keeps.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from tuf.api.metadata import Metadata, Root

from badnets.artifacts import make_folder, read_bytes, read_json, write_bytes, write_json
from badnets.errors import InputError
from badnets.supply.hub.faults import Fault, Refused, explained
from badnets.supply.hub.keys import TOP
from badnets.supply.transport import Forbidden, checked

FOLDER = "BADNETS_HUBS"


@dataclass(frozen=True)
class Mirrors:
    """Where a hub is found: addresses of folders that hold `metadata/` and `targets/`, the first is asked first."""

    mirrors: tuple[str, ...]

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - pydantic reads it, nothing writes it

    def __post_init__(self) -> None:
        for mirror in self.mirrors:
            try:
                parts = checked(mirror)
            except Forbidden as error:
                raise InputError(f"{mirror}: {error}, or http to this machine") from error
            if parts.query or parts.fragment or parts.username:
                raise InputError(f"{mirror}: expected the plain address of a folder")

    @classmethod
    def of(cls, addresses: Sequence[str]) -> Mirrors:
        """The mirrors at these addresses, with or without a slash at their ends."""
        return cls(tuple(address.rstrip("/") + "/" for address in addresses))


@dataclass(frozen=True)
class Seen:
    """The latest time at which a hub was found fresh: the clock is not set back behind it."""

    time: datetime


@dataclass(frozen=True)
class Trusted:
    """The folder in which a client keeps what it knows of one hub."""

    folder: Path

    @property
    def root(self) -> Path:
        """The root that trust starts from."""
        return self.folder / "root.json"

    @property
    def settings(self) -> Path:
        """The mirrors."""
        return self.folder / "hub.json"

    @property
    def metadata(self) -> Path:
        """What python-tuf's client keeps; it can be removed, at the price of its memory of versions."""
        return self.folder / "metadata"

    @property
    def partial(self) -> Path:
        """Files of models that did not come to their end."""
        return self.folder / "partial"

    @property
    def seen(self) -> Path:
        """The latest time, see `Seen`."""
        return self.folder / "seen.json"

    def mirrors(self) -> tuple[str, ...]:
        """Where the hub is found. Raises `InputError` or `DataError` where that is not known."""
        return read_json(Mirrors, self.settings).mirrors

    def content(self) -> bytes:
        """The root file. Raises `InputError` where nothing was trusted here."""
        if not self.root.exists():
            raise InputError(f"no hub is trusted in {self.folder}: give its root file to badnets hub trust")
        return read_bytes(self.root)


def default_folder() -> Path:
    """Where trusted hubs are kept: the folder that BADNETS_HUBS names, else one in the user's data folder."""
    named = os.environ.get(FOLDER)
    if named:
        return Path(named)
    data = os.environ.get("XDG_DATA_HOME") or os.environ.get("LOCALAPPDATA")
    return (Path(data) if data else Path.home() / ".local" / "share") / "badnets" / "hubs"


def trust(folder: Path, root: bytes, mirrors: Sequence[str]) -> Trusted:
    """Trust a hub from now on; the same root again with other mirrors only changes these.

    Args:
        folder: the client's for this hub.
        root: the content of a root file, from a person or a package that is trusted already.
        mirrors: addresses of folders that hold `metadata/` and `targets/`.

    Raises:
        InputError: another root is trusted there already, or an address is neither https nor this machine's.
        Refused: it is no root file, or not signed by its own keys.
    """
    check_root(root)
    trusted = Trusted(folder)
    if trusted.root.exists() and read_bytes(trusted.root) != root:
        raise InputError(f"{folder} trusts another root already: remove it, or give this hub another name")
    settings = Mirrors.of(mirrors)
    make_folder(folder)
    write_json(trusted.settings, settings)
    write_bytes(trusted.root, root)
    return trusted


def check_root(content: bytes) -> Root:
    """The root in a file. Raises `Refused` where it is none, or is not signed by its own keys."""
    with explained("the root file"):
        metadata = Metadata[Root].from_bytes(content)
        if not isinstance(metadata.signed, Root):
            raise Refused(Fault.MALFORMED, f"the root file: expected a root, got {metadata.signed.type}")
        metadata.signed.verify_delegate(Root.type, metadata.signed_bytes, metadata.signatures)
        if set(TOP) - set(metadata.signed.roles):
            raise Refused(Fault.MALFORMED, "the root file: not all top-level roles are in it")
    return metadata.signed
