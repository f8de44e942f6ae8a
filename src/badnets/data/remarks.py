"""What can be odd about a picture's file, and what is then done: one table, so that nothing is done unsaid."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal[
    "empty", "no picture", "damaged", "too large", "tiny", "depth",
    "misnamed", "odd mark", "frames", "rotated", "cmyk", "deep", "palette", "transparent", "grey", "colour",
]  # fmt: skip
Treatment = Literal["left out", "kept", "turned", "converted"]

# Each kind: its treatment in one word, and in words for people.
TREATMENTS: dict[Kind, tuple[Treatment, str]] = {
    "empty": ("left out", "left out"),
    "no picture": ("left out", "left out"),
    "damaged": ("left out", "left out"),
    "too large": ("left out", "left out"),
    "tiny": ("left out", "left out"),
    "depth": ("left out", "left out"),
    "misnamed": ("kept", "read by its content"),
    "odd mark": ("kept", "passed over, the pixels kept as they are"),
    "frames": ("converted", "the first one taken"),
    "rotated": ("turned", "turned upright"),
    "cmyk": ("converted", "converted to RGB without its colour profile"),
    "deep": ("converted", "brought to 8 bits"),
    "palette": ("converted", "its colours looked up"),
    "transparent": ("converted", "laid on white"),
    "grey": ("converted", "repeated in all three channels"),
    "colour": ("converted", "made grey"),
}


@dataclass(frozen=True)
class Remark:
    """One odd thing about one file.

    Attributes:
        kind: a key of `TREATMENTS`.
        found: what was found, in words.
        treatment: what is done about it: "left out", "kept" as it is, "turned" or "converted".
    """

    kind: Kind
    found: str
    treatment: Treatment

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - pydantic reads it, nothing writes it

    def __str__(self) -> str:
        return f"{self.found}: {TREATMENTS[self.kind][1]}"


def remark(kind: Kind, found: str) -> Remark:
    """The remark of that kind, with the treatment that `TREATMENTS` states."""
    return Remark(kind, found, TREATMENTS[kind][0])
