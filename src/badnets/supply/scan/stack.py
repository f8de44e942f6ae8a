"""The state of the abstract pickle machine: stack, marks and memo, as in CPython's `Lib/pickle.py`."""

from __future__ import annotations

from dataclasses import dataclass, field

from badnets.supply.scan.findings import Rule
from badnets.supply.scan.log import Log
from badnets.supply.scan.opcodes import Argument, Broken, Opcode
from badnets.supply.scan.policy import Policy
from badnets.supply.scan.values import Stored


@dataclass(frozen=True, slots=True)
class Step:
    """One opcode as it was read."""

    offset: int
    opcode: Opcode
    argument: Argument


@dataclass(eq=False, slots=True)
class State:
    """What one pickle has come to so far.

    Attributes:
        log: takes the findings, by offsets in the source that the opcodes come from.
        policy: what may be named.
        legacy: whether persistent ids have the form from before torch 1.6.
        stack: values above the last mark.
        marks: the stacks below each mark.
        memo: by number.
        storages: every storage referred to, in order.
        steps: opcodes so far.
    """

    log: Log
    policy: Policy
    legacy: bool
    stack: list[object] = field(default_factory=list)
    marks: list[list[object]] = field(default_factory=list)
    memo: dict[int, object] = field(default_factory=dict)
    storages: list[Stored] = field(default_factory=list)
    steps: int = 0

    def push(self, value: object) -> None:
        """Put a value on top."""
        self.stack.append(value)

    def pop(self, step: Step) -> object:
        """The topmost value above the last mark; raises `Broken` where there is none."""
        if not self.stack:
            raise Broken(step.offset, "a value is taken from an empty stack")
        return self.stack.pop()

    def pop_mark(self, step: Step) -> list[object]:
        """All values above the last mark; raises `Broken` where there is none."""
        if not self.marks:
            raise Broken(step.offset, "a mark is expected and there is none")
        items, self.stack = self.stack, self.marks.pop()
        return items

    def note(self, rule: Rule, detail: str, step: Step) -> None:
        """Note a finding at an opcode."""
        self.log.add(rule, detail, step.offset)
