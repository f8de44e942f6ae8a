"""What a hostile file is to the tests: bytes, and the finding that must be made of them."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass

from badnets.supply.scan import pickles, safetensors, torch_legacy, torch_zip
from badnets.supply.scan.findings import Finding
from badnets.supply.scan.source import Budget, Limits, Source

Reader = Callable[[Source], list[Finding]]


def over(content: bytes) -> Source:
    """A source on bytes in memory."""
    return Source(io.BytesIO(content), 0, len(content), Budget(Limits()))


def _finite_zip(source: Source) -> list[Finding]:
    return torch_zip.check(source, finite=True)


def _finite_safetensors(source: Source) -> list[Finding]:
    return safetensors.check(source, finite=True)


READERS: dict[str, Reader] = {
    "torch-zip": torch_zip.check,
    "torch-legacy": torch_legacy.check,
    "torch-tar": torch_legacy.check_tar,
    "safetensors": safetensors.check,
    "pickle": pickles.check,
    "torch-zip finite": _finite_zip,
    "safetensors finite": _finite_safetensors,
}


@dataclass(frozen=True)
class Hostile:
    """One hostile file.

    Attributes:
        family: of the catalogue.
        name: unique within the family.
        content: the file; nothing in it does harm even if it is run.
        rule: id of the finding that must be made.
        offset: of that finding; None for one on the file as a whole.
        reader: a key of `READERS`.
    """

    family: str
    name: str
    content: bytes
    rule: str
    offset: int | None
    reader: str = "torch-zip"

    def __str__(self) -> str:
        return f"{self.family}: {self.name}"


def marked(family: str, name: str, content: bytes, expected: tuple[str, bytes | int | None], reader: str) -> Hostile:
    """A hostile file whose finding is expected at the first place of some bytes, or at a number."""
    rule, mark = expected
    offset = content.index(mark) if isinstance(mark, bytes) else mark
    return Hostile(family, name, content, rule, offset, reader)
