"""Key pairs on the curves of OpenSSF Model Signing: P-256, P-384 and P-521, as PEM files."""

from __future__ import annotations

import hashlib
import os
import secrets
from pathlib import Path

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from badnets.artifacts import read_bytes, storage, write_bytes
from badnets.errors import InputError

PrivateKey = ec.EllipticCurvePrivateKey
PublicKey = ec.EllipticCurvePublicKey

CURVES: dict[str, ec.EllipticCurve] = {"P-256": ec.SECP256R1(), "P-384": ec.SECP384R1(), "P-521": ec.SECP521R1()}

# The digest that goes with each curve (sigstore's algorithm registry).
_HASHES: dict[str, hashes.HashAlgorithm] = {
    "secp256r1": hashes.SHA256(),
    "secp384r1": hashes.SHA384(),
    "secp521r1": hashes.SHA512(),
}
_EXPECTED = "expected an elliptic-curve key on P-256, P-384 or P-521"


def new_key(curve: str = "P-256") -> PrivateKey:
    """A fresh private key. Raises `InputError` for a curve that is not one of `CURVES`."""
    if curve not in CURVES:
        raise InputError(f"no curve is called {curve!r}: expected one of {', '.join(CURVES)}")
    return ec.generate_private_key(CURVES[curve])


def read_private_key(path: Path, password: bytes | None = None) -> PrivateKey:
    """The private key in a PEM file.

    Raises:
        InputError: no such file, no private key, another kind of key, or the password is missing or wrong.
    """
    text = read_bytes(path)
    if is_encrypted(text) and not password:
        raise InputError(f"{path} is encrypted: give its password")
    try:
        key = serialization.load_pem_private_key(text, password if is_encrypted(text) else None)
    except UnsupportedAlgorithm as error:
        raise InputError(f"{path}: {_EXPECTED}, got one of a kind that is not known here") from error
    except (ValueError, TypeError) as error:
        if is_encrypted(text):
            raise InputError(f"{path} does not open with this password") from error
        raise InputError(f"{path}: expected a private key as PEM{_instead(text)}") from error
    if not isinstance(key, PrivateKey):
        raise InputError(f"{path}: {_EXPECTED}, got {_kind(key)}")
    check_curve(key.public_key(), str(path))
    return key


def read_public_key(path: Path) -> PublicKey:
    """The public key in a PEM file.

    Raises:
        InputError: no such file, no public key, or another kind of key.
    """
    text = read_bytes(path)
    try:
        key = serialization.load_pem_public_key(text)
    except UnsupportedAlgorithm as error:
        raise InputError(f"{path}: {_EXPECTED}, got one of a kind that is not known here") from error
    except (ValueError, TypeError) as error:
        raise InputError(f"{path}: expected a public key as PEM{_instead(text)}") from error
    if not isinstance(key, PublicKey):
        raise InputError(f"{path}: {_EXPECTED}, got {_kind(key)}")
    check_curve(key, str(path))
    return key


def write_pair(key: PrivateKey, private: Path, public: Path, *, password: bytes | None = None) -> None:
    """Write both halves as PEM, the private one readable by its owner only.

    Raises:
        InputError: one of the files is there already: a lost private key cannot be brought back.
        StorageError: they cannot be written.
    """
    for path in (private, public):
        if path.exists():
            raise InputError(f"{path} is there already: name another, a key is never overwritten")
    locked = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    text = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, locked)
    temporary = private.with_name(f".{private.name}.{secrets.token_hex(4)}.part")
    with storage(private):
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            temporary.rename(private)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
    write_bytes(public, public_pem(key.public_key()))


def public_pem(key: PublicKey) -> bytes:
    """The public key as PEM."""
    return key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


def fingerprint(key: PublicKey) -> str:
    """SHA-256 in hex of the key's PEM, which signatures carry as a hint."""
    return hashlib.sha256(public_pem(key)).hexdigest()


def sign_bytes(key: PrivateKey, content: bytes) -> bytes:
    """An ECDSA signature in DER, with the digest that goes with the curve."""
    return key.sign(content, ec.ECDSA(_HASHES[key.curve.name]))


def is_signed(key: PublicKey, signature: bytes, content: bytes) -> bool:
    """Whether `signature` is the key's on `content`."""
    try:
        key.verify(signature, content, ec.ECDSA(_HASHES[key.curve.name]))
    except InvalidSignature:
        return False
    return True


def check_curve(key: PublicKey, where: str) -> None:
    """Raise `InputError` where the curve is none of `CURVES`."""
    if key.curve.name not in _HASHES:
        raise InputError(f"{where}: {_EXPECTED}, got one on {key.curve.name}")


def is_encrypted(pem: bytes) -> bool:
    """Whether a private key needs a password: PKCS#8 says so in its label, older PEM in a header."""
    return b"-----BEGIN ENCRYPTED PRIVATE KEY-----" in pem or b"Proc-Type: 4,ENCRYPTED" in pem


def _kind(key: object) -> str:
    words = type(key).__name__.removeprefix("_").removesuffix("PrivateKey").removesuffix("PublicKey")
    return f"an {words} key" if words[:1] in "AEIORSX" else f"a {words} key"


def _instead(pem: bytes) -> str:
    for label in ("PRIVATE KEY", "PUBLIC KEY", "CERTIFICATE"):
        if b"-----BEGIN " in pem and f"{label}-----".encode() in pem:
            return f", got a {label.lower()}"
    return ""
