"""Finding the files of a data set: a folder the user names, `BADNETS_DATA`, or the cache of earlier downloads.

Every file has a pinned SHA-256, and it is checked wherever the file came from. (Trees of pictures, such as
torchvision's GTSRB or a user's own folder, have none.)
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

from badnets.artifacts import make_folder, sha256_file
from badnets.errors import DataError

ENVIRONMENT = "BADNETS_DATA"


@dataclass(frozen=True)
class Source:
    """One file of a data set.

    Attributes:
        file: its name.
        sha256: its digest in hex; a file with another one is refused.
        url: where `fetch` downloads it, or None where it can only be brought by the user.
    """

    file: str
    sha256: str
    url: str | None = None


def cache_folder() -> Path:
    """Where downloads are kept: the user's cache folder for `badnets`."""
    import pooch  # noqa: PLC0415 - not needed where all files are at hand

    return Path(pooch.os_cache("badnets"))


def search_folders(dataset: str, data_dir: Path | None) -> list[Path]:
    """The folders in which the files of `dataset` are looked for, in order.

    In each root both `<root>/<dataset>/` and `<root>/` itself are tried. A folder that the user names
    is the only root: nothing is then taken from elsewhere unasked.
    """
    if data_dir is not None:
        roots = [data_dir]
    else:
        named = os.environ.get(ENVIRONMENT)
        roots = [Path(named), cache_folder()] if named else [cache_folder()]
    return [folder for root in roots for folder in (root / dataset, root)]


def find(source: Source, folders: list[Path]) -> Path | None:
    """The first place where the file lies, whatever its content; None where there is none."""
    return next((folder / source.file for folder in folders if (folder / source.file).is_file()), None)


def verified(source: Source, path: Path) -> Path:
    """`path` itself, once its content has the pinned digest.

    Raises:
        DataError: another digest: the file is damaged, cut short or not the file it is named after.
    """
    digest = sha256_file(path)
    if digest != source.sha256:
        raise DataError(
            f"{path}: expected SHA-256 {source.sha256[:16]}..., got {digest[:16]}... "
            f"({path.stat().st_size:,} bytes): the file is damaged or another one; remove it and get it again"
        )
    return path


@runtime_checkable
class Bar(Protocol):
    """Who is told how a download goes; pooch sets `total` and counts bytes."""

    total: int

    def update(self, count: int, /) -> None:
        """So many more bytes came."""
        ...

    def reset(self) -> None:
        """From the start again."""
        ...

    def close(self) -> None:
        """All is there."""
        ...


def fetch(source: Source, dataset: str, folder: Path | None = None, *, bar: Bar | None = None) -> Path:
    """Download a file, check its digest, keep it under the cache (or `folder`) and return its path.

    Raises:
        DataError: it has no public address, the server did not give it, or its digest is wrong.
    """
    import pooch  # noqa: PLC0415 - as in cache_folder

    if source.url is None:
        raise DataError(f"{source.file} has no public download: put it into {folder or cache_folder() / dataset}")
    target = make_folder(folder or cache_folder() / dataset)
    pooch.get_logger().setLevel("WARNING")  # it announces each download on stderr
    try:
        path = pooch.retrieve(
            source.url, f"sha256:{source.sha256}", fname=source.file, path=target, progressbar=bar or False
        )
    except Exception as error:  # pooch lets through what its HTTP library raises: a tree of its own
        reason = " ".join(str(error).split())[:200]
        raise DataError(f"could not download {source.url}: {reason}; or put {source.file} into {target}") from error
    return Path(path)
