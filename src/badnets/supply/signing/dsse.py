"""Dead Simple Signing Envelope v1: what is signed (protocol.md of secure-systems-lab/dsse)."""

from __future__ import annotations

PAYLOAD_TYPE = "application/vnd.in-toto+json"


def pre_authentication(payload: bytes, payload_type: str = PAYLOAD_TYPE) -> bytes:
    """The bytes that are signed: type and payload with their lengths, so that neither can pass for the other."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)
