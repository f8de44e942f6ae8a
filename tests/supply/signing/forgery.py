"""A small model, and a forger who signs whatever they are told to."""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from badnets.supply.signing import Bundle, new_key
from badnets.supply.signing.keys import PrivateKey, fingerprint, sign_bytes

NOW = datetime(2026, 6, 1, tzinfo=UTC)
AnyKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey

FILES = {"config.json": b'{"layers": 2}\n', "sub/vocab.txt": b"a\nb\n", "weights.bin": bytes(range(256)) * 10}


def statement_of(bundle: Bundle) -> dict[str, Any]:
    """The statement in a bundle, to be changed."""
    found: dict[str, Any] = json.loads(bundle.payload)
    return found


def root_of(resources: list[dict[str, str]]) -> str:
    """The root digest, computed once more here."""
    return hashlib.sha256(b"".join(bytes.fromhex(one["digest"]) for one in resources)).hexdigest()


def forge(statement: object, key: PrivateKey, payload_type: str = "application/vnd.in-toto+json") -> Bundle:
    """A bundle in which `statement` is truly signed, whatever it says; the encoding is written out once more here."""
    payload = statement if isinstance(statement, bytes) else json.dumps(statement).encode()
    head = f"DSSEv1 {len(payload_type)} {payload_type} {len(payload)} "
    return Bundle(payload, sign_bytes(key, head.encode() + payload), fingerprint(key.public_key()))


def raw_bundle(bundle: Bundle) -> dict[str, Any]:
    """The JSON of a key's bundle, written out once more, to be changed."""
    return {
        "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
        "verificationMaterial": {"publicKey": {"hint": bundle.hint}, "tlogEntries": []},
        "dsseEnvelope": {
            "payload": base64.b64encode(bundle.payload).decode(),
            "payloadType": "application/vnd.in-toto+json",
            "signatures": [{"sig": base64.b64encode(bundle.signature).decode(), "keyid": ""}],
        },
    }


@dataclass(frozen=True)
class Wish:
    """What a certificate shall say."""

    name: str = "signer"
    ca: bool | None = False
    path_length: int | None = None
    usage: tuple[str, ...] | None = ("digital_signature",)
    purposes: tuple[x509.ObjectIdentifier, ...] | None = (ExtendedKeyUsageOID.CODE_SIGNING,)
    start: datetime = NOW - timedelta(days=10)
    end: datetime = NOW + timedelta(days=10)
    more: tuple[x509.ExtensionType, ...] = ()
    digest: hashes.SHA224 | hashes.SHA256 = field(default_factory=hashes.SHA256)


AUTHORITY = Wish("authority", ca=True, usage=("key_cert_sign",), purposes=None)
_USAGES = ("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement",
           "key_cert_sign", "crl_sign", "encipher_only", "decipher_only")  # fmt: skip


@dataclass(frozen=True)
class Holder:
    """A certificate and its key."""

    key: AnyKey
    certificate: x509.Certificate

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(Encoding.PEM)


def certify(wish: Wish, issuer: Holder | None = None, key: AnyKey | None = None) -> Holder:
    """A certificate as wished, by `issuer` or by itself."""
    own = key or new_key()
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, wish.name)])
    builder = x509.CertificateBuilder(
        subject_name=name,
        issuer_name=issuer.certificate.subject if issuer else name,
        public_key=own.public_key(),
        serial_number=x509.random_serial_number(),
        not_valid_before=wish.start,
        not_valid_after=wish.end,
    )
    if wish.ca is not None:
        builder = builder.add_extension(x509.BasicConstraints(wish.ca, wish.path_length), critical=True)
    if wish.usage is not None:
        flags = {usage: usage in wish.usage for usage in _USAGES}
        builder = builder.add_extension(x509.KeyUsage(**flags), critical=True)
    if wish.purposes is not None:
        builder = builder.add_extension(x509.ExtendedKeyUsage(wish.purposes), critical=False)
    for extension in wish.more:
        builder = builder.add_extension(extension, critical=True)
    return Holder(own, builder.sign(issuer.key if issuer else own, wish.digest))
