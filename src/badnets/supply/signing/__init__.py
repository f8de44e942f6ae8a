"""OpenSSF Model Signing: a detached signature over every file of a model, by name and SHA-256."""

from badnets.supply.signing.bundle import Bundle, read_bundle, write_bundle
from badnets.supply.signing.certificates import Roots, read_certificates
from badnets.supply.signing.comparison import Fault, Mismatch
from badnets.supply.signing.keys import new_key, read_private_key, read_public_key, write_pair
from badnets.supply.signing.manifest import Manifest, Resource
from badnets.supply.signing.refusal import Refused
from badnets.supply.signing.sign import Scope, sign, signature_path, survey
from badnets.supply.signing.verify import Expected, Verification, authenticate, verify

__all__ = [
    "Bundle",
    "Expected",
    "Fault",
    "Manifest",
    "Mismatch",
    "Refused",
    "Resource",
    "Roots",
    "Scope",
    "Verification",
    "authenticate",
    "new_key",
    "read_bundle",
    "read_certificates",
    "read_private_key",
    "read_public_key",
    "sign",
    "signature_path",
    "survey",
    "verify",
    "write_bundle",
    "write_pair",
]
