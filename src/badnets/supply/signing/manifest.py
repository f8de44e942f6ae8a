"""What a signature vouches for: the files of a model by name, each with its SHA-256, whole or in shards."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass

from badnets.errors import InputError

# The one resource of a model that is a single file is called so by the reference implementation; its specification
# asks for the file's name, which the subject carries as well.
SINGLE = "."

_DIGEST = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Resource:
    """A file, or a shard of one.

    Attributes:
        name: relative to the model's folder, with `/`; `SINGLE` where the model is one file.
        digest: SHA-256 in hex.
        span: first byte and first byte behind the shard; None for a whole file.
    """

    name: str
    digest: str
    span: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        if self.name != SINGLE:
            check_name(self.name)
        if not _DIGEST.fullmatch(self.digest):
            raise InputError(f"{self.name!r}: expected a SHA-256 of 64 small hex digits, got {self.digest[:80]!r}")

    @property
    def identifier(self) -> str:
        """The name as it is signed, with the shard's place."""
        return f"{self.name}:{self.span[0]}:{self.span[1]}" if self.span else self.name


@dataclass(frozen=True)
class Manifest:
    """The signed statement about a model.

    `statement.decode(statement.encode(manifest)) == manifest` for every manifest.

    Attributes:
        name: of the model's folder or file when it was signed.
        resources: in the order in which the root digest takes them; `arranged` gives the canonical one.
        shard_size: bytes of each shard but a file's last; None where files are hashed whole.
        ignored: paths that the signer left out.
    """

    name: str
    resources: tuple[Resource, ...]
    shard_size: int | None = None
    ignored: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.name:
            raise InputError("the model has no name")
        if not self.resources:
            raise InputError("the model is empty: no file is covered")
        if self.shard_size is not None and self.shard_size < 1:
            raise InputError(f"expected shards of a byte at least, got {self.shard_size}")
        _check_apart(dict.fromkeys(resource.name for resource in self.resources))
        by_file = self.by_file()
        for name, parts in by_file.items():
            if self.shard_size is None:
                _check_whole(name, parts)
            else:
                _check_shards(name, parts, self.shard_size)
        if SINGLE in by_file and len(by_file) > 1:
            raise InputError(f"{SINGLE!r} stands for a model of one file, but there are {len(by_file)}")

    @property
    def root_digest(self) -> str:
        """SHA-256 over the raw digests of all resources in their order (specification, 6.5.1).

        It says nothing about names: two models with the same contents under other names have the same one.
        """
        return hashlib.sha256(b"".join(bytes.fromhex(resource.digest) for resource in self.resources)).hexdigest()

    def by_file(self) -> dict[str, tuple[Resource, ...]]:
        """The resources of each file, its shards by their place."""
        found: dict[str, list[Resource]] = {}
        for resource in self.resources:
            found.setdefault(resource.name, []).append(resource)
        return {name: tuple(sorted(parts, key=lambda part: part.span or (0, 0))) for name, parts in found.items()}


def arranged(resources: Iterable[Resource]) -> tuple[Resource, ...]:
    """The canonical order: by identifier, code point by code point (specification, 5.2.1)."""
    return tuple(sorted(resources, key=lambda resource: resource.identifier))


def check_name(name: str) -> None:
    """Raise `InputError` unless `name` is a path that stays inside the model and means the same on every system."""
    parts = name.split("/")
    if not all(parts) or "." in parts or ".." in parts:
        raise InputError(f"the name {name!r} is not a plain path inside the model")
    if "\\" in name or re.match("[A-Za-z]:", name):
        raise InputError(f"the name {name!r} is a path of its own on some systems")
    if any(unicodedata.category(letter) in ("Cc", "Cs") for letter in name):
        raise InputError(f"the name {name!r} holds control characters or is not UTF-8")


def _check_apart(names: Iterable[str]) -> None:
    """No two names may be one file on a system that folds case or normalises Unicode, and no file a folder."""
    seen: dict[str, str] = {}
    for name in names:
        folded = unicodedata.normalize("NFD", unicodedata.normalize("NFD", name).casefold())
        if folded in seen:
            raise InputError(f"the names {seen[folded]!r} and {name!r} are one file on some systems")
        seen[folded] = name
    for folded, name in seen.items():
        for end in (index for index, letter in enumerate(folded) if letter == "/"):
            if folded[:end] in seen:
                raise InputError(f"{seen[folded[:end]]!r} is a file and, in {name!r}, a folder")


def _check_whole(name: str, parts: tuple[Resource, ...]) -> None:
    if len(parts) > 1:
        raise InputError(f"the name {name!r} comes {len(parts)} times")
    if parts[0].span is not None:
        raise InputError(f"{parts[0].identifier!r} is a shard among whole files")


def _check_shards(name: str, parts: tuple[Resource, ...], size: int) -> None:
    position = 0
    for number, part in enumerate(parts, start=1):
        if part.span is None:
            raise InputError(f"{name!r} is a whole file among shards")
        start, end = part.span
        last = number == len(parts)
        if start != position or end <= start or end - start > size or (end - start < size and not last):
            raise InputError(
                f"the shard {part.identifier!r} does not follow in steps of {size:,} bytes from {position:,}"
            )
        position = end
