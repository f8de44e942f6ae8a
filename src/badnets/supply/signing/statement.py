"""The in-toto Statement v1 of OpenSSF Model Signing (its specification 1.0, sections 5 and 6)."""

from __future__ import annotations

import json
import re

from badnets.errors import DataError, InputError
from badnets.supply.signing.manifest import Manifest, Resource
from badnets.supply.signing.refusal import Refused
from badnets.supply.signing.strict_json import Object, object_of, objects_of, read_object, text_of

STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "https://model_signing/signature/v1.0"

_WHERE = "the signed statement"
_SHARD = re.compile(r"(.+):(0|[1-9][0-9]{0,18}):([1-9][0-9]{0,18})", re.DOTALL)


def encode(manifest: Manifest) -> bytes:
    """The statement as JSON.

    Where the specification and the reference implementation differ, we write what the reference can verify: `SINGLE`
    as the name of a single file, and "sha256-sharded-N" as the algorithm of a shard of N bytes.
    """
    method: Object = {"method": "files", "hash_type": "sha256", "allow_symlinks": False}
    if manifest.shard_size is not None:
        method |= {"method": "shards", "shard_size": manifest.shard_size}
    statement = {
        "_type": STATEMENT_TYPE,
        "subject": [{"name": manifest.name, "digest": {"sha256": manifest.root_digest}}],
        "predicateType": PREDICATE_TYPE,
        "predicate": {
            "serialization": {**method, "ignore_paths": list(manifest.ignored)},
            "resources": [
                {"name": resource.identifier, "digest": resource.digest, "algorithm": _algorithm(manifest.shard_size)}
                for resource in manifest.resources
            ],
        },
    }
    return json.dumps(statement, indent=2, ensure_ascii=False).encode()


def decode(payload: bytes) -> Manifest:
    """The manifest that a statement holds. Fields that the specification does not know are skipped, as it demands.

    Raises:
        Refused: no such statement, or one that contradicts itself.
        DataError: digests of a kind that is not known here.
    """
    statement = read_object(payload, _WHERE)
    for name, wanted in (("_type", STATEMENT_TYPE), ("predicateType", PREDICATE_TYPE)):
        if text_of(statement, name, _WHERE) != wanted:
            raise Refused(f"{_WHERE}: expected {wanted} as {name!r}, got {statement[name]!r}")
    subjects = objects_of(statement, "subject", _WHERE)
    if len(subjects) != 1:
        raise Refused(f"{_WHERE}: expected one subject, the model, got {len(subjects)}")
    root = text_of(object_of(subjects[0], "digest", "the subject"), "sha256", "the subject's digest")
    try:
        manifest = _manifest(text_of(subjects[0], "name", "the subject"), object_of(statement, "predicate", _WHERE))
    except InputError as error:  # said by the values themselves
        raise Refused(f"{_WHERE}: {error}") from error
    if manifest.root_digest != root:
        raise Refused(
            f"{_WHERE}: its root digest {root[:80]} does not fit its files, which give {manifest.root_digest}"
        )
    return manifest


def _manifest(name: str, predicate: Object) -> Manifest:
    method = object_of(predicate, "serialization", "the predicate")
    kind, hashed = (text_of(method, key, "serialization") for key in ("method", "hash_type"))
    if kind not in ("files", "shards"):
        raise Refused(f"serialization: expected files or shards as 'method', got {kind!r}")
    if hashed != "sha256":
        raise DataError(f"the files are signed by {hashed[:40]!r} digests, and only sha256 is known here")
    if not isinstance(method.get("allow_symlinks"), bool):
        raise Refused("serialization: expected true or false as 'allow_symlinks'")
    size = _shard_size(method) if kind == "shards" else None
    if kind == "files" and "shard_size" in method:
        raise Refused("serialization: 'shard_size' speaks of shards, but 'method' is files")
    ignored = method.get("ignore_paths", [])
    if not isinstance(ignored, list) or not all(isinstance(path, str) for path in ignored):
        raise Refused("serialization: expected a list of texts as 'ignore_paths'")
    resources = tuple(_resource(found, size) for found in objects_of(predicate, "resources", "the predicate"))
    return Manifest(name, resources, shard_size=size, ignored=tuple(ignored))


def _shard_size(method: Object) -> int:
    size = method.get("shard_size")
    # The reference implementation writes the number as 1000.0.
    if isinstance(size, float) and size.is_integer():
        size = int(size)
    if not isinstance(size, int) or isinstance(size, bool) or size < 1:
        raise Refused(f"serialization: expected a number of bytes as 'shard_size', got {size!r}")
    return size


def _resource(found: Object, shard_size: int | None) -> Resource:
    name, digest, algorithm = (text_of(found, key, "a resource") for key in ("name", "digest", "algorithm"))
    if algorithm not in ("sha256", _algorithm(shard_size)):
        raise Refused(f"the resource {name!r}: expected sha256 as 'algorithm', got {algorithm!r}")
    if shard_size is None:
        return Resource(name, digest)
    shard = _SHARD.fullmatch(name)
    if not shard:
        raise Refused(f"the resource {name!r}: expected a shard, NAME:START:END")
    return Resource(shard[1], digest, (int(shard[2]), int(shard[3])))


def _algorithm(shard_size: int | None) -> str:
    return "sha256" if shard_size is None else f"sha256-sharded-{shard_size}"
