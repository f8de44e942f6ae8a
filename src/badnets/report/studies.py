"""Every study's result: how it is read from its file, and how it is shown."""

from __future__ import annotations

from dataclasses import fields
from importlib import import_module
from pathlib import Path
from typing import Protocol, runtime_checkable

from pydantic_core import from_json

from badnets.artifacts import parse_json, read_bytes
from badnets.errors import DataError
from badnets.report.kinds.kind import Kind
from badnets.report.rows import Row
from badnets.report.shown import Shown

# The module of `badnets.report.kinds` for each study. It is imported when a result of it is read: some load detectors.
KINDS = {
    "digits": "digits",
    "digits-matrix": "matrix",
    "digits-share": "share",
    "digits-positions": "positions",
    "bb-compat": "bb_compat",
    "photos": "photos",
    "acceptance": "acceptance",
    "signs": "signs",
    "transfer": "sign_transfer",
    "transfer-digits": "transfer",
    "defenses": "defenses",
    "gate": "gate",
}


@runtime_checkable
class Asked(Protocol):
    """What every study's specification has."""

    @property
    def data(self) -> str:
        """Name of the data set."""


@runtime_checkable
class AnyResult(Protocol):
    """What every study's result has."""

    @property
    def study(self) -> str:
        """A key of `KINDS`."""

    @property
    def spec(self) -> Asked:
        """What was asked for."""


def kind_of(study: str) -> Kind:
    """What is done with results of that study, a key of `KINDS`."""
    kind: Kind = import_module(f"badnets.report.kinds.{KINDS[study]}").KIND
    return kind


def read_result(path: Path) -> AnyResult:
    """The result of whichever study wrote the file.

    Raises:
        InputError: no such file.
        DataError: not a result, or one of a study or a format that this version does not know.
    """
    content = read_bytes(path)
    try:
        value = from_json(content)
    except ValueError as error:
        raise DataError(f"{path} is not a result: {error}") from error
    known = ", ".join(KINDS)
    study = value.get("study") if isinstance(value, dict) else None
    if study is None:
        raise DataError(
            f"{path} does not name its study ({known}): it is no result, or one of an older version: run it again"
        )
    if not isinstance(study, str) or study not in KINDS:
        raise DataError(f"{path} is of a study {study!r:.40}, this version knows {known}")
    kind = kind_of(study)
    ours = next(field.default for field in fields(kind.result) if field.name == "format")
    if value.get("format") != ours:
        theirs = f"{value.get('format')!r:.40}"
        raise DataError(f"{path} has format {theirs} of {study}, this version reads {ours}: run the study again")
    result: AnyResult = parse_json(kind.result, content, str(path))
    return result


def present(result: AnyResult) -> Shown:
    """Its table, its rows, and its page.

    Raises:
        DataError: something is missing in it.
    """
    return kind_of(result.study).show(result)


def rows_of(result: AnyResult) -> list[Row]:
    """Every row of a result's table.

    Raises:
        DataError: something is missing in it.
    """
    return kind_of(result.study).rows(result)
