"""The signature file: what is written, and everything that is refused on reading."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from tests.supply.signing.forgery import raw_bundle

from badnets.errors import DataError, InputError
from badnets.supply.signing import Bundle, Refused, read_bundle, write_bundle
from badnets.supply.signing.bundle import MOST_BYTES, parse, render
from badnets.supply.signing.dsse import pre_authentication

BUNDLE = Bundle(b"payload", b"signature", "hint")
CERTIFIED = Bundle(b"payload", b"signature", None, (b"leaf", b"middle"))


def test_the_encoding_is_the_one_of_the_protocol_s_example() -> None:
    """From protocol.md of secure-systems-lab/dsse."""
    assert pre_authentication(b"hello world", "http://example.com/HelloWorld") == (
        b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    )
    assert pre_authentication("é".encode()) == "DSSEv1 28 application/vnd.in-toto+json 2 é".encode()


def test_what_is_written() -> None:
    assert json.loads(render(BUNDLE)) == raw_bundle(BUNDLE)
    assert json.loads(render(CERTIFIED))["verificationMaterial"] == {
        "x509CertificateChain": {"certificates": [{"rawBytes": "bGVhZg=="}, {"rawBytes": "bWlkZGxl"}]},
        "tlogEntries": [],
    }


@pytest.mark.parametrize("bundle", [BUNDLE, CERTIFIED, Bundle(b"p", b"s", None), Bundle(b"p", b"s", "")])
def test_what_is_written_is_read(tmp_path: Path, bundle: Bundle) -> None:
    write_bundle(tmp_path / "s", bundle)
    assert read_bundle(tmp_path / "s") == bundle
    write_bundle(tmp_path / "s", BUNDLE)
    assert read_bundle(tmp_path / "s") == BUNDLE


def test_only_a_signature_is_written_over(tmp_path: Path) -> None:
    (tmp_path / "s").write_text("weights")
    with pytest.raises(InputError, match="is there and is no signature"):
        write_bundle(tmp_path / "s", BUNDLE)
    assert (tmp_path / "s").read_text() == "weights"


def material(**names: object) -> Callable[[dict[str, Any]], None]:
    return lambda raw: raw.update(verificationMaterial=names)


def envelope(**names: object) -> Callable[[dict[str, Any]], None]:
    return lambda raw: raw["dsseEnvelope"].update(names)


def signatures(*some: object) -> Callable[[dict[str, Any]], None]:
    return lambda raw: raw["dsseEnvelope"].update(signatures=list(some))


ACCEPTED = {
    "as model-signing 1.1 writes": lambda _: None,
    "no log entries": lambda raw: raw["verificationMaterial"].pop("tlogEntries"),
    "no keyid": lambda raw: raw["dsseEnvelope"]["signatures"][0].pop("keyid"),
    "keyid null": lambda raw: raw["dsseEnvelope"]["signatures"][0].update(keyid=None),
    "keyid something": lambda raw: raw["dsseEnvelope"]["signatures"][0].update(keyid="x"),
    "empty evidence": lambda raw: raw["verificationMaterial"].update(timestampVerificationData={}),
}


@pytest.mark.parametrize("change", ACCEPTED.values(), ids=ACCEPTED.keys())
def test_the_forms_of_other_writers(change: Callable[[dict[str, Any]], object]) -> None:
    raw = raw_bundle(BUNDLE)
    change(raw)
    assert parse(json.dumps(raw).encode()) == BUNDLE


def test_the_form_of_writers_before_1_1() -> None:
    raw = raw_bundle(BUNDLE)
    raw["verificationMaterial"] = {"publicKey": {"rawBytes": "abc=", "keyDetails": "PKIX_ECDSA_P256_SHA_256"}}
    assert parse(json.dumps(raw).encode()) == Bundle(b"payload", b"signature", None)


REFUSED: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "older media type": (lambda r: r.update(mediaType="application/vnd.dev.sigstore.bundle+json"), "mediaType"),
    "no media type": (lambda r: r.pop("mediaType"), "has no 'mediaType'"),
    "no envelope": (lambda r: r.pop("dsseEnvelope"), "has no 'dsseEnvelope'"),
    "a bare message": (lambda r: r.update(messageSignature={}), "has an unknown name 'messageSignature'"),
    "envelope a list": (lambda r: r.update(dsseEnvelope=[]), "expected an object as 'dsseEnvelope', got another list"),
    "no material": (material(), "has no 'publicKey'"),
    "unknown material": (material(publicKey={}, more=1), "has an unknown name 'more'"),
    "key and chain": (material(publicKey={}, x509CertificateChain={"certificates": []}), "unknown name 'publicKey'"),
    "unknown in key": (material(publicKey={"id": "x"}), "'publicKey' has an unknown name 'id'"),
    "hint a number": (material(publicKey={"hint": 1}), "expected text as 'hint'"),
    "hint null": (material(publicKey={"hint": None}), "expected text as 'hint'"),
    "no certificates": (material(x509CertificateChain={"certificates": []}), "from 1 to 16 certificates, got 0"),
    "too many": (material(x509CertificateChain={"certificates": [{"rawBytes": "eA=="}] * 17}), "got 17"),
    "certificate a text": (material(x509CertificateChain={"certificates": ["eA=="]}), "expected a list of objects"),
    "unknown in certificate": (material(x509CertificateChain={"certificates": [{"raw": "eA=="}]}), "has no 'rawBytes'"),
    "payload type": (envelope(payloadType="application/json"), "as 'payloadType', got 'application/json'"),
    "payload type null": (envelope(payloadType=None), "as 'payloadType', got None"),
    "payload not Base64": (envelope(payload="cGF5bG9hZA"), "'payload' is not Base64"),
    "payload in the other alphabet": (envelope(payload="_-8="), "'payload' is not Base64"),
    "payload with a blank": (envelope(payload="cGF5 bG9hZA=="), "'payload' is not Base64"),
    "payload not ASCII": (envelope(payload="é==="), "'payload' is not Base64"),
    "no payload": (envelope(payload=""), "'payload' is empty"),
    "unknown in envelope": (envelope(more=1), "'dsseEnvelope' has an unknown name 'more'"),
    "no signature": (signatures(), "expected one signature, got 0"),
    "two signatures": (signatures({"sig": "eA=="}, {"sig": "eQ=="}), "expected one signature, got 2"),
    "the same twice": (signatures({"sig": "eA=="}, {"sig": "eA=="}), "expected one signature, got 2"),
    "signature null": (signatures({"sig": None}), "expected text as 'sig', got nothing"),
    "signature empty": (signatures({"sig": ""}), "'sig' is empty"),
    "keyid a number": (signatures({"sig": "eA==", "keyid": 1}), "expected text as 'keyid'"),
    "unknown in signature": (signatures({"sig": "eA==", "cert": "x"}), "the signature has an unknown name 'cert'"),
}  # fmt: skip


@pytest.mark.parametrize(("change", "words"), REFUSED.values(), ids=REFUSED.keys())
def test_anything_else_is_refused(change: Callable[[dict[str, Any]], object], words: str) -> None:
    raw = raw_bundle(BUNDLE)
    change(raw)
    with pytest.raises(Refused) as found:
        parse(json.dumps(raw).encode())
    assert words in str(found.value)


@pytest.mark.parametrize("name", ["mediaType", "dsseEnvelope", "payload", "payloadType", "sig", "publicKey"])
def test_a_name_that_comes_twice_is_refused(name: str) -> None:
    text = json.dumps(raw_bundle(BUNDLE))
    at = text.index(f'"{name}"')
    with pytest.raises(Refused, match=f"the name '{name}' comes twice"):
        parse(f'{text[:at]}"{name}": 1, {text[at:]}'.encode())


@pytest.mark.parametrize("cut", [0, 1, 100, -1, -2])
def test_a_part_of_a_bundle_is_refused(cut: int) -> None:
    text = json.dumps(raw_bundle(BUNDLE)).encode()
    with pytest.raises(Refused, match="the signature file is not strict JSON"):
        parse(text[:cut])


def test_what_is_not_judged_here() -> None:
    raw = raw_bundle(BUNDLE)
    raw["verificationMaterial"] = {"certificate": {"rawBytes": "eA=="}, "tlogEntries": [{}]}
    with pytest.raises(DataError, match="a keyless Sigstore signature, which is not judged here"):
        parse(json.dumps(raw).encode())
    raw["verificationMaterial"] = {"publicKey": {"hint": "x"}, "tlogEntries": [{"logIndex": "1"}]}
    with pytest.raises(DataError, match="holds 'tlogEntries', which a key does not need"):
        parse(json.dumps(raw).encode())


def test_no_file_and_a_file_too_large(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot read"):
        read_bundle(tmp_path / "nothing")
    with (tmp_path / "s").open("wb") as file:
        file.truncate(MOST_BYTES + 1)
    with pytest.raises(InputError, match="this is no signature"):
        read_bundle(tmp_path / "s")
