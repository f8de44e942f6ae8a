"""Reads one pickle to its STOP with the abstract machine: protocols, frames, and what may follow.

`read_pickle` serves the readers of torch's files; `check` judges a pickle that is a file of its own.
"""

from __future__ import annotations

from dataclasses import dataclass

from badnets.supply.scan import calling, containers
from badnets.supply.scan import pickle_rules as rules
from badnets.supply.scan.findings import Finding
from badnets.supply.scan.log import Log
from badnets.supply.scan.opcodes import Broken, Cursor, read_opcode
from badnets.supply.scan.policy import WEIGHTS, Policy
from badnets.supply.scan.source import Exhausted, Source
from badnets.supply.scan.stack import State, Step
from badnets.supply.scan.tree import walk
from badnets.supply.scan.values import UNKNOWN, Stored

# What pickle.Pickler emits for weights: protocols 2 and 3, then 4 and 5.
_USUAL = frozenset(
    {
        "PROTO", "STOP", "MARK", "TUPLE", "TUPLE1", "TUPLE2", "TUPLE3", "EMPTY_TUPLE", "EMPTY_LIST", "EMPTY_DICT",
        "APPEND", "APPENDS", "SETITEM", "SETITEMS", "NONE", "NEWTRUE", "NEWFALSE", "BININT", "BININT1", "BININT2",
        "LONG1", "BINFLOAT", "BINUNICODE", "SHORT_BINSTRING", "BINPERSID", "BINGET", "LONG_BINGET", "BINPUT",
        "LONG_BINPUT", "GLOBAL", "REDUCE", "BUILD", "FRAME", "MEMOIZE", "SHORT_BINUNICODE", "STACK_GLOBAL",
    }
)  # fmt: skip
_RULES = {
    "NEXT_BUFFER": rules.BUFFER, "READONLY_BUFFER": rules.BUFFER, "EXT1": rules.EXTENSION, "EXT2": rules.EXTENSION,
    "EXT4": rules.EXTENSION, "PERSID": rules.PERSISTENT, "BINBYTES": rules.VALUE, "SHORT_BINBYTES": rules.VALUE,
    "BINBYTES8": rules.VALUE, "BYTEARRAY8": rules.VALUE,
}  # fmt: skip
_HANDLERS = {**containers.HANDLERS, **calling.HANDLERS}


@dataclass(frozen=True)
class Pickle:
    """What one pickle came to.

    Attributes:
        value: the description of its content; unknown where it was refused or broke off.
        end: the offset behind its STOP, or where reading gave up.
        storages: every storage that it refers to.
        steps: how many opcodes it has.
        whole: whether STOP was reached.
    """

    value: object
    end: int
    storages: tuple[Stored, ...]
    steps: int
    whole: bool


def read_pickle(log: Log, offset: int = 0, policy: Policy = WEIGHTS, *, legacy: bool = False) -> Pickle:
    """Walk the pickle that begins at `offset` of the log's source, and note everything against it.

    Raises:
        Exhausted: a bound of the budget is reached.
    """
    cursor = Cursor(log.source, offset)
    state = State(log, policy, legacy)
    frames = _Stream(state, offset)
    limits = log.source.budget.limits
    whole = False
    try:
        while not whole:
            place, opcode, argument = read_opcode(cursor)
            state.steps += 1
            if state.steps > limits.opcodes:
                raise Exhausted(f"a pickle of more than {limits.opcodes:,} opcodes")
            step = Step(place, opcode, argument)
            frames.check(step, cursor.position)
            if opcode.name not in _USUAL and not (opcode.name.startswith("NEWOBJ") and policy.classes):
                state.note(_RULES.get(opcode.name, rules.OPCODE), opcode.name, step)
            _HANDLERS[opcode.name](state, step)
            whole = opcode.name == "STOP"
            if log.full:
                break
    except Broken as error:
        log.add(rules.TRUNCATED if error.cut else rules.MALFORMED, error.reason, error.offset)
    value = state.stack[-1] if whole else UNKNOWN
    return Pickle(value, cursor.position, tuple(state.storages), state.steps, whole)


class _Stream:
    """Checks what concerns the stream and not the stack: the header, newer opcodes, frames."""

    def __init__(self, state: State, start: int) -> None:
        self.state, self.start = state, start
        self.protocol = 0
        self.frame: int | None = None
        self.newer = False

    def check(self, step: Step, end: int) -> None:
        """Look at one opcode, whose argument ends at `end`."""
        name = step.opcode.name
        if name == "PROTO":
            self._header(step)
        elif step.offset == self.start:
            self.state.note(rules.PROTOCOL, "no protocol header: protocol 0 or 1", step)
        if step.opcode.protocol > self.protocol and not self.newer:
            self.newer = True
            if self.protocol:
                self.state.note(rules.PROTOCOL, f"{name} in a pickle of protocol {self.protocol}", step)
        if name == "FRAME":
            self._open_frame(step, end)
        elif self.frame is not None and end >= self.frame:
            if end > self.frame:
                self.state.note(rules.FRAME, f"ends at {self.frame:,}, inside {name}", step)
            self.frame = None
        elif name == "STOP" and self.frame is not None:
            self.state.note(rules.FRAME, f"{self.frame - end:,} bytes of the frame follow the end", step)

    def _header(self, step: Step) -> None:
        if step.offset != self.start:
            self.state.note(rules.PROTOCOL, "a second protocol header", step)
            return
        self.protocol = step.argument if isinstance(step.argument, int) else 0
        newest = self.state.policy.newest_protocol
        if not 2 <= self.protocol <= newest:
            self.state.note(rules.PROTOCOL, f"protocol {self.protocol}, 2 to {newest} are read", step)

    def _open_frame(self, step: Step, end: int) -> None:
        length = step.argument if isinstance(step.argument, int) else 0
        if self.frame is not None:
            self.state.note(rules.FRAME, "a frame within a frame", step)
        elif end + length > self.state.log.source.size:
            self.state.note(rules.FRAME, f"{length:,} bytes, the file has fewer", step)
        self.frame = end + length


def check(source: Source, policy: Policy = WEIGHTS) -> list[Finding]:
    """Judge a pickle that is a file of its own: refused, unless `policy.bare` lets plain containers pass.

    Raises:
        Exhausted: a bound of the budget is reached.
    """
    log = Log(source)
    found = read_pickle(log, 0, policy)
    if found.whole:
        walk(log, found.value, found.steps)
        if found.end < source.size:
            left = source.size - found.end
            log.add(rules.TRAILING, f"{left:,} bytes after STOP", found.end, left)
    if found.storages:
        log.add(rules.PERSISTENT, "storages are not in this file", found.storages[0].offset)
    if not policy.bare:
        log.add(rules.BARE, "judged on its own", 0, source.size)
    return log.sorted()
