"""Whose certificate signs, and every reason why it does not."""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from tests.supply.signing.forgery import AUTHORITY, NOW, Holder, Wish, certify, forge

from badnets.errors import InputError
from badnets.supply.signing import Bundle, Roots, Verification, new_key, read_certificates, sign, verify

DAY = timedelta(days=1)


def judge(model: Path, chain: tuple[Holder, ...], *roots: Holder, at: datetime = NOW) -> Verification:
    """A model signed by the first of the chain, whatever its certificate says, seen by who trusts `roots`."""
    signer = chain[0].key
    assert isinstance(signer, ec.EllipticCurvePrivateKey)
    bundle = sign(model, signer)
    certificates = tuple(one.certificate.public_bytes(_DER) for one in chain)
    certified = Bundle(bundle.payload, bundle.signature, None, certificates)
    return verify(model, certified, Roots(tuple(root.certificate for root in roots), at))


_DER = Encoding.DER


@pytest.fixture(scope="module")
def middle(authority: Holder) -> Holder:
    return certify(Wish("middle", ca=True, path_length=0, usage=("key_cert_sign",), purposes=None), authority)


@pytest.mark.parametrize(
    "wish",
    [
        Wish(),
        Wish(ca=None),
        Wish(usage=None),
        Wish(purposes=None),
        Wish(purposes=(ExtendedKeyUsageOID.CODE_SIGNING, ExtendedKeyUsageOID.EMAIL_PROTECTION)),
        Wish(more=(x509.SubjectAlternativeName([x509.RFC822Name("a@b.c")]),)),
    ],
    ids=["usual", "no basic constraints", "purpose only", "usage only", "two purposes", "another name"],
)
def test_a_certificate_below_the_root(model: Path, authority: Holder, wish: Wish) -> None:
    leaf = certify(wish, authority)
    for chain in ((leaf,), (leaf, authority)):
        found = judge(model, chain, authority)
        assert found.ok, found
        assert found.signer == "CN=signer"


@pytest.mark.parametrize("curve", ["P-384", "P-521"])
def test_other_curves(model: Path, authority: Holder, curve: str) -> None:
    assert judge(model, (certify(Wish(), authority, new_key(curve)),), authority).ok


def test_a_path_in_any_order_and_with_strangers(model: Path, authority: Holder, middle: Holder) -> None:
    leaf = certify(Wish(), middle)
    stranger = certify(AUTHORITY)
    for chain in ((leaf, middle), (leaf, authority, middle), (leaf, stranger, middle, authority)):
        assert judge(model, chain, authority).ok
        assert judge(model, chain, middle).ok
        assert judge(model, chain, certify(AUTHORITY), authority).ok


def test_an_authority_with_an_rsa_key(model: Path) -> None:
    root = certify(AUTHORITY, key=rsa.generate_private_key(65537, 2048))
    assert judge(model, (certify(Wish(), root),), root).ok


def test_a_certificate_that_is_itself_trusted(model: Path) -> None:
    own = certify(Wish())
    assert judge(model, (own,), own).ok
    assert "no way from the certificate of CN=signer" in str(judge(model, (own,), certify(Wish())).refusal)


def test_no_way_to_a_root(model: Path, authority: Holder, middle: Holder) -> None:
    leaf = certify(Wish(), middle)
    words = "no way from the certificate of CN=signer to a given root: its issuer is CN="
    assert words + "middle" in str(judge(model, (leaf,), authority).refusal)
    stranger = certify(AUTHORITY)  # of the same name
    assert words + "authority" in str(judge(model, (certify(Wish(), stranger), stranger), authority).refusal)
    fake = certify(Wish("middle", ca=True, usage=("key_cert_sign",), purposes=None), stranger)
    assert words in str(judge(model, (leaf, fake), authority).refusal)


