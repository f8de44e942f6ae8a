"""Both ways with the reference implementation, model-signing 1.1.1, run as a program of its own."""

from __future__ import annotations

import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from tests.supply.signing.conftest import Reference
from tests.supply.signing.forgery import AUTHORITY, Holder, Wish, certify

from badnets.supply.signing import (
    Expected,
    Roots,
    Scope,
    new_key,
    read_bundle,
    read_public_key,
    sign,
    verify,
    write_bundle,
    write_pair,
)
from badnets.supply.signing.keys import CURVES, PrivateKey

MODULE = ("-m", "model_signing")
SIGN_SHARDS = """
import sys, pathlib, model_signing
model, key, signature, size = sys.argv[1:]
config = model_signing.hashing.Config().use_shard_serialization(shard_size=int(size))
signing = model_signing.signing.Config().use_elliptic_key_signer(private_key=pathlib.Path(key))
signing.set_hashing_config(config).sign(pathlib.Path(model), pathlib.Path(signature))
"""
VERIFY = """
import sys, pathlib, model_signing
model, key, signature = map(pathlib.Path, sys.argv[1:])
model_signing.verifying.Config().use_elliptic_key_verifier(public_key=key).verify(model, signature)
"""


@pytest.fixture
def pair(tmp_path: Path, key: PrivateKey) -> tuple[Path, Path]:
    write_pair(key, tmp_path / "key", tmp_path / "pub")
    return tmp_path / "key", tmp_path / "pub"


def theirs(reference: Reference, *words: object) -> None:
    done = reference(*words)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("curve", CURVES)
@pytest.mark.parametrize("what", ["", "weights.bin"], ids=["folder", "file"])
def test_they_verify_ours(reference: Reference, model: Path, tmp_path: Path, curve: str, what: str) -> None:
    key = new_key(curve)
    write_pair(key, tmp_path / "key", tmp_path / "pub")
    write_bundle(tmp_path / "s", sign(model / what, key))
    words = (*MODULE, "verify", "key", "--signature", tmp_path / "s", "--public_key", tmp_path / "pub", model / what)
    theirs(reference, *words)
    (model / "weights.bin").write_bytes(b"other")
    assert reference(*words).returncode == 1


@pytest.mark.parametrize("curve", CURVES)
@pytest.mark.parametrize("what", ["", "weights.bin"], ids=["folder", "file"])
def test_we_verify_theirs(reference: Reference, model: Path, tmp_path: Path, curve: str, what: str) -> None:
    write_pair(new_key(curve), tmp_path / "key", tmp_path / "pub")
    theirs(
        reference,
        *MODULE,
        "sign",
        "key",
        "--signature",
        tmp_path / "s",
        "--private_key",
        tmp_path / "key",
        model / what,
    )
    trust = read_public_key(tmp_path / "pub")
    assert verify(model / what, read_bundle(tmp_path / "s"), trust).ok
    (model / "weights.bin").write_bytes(b"other")
    assert verify(model / what, read_bundle(tmp_path / "s"), trust).mismatches


@pytest.mark.parametrize("size", [100, 1000, 10**9])
def test_shards_both_ways(
    reference: Reference, model: Path, tmp_path: Path, pair: tuple[Path, Path], key: PrivateKey, size: int
) -> None:
    """Through their library, as their program knows no shards. They cannot verify their own: the size is 1000.0."""
    private, public = pair
    theirs(reference, "-c", SIGN_SHARDS, model, private, tmp_path / "theirs", size)
    assert verify(model, read_bundle(tmp_path / "theirs"), read_public_key(public)).ok
    own = reference("-c", VERIFY, model, public, tmp_path / "theirs")
    assert "'float' object cannot be interpreted as an integer" in own.stderr
    write_bundle(tmp_path / "ours", sign(model, key, scope=Scope(shard_size=size)))
    theirs(reference, "-c", VERIFY, model, public, tmp_path / "ours")
    (model / "weights.bin").write_bytes(b"other")
    assert "Signature mismatch" in reference("-c", VERIFY, model, public, tmp_path / "ours").stderr


