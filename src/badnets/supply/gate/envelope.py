"""Signed statements: in-toto Statement v1 in a DSSE envelope, as JSON on one line.

Keys are named by the ids that securesystemslib gives them, so that its verifier finds them.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass

from badnets.artifacts import canonical_json, sha256_bytes
from badnets.supply.hub.keys import key_id
from badnets.supply.signing.dsse import PAYLOAD_TYPE, pre_authentication
from badnets.supply.signing.keys import PrivateKey, PublicKey, is_signed, sign_bytes
from badnets.supply.signing.refusal import Refused
from badnets.supply.signing.statement import STATEMENT_TYPE
from badnets.supply.signing.strict_json import Object, objects_of, only, read_object, text_of

_MOST_SIGNATURES = 16


@dataclass(frozen=True)
class Envelope:
    """A statement with its signatures.

    `parse(render(envelope)) == envelope` for every envelope.

    Attributes:
        payload: the statement's bytes.
        signatures: pairs of the key's id and the signature in DER.
    """

    payload: bytes
    signatures: tuple[tuple[str, bytes], ...]

    @property
    def digest(self) -> str:
        """SHA-256 of the statement in hex."""
        return sha256_bytes(self.payload)


def sealed(kind: str, subjects: list[Object], predicate: Object, key: PrivateKey) -> Envelope:
    """A statement of the predicate type `kind`, signed."""
    statement = {"_type": STATEMENT_TYPE, "subject": subjects, "predicateType": kind, "predicate": predicate}
    payload = canonical_json(statement).encode()
    return Envelope(payload, ((key_id(key.public_key()), sign_bytes(key, pre_authentication(payload))),))


def render(envelope: Envelope) -> str:
    """The envelope as JSON on one line."""
    signatures = [{"keyid": keyid, "sig": _text(signature)} for keyid, signature in envelope.signatures]
    return canonical_json({"payload": _text(envelope.payload), "payloadType": PAYLOAD_TYPE, "signatures": signatures})


def parse(text: bytes, where: str) -> Envelope:
    """The envelope that `text` is.

    Raises:
        Refused: none, or one with anything unknown, doubled or missing in it.
    """
    value = read_object(text, where)
    only(value, where, needed=("payload", "payloadType", "signatures"))
    if value["payloadType"] != PAYLOAD_TYPE:
        raise Refused(f"{where}: expected {PAYLOAD_TYPE} as 'payloadType', got {value['payloadType']!r}")
    signatures = objects_of(value, "signatures", where)
    if not 1 <= len(signatures) <= _MOST_SIGNATURES:
        raise Refused(f"{where}: expected from 1 to {_MOST_SIGNATURES} signatures, got {len(signatures)}")
    for signature in signatures:
        only(signature, f"{where}: a signature", needed=("sig",), allowed=("keyid",))
    pairs = tuple((text_of({"keyid": "", **one}, "keyid", where), _bytes(one, "sig", where)) for one in signatures)
    return Envelope(_bytes(value, "payload", where), pairs)


def opened(envelope: Envelope, keys: Mapping[str, PublicKey], where: str) -> tuple[str, Object]:
    """The name of a key that signed an envelope, and its statement.

    Args:
        envelope: what is to be believed.
        keys: of those who are, by any names; the ids in the envelope are hints and nothing more.
        where: what messages call it.

    Raises:
        Refused: signed by none of these keys, or no statement.
    """
    signed = pre_authentication(envelope.payload)
    for name, key in keys.items():
        if any(is_signed(key, signature, signed) for _, signature in envelope.signatures):
            return name, statement_of(envelope, where)
    names = ", ".join(keys) or "nobody: no key is given"
    raise Refused(f"{where} is not signed by {names}")


def statement_of(envelope: Envelope, where: str) -> Object:
    """The statement in an envelope, whoever signed it. Raises `Refused`."""
    statement = read_object(envelope.payload, where)
    only(statement, where, needed=("_type", "subject", "predicateType", "predicate"))
    if statement["_type"] != STATEMENT_TYPE:
        raise Refused(f"{where}: expected {STATEMENT_TYPE} as '_type', got {statement['_type']!r}")
    if not objects_of(statement, "subject", where):
        raise Refused(f"{where} speaks of nothing")
    return statement


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