LEAVES = {
    "an authority": (Wish(ca=True), "is an authority's: one that signs models must not be"),
    "no signatures": (Wish(usage=("key_encipherment",)), "its key usage has no digitalSignature"),
    "for servers": (Wish(purposes=(ExtendedKeyUsageOID.SERVER_AUTH,)), "its extended key usage has no codeSigning"),
    "for anything": (Wish(usage=None, purposes=None), "does not say that it is for signatures"),
    "not yet": (Wish(start=NOW + DAY), "is valid from 2026-06-02 00:00 UTC on, not at 2026-06-01 00:00"),
    "expired": (Wish(end=NOW - DAY), "expired on 2026-05-31 00:00 UTC (asked for 2026-06-01 00:00)"),
    "critical": (
        Wish(more=(x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00"),)),
        "has a critical extension not known here: 1.2.3.4",
    ),
    "weak": (Wish(digest=hashes.SHA224()), "is signed by way of sha224: expected SHA-256 or better"),
}


@pytest.mark.parametrize(("wish", "words"), LEAVES.values(), ids=LEAVES.keys())
def test_a_leaf_that_may_not_sign(model: Path, authority: Holder, wish: Wish, words: str) -> None:
    found = judge(model, (certify(wish, authority),), authority)
    assert words in str(found.refusal)
    assert found.signer is None


def test_a_leaf_with_a_key_of_another_kind(model: Path, authority: Holder) -> None:
    for key, words in (
        (rsa.generate_private_key(65537, 2048), "expected a key on P-256, P-384 or P-521"),
        (ec.generate_private_key(ec.SECP256K1()), "got one on secp256k1"),
    ):
        certificate = certify(Wish(), authority, key).certificate.public_bytes(_DER)
        bundle = Bundle(b"{}", b"x", None, (certificate,))
        assert words in str(verify(model, bundle, Roots((authority.certificate,), NOW)).refusal)


ISSUERS = {
    "no authority": (Wish("middle"), "CN=middle is no authority's, yet it issued another one"),
    "no constraints": (Wish("middle", ca=None, usage=("key_cert_sign",)), "CN=middle is no authority's"),
    "no certificates": (Wish("middle", ca=True, usage=("crl_sign",)), "its key usage has no keyCertSign"),
    "expired": (
        Wish("middle", ca=True, usage=None, end=NOW - DAY),
        "the certificate of CN=middle expired on 2026-05-31",
    ),
    "names": (
        Wish("middle", ca=True, usage=None, more=(x509.NameConstraints([x509.DNSName("a")], None),)),
        "has a critical extension not known here: 2.5.29.30",
    ),
    "weak": (Wish("middle", ca=True, usage=None, digest=hashes.SHA224()), "CN=middle is signed by way of sha224"),
}


@pytest.mark.parametrize(("wish", "words"), ISSUERS.values(), ids=ISSUERS.keys())
def test_an_issuer_that_may_not_issue(model: Path, authority: Holder, wish: Wish, words: str) -> None:
    middle = certify(wish, authority)
    leaf = certify(Wish(), middle)
    assert words in str(judge(model, (leaf, middle), authority).refusal)
    assert words in str(judge(model, (leaf,), middle).refusal)


def test_an_expired_root(model: Path) -> None:
    root = certify(Wish("authority", ca=True, usage=("key_cert_sign",), purposes=None, end=NOW - DAY))
    assert "CN=authority expired" in str(judge(model, (certify(Wish(), root),), root).refusal)
    assert judge(model, (certify(Wish(), root),), root, at=NOW - 2 * DAY).ok


def test_a_path_longer_than_allowed(model: Path, authority: Holder, middle: Holder) -> None:
    below = certify(Wish("below", ca=True, usage=None, purposes=None), middle)
    leaf = certify(Wish(), below)
    refusal = judge(model, (leaf, below, middle), authority).refusal
    assert refusal == "the authority CN=middle may have 0 authorities below it, here are 1"


def test_a_weak_rsa_authority(model: Path) -> None:
    root = certify(AUTHORITY, key=rsa.generate_private_key(65537, 1024))  # noqa: S505 - that is the point
    assert "has an RSA key of 1024 bits: expected 2048 or more" in str(
        judge(model, (certify(Wish(), root),), root).refusal
    )


def test_a_ring_of_issuers_ends(model: Path, authority: Holder) -> None:
    wish = Wish("ring", ca=True, usage=None, purposes=None)
    one = certify(wish)
    ring = [certify(wish, one, one.key) for _ in range(14)]
    assert "no way" in str(judge(model, (certify(Wish(), one), *ring), authority).refusal)


def test_the_signature_must_be_the_leaf_s(model: Path, authority: Holder) -> None:
    leaf, other = certify(Wish(), authority), certify(Wish("other"), authority)
    found = judge(model, (Holder(other.key, leaf.certificate),), authority)
    assert found.refusal == "the signature is not by CN=signer"


def test_bytes_that_are_no_certificate(model: Path, authority: Holder) -> None:
    bundle = Bundle(b"{}", b"x", None, (b"0\x03\x02\x01\x01",))
    found = verify(model, bundle, Roots((authority.certificate,), NOW))
    assert str(found.refusal).startswith("the signature file holds a certificate that is none: ")


def test_a_key_does_not_verify_a_certificate_s_signature_nor_the_other_way_round(
    model: Path, authority: Holder
) -> None:
    leaf = certify(Wish(), authority)
    assert isinstance(leaf.key, ec.EllipticCurvePrivateKey)
    bare = sign(model, leaf.key)
    certified = sign(model, leaf.key, certificates=(leaf.certificate,))
    trusted = Roots((authority.certificate,), NOW)
    assert verify(model, certified, trusted).ok
    assert "signed by a bare key" in str(verify(model, bare, trusted).refusal)
    assert "signed with a certificate" in str(verify(model, certified, leaf.key.public_key()).refusal)


def test_signing_with_a_certificate_that_does_not_fit(model: Path, authority: Holder) -> None:
    leaf = certify(Wish(), authority)
    assert isinstance(leaf.key, ec.EllipticCurvePrivateKey)
    with pytest.raises(InputError, match="the certificate is another key's"):
        sign(model, new_key(), certificates=(leaf.certificate,))
    with pytest.raises(InputError, match="is an authority's"):
        sign(model, leaf.key, certificates=(authority.certificate,))


def test_the_time_has_a_zone(authority: Holder) -> None:
    with pytest.raises(InputError, match="expected a time with its zone"):
        Roots((authority.certificate,), NOW.replace(tzinfo=None))
    with pytest.raises(InputError, match="expected a root certificate at least"):
        Roots((), NOW)


def test_times_are_compared_across_zones(model: Path, authority: Holder) -> None:
    leaf = certify(Wish(end=NOW), authority)
    late = timezone(timedelta(hours=-5))
    assert judge(model, (leaf,), authority, at=NOW.astimezone(late)).ok
    found = judge(model, (leaf,), authority, at=(NOW + DAY).astimezone(late))
    assert "expired on 2026-06-01 00:00 UTC (asked for 2026-06-02 00:00)" in str(found.refusal)
    assert NOW.tzinfo == UTC


def test_certificates_from_a_file(tmp_path: Path, authority: Holder) -> None:
    leaf = certify(Wish(), authority)
    (tmp_path / "c").write_bytes(leaf.pem + authority.pem)
    assert read_certificates(tmp_path / "c") == (leaf.certificate, authority.certificate)
    (tmp_path / "c").write_bytes(b"nothing")
    with pytest.raises(InputError, match="expected certificates as PEM"):
        read_certificates(tmp_path / "c")


def test_the_path_is_checked_before_the_statement(model: Path, authority: Holder) -> None:
    leaf = certify(Wish(), certify(AUTHORITY))
    assert isinstance(leaf.key, ec.EllipticCurvePrivateKey)
    bundle = forge(b"not JSON", leaf.key)
    certified = Bundle(bundle.payload, bundle.signature, None, (leaf.certificate.public_bytes(_DER),))
    assert "no way" in str(verify(model, certified, Roots((authority.certificate,), NOW)).refusal)
