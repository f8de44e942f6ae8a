"""The keys of a hub: who holds which role, and a folder of key files that signs what it can.

A hub's keys are those that `badnets keys new` makes for signing models: P-256 and the like, as PEM.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from securesystemslib.signer import CryptoSigner, Key, SSlibKey

from badnets.artifacts import make_folder, write_bytes
from badnets.errors import InputError
from badnets.supply.signing import new_key, read_private_key, read_public_key, write_pair
from badnets.supply.signing.keys import PrivateKey, PublicKey, is_encrypted, public_pem

ADMISSION = "admission"
TOP = ("root", "targets", "snapshot", "timestamp")
# The two whose signatures an admission needs.
JUDGES = ("publisher", "auditor")
# These sign day and night without anybody there, so their keys lie on a machine that is online.
ONLINE = ("snapshot", "timestamp")
NAMES = (*TOP, *JUDGES)

# The password for a key file, or None where there is none to give.
Password = Callable[[Path], bytes | None]


@dataclass(frozen=True)
class Holders:
    """Who signs for a role: their public keys, and how many of them must."""

    keys: tuple[PublicKey, ...]
    threshold: int = 1

    def __post_init__(self) -> None:
        ids = {key_id(key) for key in self.keys}
        if len(ids) < len(self.keys):
            raise InputError("one key is named twice for a role: its holder would count as two")
        if not 1 <= self.threshold <= len(self.keys):
            raise InputError(f"a threshold is 1 to the number of keys, {len(self.keys)}; got {self.threshold}")


@dataclass(frozen=True)
class Setup:
    """Who signs what in a new hub.

    Attributes:
        root: the keys that all trust starts from; kept offline.
        targets: say to whom names of models are delegated; kept offline.
        snapshot: vouch for which versions belong together; online.
        timestamp: vouch for what is newest; online.
        admission: publisher and auditor; all of them must sign what the hub offers.
    """

    root: Holders
    targets: Holders
    snapshot: Holders
    timestamp: Holders
    admission: Holders

    def __post_init__(self) -> None:
        if len(self.admission.keys) < 2 or self.admission.threshold != len(self.admission.keys):
            raise InputError(
                "an admission needs at least two keys, publisher's and auditor's, and the signatures of all: "
                f"got {len(self.admission.keys)} key(s) and a threshold of {self.admission.threshold}"
            )


class KeyRing:
    """Private keys by their ids, each opened only when it is first needed."""

    def __init__(self, openers: Mapping[str, Callable[[], PrivateKey]]) -> None:
        self._openers = dict(openers)
        self._signers: dict[str, CryptoSigner] = {}

    @classmethod
    def of(cls, keys: Iterable[PrivateKey]) -> KeyRing:
        """A ring of keys in memory."""
        return cls({key_id(key.public_key()): (lambda key=key: key) for key in keys})  # type: ignore[misc]

    @classmethod
    def folder(cls, path: Path, password: Password = lambda _: None) -> KeyRing:
        """The ring of all `*.key` files in a folder that have their `*.pub` beside them.

        Raises:
            InputError: no such folder, or a `*.pub` that is no public key.
        """
        return cls(
            {
                key_id(key): (lambda file=path / f"{name}.key": read_private_key(file, password(file)))  # type: ignore[misc]
                for name, key in public_keys(path).items()
                if (path / f"{name}.key").exists()
            }
        )

    def __contains__(self, keyid: str) -> bool:
        return keyid in self._openers

    def __or__(self, other: KeyRing) -> KeyRing:
        return KeyRing(self._openers | other._openers)

    def without(self, *keyids: str) -> KeyRing:
        """The ring without these keys."""
        return KeyRing({keyid: opener for keyid, opener in self._openers.items() if keyid not in keyids})

    def signer(self, keyid: str) -> CryptoSigner:
        """What signs with this key. Raises `InputError` where its file cannot be opened."""
        if keyid not in self._signers:
            key = self._openers[keyid]()
            if key_id(key.public_key()) != keyid:
                raise InputError(f"the private key beside the public key {keyid[:16]} is another's: they make no pair")
            self._signers[keyid] = CryptoSigner(key)
        return self._signers[keyid]


def tuf_key(key: PublicKey) -> Key:
    """The key as TUF's metadata carries it."""
    return SSlibKey.from_crypto(key)


def key_id(key: PublicKey) -> str:
    """The key's id in TUF's metadata: a SHA-256 in hex."""
    return str(tuf_key(key).keyid)


def public_keys(path: Path) -> dict[str, PublicKey]:
    """The public keys in a folder by the names of their files, without `.pub`.

    Raises:
        InputError: no such folder, or a `*.pub` that is no public key.
    """
    if not path.is_dir():
        raise InputError(f"there is no folder {path} with keys: make them with badnets hub keys")
    return {file.stem: read_public_key(file) for file in sorted(path.glob("*.pub"))}


def make_keys(path: Path, names: Sequence[str] = NAMES, *, password: bytes | None = None) -> dict[str, PublicKey]:
    """Make the key pairs that are not there yet; the password is for those that stay offline.

    Returns:
        The public keys by name.

    Raises:
        InputError: a private key without its public half that does not open with the password.
        StorageError: the folder cannot be written.
    """
    make_folder(path)
    for name in names:
        private, public = path / f"{name}.key", path / f"{name}.pub"
        if private.exists() and public.exists():
            continue
        if private.exists():  # a kill came between the two files
            secret = password if is_encrypted(private.read_bytes()) else None
            write_bytes(public, public_pem(read_private_key(private, secret).public_key()))
        else:
            public.unlink(missing_ok=True)
            write_pair(new_key(), private, public, password=None if name in ONLINE else password)
    found = public_keys(path)
    return {name: found[name] for name in names}


def setup_from(keys: Mapping[str, PublicKey], thresholds: Mapping[str, int] | None = None) -> Setup:
    """Who signs what, by the names of keys: `root`, `root-2` and so on hold root, `publisher` and `auditor` admit.

    Raises:
        InputError: a role without a key, or a threshold that does not fit.
    """
    wanted = dict(thresholds or {})

    def holders(*roles: str) -> tuple[PublicKey, ...]:
        found: list[PublicKey] = []
        for role in roles:
            own = [key for name, key in keys.items() if name == role or name.startswith(f"{role}-")]
            if not own:
                raise InputError(f"no key is called {role}: make one with badnets hub keys")
            found += own
        return tuple(found)

    unknown = set(wanted) - set(TOP)
    if unknown:
        raise InputError(f"a threshold is for one of {', '.join(TOP)}; got {', '.join(sorted(unknown))}")
    top = {role: Holders(holders(role), wanted.get(role, 1)) for role in TOP}
    judges = holders(*JUDGES)
    return Setup(**top, admission=Holders(judges, len(judges)))
