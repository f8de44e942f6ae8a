"""How a model arrives: in a hidden place beside its destination, and there only when all of it is right."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tuf.api.exceptions import LengthOrHashMismatchError
from tuf.api.metadata import TargetFile

from badnets.artifacts import make_folder, sha256_file, storage
from badnets.errors import InputError
from badnets.supply.hashing import list_folder
from badnets.supply.hub.content import FileList


@contextmanager
def arriving(out: Path, *, keep: bool = True) -> Iterator[Path]:
    """A hidden place beside `out`: moved there at the end (`keep`), and removed whatever goes wrong.

    What a kill left of an earlier arrival at the same `out` is removed first.

    Raises:
        StorageError: it cannot be written.
    """
    make_folder(out.parent)
    for torn in out.parent.glob(f".{_plain(out.name)}.*.arriving"):
        _remove(torn)
    place = out.with_name(f".{out.name}.{secrets.token_hex(4)}.arriving")
    try:
        yield place
        if keep:
            with storage(out):
                place.replace(out)
    finally:
        _remove(place)


def same_file(path: Path, target: TargetFile) -> bool:
    """Whether the file is there already, as the target says."""
    try:
        with path.open("rb") as file:
            target.verify_length_and_hashes(file)
    except (OSError, LengthOrHashMismatchError):
        return False
    return True


def same_folder(path: Path, files: FileList) -> bool:
    """Whether the folder holds these files as they should be, and nothing else."""
    try:
        listing = list_folder(path)
    except (InputError, OSError):
        return False
    if listing.odd or [file.name for file in listing.files] != [part.name for part in files.files]:
        return False
    pairs = zip(listing.files, files.files, strict=True)
    return all(file.state.size == part.length and sha256_file(file.path) == part.sha256 for file, part in pairs)


def _plain(name: str) -> str:
    """The name with what a pattern would read otherwise taken literally."""
    return "".join(f"[{letter}]" if letter in "*?[" else letter for letter in name)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
