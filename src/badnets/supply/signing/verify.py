"""Verifying a model against its signature.

The rules, in the order in which they are checked; the first that fails refuses the model:

1. The signature file is a strict Sigstore bundle with one signature over an in-toto statement.
2. It was made the way the verifier trusts: by the key they hold, or by a certificate below a root of theirs.
3. The signature is that key's, over the payload and its type.
4. The statement is one of OpenSSF Model Signing, does not contradict itself, and names files safely.
5. The signed name is the expected one.
6. Every file is as signed, and none is there that was not signed.

A key says who signed, never when: a signature holds for ever, also for a model that its maker has replaced since.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509

from badnets.errors import InputError
from badnets.supply.hashing import Progress
from badnets.supply.signing.bundle import Bundle
from badnets.supply.signing.certificates import Roots, check_path, signer_key, subject
from badnets.supply.signing.comparison import Comparison, Fault, Mismatch, compare
from badnets.supply.signing.dsse import pre_authentication
from badnets.supply.signing.keys import PublicKey, fingerprint, is_signed
from badnets.supply.signing.manifest import SINGLE, Manifest, check_name
from badnets.supply.signing.refusal import Refused
from badnets.supply.signing.sign import inside_name
from badnets.supply.signing.statement import decode

# What the verifier relies on.
Trust = PublicKey | Roots


@dataclass(frozen=True)
class Expected:
    """What the verifier asks of a model beside its signature.

    Attributes:
        name: the name that was signed. None: a file must have been signed under its own name, as its ending tells
            programs how to load it; a folder may have been signed under any, as it says nothing about its content.
        ignore: paths in the folder that need not be covered, each with all below it.
    """

    name: str | None = None
    ignore: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for path in self.ignore:
            check_name(path)


@dataclass(frozen=True)
class Verification:
    """What came out.

    Attributes:
        signer: whose signature it is: "key FINGERPRINT" or the certificate's subject; None where it is not established.
        name: of the model, as signed; None as above.
        refusal: why the signature itself is refused; None where it holds.
        mismatches: the files that are not as signed.
        files: how many files were checked.
        size: of these, in bytes.
        ignored: paths that were passed over because the verifier said so.
        empty: folders with nothing in them, which no signature covers; they do not refuse the model.
    """

    signer: str | None = None
    name: str | None = None
    refusal: str | None = None
    mismatches: tuple[Mismatch, ...] = ()
    files: int = 0
    size: int = 0
    ignored: tuple[str, ...] = ()
    empty: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether the model is, byte for byte and name for name, what was signed."""
        return self.refusal is None and not self.mismatches


def verify(
    model: Path,
    bundle: Bundle,
    trust: Trust,
    *,
    expected: Expected = Expected(),
    signature: Path | None = None,
    progress: Progress | None = None,
) -> Verification:
    """Judge a model by its signature.

    Args:
        model: the folder or file.
        bundle: its signature.
        trust: the signer's public key, or the roots that their certificate must lead to.
        expected: what else is asked.
        signature: where the bundle was read; it needs no cover by itself.
        progress: see `hashing.Progress`.

    Raises:
        InputError: the model cannot be read.
        DataError: a file changed while it was read, or the signature is of a kind that is not judged here.
    """
    if not model.exists():
        raise InputError(f"there is no {model}")
    try:
        signer, manifest = authenticate(bundle, trust)
    except Refused as refusal:
        return Verification(refusal=str(refusal))
    wanted = expected.name or (None if model.is_dir() else model.name)
    if wanted is not None and wanted != manifest.name:
        words = f"signed under this name, here {'called' if expected.name is None else 'expected to be'} {wanted}"
        return Verification(signer, manifest.name, mismatches=(Mismatch(Fault.RENAMED, manifest.name, words),))
    if not model.is_dir() and not set(manifest.by_file()) <= {SINGLE, manifest.name}:
        return Verification(signer, manifest.name, refusal=f"{manifest.name} was signed as a folder, here is one file")
    if model.is_dir() and SINGLE in manifest.by_file():
        return Verification(signer, manifest.name, refusal=f"{manifest.name} was signed as one file, here is a folder")
    inside = inside_name(model, signature)
    found = compare(model, manifest, ignore=(*expected.ignore, *([inside] if inside else [])), progress=progress)
    return _verification(signer, manifest, found, inside)


def authenticate(bundle: Bundle, trust: Trust) -> tuple[str, Manifest]:
    """Who signed, in words, and what: rules 2 to 4, without looking at a model.

    Raises:
        Refused: the signature is not of anyone trusted, or its statement does not hold together.
        DataError: files are signed by digests that are not known here.
    """
    if isinstance(trust, Roots):
        if not bundle.certificates:
            raise Refused("signed by a bare key, without a certificate: verify it with the signer's public key")
        key, signer = _certified(bundle, trust)
    else:
        if bundle.certificates:
            raise Refused("signed with a certificate: verify it with the root that issued it, not with a bare key")
        key, signer = trust, f"key {fingerprint(trust)}"
    if not is_signed(key, bundle.signature, pre_authentication(bundle.payload)):
        other = bundle.hint is not None and bundle.hint != fingerprint(key)
        said = f"; it says to be by the key {bundle.hint}" if other and bundle.hint else ""
        raise Refused(f"the signature is not by {signer}{said}")
    return signer, decode(bundle.payload)


def _certified(bundle: Bundle, roots: Roots) -> tuple[PublicKey, str]:
    with warnings.catch_warnings():
        # What cryptography only warns of, such as a serial number below zero, no authority may issue (RFC 5280).
        warnings.simplefilter("error")
        try:
            chain = tuple(x509.load_der_x509_certificate(raw) for raw in bundle.certificates)
            key = signer_key(chain[0])
            check_path(chain, roots)
        except (ValueError, Warning) as error:
            raise Refused(f"the signature file holds a certificate that is none: {_line(error)}") from error
    return key, subject(chain[0])


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]


def _verification(signer: str, manifest: Manifest, found: Comparison, inside: str | None) -> Verification:
    return Verification(
        signer,
        manifest.name,
        mismatches=found.mismatches,
        files=found.files,
        size=found.size,
        ignored=tuple(path for path in found.ignored if path != inside),
        empty=found.empty,
    )
