"""One model before the gate, as the queue of a study takes it: really judged, and really loaded afterwards, or not."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path

from safetensors.torch import load

from badnets.admitted import load_admitted
from badnets.artifacts import canonical_json, read_bytes, sha256_bytes, sha256_json
from badnets.audit.auditing import Declared, Options, audit
from badnets.audit.digest import tensors_digest
from badnets.audit.population import Population
from badnets.audit.stages import Watch
from badnets.audit.verdict import Verdict
from badnets.errors import DataError
from badnets.models import ModelSpec, build
from badnets.studies.queue import Assignment, carried_out_once
from badnets.studies.single import Single
from badnets.supply.gate.admitted import NotAdmitted
from badnets.supply.gate.evidence import AuditEvidence
from badnets.supply.gate.examine import Extras
from badnets.supply.gate.gate import Decision, Keeper, gate
from badnets.supply.gate.intake import from_disk
from badnets.supply.gate.outcome import Word
from badnets.supply.gate.policy import Policy, read_policy
from badnets.supply.gate.store import Store
from badnets.supply.signing.keys import read_private_key
from badnets.testimony import evidence_of
from badnets.training.checkpoint import WEIGHTS, put_weights
from badnets.training.tasks import Hooks, Images

ARCHITECTURE = "badnet_cnn"
_WAIT = 600.0


@dataclass(frozen=True)
class House:
    """The folder of one gate: its policy, its key and its store."""

    folder: Path

    @property
    def policy(self) -> Path:
        """What may come in."""
        return self.folder / "gate.toml"

    @property
    def key(self) -> Path:
        """That signs verdicts."""
        return self.folder / "gate.key"

    @property
    def public(self) -> Path:
        """The other half of it, which the policy names."""
        return self.folder / "gate.pub"

    @property
    def store(self) -> Store:
        """Of admitted models."""
        return Store(self.folder / "store")


@dataclass(frozen=True)
class GateCell(Single):
    """One model to be judged.

    Attributes:
        name: of the model.
        model: digest of its file of weights.
        options: of the audit.
        policy: digest of the gate's.
        home: folder of the model; nothing hangs on where that is.
        house: of the gate; all that hangs on is the policy.
        population: clean reference models; all that hangs on is their key.
    """

    name: str
    model: str
    options: Options
    policy: str
    home: Path = field(compare=False)
    house: House = field(compare=False)
    population: Population = field(compare=False)
    seed: int = 0

    @property
    def label(self) -> str:
        """Its name."""
        return self.name

    def key(self, data: str) -> str:
        """SHA-256 over model, options, policy, references and images."""
        references = [self.population.recipe.key, *self.population.numbers]
        return sha256_json([self.name, self.model, self.options, self.policy, references, data])


@dataclass(frozen=True)
class Rule:
    """A rule that decided, and why."""

    name: str
    reason: str

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - pydantic reads it, nothing writes it


@dataclass(frozen=True)
class Judgement:
    """What the gate decided about one model, and what came of loading it.

    Attributes:
        word: admit, review, undecided or refuse.
        rules: that the word is due to.
        audit: what the audit said within the gate; None where the gate did not come to it.
        entry: name of the admitted model in the store; empty where it is not admitted.
        statement: name of the signed evidence in the store.
        loaded: whether `load_admitted` gave its weights, bit by bit those that were judged.
        refusal: what `load_admitted` said instead; empty where it gave them.
    """

    word: Word
    rules: tuple[Rule, ...]
    audit: Verdict | None
    entry: str
    statement: str
    loaded: bool
    refusal: str

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - pydantic reads it, nothing writes it


@dataclass(frozen=True)
class GateOutcome:
    """The judgement as the queue keeps it.

    Attributes:
        result: the judgement.
        seconds: of wall time.
    """

    result: Judgement
    seconds: float

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - pydantic reads it, nothing writes it

    @property
    def said(self) -> str:
        """The gist of it in a few words."""
        if self.result.word == Word.ADMIT:
            return f"{Word.ADMIT}: all rules hold"
        return f"{self.result.word} by {', '.join(rule.name for rule in self.result.rules)}"


@dataclass
class _Auditor:
    """Audits what lies in the quarantine, as the gate asks for it, and remembers the verdict."""

    images: Images
    cell: GateCell
    hooks: Hooks
    said: Verdict | None = None

    def __call__(self, weights: Path) -> AuditEvidence:
        """The audit of one file of weights. Raises `Stopped`, and `DataError` for weights of another network."""
        tensors = load(read_bytes(weights))
        spec = ModelSpec.fitting(self.images[0], ARCHITECTURE)
        model = build(spec, seed=0)
        put_weights(model, tensors, weights)
        found = audit(
            model, self.images[0], declared=Declared(ARCHITECTURE, spec), population=self.cell.population,
            options=self.cell.options, watch=Watch(stop=self.hooks.stop),
        )  # fmt: skip
        self.said = found.verdict
        return evidence_of(found.verdict, sha256_bytes(canonical_json(found.verdict).encode()))


def carry_out_gate(images: Images, task: Assignment, hooks: Hooks) -> GateOutcome:
    """The work of an engine: one model through the whole gate, and then to whoever would load it."""
    return carried_out_once(task, GateOutcome, lambda: _judged(images, task.cell, hooks))


def _judged(images: Images, cell: GateCell, hooks: Hooks) -> GateOutcome:
    begun = time.monotonic()
    file, policy = cell.home / WEIGHTS, read_policy(cell.house.policy)
    keeper = Keeper(policy, cell.house.store, read_private_key(cell.house.key), _WAIT)
    auditor = _Auditor(images, cell, hooks)
    decision = gate(from_disk(file), keeper, extras=Extras(auditor=auditor))
    refusal = _loading(decision, file, policy)
    judgement = Judgement(
        word=decision.word,
        rules=tuple(Rule(leaf.rule, leaf.reason) for leaf in decision.outcome.deciding()),
        audit=auditor.said,
        entry=decision.path.name if decision.path else "",
        statement=decision.folder.name if decision.folder else "",
        loaded=not refusal,
        refusal=refusal,
    )
    return GateOutcome(judgement, round(time.monotonic() - begun, 3))


def _loading(decision: Decision, file: Path, policy: Policy) -> str:
    """What a consumer is told who loads the model, as it was admitted or else as it came; empty for its weights."""
    try:
        weights = load_admitted(decision.path or file, policy)
    except NotAdmitted as refusal:
        return str(refusal)
    if tensors_digest(weights) != decision.evidence.weights[0].tensor_digest:
        raise DataError(f"{decision.path} gave other tensors than were judged: keep it, and say so")
    return ""
