"""JSON read without leniency: what one reader understands, all readers understand alike."""

from __future__ import annotations

import json
from typing import NoReturn

from badnets.supply.signing.refusal import Refused

Object = dict[str, object]


def read_object(text: bytes, where: str) -> Object:
    """The JSON object that `text` is.

    Names that come twice, NaN, a byte order mark, lone surrogates and anything but UTF-8 are refused: readers differ
    on what they mean.

    Raises:
        Refused: not such an object; the message names `where`.
    """
    try:
        value = json.loads(text.decode("utf-8"), object_pairs_hook=_object, parse_constant=_constant)
        json.dumps(value, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:  # ValueError: bad UTF-8, bad JSON, too many digits
        raise Refused(f"{where} is not strict JSON: {' '.join(str(error).split())[:200]}") from error
    if not isinstance(value, dict):
        raise Refused(f"{where}: expected a JSON object, got {_kind(value)}")
    return value


def only(value: Object, where: str, *, needed: tuple[str, ...], allowed: tuple[str, ...] = ()) -> None:
    """Raise `Refused` unless `value` has all the `needed` names and no other than these and the `allowed` ones."""
    for name in needed:
        if name not in value:
            raise Refused(f"{where} has no {name!r}")
    for name in value:
        if name not in needed and name not in allowed:
            raise Refused(f"{where} has an unknown name {name!r}")


def text_of(value: Object, name: str, where: str) -> str:
    """The text called `name`. Raises `Refused`."""
    found = value.get(name)
    if not isinstance(found, str):
        raise Refused(f"{where}: expected text as {name!r}, got {_kind(found)}")
    return found


def object_of(value: Object, name: str, where: str) -> Object:
    """The object called `name`. Raises `Refused`."""
    found = value.get(name)
    if not isinstance(found, dict):
        raise Refused(f"{where}: expected an object as {name!r}, got {_kind(found)}")
    return found


def objects_of(value: Object, name: str, where: str) -> list[Object]:
    """The list of objects called `name`. Raises `Refused`."""
    found = value.get(name)
    if not isinstance(found, list) or not all(isinstance(item, dict) for item in found):
        raise Refused(f"{where}: expected a list of objects as {name!r}, got {_kind(found)}")
    return found


def _object(pairs: list[tuple[str, object]]) -> Object:
    value = dict(pairs)
    if len(value) < len(pairs):
        seen: set[str] = set()
        twice = next(name for name, _ in pairs if name in seen or seen.add(name))  # type: ignore[func-returns-value]
        raise ValueError(f"the name {twice!r} comes twice")
    return value


def _constant(word: str) -> NoReturn:
    raise ValueError(f"{word} is no JSON number")


def _kind(value: object) -> str:
    kinds = {dict: "an object", list: "another list", str: "text", bool: "true or false", type(None): "nothing"}
    return kinds.get(type(value), "a number")
