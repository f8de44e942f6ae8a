"""What a model zoo says of its models: one entry for each file that a user would download."""

from __future__ import annotations

from dataclasses import dataclass

from badnets.errors import InputError

# Hex digits of each digest, strongest first.
ALGORITHMS = {"sha512": 128, "sha256": 64, "sha1": 40, "md5": 32}
LONGEST = 2000


@dataclass(frozen=True)
class Entry:
    """One model as its zoo lists it. Nothing of it is checked yet: these are claims.

    Attributes:
        name: of the model.
        place: where the entry was read, such as "readme.md" or "zoo.csv line 3".
        url: where the file is downloaded; None where the zoo does not say.
        file: its name; None where neither the zoo nor the address says.
        md5: digest of the file in hex, as it stands there, and so the others.
        sha1: see above.
        sha256: see above.
        sha512: see above.
        digest_url: where the digest is published.
        signature: what is said of a signature: an address, or a name.
        revision: commit, tag or branch.
        updated: when the entry was last changed, as it stands there.
        expires: until when it holds.
        licence: under which the model is given.
    """

    name: str
    place: str
    url: str | None = None
    file: str | None = None
    md5: str | None = None
    sha1: str | None = None
    sha256: str | None = None
    sha512: str | None = None
    digest_url: str | None = None
    signature: str | None = None
    revision: str | None = None
    updated: str | None = None
    expires: str | None = None
    licence: str | None = None

    @property
    def digests(self) -> dict[str, str]:
        """The digests that are given, strongest first, well-formed or not."""
        given = {algorithm: getattr(self, algorithm) for algorithm in ALGORITHMS}
        return {algorithm: digest for algorithm, digest in given.items() if digest}

    @property
    def sound_digests(self) -> dict[str, str]:
        """The digests of the right length, in small letters."""
        return {name: digest.lower() for name, digest in self.digests.items() if is_hex(digest, ALGORITHMS[name])}


FIELDS = tuple(name for name in Entry.__dataclass_fields__ if name not in ("name", "place"))


@dataclass(frozen=True)
class Listing:
    """What was read of a zoo.

    Attributes:
        source: file or folder, as the user named it.
        entries: in the order in which they were read.
        skipped: what could not be read, and why; nothing is passed over in silence.
    """

    source: str
    entries: tuple[Entry, ...]
    skipped: tuple[str, ...] = ()


def entry(name: str, place: str, values: dict[str, str | None]) -> Entry:
    """An entry from texts; empty ones count as not given.

    Raises:
        InputError: a field that is not known, no name, or a text of a length that no field has.
    """
    for field, value in values.items():
        if field not in FIELDS:
            raise InputError(f"{place}: unknown field {field[:40]!r}: expected name, {', '.join(FIELDS)}")
        if value and len(value) > LONGEST:
            raise InputError(f"{place}: {field} has {len(value):,} letters, {LONGEST:,} are allowed")
    if not name.strip() or len(name) > LONGEST:
        raise InputError(f"{place}: expected a name of 1 to {LONGEST:,} letters")
    given = {field: value.strip() for field, value in values.items() if value and value.strip()}
    return Entry(name.strip(), place, **given)


def is_hex(text: str, digits: int) -> bool:
    """Whether `text` is so many hex digits."""
    return len(text) == digits and all(letter in "0123456789abcdefABCDEF" for letter in text)
