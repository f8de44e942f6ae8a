"""What the opcodes for plain values, containers and the memo do to the state of the machine."""

from __future__ import annotations

from collections.abc import Callable
from types import MappingProxyType

from badnets.supply.scan import pickle_rules as rules
from badnets.supply.scan.log import plain
from badnets.supply.scan.opcodes import Broken
from badnets.supply.scan.stack import State, Step
from badnets.supply.scan.text import suspicion
from badnets.supply.scan.values import UNKNOWN, Instance, Items, Table, Unknown

Handler = Callable[[State, Step], None]

_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": ()}
_SHORTEST_TEXT = 9  # nothing of that length runs, and a big state dict has thousands of short names


def _constant(state: State, step: Step) -> None:
    state.push(_CONSTANTS[step.opcode.name])


def _number(state: State, step: Step) -> None:
    number = step.argument
    if isinstance(number, int) and number.bit_length() > state.policy.number_bits:
        state.note(rules.NUMBER, f"{number.bit_length():,} bits", step)
        number = 0
    state.push(number)


def _text(state: State, step: Step) -> None:
    text = step.argument
    state.push(text)
    reason = suspicion(text) if isinstance(text, str) and len(text) >= _SHORTEST_TEXT else None
    if reason:
        state.note(rules.TEXT, f"{reason}: {plain(str(text), 60)}", step)


def _mark(state: State, step: Step) -> None:
    del step
    state.marks.append(state.stack)
    state.stack = []


def _stop(state: State, step: Step) -> None:
    if len(state.stack) != 1 or state.marks:
        held = len(state.stack) + sum(len(below) for below in state.marks)
        state.note(rules.MALFORMED, f"{held} values and {len(state.marks)} marks on the stack at the end", step)
    if not state.stack:
        state.push(UNKNOWN)


def _drop(state: State, step: Step) -> None:
    if state.stack or not state.marks:
        state.pop(step)
    else:
        state.pop_mark(step)


def _drop_mark(state: State, step: Step) -> None:
    state.pop_mark(step)


def _twice(state: State, step: Step) -> None:
    value = state.pop(step)
    state.stack += [value, value]


def _empty_list(state: State, step: Step) -> None:
    state.push(Items(step.offset))


def _empty_dict(state: State, step: Step) -> None:
    state.push(Table(step.offset))


def _tuple(state: State, step: Step) -> None:
    state.push(tuple(state.pop_mark(step)))


def _short_tuple(state: State, step: Step) -> None:
    count = int(step.opcode.name[-1])
    state.push(tuple(reversed([state.pop(step) for _ in range(count)])))


def _list(state: State, step: Step) -> None:
    state.push(Items(step.offset, state.pop_mark(step)))


def _dict(state: State, step: Step) -> None:
    items = state.pop_mark(step)
    state.push(Table(step.offset))
    _fill(state, step, items)


def _append(state: State, step: Step) -> None:
    _extend(state, step, [state.pop(step)])


def _appends(state: State, step: Step) -> None:
    _extend(state, step, state.pop_mark(step))


def _extend(state: State, step: Step, items: list[object]) -> None:
    target = state.pop(step)
    state.push(target)
    if isinstance(target, Items):
        target.items += items
    elif isinstance(target, Instance):
        target.parts += items
    elif not isinstance(target, Unknown):
        state.note(rules.MALFORMED, "values are appended to something that is no list", step)


def _setitem(state: State, step: Step) -> None:
    value = state.pop(step)
    _fill(state, step, [state.pop(step), value])


def _setitems(state: State, step: Step) -> None:
    _fill(state, step, state.pop_mark(step))


def _fill(state: State, step: Step, items: list[object]) -> None:
    if len(items) % 2:
        raise Broken(step.offset, "a key without a value")
    target = state.pop(step)
    state.push(target)
    if isinstance(target, Instance):
        target.parts += items
    elif isinstance(target, Table):
        for key, value in zip(items[::2], items[1::2], strict=True):
            _enter(state, step, target.entries, (key, value))
    elif not isinstance(target, Unknown):
        state.note(rules.MALFORMED, "items are set on something that is no dict", step)


