"""Which keys open, and what the others are told."""

from __future__ import annotations

import errno
import hashlib
import os
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from badnets.errors import InputError, StorageError
from badnets.supply.signing import new_key, read_private_key, read_public_key, write_pair
from badnets.supply.signing.keys import CURVES, fingerprint, is_signed, sign_bytes

DIGESTS = {"P-256": hashes.SHA256(), "P-384": hashes.SHA384(), "P-521": hashes.SHA512()}


@pytest.mark.parametrize("password", [None, b"secret"])
@pytest.mark.parametrize("curve", CURVES)
def test_a_pair_comes_back(tmp_path: Path, curve: str, password: bytes | None) -> None:
    key = new_key(curve)
    write_pair(key, tmp_path / "k", tmp_path / "p", password=password)
    assert read_private_key(tmp_path / "k", password).private_numbers() == key.private_numbers()
    assert read_public_key(tmp_path / "p") == key.public_key()
    assert (tmp_path / "k").stat().st_mode & 0o777 == 0o600
    assert sorted(path.name for path in tmp_path.iterdir()) == ["k", "p"]
    assert fingerprint(key.public_key()) == hashlib.sha256((tmp_path / "p").read_bytes()).hexdigest()


@pytest.mark.parametrize("curve", CURVES)
def test_each_curve_has_its_digest(curve: str) -> None:
    key = new_key(curve)
    signature = sign_bytes(key, b"content")
    key.public_key().verify(signature, b"content", ec.ECDSA(DIGESTS[curve]))
    assert is_signed(key.public_key(), key.sign(b"content", ec.ECDSA(DIGESTS[curve])), b"content")
    for other in DIGESTS.keys() - {curve}:
        assert not is_signed(key.public_key(), key.sign(b"content", ec.ECDSA(DIGESTS[other])), b"content")


def test_older_pem_opens_with_and_without_password(tmp_path: Path) -> None:
    key = new_key()
    for encryption, password in ((NoEncryption(), None), (BestAvailableEncryption(b"secret"), b"secret")):
        (tmp_path / "k").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, encryption))
        assert read_private_key(tmp_path / "k", password).private_numbers() == key.private_numbers()
    with pytest.raises(InputError, match="is encrypted: give its password"):
        read_private_key(tmp_path / "k")


def test_a_password_for_an_open_key_is_not_needed(tmp_path: Path) -> None:
    write_pair(new_key(), tmp_path / "k", tmp_path / "p")
    read_private_key(tmp_path / "k", b"anything")


def test_a_missing_and_a_wrong_password(tmp_path: Path) -> None:
    write_pair(new_key(), tmp_path / "k", tmp_path / "p", password=b"secret")
    with pytest.raises(InputError, match="is encrypted: give its password"):
        read_private_key(tmp_path / "k")
    with pytest.raises(InputError, match="does not open with this password"):
        read_private_key(tmp_path / "k", b"Secret")


OTHERS = {
    "Ed25519": (ed25519.Ed25519PrivateKey.generate(), "got an Ed25519 key"),
    "Ed448": (ed448.Ed448PrivateKey.generate(), "got an Ed448 key"),
    "RSA": (rsa.generate_private_key(65537, 2048), "got an RSA key"),
    "DSA": (dsa.generate_private_key(2048), "got a DSA key"),
    "secp256k1": (ec.generate_private_key(ec.SECP256K1()), "got one on secp256k1"),
}


@pytest.mark.parametrize(("key", "words"), OTHERS.values(), ids=OTHERS.keys())
def test_other_keys_are_refused_in_one_line(tmp_path: Path, key: rsa.RSAPrivateKey, words: str) -> None:
    (tmp_path / "k").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    (tmp_path / "p").write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    expected = f"expected an elliptic-curve key on P-256, P-384 or P-521, {words}"
    with pytest.raises(InputError) as found:
        read_private_key(tmp_path / "k")
    assert str(found.value) == f"{tmp_path / 'k'}: {expected}"
    with pytest.raises(InputError) as found:
        read_public_key(tmp_path / "p")
    assert str(found.value) == f"{tmp_path / 'p'}: {expected}"


def test_one_half_for_the_other_and_no_key_at_all(tmp_path: Path) -> None:
    write_pair(new_key(), tmp_path / "k", tmp_path / "p")
    with pytest.raises(InputError, match="expected a private key as PEM, got a public key"):
        read_private_key(tmp_path / "p")
    with pytest.raises(InputError, match="expected a public key as PEM, got a private key"):
        read_public_key(tmp_path / "k")
    (tmp_path / "x").write_bytes(b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    with pytest.raises(InputError, match="got a certificate"):
        read_public_key(tmp_path / "x")
    (tmp_path / "x").write_bytes(b"\0\1\2")
    for read in (read_private_key, read_public_key):
        with pytest.raises(InputError, match=r"key as PEM$"):
            read(tmp_path / "x")
        with pytest.raises(InputError, match="cannot read"):
            read(tmp_path / "nothing")


def test_a_key_is_never_overwritten(tmp_path: Path) -> None:
    (tmp_path / "p").write_text("mine")
    with pytest.raises(InputError, match="a key is never overwritten"):
        write_pair(new_key(), tmp_path / "k", tmp_path / "p")
    assert not (tmp_path / "k").exists()


def test_an_unknown_curve() -> None:
    with pytest.raises(InputError, match="no curve is called 'P-224': expected one of P-256, P-384, P-521"):
        new_key("P-224")


def test_a_key_that_cannot_be_written_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError, match="the disk is full"):
        write_pair(new_key(), tmp_path / "k", tmp_path / "p")
    assert list(tmp_path.iterdir()) == []
