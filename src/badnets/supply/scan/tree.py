"""Walks what a pickle came to: finds the tensors with their paths, and values that weights do not have."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from badnets.supply.scan import pickle_rules as rules
from badnets.supply.scan.inventory import TensorSpec
from badnets.supply.scan.log import Log, plain
from badnets.supply.scan.policy import DTYPES
from badnets.supply.scan.text import TENSOR_NAME, bad_name
from badnets.supply.scan.values import Inert, Instance, Items, Named, Stored, Table, Unknown, View

MOST_NESTED = 100
_MOST_OTHER = 100
_VISITS = 16  # walked values for each opcode: a shared value is walked once for each place it has

Path = tuple[str | int, ...]


@dataclass(frozen=True)
class Content:
    """What a pickle holds: tensors, and the paths of the first hundred values that are none."""

    tensors: tuple[TensorSpec, ...]
    other: tuple[Path, ...]


def walk(log: Log, value: object, steps: int) -> Content:
    """Everything in `value`, the result of `steps` opcodes; what does not belong there is noted."""
    tensors: list[TensorSpec] = []
    other: list[Path] = []
    pending: list[tuple[Path, object]] = [((), value)]
    left = _VISITS * steps + 1000
    while pending:
        path, item = pending.pop()
        left -= 1
        if left < 0 or len(path) > MOST_NESTED:
            reason = (
                f"more than {MOST_NESTED} levels" if len(path) > MOST_NESTED else f"{steps:,} opcodes make too much"
            )
            log.add(rules.EXPANSION, reason)
            break
        if isinstance(item, View):
            tensors.append(_tensor(log, path, item))
        elif isinstance(item, Table | Items | tuple | Instance):
            if isinstance(item, Table) and item.attributes is not None:
                _judge_metadata(log, item.attributes)
            pending.extend(reversed(list(_children(path, item))))
        else:
            _judge(log, path, item)
            if len(other) < _MOST_OTHER:
                other.append(path)
    return Content(tuple(tensors), tuple(other))


def _children(path: Path, item: Table | Items | tuple[object, ...] | Instance) -> Iterator[tuple[Path, object]]:
    if isinstance(item, Table):
        yield from (((*path, key), value) for key, value in item.entries.items())
        return
    parts = item.items if isinstance(item, Items) else item.parts if isinstance(item, Instance) else item
    yield from (((*path, number), value) for number, value in enumerate(parts))


def _judge_metadata(log: Log, attributes: Table) -> None:
    """Look through the one attribute that torch gives a state dict: {module: {"version": number}}."""
    for modules in attributes.entries.values():
        for module in modules.entries.values() if isinstance(modules, Table) else ():
            facts = module.entries.values() if isinstance(module, Table) else [module]
            if not all(fact is None or isinstance(fact, int | str | Unknown) for fact in facts):
                log.add(rules.VALUE, "_metadata holds more than versions", attributes.offset)


def _tensor(log: Log, path: Path, view: View) -> TensorSpec:
    for part in path:
        reason = bad_name(part) if isinstance(part, str) else None
        if reason:
            log.add(TENSOR_NAME, f"{plain(str(part), 60)}: {reason}", view.offset)
            break
    return TensorSpec(
        path, view.dtype, view.shape, view.stride, view.storage.key, view.start, view.requires_grad, view.offset
    )  # fmt: skip


def _judge(log: Log, path: Path, item: object) -> None:
    if item is None or isinstance(item, str | int | float | Inert | Unknown):
        return
    if isinstance(item, Named):
        if not (item.module == "torch" and item.name in DTYPES):
            log.add(rules.VALUE, f"{_where(path)} is {item.full} itself", item.offset)
    elif isinstance(item, Stored):
        log.add(rules.VALUE, f"{_where(path)} is a storage without a tensor", item.offset)
    else:
        log.add(rules.VALUE, f"{_where(path)} is a {type(item).__name__}")


def _where(path: Path) -> str:
    return ".".join(str(part) for part in path) or "the whole"
