"""What a rule says: a word, one line of reason, and the outcomes that it rests on.

The words are ordered, best first: admit, review, undecided, refuse. `all_of` takes the worst of its parts and `any_of`
the best, and neither of nothing admits. So a decision admits exactly where a monotone formula over "this rule admits"
holds, and whatever can only take "admit" away from rules can only take it away from the decision.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum


class Word(StrEnum):
    """What is decided; the command line exits with 0, 3, 2 or 1."""

    ADMIT = "admit"
    REVIEW = "review"
    UNDECIDED = "undecided"
    REFUSE = "refuse"


_ORDER = tuple(Word)


@dataclass(frozen=True)
class Outcome:
    """What a rule came to.

    Attributes:
        rule: its name.
        word: what it says.
        reason: in one line.
        parts: what it rests on; none for a rule that looks at the evidence itself.
        waived: the waiver's reason and signer, where a waiver turned it into "admit".
        unsafe: the rule admits without looking.
    """

    rule: str
    word: Word
    reason: str
    parts: tuple[Outcome, ...] = ()
    waived: str | None = None
    unsafe: bool = False

    def leaves(self) -> Iterator[Outcome]:
        """The outcomes of the rules that looked at the evidence, in the order of the policy."""
        if not self.parts:
            yield self
        for part in self.parts:
            yield from part.leaves()

    def deciding(self) -> tuple[Outcome, ...]:
        """The rules that the word is due to: the worst ones in `all_of`, the best ones in `any_of`, leaves all."""
        if not self.parts:
            return (self,)
        return tuple(leaf for part in self.parts if part.word == self.word for leaf in part.deciding())


def all_of(parts: Sequence[Outcome], name: str = "all-of") -> Outcome:
    """The worst of the parts; refused where there is none."""
    if not parts:
        return Outcome(name, Word.REFUSE, "no rules: nothing is admitted")
    word = max((part.word for part in parts), key=_ORDER.index)
    count = sum(part.word == Word.ADMIT for part in parts)
    return Outcome(name, word, f"{count} of {len(parts)} hold", tuple(parts))


def any_of(parts: Sequence[Outcome], name: str = "any-of") -> Outcome:
    """The best of the parts; refused where there is none."""
    if not parts:
        return Outcome(name, Word.REFUSE, "no rules: nothing is admitted")
    word = min((part.word for part in parts), key=_ORDER.index)
    count = sum(part.word == Word.ADMIT for part in parts)
    return Outcome(name, word, f"{count} of {len(parts)} hold, one is enough", tuple(parts))
