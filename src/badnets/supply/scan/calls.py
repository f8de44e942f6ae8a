"""Calls in a pickle of weights: the argument forms that torch's rebuild functions are given by torch's writer.

Source: torch 2.15, `torch/_utils.py` (`_rebuild_tensor`, `_v2`, `_v3`, `_rebuild_parameter`), `torch/_tensor.py`
(`_reduce_ex_internal`) and `torch/serialization.py` (`persistent_id` in `_save` and `_legacy_save`).
"""

from __future__ import annotations

import re
from collections.abc import Callable

from badnets.supply.scan import pickle_rules as rules
from badnets.supply.scan.findings import Rule
from badnets.supply.scan.inventory import BITS
from badnets.supply.scan.policy import DTYPES, STORAGES, UNTYPED
from badnets.supply.scan.values import Inert, Items, Named, Stored, Table, View

_LOCATION = re.compile(r"(?:cpu|cuda|mps|xpu|hpu|npu|mlu|xla|hip|privateuseone)(?::\d{1,4})?")
_KEY = re.compile(r"\d{1,20}")
_FLOATING = frozenset({"F16", "BF16", "F32", "F64", "C64", "C128", "F8_E4M3", "F8_E5M2", "F8_E8M0",
                       "F8_E4M3FNUZ", "F8_E5M2FNUZ"})  # fmt: skip
_MOST = 2**63


class Refused(Exception):  # noqa: N818 - caught by the machine, which notes it
    """A call, or a persistent id, in another form than torch's writer gives it."""

    def __init__(self, rule: Rule, reason: str) -> None:
        super().__init__(reason)
        self.rule, self.reason = rule, reason


def _sizes(value: object, what: str) -> tuple[int, ...]:
    if isinstance(value, tuple) and all(type(size) is int and -_MOST <= size < _MOST for size in value):
        return value
    raise Refused(rules.CALL, f"{what} is no tuple of whole numbers")


def _count(value: object, what: str) -> int:
    if type(value) is int and 0 <= value < _MOST:
        return value
    raise Refused(rules.CALL, f"{what} is no count")


def _flag(value: object, dtype: str) -> bool:
    if not isinstance(value, bool):
        raise Refused(rules.CALL, "requires_grad is neither true nor false")
    if value and dtype not in _FLOATING:
        raise Refused(rules.CALL, f"requires_grad on {dtype}, which has no gradient")
    return value


def _no_hooks(value: object) -> None:
    # Before version 0.4 torch wrote None there.
    if value is not None and not (
        isinstance(value, Table) and value.ordered and not value.entries and value.attributes is None
    ):
        raise Refused(rules.CALL, "backward hooks are not an empty OrderedDict")


def _typed(value: object) -> Stored:
    if isinstance(value, Stored) and value.dtype:
        return value
    raise Refused(rules.CALL, "the first argument is no typed storage")


def _tensor(arguments: tuple[object, ...], offset: int, *, requires_grad: bool = False) -> View:
    storage, start, shape, stride = arguments
    held = _typed(storage)
    sizes = _sizes(shape, "size"), _sizes(stride, "stride")
    return View(held, held.dtype, _count(start, "storage offset"), *sizes, requires_grad, offset)


def _tensor_v2(arguments: tuple[object, ...], offset: int) -> View:
    requires_grad, hooks, *metadata = arguments[4:]
    _no_hooks(hooks)
    if metadata and not (metadata[0] is None or (isinstance(metadata[0], Table) and not metadata[0].entries)):
        raise Refused(rules.CALL, "the tensor has metadata, such as a conjugate or a negative view")
    flag = _flag(requires_grad, _typed(arguments[0]).dtype)
    return _tensor(arguments[:4], offset, requires_grad=flag)


def _tensor_v3(arguments: tuple[object, ...], offset: int) -> View:
    storage, start, shape, stride, requires_grad, hooks, dtype, *metadata = arguments
    if not (isinstance(storage, Stored) and not storage.dtype):
        raise Refused(rules.CALL, "the first argument is no untyped storage")
    if not (isinstance(dtype, Named) and dtype.module == "torch" and dtype.name in DTYPES):
        raise Refused(rules.CALL, "the seventh argument is no dtype")
    if metadata and metadata[0] is not None:
        raise Refused(rules.CALL, "the tensor has metadata")
    kind = DTYPES[dtype.name]
    _no_hooks(hooks)
    return View(
        storage, kind, _count(start, "storage offset"), _sizes(shape, "size"), _sizes(stride, "stride"),
        _flag(requires_grad, kind), offset,
    )  # fmt: skip


