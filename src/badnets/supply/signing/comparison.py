"""What lies in a folder beside what was signed: each difference by the file's name, in plain words."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

from badnets.supply.hashing import Listing, Piece, PlainFile, Progress, digests, list_folder, plain_file, shards, whole
from badnets.supply.signing.manifest import SINGLE, Manifest, Resource


class Fault(StrEnum):
    """How a file differs from what was signed."""

    CHANGED = "changed"
    MISSING = "missing"
    NOT_COVERED = "not covered"
    RENAMED = "renamed"
    NOT_PLAIN = "not a plain file"


@dataclass(frozen=True)
class Mismatch:
    """One file that is not as signed: what is wrong with it, its name, and the rest in words."""

    fault: Fault
    name: str
    detail: str


@dataclass(frozen=True)
class Comparison:
    """A model beside its manifest.

    Attributes:
        mismatches: by name; none where everything is as signed.
        files: how many of them were read.
        size: of these, in bytes.
        ignored: paths that are there, are not covered, and were passed over because the verifier said so.
        empty: folders with nothing in them, which no signature covers.
    """

    mismatches: tuple[Mismatch, ...]
    files: int
    size: int
    ignored: tuple[str, ...] = ()
    empty: tuple[str, ...] = ()


def compare(
    model: Path, manifest: Manifest, *, ignore: Collection[str] = (), progress: Progress | None = None
) -> Comparison:
    """Read a model and compare it with its manifest.

    Args:
        model: the folder or file.
        manifest: what was signed.
        ignore: paths that need not be covered, each with all below it; what is covered is always checked.
        progress: see `hashing.Progress`.

    Raises:
        InputError: a file or folder cannot be read.
        DataError: a file changed while it was read.
    """
    signed = manifest.by_file()
    if model.is_dir():
        listing = list_folder(model, skip=[path for path in ignore if not _leads_to(path, signed)])
    else:
        listing = Listing((plain_file(model, SINGLE),))
        if list(signed) == [model.name]:  # the specification's name for a single file
            signed = {SINGLE: signed[model.name]}
    here = {file.name: file for file in listing.files}
    changed, read = _changed(
        [(here[name], parts) for name, parts in signed.items() if name in here], manifest, progress
    )
    missing = {name: parts for name, parts in signed.items() if name not in here}
    extra = {name: file for name, file in here.items() if name not in signed and not _below(name, ignore)}
    renamed = _renamed(missing, extra, manifest)
    gone, twins = {mismatch.name for mismatch in renamed}, set(renamed.values())
    odd = [(name, kind) for name, kind in listing.odd if name in signed or not _below(name, ignore)]
    mismatches = [
        *changed,
        *renamed,
        *(
            Mismatch(Fault.MISSING, name, "signed, but not here")
            for name in missing
            if name not in gone and name not in dict(odd)
        ),
        *(_not_covered(name, manifest) for name in extra if name not in twins),
        *(Mismatch(Fault.NOT_PLAIN, name, f"{kind}, which is not followed") for name, kind in odd),
    ]
    passed = {_top(name, ignore) for name in (*here, *dict(listing.odd)) if name not in signed and _below(name, ignore)}
    return Comparison(
        tuple(sorted(map(_readable, mismatches), key=lambda mismatch: mismatch.name)),
        files=len(signed) - len(missing),
        size=read,
        ignored=tuple(sorted({*listing.skipped, *passed})),
        empty=tuple(_text(name) for name in listing.empty if not _below(name, ignore)),
    )


def _changed(
    pairs: Sequence[tuple[PlainFile, tuple[Resource, ...]]], manifest: Manifest, progress: Progress | None
) -> tuple[list[Mismatch], int]:
    """The files whose content is another, and how many bytes were read; a file of another length is not read."""
    fitting, found = [], []
    for file, parts in pairs:
        length = parts[-1].span[1] if parts[-1].span else file.state.size
        if length == file.state.size:
            fitting.append((file, parts))
        else:
            found.append(Mismatch(Fault.CHANGED, file.name, f"signed with {length:,} bytes, here {file.state.size:,}"))
    pieces = [(piece, part) for file, parts in fitting for piece, part in zip(_cut(file, manifest), parts, strict=True)]
    seen: set[str] = set()
    for (piece, part), digest in zip(pieces, digests([piece for piece, _ in pieces], progress=progress), strict=True):
        if digest != part.digest and piece.file.name not in seen:
            seen.add(piece.file.name)
            place = f" in bytes {part.span[0]:,} to {part.span[1]:,}" if part.span else ""
            words = f"signed with SHA-256 {part.digest[:16]}...{place}, here {digest[:16]}..."
            found.append(Mismatch(Fault.CHANGED, piece.file.name, words))
    return found, sum(piece.end - piece.start for piece, _ in pieces)


def _renamed(
    missing: dict[str, tuple[Resource, ...]], extra: dict[str, PlainFile], manifest: Manifest
) -> dict[Mismatch, str]:
    """Missing files whose content lies here under a name that is not covered, and that name."""
    if not missing or not extra:
        return {}
    contents: dict[tuple[str, ...], list[str]] = {}
    pieces = [piece for file in extra.values() for piece in _cut(file, manifest)]
    found = dict(zip(((piece.file.name, piece.start) for piece in pieces), digests(pieces), strict=True))
    for file in extra.values():
        contents.setdefault(tuple(found[file.name, piece.start] for piece in _cut(file, manifest)), []).append(
            file.name
        )
    renamed = {}
    for name, parts in missing.items():
        if twins := contents.get(tuple(part.digest for part in parts)):
            twin = twins.pop(0)
            renamed[Mismatch(Fault.RENAMED, name, f"signed under this name, here called {twin}")] = twin
    return renamed


def _cut(file: PlainFile, manifest: Manifest) -> tuple[Piece, ...]:
    return (whole(file),) if manifest.shard_size is None else shards(file, manifest.shard_size)


def _not_covered(name: str, manifest: Manifest) -> Mismatch:
    left_out = _below(name, manifest.ignored)
    words = "the signer left it out, so anybody may have put it here" if left_out else "it was not signed"
    return Mismatch(Fault.NOT_COVERED, name, words)


def _below(name: str, paths: Collection[str]) -> bool:
    return any(name == path or name.startswith(f"{path}/") for path in paths)


def _top(name: str, paths: Collection[str]) -> str:
    return next(path for path in paths if _below(name, [path]))


def _leads_to(path: str, names: Collection[str]) -> bool:
    return any(_below(name, [path]) for name in names)


def _readable(mismatch: Mismatch) -> Mismatch:
    return replace(mismatch, name=_text(mismatch.name), detail=_text(mismatch.detail))


def _text(name: str) -> str:
    """A name from the disk as text that can be written anywhere, also where it is not UTF-8."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
