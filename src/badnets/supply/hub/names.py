"""What models and their files may be called in a hub: the same on every system and in every address."""

from __future__ import annotations

import re
from collections.abc import Iterable

from badnets.errors import InputError
from badnets.supply.scan.names import fault, twin_key

_PART = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,99}")
# Consistent snapshots put the digest before the name of a file: no name may look as if it had one.
_DIGEST = re.compile(r"(^|/)[0-9a-f]{64}\.")
# In an address these end the path, or stand for another letter.
_ADDRESS = frozenset("%?#")


def check_model(name: str) -> str:
    """`name`, if a model may be called so.

    Raises:
        InputError: it may not.
    """
    parts = name.split("/")
    if len(parts) > 8 or not all(_PART.fullmatch(part) for part in parts):
        raise InputError(
            f"no model may be called {name[:80]!r}: expected parts of letters, digits, . _ + and -, at most 100 each, "
            "with / between them, such as lab/stop-signs/v3"
        )
    _check(name)
    return name


def check_files(names: Iterable[str]) -> None:
    """Raise `InputError` unless all files of a model may be called so, beside each other."""
    seen: dict[str, str] = {}
    for name in names:
        odd = _ADDRESS & set(name)
        if odd:
            raise InputError(
                f"a file of the model has {min(odd)!r} in its name, which addresses read otherwise: {name}"
            )
        if max(len(part.encode()) for part in name.split("/")) > 180:
            raise InputError(f"a file of the model has a name of more than 180 bytes: {name[:80]}...")
        _check(name)
        other = seen.setdefault(twin_key(name), name)
        if other != name:
            raise InputError(f"{other} and {name} are one file on some systems: rename one")


def _check(name: str) -> None:
    found = fault(name)
    if found:
        raise InputError(f"{name[:80]!r} names different things on different systems: {found[1]}")
    if _DIGEST.search(name):
        raise InputError(f"{name[:80]!r} begins like a digest, which the hub puts there itself: rename it")
