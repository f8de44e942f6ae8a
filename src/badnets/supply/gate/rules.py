"""What a policy can ask for. Each rule looks at the evidence and at nothing else, and what is missing never admits.

A rule answers "refuse" where the evidence speaks against the model, "undecided" where there is none.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Literal, Protocol, runtime_checkable

from badnets.errors import InputError
from badnets.supply.gate.evidence import AuditEvidence, Evidence, HubEvidence, WeightsEvidence
from badnets.supply.gate.outcome import Outcome, Word

# Weights that are converted, and texts that go with them.
FORMATS = ("safetensors", "torch-zip", "torch-legacy", "json", "text", "empty")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_COMMIT = re.compile(r"[0-9a-f]{40}")


@runtime_checkable
class Rule(Protocol):
    """One thing that a policy asks for."""

    @property
    def rule(self) -> str:
        """Its name in a policy."""
        ...

    def judge(self, evidence: Evidence) -> Outcome:
        """What it says of a model. The same evidence gives the same outcome."""
        ...


@dataclass(frozen=True)
class FromHub:
    """The model comes from a hub that this machine trusts, fresh and signed by enough.

    Attributes:
        max_age_hours: of the hub's newest signature.
        signatures: that the role which offers the model must need: 2 is publisher and auditor.
        root_sha256: of the root file that trust must have started from; None takes any that was trusted by hand.
        verdict: whether a gate's verdict must be pinned on the model. One that is pinned must hold and be the one that
            came in any case: the hub's client refuses the model otherwise.
    """

    rule: Literal["hub"] = "hub"
    max_age_hours: float = 48.0
    signatures: int = 2
    root_sha256: str | None = None
    verdict: bool = False

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - pydantic reads it, nothing writes it

    def __post_init__(self) -> None:
        if self.max_age_hours <= 0 or self.signatures < 1:
            raise InputError("the rule hub needs max_age_hours above 0 and signatures of 1 or more")
        if self.root_sha256 is not None and not _DIGEST.fullmatch(self.root_sha256):
            raise InputError("root_sha256 is 64 small hex digits: sha256sum of the root file")

    def judge(self, evidence: Evidence) -> Outcome:
        """See the class."""
        hub = evidence.hub
        if hub is None:
            return Outcome(self.rule, Word.UNDECIDED, f"it does not come from a hub, but is a {evidence.kind}")
        if self.root_sha256 not in (None, hub.root_sha256):
            return Outcome(self.rule, Word.REFUSE, f"the hub's trust starts from another root, {hub.root_sha256[:16]}")
        if hub.signatures < self.signatures:
            words = f"{hub.signatures} signature(s) of {hub.keys} keys offer it, {self.signatures} are asked for"
            return Outcome(self.rule, Word.REFUSE, words)
        if self.verdict and not hub.verdict:
            return Outcome(self.rule, Word.UNDECIDED, "the hub pins no verdict on it")
        return self._fresh(hub)

    def _fresh(self, hub: HubEvidence) -> Outcome:
        if hub.age_hours is None:
            return Outcome(self.rule, Word.UNDECIDED, "the hub does not say when it was signed")
        if hub.age_hours > self.max_age_hours:
            words = f"its newest signature is {hub.age_hours:.1f} hours old, {self.max_age_hours:g} are allowed"
            return Outcome(self.rule, Word.UNDECIDED, words)
        words = f"{hub.name} by {hub.role} ({hub.signatures} of {hub.keys}), signed {hub.age_hours:.1f} hours ago"
        return Outcome(self.rule, Word.ADMIT, words)


@dataclass(frozen=True)
class FromHuggingFace:
    """The model comes from the Hugging Face Hub, at a commit that cannot change.

    Attributes:
        repositories: those that are allowed, such as "org/name" or "org/*".
    """

    repositories: tuple[str, ...]
    rule: Literal["huggingface"] = "huggingface"

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - as above

    def judge(self, evidence: Evidence) -> Outcome:
        """See the class."""
        if evidence.kind != "huggingface" or not _COMMIT.fullmatch(evidence.commit or ""):
            return Outcome(self.rule, Word.UNDECIDED, "it does not come from the Hugging Face Hub at a commit")
        if not any(fnmatchcase(evidence.name, pattern) for pattern in self.repositories):
            return Outcome(self.rule, Word.REFUSE, f"{evidence.name} is none of {', '.join(self.repositories)}")
        return Outcome(self.rule, Word.ADMIT, f"{evidence.name} at {evidence.commit}")


@dataclass(frozen=True)
class Signed:
    """Every file is signed (OpenSSF Model Signing) by one of these.

    Attributes:
        keys: files of public keys (PEM), relative to the policy.
        authorities: files of root certificates (PEM), relative to the policy.
    """

    rule: Literal["signature"] = "signature"
    keys: tuple[str, ...] = ()
    authorities: tuple[str, ...] = ()

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - as above

    def __post_init__(self) -> None:
        if not self.keys and not self.authorities:
            raise InputError("the rule signature names keys or authorities")

    def judge(self, evidence: Evidence) -> Outcome:
        """See the class."""
        wanted = (*self.keys, *self.authorities)
        tried = [one for one in evidence.signatures if one.trusted_as in wanted]
        for one in tried:
            if one.ok:
                return Outcome(self.rule, Word.ADMIT, f"{one.signer} ({one.trusted_as}): {one.reason}")
        if not tried:
            return Outcome(self.rule, Word.UNDECIDED, "there is no signature")
        return Outcome(self.rule, Word.REFUSE, f"{tried[0].trusted_as}: {tried[0].reason}")


@dataclass(frozen=True)
class Scanned:
    """Every file is clean by the scan, and of one of these formats.

    Attributes:
        formats: by the names of `badnets scan`.
        notes: whether what the scan only notes, such as metadata of the author, is allowed.
    """

    rule: Literal["scan"] = "scan"
    formats: tuple[str, ...] = FORMATS
    notes: bool = True

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - as above

    def judge(self, evidence: Evidence) -> Outcome:
        """See the class."""
        if not evidence.files:
            return Outcome(self.rule, Word.UNDECIDED, "there is no file")
        for file in evidence.files:
            if file.verdict == "refused":
                return Outcome(self.rule, Word.REFUSE, f"{file.name}: {file.findings[0]}")
        for file in evidence.files:
            if file.verdict != "clean":
                why = file.findings[0] if file.findings else "it was not scanned"
                return Outcome(self.rule, Word.UNDECIDED, f"{file.name}: {why}")
            if file.format not in self.formats:
                words = f"{file.name} is {file.format}; allowed are {', '.join(self.formats)}"
                return Outcome(self.rule, Word.REFUSE, words)
            if file.notes and not self.notes:
                return Outcome(self.rule, Word.REFUSE, f"{file.name}: {file.notes[0]}")
        return Outcome(self.rule, Word.ADMIT, f"{len(evidence.files):,} file(s), every byte explained")


@dataclass(frozen=True)
class Weights:
    """The converted weights are of a kind and size that are expected.

    Attributes:
        max_parameters: numbers in one file of weights.
        dtypes: by the names of safetensors; none allows all.
    """

    rule: Literal["weights"] = "weights"
    max_parameters: int = 10**12
    dtypes: tuple[str, ...] = ()

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - as above

    def judge(self, evidence: Evidence) -> Outcome:
        """See the class."""
        if not evidence.weights:
            return Outcome(self.rule, Word.UNDECIDED, "no weights were converted")
        for one in evidence.weights:
            if one.parameters > self.max_parameters:
                words = f"{one.source} has {one.parameters:,} parameters, {self.max_parameters:,} are allowed"
                return Outcome(self.rule, Word.REFUSE, words)
            odd = sorted(set(one.dtypes) - set(self.dtypes))
            if self.dtypes and odd:
                return Outcome(self.rule, Word.REFUSE, f"{one.source} holds {', '.join(odd)}")
        total = sum(one.parameters for one in evidence.weights)
        return Outcome(self.rule, Word.ADMIT, f"{total:,} parameters in {len(evidence.weights)} file(s)")


@dataclass(frozen=True)
class Pinned:
    """The weights are among those that are known.

    Attributes:
        tensors: canonical tensor digests, as `badnets convert` prints them without their prefix.
    """

    tensors: tuple[str, ...]
    rule: Literal["pinned"] = "pinned"

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - as above

    def __post_init__(self) -> None:
        for digest in self.tensors:
            if not _DIGEST.fullmatch(digest):
                raise InputError(f"a tensor digest is 64 small hex digits, got {digest[:80]!r}")

    def judge(self, evidence: Evidence) -> Outcome:
        """See the class."""
        if not evidence.weights:
            return Outcome(self.rule, Word.UNDECIDED, "no weights were converted")
        for one in evidence.weights:
            if one.tensor_digest not in self.tensors:
                words = f"{one.source} has the tensors {one.tensor_digest[:16]}..., which are not listed"
                return Outcome(self.rule, Word.REFUSE, words)
        return Outcome(self.rule, Word.ADMIT, "all tensors are listed")


@dataclass(frozen=True)
class Audited:
    """An audit of these very weights came out clean, at rates that are stated.

    Attributes:
        alpha: a p-value up to it refuses, whatever level the audit itself was run at.
        max_false_positive_rate: that the audit states.
        min_population: clean reference models that it rests on; with n of them no p-value is below 1 / (n + 1), so
            fewer than 1 / alpha - 1 could never refuse anything.
        tests: that must have run, beside those without which an audit calls nothing clean.
        signed_by: files of public keys, relative to the policy, one of which must have signed the audit's file; with
            none, the file is taken from whoever runs the gate.
    """

    rule: Literal["audit"] = "audit"
    alpha: float = 0.05
    max_false_positive_rate: float = 0.1
    min_population: int = 19
    tests: tuple[str, ...] = ()
    signed_by: tuple[str, ...] = ()

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - as above

    def __post_init__(self) -> None:
        if not 0 < self.alpha < 1 or not 0 < self.max_false_positive_rate <= 1:
            raise InputError("the rule audit needs alpha and max_false_positive_rate between 0 and 1")
        if 1 / (self.min_population + 1) > self.alpha:
            words = f"with {self.min_population} reference models no p-value is as low as {self.alpha:g}"
            raise InputError(f"the rule audit could never refuse: {words}; ask for more, or for a larger alpha")

    def judge(self, evidence: Evidence) -> Outcome:
        """See the class."""
        if not evidence.weights:
            return Outcome(self.rule, Word.UNDECIDED, "there are no weights that an audit could speak of")
        found = [self._one(one, evidence) for one in evidence.weights]
        for word in (Word.REFUSE, Word.UNDECIDED):
            for outcome in found:
                if outcome.word == word:
                    return outcome
        return found[0]

    def _one(self, weights: WeightsEvidence, evidence: Evidence) -> Outcome:
        digest = weights.tensor_digest
        if digest in evidence.condemned:
            return Outcome(self.rule, Word.REFUSE, f"{weights.source}: {evidence.condemned[digest]}")
        audit = next((one for one in evidence.audits if one.tensor_digest == digest), None)
        if audit is None:
            others = f"; the {len(evidence.audits)} given speak(s) of other weights" if evidence.audits else ""
            return Outcome(self.rule, Word.UNDECIDED, f"no audit of {weights.source} ({digest[:16]}...){others}")
        word, reason = self._said(audit)
        numbers = f"p = {audit.p_value:.3g}" if audit.p_value is not None else "no p-value"
        return Outcome(
            self.rule, word, f"{weights.source}: {audit.word}, {numbers}, {audit.population} reference models: {reason}"
        )

    def _said(self, audit: AuditEvidence) -> tuple[Word, str]:
        if audit.word == "backdoored":
            return Word.REFUSE, audit.reason
        if audit.p_value is not None and audit.p_value <= self.alpha:
            return Word.REFUSE, f"at or below this policy's alpha of {self.alpha:g}"
        lacking = self._lacking(audit)
        if lacking:
            return Word.UNDECIDED, lacking
        return Word.ADMIT, f"stated false-positive rate {audit.false_positive_rate:.3g}"

    def _lacking(self, audit: AuditEvidence) -> str:  # noqa: PLR0911 - one for each thing that can be lacking
        """Why an audit without anything against the model does not admit it; empty where it does."""
        if audit.word != "clean":
            return audit.reason
        if audit.p_value is None or audit.false_positive_rate is None:
            return "it is not calibrated: no rate of error is stated"
        if audit.false_positive_rate > self.max_false_positive_rate:
            return f"its stated false-positive rate is {audit.false_positive_rate:.3g}"
        if audit.population < self.min_population:
            return f"{self.min_population} reference models are asked for"
        missing = [test for test in self.tests if test not in audit.tests]
        if missing:
            return f"{', '.join(missing)} did not run"
        if self.signed_by and not audit.ran_here and audit.trusted_as not in self.signed_by:
            return f"its file is signed by none of {', '.join(self.signed_by)}"
        return ""


@dataclass(frozen=True)
class Review:
    """A person must look at each model; their signed waiver of this rule is their yes.

    Attributes:
        reason: what they should look at.
    """

    rule: Literal["review"] = "review"
    reason: str = "a person has not looked at it yet"

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - as above

    def judge(self, evidence: Evidence) -> Outcome:
        """See the class."""
        return Outcome(self.rule, Word.REVIEW, f"{self.reason} (model {evidence.digest})")


@dataclass(frozen=True)
class UnsafeAdmitAll:
    """Admits without looking. It marks every verdict as unsafe, and the scan is still gone through."""

    rule: Literal["unsafe-admit-all"] = "unsafe-admit-all"

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - as above

    def judge(self, evidence: Evidence) -> Outcome:
        """See the class."""
        return Outcome(self.rule, Word.ADMIT, f"UNSAFE: nothing was asked of {evidence.name}", unsafe=True)
