"""Signing certificates: from a leaf up to a root that the verifier was given, and to no other.

The rules, in the order in which they are checked:

1. The leaf is no authority, and was issued to sign: its key usage, where stated, has digitalSignature, its extended
   key usage, where stated, has codeSigning, and one of the two is stated.
2. Its key is on P-256, P-384 or P-521.
3. Each certificate of the path is valid at the given time, signed by the next one with SHA-256 or better, and holds
   no critical extension that is not understood here.
4. Each issuer is an authority that may sign certificates, with room for the path below it.
5. The path ends in a given root; a leaf that is itself given as a root needs no issuer.

There is no time stamp in these signatures, so the time is the verifier's own, and a leaf that has expired since is
refused unless the verifier asks about an earlier time. Revocation is not looked up.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID

from badnets.artifacts import read_bytes
from badnets.errors import InputError
from badnets.supply.signing.keys import PublicKey, check_curve
from badnets.supply.signing.refusal import Refused

T = TypeVar("T", bound=x509.ExtensionType)

_UNDERSTOOD = (x509.BasicConstraints, x509.KeyUsage, x509.ExtendedKeyUsage, x509.SubjectAlternativeName)
_STRONG = (hashes.SHA256, hashes.SHA384, hashes.SHA512)


@dataclass(frozen=True)
class Roots:
    """Whom the verifier trusts: certificates of authorities, at a time (with its zone)."""

    certificates: tuple[x509.Certificate, ...]
    at: datetime

    def __post_init__(self) -> None:
        if not self.certificates:
            raise InputError("expected a root certificate at least")
        if self.at.tzinfo is None:
            raise InputError(f"expected a time with its zone, such as 2026-01-31T12:00:00Z, got {self.at}")


def read_certificates(path: Path) -> tuple[x509.Certificate, ...]:
    """The certificates in a PEM file.

    Raises:
        InputError: no such file, or no certificates in it.
    """
    try:
        return tuple(x509.load_pem_x509_certificates(read_bytes(path)))
    except ValueError as error:
        raise InputError(f"{path}: expected certificates as PEM") from error


def signer_key(leaf: x509.Certificate) -> PublicKey:
    """The key of a leaf that may sign models, by rules 1 and 2. Raises `Refused`."""
    name = subject(leaf)
    try:
        basic = _extension(leaf, x509.BasicConstraints)
        usage = _extension(leaf, x509.KeyUsage)
        purposes = _extension(leaf, x509.ExtendedKeyUsage)
        key = leaf.public_key()
    except (ValueError, UnsupportedAlgorithm, x509.DuplicateExtension) as error:
        raise Refused(f"the certificate of {name} cannot be read: {error}") from error
    if basic and basic.ca:
        raise Refused(f"the certificate of {name} is an authority's: one that signs models must not be")
    if usage and not usage.digital_signature:
        raise Refused(f"the certificate of {name} is not for signatures: its key usage has no digitalSignature")
    if purposes and ExtendedKeyUsageOID.CODE_SIGNING not in purposes:
        raise Refused(f"the certificate of {name} is not for code: its extended key usage has no codeSigning")
    if not usage and not purposes:
        raise Refused(f"the certificate of {name} does not say that it is for signatures")
    if not isinstance(key, PublicKey):
        raise Refused(f"the certificate of {name}: expected a key on P-256, P-384 or P-521")
    try:
        check_curve(key, f"the certificate of {name}")
    except InputError as error:
        raise Refused(str(error)) from error
    return key


def check_path(chain: tuple[x509.Certificate, ...], roots: Roots) -> None:
    """Raise `Refused` unless `chain`, leaf first, leads to one of the roots by rules 3 to 5.

    Certificates of the chain may come in any order behind the leaf; those that lead nowhere do no harm.
    """
    leaf = chain[0]
    reached: dict[x509.Certificate, int] = {leaf: 0}
    waiting = deque([leaf])
    lost = Refused(f"no way from the certificate of {subject(leaf)} to a given root: its issuer is {_issuer(leaf)}")
    while waiting:  # the shortest path first; each certificate is looked at once, so no chain can make this long
        current = waiting.popleft()
        try:
            _check_itself(current, roots.at)
            if current is not leaf:
                _check_authority(current, reached[current])
        except Refused as refusal:
            lost = refusal
            continue
        if current in roots.certificates:
            return
        below = reached[current] + (current is not leaf and current.subject != current.issuer)
        for issuer in (*roots.certificates, *chain[1:]):
            if issuer not in reached and _issued(issuer, current):
                reached[issuer] = below
                waiting.append(issuer)
    raise lost


def subject(certificate: x509.Certificate) -> str:
    """Whom a certificate speaks of, in one line."""
    try:
        return certificate.subject.rfc4514_string() or "nobody"
    except ValueError:
        return "an unreadable name"


def _issuer(certificate: x509.Certificate) -> str:
    try:
        return certificate.issuer.rfc4514_string() or "nobody"
    except ValueError:
        return "an unreadable name"


def _issued(issuer: x509.Certificate, certificate: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True


def _check_itself(certificate: x509.Certificate, at: datetime) -> None:
    name, at = subject(certificate), at.astimezone(UTC)
    start, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    if at < start:
        raise Refused(
            f"the certificate of {name} is valid from {start:%Y-%m-%d %H:%M} UTC on, not at {at:%Y-%m-%d %H:%M}"
        )
    if at > end:
        raise Refused(f"the certificate of {name} expired on {end:%Y-%m-%d %H:%M} UTC (asked for {at:%Y-%m-%d %H:%M})")
    try:
        strength = certificate.signature_hash_algorithm
        extensions = list(certificate.extensions)
    except (ValueError, UnsupportedAlgorithm, x509.DuplicateExtension) as error:
        raise Refused(f"the certificate of {name} cannot be read: {error}") from error
    if strength is not None and not isinstance(strength, _STRONG):
        raise Refused(f"the certificate of {name} is signed by way of {strength.name}: expected SHA-256 or better")
    for extension in extensions:
        if extension.critical and not isinstance(extension.value, _UNDERSTOOD):
            raise Refused(
                f"the certificate of {name} has a critical extension not known here: {extension.oid.dotted_string}"
            )


def _check_authority(issuer: x509.Certificate, below: int) -> None:
    name = subject(issuer)
    basic, usage = _extension(issuer, x509.BasicConstraints), _extension(issuer, x509.KeyUsage)
    if not basic or not basic.ca:
        raise Refused(f"the certificate of {name} is no authority's, yet it issued another one")
    if basic.path_length is not None and basic.path_length < below:
        raise Refused(f"the authority {name} may have {basic.path_length} authorities below it, here are {below}")
    if usage and not usage.key_cert_sign:
        raise Refused(f"the authority {name} may not sign certificates: its key usage has no keyCertSign")
    key = issuer.public_key()
    if isinstance(key, rsa.RSAPublicKey) and key.key_size < 2048:
        raise Refused(f"the authority {name} has an RSA key of {key.key_size} bits: expected 2048 or more")


def _extension(certificate: x509.Certificate, kind: type[T]) -> T | None:
    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None
