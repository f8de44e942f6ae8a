"""Statements that are truly signed and still say what they must not."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from tests.supply.signing.forgery import forge, root_of, statement_of

from badnets.errors import DataError, InputError
from badnets.supply.signing import Manifest, Resource, Scope, sign, verify
from badnets.supply.signing.keys import PrivateKey


def put(*path: str | int, value: object) -> Callable[[dict[str, Any]], None]:
    def change(statement: dict[str, Any]) -> None:
        place: Any = statement
        for step in path[:-1]:
            place = place[step]
        place[path[-1]] = value

    return change


def drop(*path: str | int) -> Callable[[dict[str, Any]], None]:
    def change(statement: dict[str, Any]) -> None:
        place: Any = statement
        for step in path[:-1]:
            place = place[step]
        del place[path[-1]]

    return change


def resource(name: str) -> Callable[[dict[str, Any]], None]:
    """One resource more, with a root digest that fits."""

    def change(statement: dict[str, Any]) -> None:
        resources = statement["predicate"]["resources"]
        resources.append({"name": name, "digest": "ab" * 32, "algorithm": "sha256"})
        statement["subject"][0]["digest"]["sha256"] = root_of(resources)

    return change


P, S = ("predicate", "resources"), ("predicate", "serialization")
STATEMENTS = {
    "_type": (put("_type", value="https://in-toto.io/Statement/v0.1"), "expected https://in-toto.io/Statement/v1"),
    "predicateType": (put("predicateType", value="https://model_signing/Digests/v0.1"), "as 'predicateType', got"),
    "no _type": (drop("_type"), "expected text as '_type', got nothing"),
    "no subject": (put("subject", value=[]), "expected one subject, the model, got 0"),
    "two subjects": (put("subject", value=[{}, {}]), "expected one subject, the model, got 2"),
    "unnamed": (put("subject", 0, "name", value=""), "the model has no name"),
    "another root digest": (put("subject", 0, "digest", "sha256", value="ab" * 32), "does not fit its files"),
    "no root digest": (put("subject", 0, "digest", value={"sha1": "ab" * 20}), "expected text as 'sha256'"),
    "another digest": (put(*P, 0, "digest", value="cd" * 32), "does not fit its files"),
    "another order": (lambda s: s["predicate"]["resources"].reverse(), "does not fit its files"),
    "a resource less": (drop(*P, 0), "does not fit its files"),
    "short digest": (put(*P, 0, "digest", value="abcd"), "expected a SHA-256 of 64 small hex digits, got 'abcd'"),
    "capital digest": (put(*P, 0, "digest", value="AB" * 32), "expected a SHA-256 of 64 small hex digits"),
    "digest of another kind": (put(*P, 0, "algorithm", value="md5"), "expected sha256 as 'algorithm', got 'md5'"),
    "shards among files": (put(*P, 0, "algorithm", value="sha256-sharded-10"), "expected sha256 as 'algorithm'"),
    "number as name": (put(*P, 0, "name", value=3), "a resource: expected text as 'name', got a number"),
    "no resources": (drop(*P), "expected a list of objects as 'resources', got nothing"),
    "no serialization": (drop(*S), "expected an object as 'serialization', got nothing"),
    "another method": (put(*S, "method", value="tree"), "expected files or shards as 'method', got 'tree'"),
    "links maybe": (put(*S, "allow_symlinks", value="false"), "expected true or false as 'allow_symlinks'"),
    "size of shards": (put(*S, "shard_size", value=10), "'method' is files"),
    "ignored number": (put(*S, "ignore_paths", value=[1]), "expected a list of texts as 'ignore_paths'"),
    "twice": (resource("config.json"), "the name 'config.json' comes 2 times"),
    "parent": (resource("../x"), "is not a plain path inside the model"),
    "parent inside": (resource("sub/../../x"), "is not a plain path inside the model"),
    "absolute": (resource("/etc/passwd"), "is not a plain path inside the model"),
    "no name": (resource(""), "is not a plain path inside the model"),
    "dot": (resource("./x"), "is not a plain path inside the model"),
    "trailing slash": (resource("x/"), "is not a plain path inside the model"),
    "two slashes": (resource("sub//x"), "is not a plain path inside the model"),
    "backslash": (resource("..\\x"), "is a path of its own on some systems"),
    "drive": (resource("c:x"), "is a path of its own on some systems"),
    "NUL": (resource("x\0y"), "holds control characters"),
    "line feed": (resource("x\ny"), "holds control characters"),
    "case twin": (resource("Config.JSON"), "'config.json' and 'Config.JSON' are one file on some systems"),
    "the file and more": (resource("."), "'.' stands for a model of one file, but there are 4"),
    "file and folder": (resource("weights.bin/x"), "'weights.bin' is a file and, in 'weights.bin/x', a folder"),
    "folder and file": (resource("SUB"), "'SUB' is a file and, in 'sub/vocab.txt', a folder"),
}  # fmt: skip


@pytest.mark.parametrize(("change", "words"), STATEMENTS.values(), ids=STATEMENTS.keys())
def test_a_signed_statement_that_does_not_hold_together(
    model: Path, key: PrivateKey, change: Callable[[dict[str, Any]], None], words: str
) -> None:
    statement = statement_of(sign(model, key))
    change(statement)
    found = verify(model, forge(statement, key), key.public_key())
    assert found.refusal is not None
    assert words in found.refusal
    assert not found.ok
    assert found.signer is None


def test_unicode_twins(model: Path, key: PrivateKey) -> None:
    statement = statement_of(sign(model, key))
    resource("caf\u00e9")(statement)
    resource("cafe\u0301")(statement)
    assert "are one file on some systems" in str(verify(model, forge(statement, key), key.public_key()).refusal)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"", "is not strict JSON"),
        (b"[]", "expected a JSON object, got another list"),
        (b'{"_type": 1, "_type": 2}', "the name '_type' comes twice"),
        (b'{"a": NaN}', "NaN is no JSON number"),
        (b'{"a": "\\ud800"}', "is not strict JSON"),
        (b"\xef\xbb\xbf{}", "is not strict JSON"),
        (b'{"a": "\xff"}', "is not strict JSON"),
        (b"[" * 100_000, "is not strict JSON"),
        (b'{"a": ' + b"9" * 10_000 + b"}", "is not strict JSON"),
        (b"{} {}", "is not strict JSON"),
    ],
)  # fmt: skip
def test_a_signed_payload_that_is_no_strict_json(model: Path, key: PrivateKey, text: bytes, words: str) -> None:
    assert words in str(verify(model, forge(text, key), key.public_key()).refusal)


def shards_of(statement: dict[str, Any]) -> list[dict[str, str]]:
    found: list[dict[str, str]] = statement["predicate"]["resources"]
    return found


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda s: shards_of(s).pop(2), "does not follow in steps of 1,000 bytes from 0"),
        (lambda s: shards_of(s).pop(3), "does not follow in steps of 1,000 bytes from 1,000"),
        (lambda s: shards_of(s).insert(2, shards_of(s)[2]), "does not follow in steps"),
        (lambda s: shards_of(s)[2].update(name="weights.bin:0:999"), "does not follow in steps"),
        (lambda s: shards_of(s)[4].update(name="weights.bin:2000:3001"), "does not follow in steps"),
        (lambda s: shards_of(s)[2].update(name="weights.bin"), "expected a shard, NAME:START:END"),
        (lambda s: shards_of(s)[2].update(name="weights.bin:0:-1"), "expected a shard, NAME:START:END"),
        (lambda s: shards_of(s)[2].update(name="weights.bin:00:1000"), "expected a shard, NAME:START:END"),
        (lambda s: shards_of(s)[2].update(name="weights.bin:0:99999999999999999999"), "expected a shard"),
        (lambda s: s["predicate"]["serialization"].update(shard_size=0), "a number of bytes as 'shard_size', got 0"),
        (lambda s: s["predicate"]["serialization"].update(shard_size=999.5), "as 'shard_size', got 999.5"),
        (lambda s: s["predicate"]["serialization"].update(shard_size=True), "as 'shard_size', got True"),
        (lambda s: s["predicate"]["serialization"].pop("shard_size"), "as 'shard_size', got None"),
        (lambda s: s["predicate"]["serialization"].update(shard_size=999), "expected sha256 as 'algorithm'"),
    ],
)  # fmt: skip
def test_signed_shards_that_do_not_tile(
    model: Path, key: PrivateKey, change: Callable[[dict[str, Any]], None], words: str
) -> None:
    statement = statement_of(sign(model, key, scope=Scope(shard_size=1000)))
    change(statement)
    statement["subject"][0]["digest"]["sha256"] = root_of(shards_of(statement))
    assert words in str(verify(model, forge(statement, key), key.public_key()).refusal)


def test_shards_shorter_or_longer_than_the_file(model: Path, key: PrivateKey) -> None:
    bundle = sign(model, key, scope=Scope(shard_size=2560))
    with (model / "weights.bin").open("ab") as file:
        file.write(b"x")
    (found,) = verify(model, bundle, key.public_key()).mismatches
    assert found.detail == "signed with 2,560 bytes, here 2,561"


def test_the_forms_that_other_writers_use(model: Path, key: PrivateKey) -> None:
    """A single file under its own name, and shards whose algorithm is plain sha256: so says the specification."""
    single = statement_of(sign(model / "weights.bin", key))
    single["predicate"]["resources"][0]["name"] = "weights.bin"
    assert verify(model / "weights.bin", forge(single, key), key.public_key()).ok
    shards = statement_of(sign(model, key, scope=Scope(shard_size=1000)))
    for one in shards_of(shards):
        one["algorithm"] = "sha256"
    shards["predicate"]["serialization"]["shard_size"] = 1000.0
    shards["predicate"]["more"] = shards["more"] = shards_of(shards)[0]["more"] = {"unknown": 1}  # type: ignore[assignment]
    shards["predicate"]["serialization"].pop("ignore_paths")
    assert verify(model, forge(shards, key), key.public_key()).ok


def test_digests_of_another_kind_cannot_be_judged(model: Path, key: PrivateKey) -> None:
    statement = statement_of(sign(model, key))
    statement["predicate"]["serialization"]["hash_type"] = "blake2b"
    with pytest.raises(DataError, match="the files are signed by 'blake2b' digests, and only sha256 is known here"):
        verify(model, forge(statement, key), key.public_key())


@pytest.mark.parametrize(
    ("resources", "shard_size", "words"),
    [
        ((Resource("a", "ab" * 32, (0, 1)),), None, "'a:0:1' is a shard among whole files"),
        ((Resource("a", "ab" * 32),), 1, "'a' is a whole file among shards"),
        ((Resource("a", "ab" * 32),), 0, "expected shards of a byte at least, got 0"),
        ((Resource("a", "ab" * 32, (1, 2)),), 1, "does not follow in steps of 1 bytes from 0"),
    ],
)
def test_a_manifest_cannot_mix_files_and_shards(
    resources: tuple[Resource, ...], shard_size: int | None, words: str
) -> None:
    with pytest.raises(InputError) as found:
        Manifest("m", resources, shard_size=shard_size)
    assert words in str(found.value)
