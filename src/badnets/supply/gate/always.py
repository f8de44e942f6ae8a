"""What the gate asks of every model, whatever the policy says; no waiver and no bypass reaches these rules."""

from __future__ import annotations

from dataclasses import dataclass

from badnets.supply.gate.evidence import Evidence
from badnets.supply.gate.outcome import Outcome, Word
from badnets.supply.gate.rules import Rule


@dataclass(frozen=True)
class Plain:
    """The model is plain files and folders: no links, pipes or devices."""

    rule: str = "plain-files"

    def judge(self, evidence: Evidence) -> Outcome:
        """See the class."""
        if evidence.odd:
            return Outcome(self.rule, Word.REFUSE, evidence.odd[0])
        if not evidence.files:
            return Outcome(self.rule, Word.UNDECIDED, "there is no file")
        size = sum(file.size for file in evidence.files)
        return Outcome(self.rule, Word.ADMIT, f"{len(evidence.files):,} file(s), {size:,} bytes")


@dataclass(frozen=True)
class NotRevoked:
    """Neither these files nor these tensors were admitted once and taken back."""

    rule: str = "not-revoked"

    def judge(self, evidence: Evidence) -> Outcome:
        """See the class."""
        for digest in (evidence.digest, *(one.tensor_digest for one in evidence.weights)):
            if digest in evidence.revoked:
                return Outcome(self.rule, Word.REFUSE, f"taken back: {evidence.revoked[digest]}")
        return Outcome(self.rule, Word.ADMIT, "the log takes nothing of it back")


@dataclass(frozen=True)
class Clean:
    """The scan explains every byte of every file."""

    rule: str = "closed-grammar"

    def judge(self, evidence: Evidence) -> Outcome:
        """See the class."""
        for verdict, word in (("refused", Word.REFUSE), ("unjudged", Word.UNDECIDED), ("", Word.UNDECIDED)):
            for file in evidence.files:
                if file.verdict == verdict:
                    why = file.findings[0] if file.findings else "it was not scanned"
                    return Outcome(self.rule, word, f"{file.name}: {why}")
        return Outcome(self.rule, Word.ADMIT, f"{len(evidence.files):,} file(s) clean")


@dataclass(frozen=True)
class Converted:
    """There are weights, and all of them were converted to safetensors: nothing else is ever admitted."""

    rule: str = "converted"

    def judge(self, evidence: Evidence) -> Outcome:
        """See the class."""
        if evidence.unconverted:
            return Outcome(self.rule, Word.UNDECIDED, evidence.unconverted[0])
        if not evidence.weights:
            return Outcome(self.rule, Word.UNDECIDED, "there are no weights that could be converted")
        return Outcome(self.rule, Word.ADMIT, f"{len(evidence.weights)} file(s) of weights as safetensors")


ALWAYS: tuple[Rule, ...] = (Plain(), NotRevoked(), Clean(), Converted())
