"""What objects are called: by a set's own names, by the paper's U.S. superclasses, or by its Swedish groups."""

from __future__ import annotations

from typing import Literal

from badnets.errors import InputError

Naming = Literal["name", "us", "supercategory"]

NAMINGS: tuple[Naming, ...] = ("name", "us", "supercategory")
# The classes of the paper's tables 4 and 6. What is none of the first three is background to the paper's detector: its
# training pictures show such signs, and none of them is marked.
US = ("stop", "speedlimit", "warning")
GROUPS = ("information", "mandatory", "prohibitory", "warning", "other")
KNOWN: dict[Naming, tuple[str, ...]] = {"us": US, "supercategory": GROUPS}


def checked(naming: str, able: tuple[Naming, ...], name: str) -> Naming:
    """`naming` as one of those that a set has.

    Raises:
        InputError: it is none.
    """
    found = next((known for known in able if known == naming), None)
    if found is None:
        raise InputError(f"{name} can be called by {' or '.join(able)}, got {naming!r}")
    return found
