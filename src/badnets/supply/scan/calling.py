"""What the opcodes that could run code do to the machine: they describe, and refuse what is not allowed."""

from __future__ import annotations

import re
from types import MappingProxyType

from badnets.supply.scan import pickle_rules as rules
from badnets.supply.scan.calls import Refused, call, persistent
from badnets.supply.scan.containers import Handler
from badnets.supply.scan.opcodes import Argument
from badnets.supply.scan.stack import State, Step
from badnets.supply.scan.values import UNKNOWN, Instance, Named, Table, Unknown

_NAME = re.compile(r"[^\s\x00-\x1f]{1,256}")


def _name(state: State, step: Step, pair: Argument) -> None:
    module, name = pair if isinstance(pair, tuple) else ("", "")
    full = f"{module}.{name}"
    allowed = bool(_NAME.fullmatch(module) and _NAME.fullmatch(name)) and state.policy.allows(full)
    # The dot between module and name must be where the list has it: "collections" and "OrderedDict.fromkeys" is
    # a method, and ("torch", "_utils._rebuild_tensor_v2") no name that a pickler writes.
    allowed = allowed and "." not in name
    if not allowed:
        state.note(rules.GLOBAL, full, step)
    state.push(Named(module, name, step.offset, allowed))


def _global(state: State, step: Step) -> None:
    _name(state, step, step.argument)


def _stack_global(state: State, step: Step) -> None:
    name, module = state.pop(step), state.pop(step)
    if isinstance(name, str) and isinstance(module, str):
        _name(state, step, (module, name))
    else:
        state.note(rules.GLOBAL, "a name that is no text", step)
        state.push(UNKNOWN)


def _extension(state: State, step: Step) -> None:
    state.push(UNKNOWN)
    del step


def _reduce(state: State, step: Step) -> None:
    arguments, function = state.pop(step), state.pop(step)
    state.push(_called(state, step, function, arguments))


def _called(state: State, step: Step, function: object, arguments: object) -> object:
    if isinstance(function, Unknown) or (isinstance(function, Named) and not function.allowed):
        return UNKNOWN  # noted where it was named
    if not isinstance(function, Named):
        state.note(rules.CALL, "something that is no function is called", step)
        return UNKNOWN
    if isinstance(arguments, tuple):
        if any(isinstance(value, Unknown) for value in arguments):
            return UNKNOWN
        if function.full in state.policy.classes:
            return Instance(function, list(arguments))
        try:
            return call(function, arguments, step.offset)
        except Refused as error:
            state.note(error.rule, error.reason, step)
    elif not isinstance(arguments, Unknown):
        state.note(rules.CALL, f"{function.full} is called with something that is no tuple", step)
    return UNKNOWN


def _newobj(state: State, step: Step) -> None:
    parts = [state.pop(step) for _ in range(1 if step.opcode.name == "NEWOBJ" else 2)]
    named = state.pop(step)
    if isinstance(named, Named) and named.allowed and named.full in state.policy.classes:
        state.push(Instance(named, parts))
        return
    if not isinstance(named, Unknown) and not (isinstance(named, Named) and not named.allowed):
        what = named.full if isinstance(named, Named) else "something that is no class"
        state.note(rules.CALL, f"{what} is made without being called", step)
    state.push(UNKNOWN)


def _instance(state: State, step: Step) -> None:
    state.pop_mark(step)
    _name(state, step, step.argument)
    state.stack[-1] = UNKNOWN


def _object(state: State, step: Step) -> None:
    state.pop_mark(step)
    state.push(UNKNOWN)


def _build(state: State, step: Step) -> None:
    given, target = state.pop(step), state.pop(step)
    state.push(target)
    if isinstance(target, Unknown) or isinstance(given, Unknown):
        return
    if isinstance(target, Instance):
        target.parts.append(given)
    elif not (isinstance(target, Table) and target.ordered and target.attributes is None):
        state.note(rules.BUILD, "on something that is no state dict", step)
    elif not (isinstance(given, Table) and given.attributes is None and set(given.entries) <= {"_metadata"}):
        # The loader writes these over the dict's own methods.
        state.note(rules.BUILD, "a state dict has no attribute but _metadata", step)
    elif not all(isinstance(value, Table) for value in given.entries.values()):
        state.note(rules.BUILD, "_metadata is no dict", step)
    else:
        target.attributes = given


def _persistent(state: State, step: Step) -> None:
    identity = state.pop(step)
    if isinstance(identity, Unknown) or (isinstance(identity, tuple) and any(isinstance(x, Unknown) for x in identity)):
        state.push(UNKNOWN)
        return
    try:
        storage = persistent(identity, step.offset, legacy=state.legacy)
    except Refused as error:
        state.note(error.rule, error.reason, step)
        state.push(UNKNOWN)
        return
    state.storages.append(storage)
    state.push(storage)


HANDLERS: MappingProxyType[str, Handler] = MappingProxyType(
    {
        **dict.fromkeys(("EXT1", "EXT2", "EXT4", "PERSID"), _extension),
        **dict.fromkeys(("NEWOBJ", "NEWOBJ_EX"), _newobj),
        "GLOBAL": _global,
        "STACK_GLOBAL": _stack_global,
        "REDUCE": _reduce,
        "INST": _instance,
        "OBJ": _object,
        "BUILD": _build,
        "BINPERSID": _persistent,
    }
)
"""By the name of the opcode."""
