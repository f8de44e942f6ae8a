"""The file of a signature: a Sigstore bundle v0.3 with one DSSE envelope, read strictly.

Format: sigstore/protobuf-specs `sigstore_bundle.proto` in its JSON form, as section 4 of the OpenSSF Model Signing
specification 1.0 narrows it. Bundles of model-signing before 1.1.0 carry `rawBytes` where newer ones carry a `hint`;
both are read, and neither is trusted.
"""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass
from pathlib import Path

from badnets.artifacts import write_text
from badnets.errors import DataError, InputError
from badnets.supply.signing.dsse import PAYLOAD_TYPE
from badnets.supply.signing.refusal import Refused
from badnets.supply.signing.strict_json import Object, object_of, objects_of, only, read_object, text_of

MEDIA_TYPE = "application/vnd.dev.sigstore.bundle.v0.3+json"
MOST_BYTES = 64 * 2**20
MOST_CERTIFICATES = 16

_EVIDENCE = ("tlogEntries", "timestampVerificationData")


@dataclass(frozen=True)
class Bundle:
    """What a signature file holds.

    `parse(render(bundle)) == bundle` for every bundle.

    Attributes:
        payload: the statement that is signed, as its bytes.
        signature: of the signer, in DER.
        hint: fingerprint of the key that should verify it, for people; None in old bundles and beside certificates.
        certificates: of the signer, leaf first, in DER; empty where a bare key signed.
    """

    payload: bytes
    signature: bytes
    hint: str | None = None
    certificates: tuple[bytes, ...] = ()


def render(bundle: Bundle) -> str:
    """The bundle as JSON."""
    material: Object
    if bundle.certificates:
        material = {"x509CertificateChain": {"certificates": [{"rawBytes": _text(raw)} for raw in bundle.certificates]}}
    else:
        material = {"publicKey": {"hint": bundle.hint} if bundle.hint is not None else {}}
    envelope = {
        "payload": _text(bundle.payload),
        "payloadType": PAYLOAD_TYPE,
        "signatures": [{"sig": _text(bundle.signature), "keyid": ""}],
    }
    value = {
        "mediaType": MEDIA_TYPE,
        "verificationMaterial": {**material, "tlogEntries": []},
        "dsseEnvelope": envelope,
    }
    return json.dumps(value) + "\n"


def parse(text: bytes) -> Bundle:
    """The bundle that `text` is.

    Raises:
        Refused: no bundle, or one with anything unknown, doubled or missing in it.
        DataError: a bundle of a kind that is not judged here: keyless, or with a transparency log.
    """
    value = read_object(text, "the signature file")
    only(value, "the signature file", needed=("mediaType", "verificationMaterial", "dsseEnvelope"))
    if value["mediaType"] != MEDIA_TYPE:
        raise Refused(f"the signature file: expected {MEDIA_TYPE} as 'mediaType', got {value['mediaType']!r}")
    hint, certificates = _material(object_of(value, "verificationMaterial", "the signature file"))
    payload, signature = _envelope(object_of(value, "dsseEnvelope", "the signature file"))
    return Bundle(payload, signature, hint, certificates)


def read_bundle(path: Path) -> Bundle:
    """The bundle in the file `path`.

    Raises:
        InputError: no such file, or a larger one than any signature.
        Refused, DataError: as `parse`.
    """
    try:
        with path.open("rb") as file:
            text = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from error
    if len(text) > MOST_BYTES:
        raise InputError(f"{path} is larger than {MOST_BYTES:,} bytes: this is no signature")
    return parse(text)


def write_bundle(path: Path, bundle: Bundle) -> None:
    """Write the bundle to `path` atomically, in the place of an earlier signature but of nothing else.

    Raises:
        InputError: something else is there.
        StorageError: it cannot be written.
    """
    if path.exists():
        try:
            read_bundle(path)
        except Refused as refusal:
            raise InputError(f"{path} is there and is no signature: name another file for it") from refusal
    write_text(path, render(bundle))


def _material(material: Object) -> tuple[str | None, tuple[bytes, ...]]:
    where = "'verificationMaterial'"
    if "certificate" in material:
        raise DataError("a keyless Sigstore signature, which is not judged here: verify it with model-signing")
    for name in _EVIDENCE:
        if material.get(name):
            raise DataError(
                f"the signature file holds {name!r}, which a key does not need and which is not judged here"
            )
    if "x509CertificateChain" in material:
        only(material, where, needed=("x509CertificateChain",), allowed=_EVIDENCE)
        return None, _certificates(object_of(material, "x509CertificateChain", where))
    only(material, where, needed=("publicKey",), allowed=_EVIDENCE)
    key = object_of(material, "publicKey", where)
    only(key, "'publicKey'", needed=(), allowed=("hint", "rawBytes", "keyDetails"))
    for name, found in key.items():
        if not isinstance(found, str):
            raise Refused(f"'publicKey': expected text as {name!r}")
    return (text_of(key, "hint", "'publicKey'") if "hint" in key else None), ()


def _certificates(chain: Object) -> tuple[bytes, ...]:
    only(chain, "'x509CertificateChain'", needed=("certificates",))
    found = objects_of(chain, "certificates", "'x509CertificateChain'")
    if not 1 <= len(found) <= MOST_CERTIFICATES:
        raise Refused(f"expected from 1 to {MOST_CERTIFICATES} certificates, got {len(found)}")
    for certificate in found:
        only(certificate, "a certificate", needed=("rawBytes",))
    return tuple(_bytes(certificate, "rawBytes", "a certificate") for certificate in found)


def _envelope(envelope: Object) -> tuple[bytes, bytes]:
    where = "'dsseEnvelope'"
    only(envelope, where, needed=("payload", "payloadType", "signatures"))
    if envelope["payloadType"] != PAYLOAD_TYPE:
        raise Refused(f"{where}: expected {PAYLOAD_TYPE} as 'payloadType', got {envelope['payloadType']!r}")
    signatures = objects_of(envelope, "signatures", where)
    if len(signatures) != 1:
        raise Refused(f"{where}: expected one signature, got {len(signatures)}")
    only(signatures[0], "the signature", needed=("sig",), allowed=("keyid",))
    if not isinstance(signatures[0].get("keyid"), str | None):
        raise Refused("the signature: expected text as 'keyid'")
    return _bytes(envelope, "payload", where), _bytes(signatures[0], "sig", "the signature")


def _bytes(value: Object, name: str, where: str) -> bytes:
    try:
        found = base64.b64decode(text_of(value, name, where), validate=True)
    except (binascii.Error, ValueError) as error:
        raise Refused(f"{where}: {name!r} is not Base64") from error
    if not found:
        raise Refused(f"{where}: {name!r} is empty")
    return found


def _text(raw: bytes) -> str:
    return base64.b64encode(raw).decode()
