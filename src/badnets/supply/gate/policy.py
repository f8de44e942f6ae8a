"""What may come in: a TOML file with a closed schema, whose rules are all asked for.

An unknown key is refused, a policy without rules refuses everything, and the one rule that admits without looking is
called unsafe. `docs/recipes/policy.md` shows one.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, TypeAdapter, ValidationError

from badnets.artifacts import canonical_json, read_bytes, sha256_bytes
from badnets.errors import BadnetsError, InputError
from badnets.supply.gate.always import ALWAYS
from badnets.supply.gate.evidence import Evidence
from badnets.supply.gate.outcome import Outcome, Word, all_of, any_of
from badnets.supply.gate.rules import (
    Audited,
    FromHub,
    FromHuggingFace,
    Pinned,
    Review,
    Rule,
    Scanned,
    Signed,
    UnsafeAdmitAll,
    Weights,
)
from badnets.supply.signing import Roots, read_certificates, read_public_key
from badnets.supply.signing.keys import PublicKey, fingerprint
from badnets.supply.signing.verify import Trust


@dataclass(frozen=True)
class AllOf:
    """Every one of these rules; of none, nothing is admitted."""

    rules: tuple[AnyRule, ...]
    rule: Literal["all-of"] = "all-of"

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - pydantic reads it, nothing writes it

    def judge(self, evidence: Evidence) -> Outcome:
        """See the class."""
        return all_of([ask(rule, evidence) for rule in self.rules], self.rule)


@dataclass(frozen=True)
class AnyOf:
    """At least one of these rules; of none, nothing is admitted."""

    rules: tuple[AnyRule, ...]
    rule: Literal["any-of"] = "any-of"

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - as above

    def judge(self, evidence: Evidence) -> Outcome:
        """See the class."""
        return any_of([ask(rule, evidence) for rule in self.rules], self.rule)


AnyRule = Annotated[
    AllOf | AnyOf | Audited | FromHub | FromHuggingFace | Pinned | Review | Scanned | Signed | UnsafeAdmitAll | Weights,
    Field(discriminator="rule"),
]


@dataclass(frozen=True)
class VerdictTerms:
    """Who signs verdicts, and how long they hold.

    Attributes:
        signers: files of public keys (PEM), relative to the policy: the gates whose verdicts count.
        days: that a verdict holds.
        pinned: whether `load_admitted` asks for the pin that a hub signs along with a model.
    """

    signers: tuple[str, ...] = ()
    days: float = 30.0
    pinned: bool = False

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - as above

    def __post_init__(self) -> None:
        if not 0 < self.days <= 3660:
            raise InputError(f"a verdict holds for more than 0 days and at most ten years, got {self.days:g}")


@dataclass(frozen=True)
class Limits:
    """How much one model may cost.

    Attributes:
        bytes: of all its files together.
        files: how many.
        seconds: for scanning one file, and for converting one.
        wrapper: take this dict out of a checkpoint: "state_dict" or "model"; None expects plain weights.
        finite: refuse NaN and infinity among the weights.
    """

    bytes: int = 20_000_000_000
    files: int = 10_000
    seconds: float = 600.0
    wrapper: Literal["state_dict", "model"] | None = None
    finite: bool = True

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - as above

    def __post_init__(self) -> None:
        if self.bytes < 1 or self.files < 1 or self.seconds <= 0:
            raise InputError("limits are above 0")


@dataclass(frozen=True)
class WaiverTerms:
    """Whose waivers count, and for what.

    Attributes:
        signers: files of public keys (PEM), relative to the policy.
        rules: names of rules that may be waived.
        days: that a waiver may reach into the future.
    """

    signers: tuple[str, ...] = ()
    rules: tuple[str, ...] = ()
    days: float = 30.0

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - as above


@dataclass(frozen=True)
class PolicyFile:
    """What the TOML file holds.

    Attributes:
        require: rules, all of which must hold.
        verdict: who signs, and how long it holds.
        limits: how much a model may cost.
        waivers: whose count.
    """

    require: tuple[AnyRule, ...] = ()
    verdict: VerdictTerms = VerdictTerms()
    limits: Limits = Limits()
    waivers: WaiverTerms = WaiverTerms()

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - as above


@dataclass(frozen=True)
class Policy:
    """A policy and the keys that it names.

    Attributes:
        terms: what the file holds.
        name: of the file.
        trust: keys and authorities by the names that the policy gives them.
        prints: SHA-256 of each of these.
    """

    terms: PolicyFile
    name: str = "policy"
    trust: Mapping[str, Trust] = field(default_factory=dict)
    prints: Mapping[str, str] = field(default_factory=dict)

    @property
    def document(self) -> str:
        """The policy and the digests of the keys that it names, as canonical JSON; what verdicts name by digest."""
        return canonical_json({"terms": self.terms, "keys": dict(self.prints)})

    @property
    def digest(self) -> str:
        """SHA-256 of the document: comments and spaces of the file have no part in it, but its keys have."""
        return sha256_bytes(self.document.encode())

    def keys(self, names: tuple[str, ...]) -> dict[str, PublicKey]:
        """The public keys of these names."""
        return {name: key for name in names if isinstance(key := self.trust[name], PublicKey)}


def decide(policy: Policy, evidence: Evidence) -> Outcome:
    """What a policy makes of a model: the rules that always hold, and all that the policy asks for."""
    fixed = all_of([rule.judge(evidence) for rule in ALWAYS], "always")
    if not policy.terms.require:
        nothing = Outcome("policy", Word.REFUSE, "the policy has no rules: nothing is admitted")
        return all_of([fixed, nothing], "gate")
    return all_of([fixed, all_of([ask(rule, evidence) for rule in policy.terms.require], "policy")], "gate")


def ask(rule: Rule, evidence: Evidence) -> Outcome:
    """What a rule says, or that a waiver of it says so. What is put together of other rules cannot be waived itself."""
    outcome = rule.judge(evidence)
    if outcome.word == Word.ADMIT or outcome.parts:
        return outcome
    for waiver in evidence.waivers:
        if waiver.rule == outcome.rule and waiver.model == evidence.digest:
            said = f"{waiver.reason} (by {waiver.trusted_as}, until {waiver.expires:%Y-%m-%d %H:%M} UTC)"
            reason = f"WAIVED: {said}; without it {outcome.word}: {outcome.reason}"
            return replace(outcome, word=Word.ADMIT, reason=reason, waived=said)
    return outcome


def read_policy(path: Path) -> Policy:
    """The policy in a TOML file, with the keys that it names.

    Raises:
        InputError: no such file, no TOML, an unknown key, a value that does not fit, or a key file that cannot be read.
    """
    try:
        plain = tomllib.loads(read_bytes(path).decode())
    except ValueError as error:  # bad UTF-8, bad TOML
        raise InputError(f"{path} is not TOML: {' '.join(str(error).split())}") from error
    terms = _terms(plain, path)
    trust: dict[str, Trust] = {}
    prints: dict[str, str] = {}
    for name in _key_names(terms):
        key = read_public_key(path.parent / name)
        trust[name], prints[name] = key, fingerprint(key)
    for name in _authority_names(terms):
        roots = read_certificates(path.parent / name)
        trust[name], prints[name] = Roots(roots, datetime.now(UTC)), sha256_bytes(read_bytes(path.parent / name))
    return Policy(terms, path.name, trust, prints)


def leaf_rules(rules: tuple[Rule, ...]) -> tuple[Rule, ...]:
    """All rules of a policy that look at the evidence themselves."""
    found: list[Rule] = []
    for rule in rules:
        found += leaf_rules(rule.rules) if isinstance(rule, AllOf | AnyOf) else (rule,)
    return tuple(found)


def _terms(plain: dict[str, object], path: Path) -> PolicyFile:
    try:
        # Through JSON: only there does pydantic read strictly and still take a list for a tuple.
        text = canonical_json(plain)
    except ValueError as error:  # TOML knows nan and inf
        raise InputError(f"{path}: a number that is not finite") from error
    try:
        return TypeAdapter(PolicyFile).validate_json(text, strict=True)
    except ValidationError as error:
        raise InputError(f"{path}: {_first_fault(error)}") from error
    except BadnetsError as error:
        raise InputError(f"{path}: {error}") from error


def _first_fault(error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    place = ".".join(str(part) for part in first["loc"]) or "the whole file"
    if first["type"] in ("unexpected_keyword_argument", "extra_forbidden", "dataclass_exact_type"):
        return f"unknown key {place}"
    if first["type"] == "union_tag_invalid":
        context = first.get("ctx", {})
        return f"{place}: no rule is called {context.get('tag')!r}: expected one of {context.get('expected_tags')}"
    if first["type"] == "union_tag_not_found":
        return f"{place}: a rule has its name as 'rule'"
    return f"{place}: {first['msg'][:200]}"


def _key_names(terms: PolicyFile) -> list[str]:
    names = [*terms.verdict.signers, *terms.waivers.signers]
    for rule in leaf_rules(terms.require):
        names += rule.keys if isinstance(rule, Signed) else rule.signed_by if isinstance(rule, Audited) else ()
    return sorted(set(names))


def _authority_names(terms: PolicyFile) -> list[str]:
    rules = leaf_rules(terms.require)
    return sorted({name for rule in rules if isinstance(rule, Signed) for name in rule.authorities})