def _parameter(arguments: tuple[object, ...], offset: int) -> View:
    view, requires_grad, hooks = arguments
    if not isinstance(view, View):
        raise Refused(rules.CALL, "the first argument is no tensor")
    _no_hooks(hooks)
    flag = _flag(requires_grad, view.dtype)
    return View(view.storage, view.dtype, view.start, view.shape, view.stride, flag, offset)


def _ordered_dict(arguments: tuple[object, ...], offset: int) -> Table:
    table = Table(offset, ordered=True)
    if not arguments:
        return table
    # Python 2 gave the items to the call: a list of lists of two.
    pairs = arguments[0].items if isinstance(arguments[0], Items) else None
    if pairs is None:
        raise Refused(rules.CALL, "OrderedDict is called with something else than a list of pairs")
    for pair in pairs:
        two = tuple(pair.items) if isinstance(pair, Items) else pair
        if not (isinstance(two, tuple) and len(two) == 2 and isinstance(two[0], str)):
            raise Refused(rules.CALL, "an item of an OrderedDict is no pair of a text and a value")
        if two[0] in table.entries:
            raise Refused(rules.KEY, f"the key {two[0]!r} twice")
        table.entries[two[0]] = two[1]
    return table


def _size(arguments: tuple[object, ...], offset: int) -> Inert:
    del offset
    return Inert(f"torch.Size({_sizes(arguments[0], 'size')})")


def _device(arguments: tuple[object, ...], offset: int) -> Inert:
    del offset
    name, *index = arguments
    if not (isinstance(name, str) and _LOCATION.fullmatch(name)) or not all(type(number) is int for number in index):
        raise Refused(rules.CALL, "a device of another form than 'cuda', 0")
    return Inert(f"torch.device({name!r})")


_Form = Callable[[tuple[object, ...], int], Table | View | Inert]
_FORMS: dict[str, tuple[_Form, int, int]] = {
    "collections.OrderedDict": (_ordered_dict, 0, 1),
    "torch._utils._rebuild_tensor": (_tensor, 4, 4),
    "torch._utils._rebuild_tensor_v2": (_tensor_v2, 6, 7),
    "torch._utils._rebuild_tensor_v3": (_tensor_v3, 7, 8),
    "torch._utils._rebuild_parameter": (_parameter, 3, 3),
    "torch.Size": (_size, 1, 1),
    "torch.device": (_device, 1, 2),
}


def call(named: Named, arguments: tuple[object, ...], offset: int) -> Table | View | Inert:
    """What an allowed call makes.

    Raises:
        Refused: it cannot be called, or not with these arguments.
    """
    if named.full not in _FORMS:
        raise Refused(rules.CALL, f"{named.full} is no function of torch's writer")
    form, least, most = _FORMS[named.full]
    if not least <= len(arguments) <= most:
        raise Refused(rules.CALL, f"{named.full} with {len(arguments)} arguments, {least} to {most} are expected")
    try:
        return form(arguments, offset)
    except Refused as error:
        raise Refused(error.rule, f"{named.full}: {error.reason}") from error


def persistent(identity: object, offset: int, *, legacy: bool) -> Stored:
    """The storage that a persistent id of torch describes.

    Raises:
        Refused: it has another form.
    """
    if not isinstance(identity, tuple) or len(identity) != 5 + legacy or identity[0] != "storage":
        tag = identity[0] if isinstance(identity, tuple) and identity and isinstance(identity[0], str) else ""
        raise Refused(rules.PERSISTENT, f"no storage of torch {tag!r}")
    _, kind, key, location, count, *view = identity
    if not (isinstance(kind, Named) and (kind.full == UNTYPED or (kind.module == "torch" and kind.name in STORAGES))):
        raise Refused(rules.PERSISTENT, "its type is no storage type")
    if not (isinstance(key, str) and _KEY.fullmatch(key)):
        raise Refused(rules.PERSISTENT, "its key is no number in decimal digits")
    if not (isinstance(location, str) and _LOCATION.fullmatch(location)):
        raise Refused(rules.PERSISTENT, "its location is no device")
    dtype = STORAGES.get(kind.name, "")
    if legacy and not dtype:
        raise Refused(rules.PERSISTENT, "an untyped storage, which no loader reads from this format")
    if type(count) is not int or not 0 <= count < _MOST // (BITS[dtype] if dtype else 8):
        raise Refused(rules.PERSISTENT, "its count of elements is no count")
    if view and view[0] is not None:
        raise Refused(rules.PERSISTENT, "a view on a storage, which torch stopped writing before version 1.0")
    return Stored(key, dtype, count, location, offset)
