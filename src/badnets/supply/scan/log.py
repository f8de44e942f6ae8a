"""Findings gathered by a reader: offsets made absolute, details made printable, their number bounded."""

from __future__ import annotations

from badnets.supply.scan.findings import Finding, Rule
from badnets.supply.scan.source import Source

MOST = 200  # a file with more faults than this is refused all the same
_LONGEST = 200


class Log:
    """The findings on one source, or on one member of it.

    Args:
        source: where the bytes lie; `add` counts its offsets from the start of this window.
    """

    def __init__(self, source: Source) -> None:
        self.source = source
        self.findings: list[Finding] = []

    @property
    def full(self) -> bool:
        """Whether reading on would only add to a long list."""
        return len(self.findings) >= MOST

    def add(self, rule: Rule, detail: str, offset: int | None = None, length: int | None = None) -> None:
        """Note a finding at `offset` of the window."""
        place = None if offset is None else self.source.at(offset)
        if not self.full:
            self.findings.append(Finding(rule, plain(detail), self.source.member, place, length))

    def sorted(self) -> list[Finding]:
        """All findings in the order of their offsets, those on the file as a whole first."""
        return sorted(self.findings, key=lambda finding: -1 if finding.offset is None else finding.offset)


def plain(text: str, longest: int = _LONGEST) -> str:
    """`text` as one printable line of at most `longest` characters: names in model files come from anybody."""
    cut = text if len(text) <= longest else text[:longest] + "..."
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in cut)
