"""Laws of signatures that hold for all models, manifests and bytes."""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.supply.signing.forgery import AUTHORITY, NOW, Wish, certify

from badnets.errors import DataError
from badnets.supply.signing import (
    Bundle,
    Manifest,
    Refused,
    Resource,
    Roots,
    Scope,
    authenticate,
    new_key,
    sign,
    verify,
)
from badnets.supply.signing.bundle import parse, render
from badnets.supply.signing.manifest import SINGLE, arranged
from badnets.supply.signing.statement import decode, encode

KEY = new_key()

# Letters that fold to nothing else, so that no two names are twins; what joins them is awkward on purpose.
words = st.text("abcxyzäé模0:. -~'\"", min_size=1, max_size=6).filter(
    lambda word: word.strip(".") != "" and word[1:2] != ":"  # neither .. nor a drive
)
digests = st.binary(min_size=32, max_size=32).map(bytes.hex)
names = st.lists(words, min_size=1, max_size=3).map("/".join)


def no_folder_is_a_file(some: list[str]) -> bool:
    return not any(one != other and other.startswith(f"{one}/") for one in some for other in some)


name_sets = st.lists(names, min_size=1, max_size=6, unique=True).filter(no_folder_is_a_file)


Parts = tuple[int | None, list[tuple[str, str, tuple[int, int] | None]]]


@st.composite
def parts(draw: st.DrawFn) -> Parts:
    """The size of shards, and resources in any order; plain values, as run-time type checks draw numbers themselves."""
    some = draw(st.one_of(name_sets, st.just([SINGLE])))
    size = draw(st.one_of(st.none(), st.integers(1, 10**12)))
    if size is None:
        return None, [(name, draw(digests), None) for name in draw(st.permutations(some))]
    found = []
    for name in some:
        count, last = draw(st.integers(0, 3)), draw(st.integers(1, size))
        edges = [number * size for number in range(count + 1)] + [count * size + last]
        found += [(name, draw(digests), (start, end)) for start, end in pairwise(edges)]
    return size, draw(st.permutations(found))


@settings(max_examples=200, deadline=None)
@given(parts=parts(), name=words, ignored=st.lists(names, max_size=2))
def test_a_manifest_survives_the_statement(parts: Parts, name: str, ignored: list[str]) -> None:
    resources = tuple(Resource(one, digest, span) for one, digest, span in parts[1])
    manifest = Manifest(name, resources, shard_size=parts[0], ignored=tuple(ignored))
    assert decode(encode(manifest)) == manifest
    signed = json.loads(encode(replace(manifest, resources=arranged(resources))))["predicate"]["resources"]
    assert [one["name"] for one in signed] == sorted(one["name"] for one in signed)


@settings(max_examples=100, deadline=None)
@given(
    payload=st.binary(min_size=1),
    signature=st.binary(min_size=1),
    hint=st.one_of(st.none(), st.text()),
    certificates=st.lists(st.binary(min_size=1), max_size=4),
)
def test_a_bundle_survives_the_disk(
    payload: bytes, signature: bytes, hint: str | None, certificates: list[bytes]
) -> None:
    bundle = Bundle(payload, signature, None if certificates else hint, tuple(certificates))
    assert parse(render(bundle).encode()) == bundle


json_values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.text()),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(), inner, max_size=3)),
    max_leaves=8,
)
BUNDLE = render(Bundle(b"payload", b"signature", "hint"))
STATEMENT = encode(Manifest("m", (Resource("weights:0:1", "ab" * 32), Resource("b", "cd" * 32))))


@st.composite
def mutilated(draw: st.DrawFn, text: bytes) -> bytes:
    """One value somewhere in a piece of JSON is replaced by any other."""
    whole = json.loads(text)
    place: Any = whole
    step: Any = None
    while isinstance(place, dict | list) and len(place) and (step is None or draw(st.booleans())):
        parent = place
        step = draw(st.sampled_from(sorted(place) if isinstance(place, dict) else range(len(place))))
        place = place[step]
    parent[step] = draw(json_values)
    return json.dumps(whole).encode()


