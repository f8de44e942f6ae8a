"""The questions that are asked of each entry of a zoo, and what the answers are worth.

The paper's section 5 found what this looks for: models without a digest, and one whose digest does not fit its file.
A digest beside the address of a file guards against a change of the file, not against a change of both.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import SplitResult, unquote, urlsplit

from badnets.supply.transport import is_loopback
from badnets.supply.zoo.entries import ALGORITHMS, Entry
from badnets.supply.zoo.formats import ARCHIVE, CODE, DATA, format_of


class Grade(StrEnum):
    """What an answer is worth."""

    GOOD = "good"
    WEAK = "weak"
    BAD = "bad"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Answer:
    """The answer to one question: its grade, one word for tables, and a line that says why."""

    grade: Grade
    short: str
    why: str


def address(url: str | None) -> SplitResult | None:
    """The parts of an address; None where there is none or it is broken."""
    if not url:
        return None
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return None
    return parts if parts.scheme and parts.hostname else None


def file_of(entry: Entry) -> str | None:
    """The name of the file, from the entry or else from its address."""
    parts = address(entry.url)
    return entry.file or (unquote(parts.path).rpartition("/")[2] or None if parts else None)


def transport(entry: Entry) -> Answer:
    """Whether the file can be changed on its way."""
    parts = address(entry.url)
    if not entry.url:
        return Answer(Grade.UNKNOWN, "-", "no address is given")
    if parts is None:
        return Answer(Grade.BAD, "broken", "the address is none")
    if parts.scheme == "https":
        return Answer(Grade.GOOD, "https", f"encrypted, from {parts.hostname}")
    if parts.scheme == "http" and parts.hostname and is_loopback(parts.hostname):
        return Answer(Grade.GOOD, "loopback", "does not leave this machine")
    return Answer(Grade.BAD, parts.scheme, "anyone between the host and the user can put another file in its place")


def digest(entry: Entry) -> Answer:
    """Whether a changed file would be noticed."""
    given = entry.digests
    if not given:
        return Answer(Grade.BAD, "none", "a changed file cannot be told from the right one")
    sound = entry.sound_digests
    for name, text in given.items():
        if name not in sound:
            why = f"{len(text)} letters, where {name.upper()} has {ALGORITHMS[name]} hex digits"
            return Answer(Grade.BAD, f"broken {name.upper()}", why)
    best = next(iter(sound))
    if best in ("sha256", "sha512"):
        return Answer(Grade.GOOD, best.upper(), "a changed file is noticed by whoever checks")
    why = "two files with the same one can be made: its own maker can swap the file unnoticed"
    return Answer(Grade.WEAK, best.upper(), why)


def separate(entry: Entry) -> Answer:
    """Whether who can change the file can change its digest as well."""
    if not entry.digests:
        return Answer(Grade.BAD, "none", "there is no digest")
    file, listed = address(entry.url), address(entry.digest_url)
    if file is None or listed is None:
        return Answer(Grade.UNKNOWN, "-", "it is not said where the digest is published, or the file")
    if _domain(file) == _domain(listed):
        return Answer(Grade.BAD, "same", f"{_domain(file)} holds the file and its digest: who changes one changes both")
    return Answer(
        Grade.GOOD,
        "other",
        f"the file is at {_domain(file)}, its digest at {_domain(listed)}, whose writer can change both",
    )


def signature(entry: Entry) -> Answer:
    """Whether anyone vouches for the file."""
    if entry.signature:
        return Answer(Grade.GOOD, "stated", f"said to be {entry.signature}; not checked here, see `badnets verify`")
    return Answer(Grade.BAD, "none", "nobody vouches for the file")


def freshness(entry: Entry) -> Answer:
    """Whether an old file can be told from the newest."""
    if entry.expires:
        return Answer(Grade.GOOD, "expires", f"holds until {entry.expires}")
    if entry.updated:
        return Answer(Grade.WEAK, "dated", f"dated {entry.updated}, but nothing says that there is no newer one")
    return Answer(Grade.BAD, "none", "an old, withdrawn file looks like the newest")


def reference(entry: Entry) -> Answer:
    """Whether the address means the same file tomorrow."""
    parts = address(entry.url)
    named = entry.revision or _revision(parts)
    if named and re.fullmatch(r"[0-9a-f]{40}|[0-9a-f]{64}", named):
        return Answer(Grade.GOOD, "commit", f"fixed by the commit {named[:12]}")
    if named:
        return Answer(Grade.BAD, "branch", f"{named[:40]!r} is a branch or a tag, which can be moved to another file")
    if parts is None:
        return Answer(Grade.UNKNOWN, "-", "no address is given")
    return Answer(Grade.WEAK, "address", "the host can put another file at this address")


def executable(entry: Entry) -> Answer:
    """Whether loading the file may run code, as far as its name says."""
    file = file_of(entry)
    if not file:
        return Answer(Grade.UNKNOWN, "-", "the file has no name")
    known = format_of(file)
    ending = f"{known.name}, by its name"
    if known.kind == DATA:
        return Answer(Grade.GOOD, "data", ending)
    if known.kind == CODE:
        return Answer(Grade.BAD, "code", ending)
    if known.kind == ARCHIVE:
        return Answer(Grade.WEAK, "archive", f"{ending}: it may hold anything")
    return Answer(Grade.UNKNOWN, "-", "the name says nothing about the content")


def licence(entry: Entry) -> Answer:
    """Whether it is said what may be done with the model."""
    if entry.licence:
        return Answer(Grade.GOOD, "stated", entry.licence)
    return Answer(Grade.BAD, "none", "it is not said what may be done with the model")


# In the order of the columns.
CHECKS: dict[str, Callable[[Entry], Answer]] = {
    "transport": transport,
    "digest": digest,
    "digest elsewhere": separate,
    "signature": signature,
    "freshness": freshness,
    "reference": reference,
    "executable": executable,
    "licence": licence,
}

_SHARED = ("co.uk", "ac.uk", "com.au", "co.jp", "ac.jp", "com.cn", "edu.cn", "ac.cn", "github.io", "amazonaws.com")


def _domain(parts: SplitResult) -> str:
    """The part of a host's name that one owner holds: by and large its last two labels."""
    host = (parts.hostname or "").rstrip(".")
    if re.fullmatch(r"[0-9.]+|.*:.*", host):
        return host
    labels = host.split(".")
    return ".".join(labels[-3:] if ".".join(labels[-2:]) in _SHARED else labels[-2:])


def _revision(parts: SplitResult | None) -> str | None:
    """The revision in an address of a hub or a code host."""
    if parts is None:
        return None
    if found := re.fullmatch(r"/[^/]+/[^/]+/(?:resolve|raw|blob)/([^/]+)/.+", parts.path):
        return unquote(found[1])
    if parts.hostname == "raw.githubusercontent.com" and (
        found := re.fullmatch(r"/[^/]+/[^/]+/([^/]+)/.+", parts.path)
    ):
        return unquote(found[1])
    return None