def _enter(state: State, step: Step, entries: dict[str | int, object], item: tuple[object, object]) -> None:
    key, value = item
    if isinstance(key, Unknown):
        return
    if not isinstance(key, str | int) or isinstance(key, bool):
        state.note(rules.KEY, f"a key of the kind {type(key).__name__}", step)
    elif key in entries:
        state.note(rules.KEY, f"the key {key!r} twice", step)
    else:
        entries[key] = value


def _store(state: State, step: Step, number: int) -> None:
    if not state.stack:
        raise Broken(step.offset, "the memo stores from an empty stack")
    # Picklers count upwards from 0 and never store twice under a number.
    if number in state.memo or not 0 <= number < state.steps:
        state.note(rules.MEMO, f"stores under the number {number:,}", step)
    state.memo[number] = state.stack[-1]


def _memo_number(step: Step) -> int:
    text = step.argument
    if isinstance(text, str):  # protocol 0 writes it in digits
        if not (text.isascii() and text.isdigit() and len(text) < 20):
            raise Broken(step.offset, f"{plain(text, 20)!r} is no number of the memo")
        return int(text)
    return text if isinstance(text, int) else -1


def _put(state: State, step: Step) -> None:
    _store(state, step, _memo_number(step))


def _memoize(state: State, step: Step) -> None:
    _store(state, step, len(state.memo))


def _get(state: State, step: Step) -> None:
    number = _memo_number(step)
    if number not in state.memo:
        state.note(rules.MEMO, f"fetches the number {number:,}, under which nothing is stored", step)
    state.push(state.memo.get(number, UNKNOWN))


def _unknown(state: State, step: Step) -> None:
    del step
    state.push(UNKNOWN)


def _unknown_of_mark(state: State, step: Step) -> None:
    state.pop_mark(step)
    state.push(UNKNOWN)


def _nothing(state: State, step: Step) -> None:
    """PROTO and FRAME concern the stream, see `pickles`; READONLY_BUFFER leaves the stack as it is."""


HANDLERS: MappingProxyType[str, Handler] = MappingProxyType(
    {
        **dict.fromkeys(("NONE", "NEWTRUE", "NEWFALSE", "EMPTY_TUPLE"), _constant),
        **dict.fromkeys(("BININT", "BININT1", "BININT2", "LONG1", "LONG4", "BINFLOAT"), _number),
        **dict.fromkeys(("BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8", "UNICODE"), _text),
        **dict.fromkeys(("SHORT_BINSTRING", "BINSTRING"), _text),
        **dict.fromkeys(("TUPLE1", "TUPLE2", "TUPLE3"), _short_tuple),
        **dict.fromkeys(("PUT", "BINPUT", "LONG_BINPUT"), _put),
        **dict.fromkeys(("GET", "BINGET", "LONG_BINGET"), _get),
        **dict.fromkeys(("INT", "LONG", "FLOAT", "STRING", "NEXT_BUFFER", "EMPTY_SET"), _unknown),
        **dict.fromkeys(("BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8"), _unknown),
        **dict.fromkeys(("PROTO", "FRAME", "READONLY_BUFFER"), _nothing),
        "MEMOIZE": _memoize,
        "MARK": _mark,
        "STOP": _stop,
        "POP": _drop,
        "POP_MARK": _drop_mark,
        "ADDITEMS": _drop_mark,
        "FROZENSET": _unknown_of_mark,
        "DUP": _twice,
        "EMPTY_LIST": _empty_list,
        "EMPTY_DICT": _empty_dict,
        "TUPLE": _tuple,
        "LIST": _list,
        "DICT": _dict,
        "APPEND": _append,
        "APPENDS": _appends,
        "SETITEM": _setitem,
        "SETITEMS": _setitems,
    }
)
"""By the name of the opcode."""
