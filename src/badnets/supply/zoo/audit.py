"""The study of a model zoo: every question to every entry, and what a download showed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from badnets.supply.zoo.checks import CHECKS, Answer, Grade
from badnets.supply.zoo.entries import Entry, Listing
from badnets.supply.zoo.fetch import Bounds, Download, Match, fetch

# Whether a user who does all they can still cannot tell the right file from another.
_DECISIVE = ("transport", "digest")


@dataclass(frozen=True)
class Finding:
    """One entry: the answers by the names of `checks.CHECKS`, and the download where there was one."""

    entry: Entry
    answers: dict[str, Answer]
    download: Download | None = None

    @property
    def weak(self) -> bool:
        """Whether a swapped file can go unnoticed: in transit, for want of a good digest, or as has happened."""
        different = self.download is not None and self.download.match == Match.DIFFERENT
        return different or any(self.answers[name].grade in (Grade.BAD, Grade.WEAK) for name in _DECISIVE)

    @property
    def score(self) -> int:
        """How many of the answers are good."""
        return sum(answer.grade == Grade.GOOD for answer in self.answers.values())


@dataclass(frozen=True)
class Audit:
    """What came out.

    Attributes:
        source: the list, as the user named it.
        findings: for each entry.
        skipped: what could not be read, and why.
        fetched: whether files were downloaded.
    """

    source: str
    findings: tuple[Finding, ...]
    skipped: tuple[str, ...] = ()
    fetched: bool = False
    totals: dict[str, dict[str, int]] = field(init=False)

    def __post_init__(self) -> None:
        totals = {name: _count([finding.answers[name].short for finding in self.findings]) for name in CHECKS}
        if self.fetched:
            totals["download"] = _count([one.download.match for one in self.findings if one.download])
        object.__setattr__(self, "totals", totals)

    @property
    def weak(self) -> int:
        """How many entries are weak."""
        return sum(finding.weak for finding in self.findings)

    @property
    def unread(self) -> int:
        """How many entries or downloads could not be judged."""
        failed = sum(one.download is not None and one.download.match == Match.FAILED for one in self.findings)
        return len(self.skipped) + failed


def audit(
    listing: Listing, *, bounds: Bounds | None = None, progress: Callable[[int, int], None] | None = None
) -> Audit:
    """Ask every question of every entry.

    Args:
        listing: the zoo.
        bounds: download each file within these, and compare its digest; None downloads nothing.
        progress: told of entries done and entries in all.
    """
    findings = []
    for number, entry in enumerate(listing.entries, start=1):
        answers = {name: check(entry) for name, check in CHECKS.items()}
        findings.append(Finding(entry, answers, fetch(entry, bounds) if bounds else None))
        if progress:
            progress(number, len(listing.entries))
    return Audit(listing.source, tuple(findings), listing.skipped, fetched=bounds is not None)


def _count(words: list[str]) -> dict[str, int]:
    return {word: words.count(word) for word in sorted(set(words), key=lambda word: (-words.count(word), word))}