@settings(max_examples=200, deadline=None)
@given(st.one_of(mutilated(BUNDLE.encode()), st.binary(), json_values.map(lambda value: json.dumps(value).encode())))
def test_reading_a_bundle_ends_in_a_bundle_or_a_refusal(text: bytes) -> None:
    try:
        bundle = parse(text)
    except (Refused, DataError):
        return
    assert parse(render(bundle).encode()) == bundle


@settings(max_examples=200, deadline=None)
@given(st.one_of(mutilated(STATEMENT), st.binary(), json_values.map(lambda value: json.dumps(value).encode())))
def test_reading_a_statement_ends_in_a_manifest_or_a_refusal(text: bytes) -> None:
    try:
        manifest = decode(text)
    except (Refused, DataError):
        return
    assert decode(encode(manifest)) == manifest


contents = st.dictionaries(st.sampled_from("abcdef"), st.binary(min_size=1, max_size=300), min_size=1, max_size=4)


@settings(max_examples=60, deadline=None)
@given(before=contents, after=contents, shard_size=st.one_of(st.none(), st.integers(1, 50)))
def test_a_model_verifies_exactly_where_nothing_differs(
    before: dict[str, bytes], after: dict[str, bytes], shard_size: int | None
) -> None:
    folder = Path(tempfile.mkdtemp())
    try:
        for name, content in before.items():
            (folder / name).write_bytes(content)
        bundle = sign(folder, KEY, scope=Scope(shard_size=shard_size))
        for name in before:
            (folder / name).unlink()
        for name, content in after.items():
            (folder / name).write_bytes(content)
        found = verify(folder, bundle, KEY.public_key())
    finally:
        shutil.rmtree(folder)
    assert found.refusal is None
    assert found.ok == (before == after)
    by_fault: dict[str, set[str]] = {}
    for one in found.mismatches:
        by_fault.setdefault(one.fault, set()).add(one.name)
    assert by_fault.get("changed", set()) == {n for n in before.keys() & after.keys() if before[n] != after[n]}
    assert by_fault.get("missing", set()) | by_fault.get("renamed", set()) == before.keys() - after.keys()
    assert len(by_fault.get("not covered", ())) + len(by_fault.get("renamed", ())) == len(after.keys() - before.keys())


@settings(max_examples=100, deadline=None)
@given(part=st.sampled_from(["payload", "signature"]), where=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_one_bit_anywhere_in_what_is_signed_is_refused(part: str, where: float, bit: int) -> None:
    with tempfile.TemporaryDirectory() as place:
        (Path(place) / "a").write_bytes(b"content")
        bundle = sign(Path(place), KEY)
        bent = bytearray(getattr(bundle, part))
        bent[int(where * len(bent))] ^= 1 << bit
        payload, signature = (bent, bundle.signature) if part == "payload" else (bundle.payload, bent)
        found = verify(Path(place), Bundle(bytes(payload), bytes(signature)), KEY.public_key())
    assert str(found.refusal).startswith("the signature is not by key ")


ROOT = certify(AUTHORITY)
CHAIN = tuple(one.certificate.public_bytes(Encoding.DER) for one in (certify(Wish(), ROOT), ROOT))


@settings(max_examples=300, deadline=None)
@given(
    which=st.sampled_from([0, 1]),
    where=st.floats(0, 1, exclude_max=True),
    value=st.integers(0, 255),
    cut=st.integers(0, 3),
)
def test_a_certificate_with_a_byte_changed_is_refused(which: int, where: float, value: int, cut: int) -> None:
    raw = bytearray(CHAIN[which])
    raw[int(where * len(raw))] = value
    chain = list(CHAIN)
    chain[which] = bytes(raw[: len(raw) - cut])
    with pytest.raises(Refused):
        authenticate(Bundle(STATEMENT, b"x", None, tuple(chain)), Roots((ROOT.certificate,), NOW))
