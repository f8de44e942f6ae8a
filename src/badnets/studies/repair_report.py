"""What a repair of a suspect model is asked for, and what it came to, as values; the second is a JSON file."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from badnets.audit.auditing import Options
from badnets.audit.verdict import Verdict
from badnets.defenses.repair import REPAIRS
from badnets.errors import InputError
from badnets.metrics import Rate

Outcome = Literal["repaired", "left", "refused", "worse"]


@dataclass(frozen=True)
class RepairOptions:
    """What a repair is asked for.

    Attributes:
        method: a key of `REPAIRS`; None unlearns what the audit recovered.
        images: clean ones to repair with, drawn at random; others, and a fifth of these, judge what came out.
        loss: accuracy that the repair may cost, as a share in [0, 1].
        anyway: repair although the audit found nothing.
        even_if_worse: hand over a model that came out worse, marked.
        poisons: stamped images among the clean ones of the re-learning test.
        seed: of everything that is drawn.
        audit: how both audits are made.

    Raises:
        InputError: no such method, or a value outside its range.
    """

    method: str | None = None
    images: int = 1000
    loss: float = 0.01
    anyway: bool = False
    even_if_worse: bool = False
    poisons: int = 10
    seed: int = 0
    audit: Options = Options()

    def __post_init__(self) -> None:
        if self.method is not None and self.method not in REPAIRS:
            raise InputError(f"no repair is called {self.method!r}: known are {', '.join(REPAIRS)}")
        if not 0 <= self.loss <= 1:
            raise InputError(f"the accuracy that may be lost is a share in [0, 1], got {self.loss}")
        if self.images < 2 or self.poisons < 1 or self.seed < 0:
            raise InputError(f"a repair takes 2 or more images, 1 or more poisons and a seed from 0, got {self}")


@dataclass(frozen=True)
class Moved:
    """How many held-out images a recovered trigger moves as it should, before and after the repair."""

    what: str
    before: Rate
    after: Rate

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - pydantic reads it, nothing writes it


@dataclass(frozen=True)
class RepairReport:
    """What was done and what came out; exactly what `repair.json` holds.

    Attributes:
        outcome: "repaired"; "left" as it was, as nothing was found; "refused", as it came out worse; "worse", and
            handed over because that was asked for.
        reason: in one line.
        method: a key of `REPAIRS`; empty where nothing was done.
        model: the canonical digest of the tensors as they came.
        repaired: of the repaired ones; empty without.
        images: clean ones that the repair had, the fifth that it held out included.
        before: accuracy on images that it did not have.
        after: of the repaired model on the same ones.
        moved: by each recovered trigger.
        relearned: success of the first recovered trigger after one epoch with a few images that bear it; None without
            one.
        done: a line each.
        first: verdict of the audit before.
        second: verdict of the audit after; None where nothing was done.
        seconds: of wall time, audits included.
    """

    outcome: Outcome
    reason: str
    method: str
    model: str
    repaired: str
    images: int
    before: Rate
    after: Rate
    moved: tuple[Moved, ...]
    relearned: Rate | None
    done: tuple[str, ...]
    first: Verdict
    second: Verdict | None
    seconds: float
    kind: Literal["badnets repair"] = field(default="badnets repair")
    format: Literal[1] = field(default=1)

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - pydantic reads it, nothing writes it

    @property
    def loss(self) -> float:
        """By how much accuracy fell, as a share; negative where it rose."""
        return self.before.value - self.after.value

    @property
    def exit_code(self) -> int:
        """That of the last audit; 1 for a model that came out worse."""
        if self.outcome in ("refused", "worse"):
            return 1
        return (self.second or self.first).exit_code
