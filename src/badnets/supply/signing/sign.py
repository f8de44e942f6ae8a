"""Signing a model: a folder, or a single file."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from badnets.errors import InputError
from badnets.supply.hashing import Listing, PlainFile, Progress, digests, list_folder, plain_file, shards, whole
from badnets.supply.signing.bundle import Bundle
from badnets.supply.signing.certificates import signer_key
from badnets.supply.signing.dsse import pre_authentication
from badnets.supply.signing.keys import PrivateKey, fingerprint, sign_bytes
from badnets.supply.signing.manifest import SINGLE, Manifest, Resource, arranged, check_name
from badnets.supply.signing.refusal import Refused
from badnets.supply.signing.statement import encode

IN_FOLDER = "model.sig"


@dataclass(frozen=True)
class Scope:
    """Which files of a model are covered, and how.

    Attributes:
        ignore: paths in the model's folder that are left out, each with all below it.
        shard_size: bytes of a shard; None hashes each file whole, as most verifiers expect.
    """

    ignore: tuple[str, ...] = ()
    shard_size: int | None = None

    def __post_init__(self) -> None:
        for path in self.ignore:
            check_name(path)
        if self.shard_size is not None and self.shard_size < 1:
            raise InputError(f"expected shards of a byte at least, got {self.shard_size}")


def signature_path(model: Path) -> Path:
    """Where a model's signature lies unless it is said otherwise: in its folder, or beside its file."""
    return model / IN_FOLDER if model.is_dir() else model.with_name(f"{model.name}.sig")


def sign(
    model: Path,
    key: PrivateKey,
    *,
    certificates: tuple[x509.Certificate, ...] = (),
    scope: Scope = Scope(),
    signature: Path | None = None,
    progress: Progress | None = None,
) -> Bundle:
    """Hash a model and sign what was found; nothing is written.

    Every file is covered, `.gitattributes` and its like too, which the reference implementation leaves out. Only the
    files of a git repository must be left out or brought elsewhere: they change with every command.

    Args:
        model: the folder or file.
        key: of the signer.
        certificates: the key's own first, then those of its issuers; the roots may be left out.
        scope: what is covered.
        signature: where the signature will lie; it is left out of the model.
        progress: see `hashing.Progress`.

    Raises:
        InputError: the model is empty or cannot be covered, or the certificate is not the key's.
        DataError: a file changed while it was read.
    """
    if certificates:
        _check_certificate(key, certificates[0])
    manifest = survey(model, scope=scope, signature=signature, progress=progress)
    payload = encode(manifest)
    signed = sign_bytes(key, pre_authentication(payload))
    if certificates:
        return Bundle(payload, signed, certificates=tuple(one.public_bytes(Encoding.DER) for one in certificates))
    return Bundle(payload, signed, hint=fingerprint(key.public_key()))


def survey(
    model: Path, *, scope: Scope = Scope(), signature: Path | None = None, progress: Progress | None = None
) -> Manifest:
    """The manifest of a model as it lies there. Arguments and exceptions as `sign`."""
    name = model.resolve().name or "model"
    inside = inside_name(model, signature)
    ignored = scope.ignore + ((inside,) if inside else ())
    if model.is_dir():
        files = _covered(model, list_folder(model, skip=ignored))
    else:
        if scope.ignore:
            raise InputError(f"{model} is a single file: there is nothing to ignore")
        files, ignored = (plain_file(model, SINGLE),), ()
    if scope.shard_size is None:
        found = digests([whole(file) for file in files], progress=progress)
        resources = [Resource(file.name, digest) for file, digest in zip(files, found, strict=True)]
    else:
        resources = _in_shards(files, scope.shard_size, progress)
    return Manifest(name, arranged(resources), shard_size=scope.shard_size, ignored=ignored)


def inside_name(model: Path, signature: Path | None) -> str | None:
    """The name that a signature file has in the model's folder; None where it lies elsewhere.

    Raises:
        InputError: it is the model.
    """
    if signature is None:
        return None
    root, place = model.resolve(), signature.parent.resolve() / signature.name
    if place == root:
        raise InputError(f"{signature} is the model itself: name another file for its signature")
    return place.relative_to(root).as_posix() if place.is_relative_to(root) else None


def _covered(model: Path, listing: Listing) -> tuple[PlainFile, ...]:
    for name, kind in listing.odd:
        raise InputError(f"{model / name} is {kind}: replace it by a plain file, or ignore it")
    if any(file.name.startswith(".git/") for file in listing.files):
        raise InputError(
            f"{model / '.git'} is a git repository, whose files change with every command: "
            "ignore .git (then whoever verifies must, too), or sign a copy without it"
        )
    for file in listing.files:
        check_name(file.name)
    return listing.files


def _in_shards(files: Collection[PlainFile], size: int, progress: Progress | None) -> list[Resource]:
    for file in files:
        if not file.state.size:
            raise InputError(
                f"{file.path} is empty, and shards cannot cover an empty file: sign whole files, or ignore it"
            )
    pieces = [piece for file in files for piece in shards(file, size)]
    found = digests(pieces, progress=progress)
    return [
        Resource(piece.file.name, digest, (piece.start, piece.end)) for piece, digest in zip(pieces, found, strict=True)
    ]


def _check_certificate(key: PrivateKey, leaf: x509.Certificate) -> None:
    try:
        certified = signer_key(leaf)
    except Refused as refusal:
        raise InputError(str(refusal)) from refusal
    if certified != key.public_key():
        raise InputError(
            "the certificate is another key's: give the one that was issued for this key, or its chain first"
        )
