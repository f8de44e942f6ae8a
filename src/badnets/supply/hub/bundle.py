"""A hub to carry across a gap: a zip file of the metadata and the models that are named, with an age.

A bundle is a hub like any other, read from a file: everything in it is checked as if it had come from a server, the
versions it brings are remembered, and it expires with its timestamp. What it cannot have is news: how old it is, is
said when it is made and when it is read.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

from tuf.api.metadata import Metadata, Root, TargetFile, Timestamp

from badnets.artifacts import canonical_json, open_atomic, read_bytes
from badnets.errors import InputError
from badnets.supply.hub.arrival import arriving
from badnets.supply.hub.client import CONTENTS, Client, Contents, Freshness, Got
from badnets.supply.hub.content import stored, target_of
from badnets.supply.hub.faults import explained
from badnets.supply.hub.lookup import versions
from badnets.supply.hub.trust import Trusted


def export(client: Client, trusted: Trusted, names: Sequence[str], out: Path) -> Freshness:
    """Write a bundle of models.

    Args:
        client: at work, see `Client.at_work`.
        trusted: the folder that it works in.
        names: of the models.
        out: the zip file to write.

    Raises:
        Refused: a model cannot be accepted.
        InputError: no model is named.
        StorageError: it cannot be written.
    """
    if not names:
        raise InputError("a bundle needs at least one model")
    freshness = client.refresh()
    with open_atomic(out) as file, zipfile.ZipFile(file, "w") as archive:
        for name in dict.fromkeys(names):
            found = client.find(name)
            targets = [found.target]
            if found.is_folder:
                targets += [target_of(name, part) for part in client.files_of(found).files]
            for target in targets:
                with _brought(client, target, out) as path:
                    archive.write(path, _place(target))
        # Last: looking for models has brought the roles that list them.
        for path, place in _metadata(trusted):
            archive.write(path, place)
        archive.writestr(CONTENTS, canonical_json(Contents(tuple(dict.fromkeys(names)))))
    return freshness


def bring_all(client: Client, names: Sequence[str], out: Path) -> list[Got]:
    """Bring models into the folder `out`, each under its name; of a bundle all that it holds when none is named.

    Raises:
        Refused: one of them cannot be accepted; those before it are kept.
        InputError: the bundle holds none.
    """
    client.refresh()
    wanted = tuple(names) or client.held()
    if not wanted:
        raise InputError("there is no model in the bundle")
    return [client.get(name, out / name) for name in wanted]


def _metadata(trusted: Trusted) -> Iterator[tuple[Path, str]]:
    for path in sorted((trusted.metadata / "root_history").glob("*.root.json")):
        yield path, f"metadata/{path.name}"
    for role, version in versions(trusted.metadata).items():
        path = trusted.metadata / f"{quote(role, '')}.json"
        # A role that no model here belongs to may be there in an older version.
        if path.exists() and role != Root.type and _version(path) == version:
            prefix = "" if role == Timestamp.type else f"{version}."
            yield path, f"metadata/{prefix}{quote(role, '')}.json"


def _version(path: Path) -> int:
    with explained(str(path)):
        return int(Metadata[Any].from_bytes(read_bytes(path)).signed.version)


@contextmanager
def _brought(client: Client, target: TargetFile, out: Path) -> Iterator[Path]:
    with arriving(out.with_name(f"{out.name}.file"), keep=False) as place:
        client.download(target, place)
        yield place


def _place(target: TargetFile) -> str:
    digest = next(iter(target.hashes.values()))
    return stored(Path("targets"), target.path, digest).as_posix()