def test_names_that_sort_differently_by_part_and_by_letter(
    reference: Reference, tmp_path: Path, pair: tuple[Path, Path], key: PrivateKey
) -> None:
    private, public = pair
    for name in ("a/b", "a.txt", "a-b", "é", "B", "sub dir/x y", "12:0:3"):
        (tmp_path / "m" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "m" / name).write_text(name)
    theirs(reference, *MODULE, "sign", "key", "--signature", tmp_path / "s", "--private_key", private, tmp_path / "m")
    found = verify(tmp_path / "m", read_bundle(tmp_path / "s"), read_public_key(public))
    assert (found.ok, found.files) == (True, 7)
    write_bundle(tmp_path / "s", sign(tmp_path / "m", key))
    theirs(reference, *MODULE, "verify", "key", "--signature", tmp_path / "s", "--public_key", public, tmp_path / "m")


def test_a_certificate_both_ways(reference: Reference, model: Path, tmp_path: Path) -> None:
    now = datetime.now(UTC)
    start, end = now - timedelta(days=1), now + timedelta(days=1)
    root = certify(replace(AUTHORITY, start=start, end=end))
    middle = certify(replace(AUTHORITY, name="middle", start=start, end=end), root)
    leaf = certify(Wish(start=start, end=end), middle)
    signer = leaf.key
    assert isinstance(signer, ec.EllipticCurvePrivateKey)
    for name, holder in {"root": root, "middle": middle, "leaf": leaf}.items():
        (tmp_path / name).write_bytes(holder.pem)
    (tmp_path / "key").write_bytes(signer.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    trust = Roots((root.certificate,), now)
    theirs(
        reference, *MODULE, "sign", "certificate", "--signature", tmp_path / "s", "--private_key", tmp_path / "key",
        "--signing_certificate", tmp_path / "leaf", "--certificate_chain", tmp_path / "middle", model,
    )  # fmt: skip
    assert verify(model, read_bundle(tmp_path / "s"), trust).ok
    write_bundle(tmp_path / "s", sign(model, signer, certificates=(leaf.certificate, middle.certificate)))
    check = (*MODULE, "verify", "certificate", "--signature", tmp_path / "s", "--certificate_chain")
    theirs(reference, *check, tmp_path / "root", model)
    stranger: Holder = certify(AUTHORITY)
    (tmp_path / "root").write_bytes(stranger.pem)
    assert reference(*check, tmp_path / "root", model).returncode == 1
    assert not verify(model, read_bundle(tmp_path / "s"), Roots((stranger.certificate,), now)).ok


def test_what_they_let_pass_and_we_refuse(
    reference: Reference, model: Path, tmp_path: Path, pair: tuple[Path, Path]
) -> None:
    private, public = pair
    trust = read_public_key(public)
    sign_with = (*MODULE, "sign", "key", "--private_key", private)
    check = (*MODULE, "verify", "key", "--public_key", public)
    theirs(reference, *sign_with, "--signature", tmp_path / "s", model)
    (model / ".github").mkdir()
    (model / ".github/pwn.py").write_text("x")
    theirs(reference, *check, "--signature", tmp_path / "s", model)
    found = verify(model, read_bundle(tmp_path / "s"), trust)
    assert [(one.name, one.fault) for one in found.mismatches] == [(".github/pwn.py", "not covered")]
    assert verify(model, read_bundle(tmp_path / "s"), trust, expected=Expected(ignore=(".github",))).ok
    file = model / "weights.bin"
    theirs(reference, *sign_with, "--signature", tmp_path / "f", file)
    twin = file.rename(file.with_suffix(".pkl"))
    theirs(reference, *check, "--signature", tmp_path / "f", twin)
    assert [one.fault for one in verify(twin, read_bundle(tmp_path / "f"), trust).mismatches] == ["renamed"]
    (tmp_path / "empty").mkdir()
    theirs(reference, *sign_with, "--signature", tmp_path / "e", tmp_path / "empty")
    theirs(reference, *check, "--signature", tmp_path / "e", tmp_path / "empty")
    assert "the model is empty" in str(verify(tmp_path / "empty", read_bundle(tmp_path / "e"), trust).refusal)


def test_git_attributes_that_we_cover(
    reference: Reference, model: Path, tmp_path: Path, pair: tuple[Path, Path], key: PrivateKey
) -> None:
    """They leave such files out unless told, so they must be told."""
    (model / ".gitattributes").write_text("*.bin lfs")
    write_bundle(tmp_path / "s", sign(model, key))
    check = (*MODULE, "verify", "key", "--public_key", pair[1], "--signature", tmp_path / "s")
    assert reference(*check, model).returncode == 1
    theirs(reference, *check, "--no-ignore-git-paths", model)
