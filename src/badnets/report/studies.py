"""Every study's result: how it is read from its file, and how it is shown."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from pydantic_core import from_json

from badnets.artifacts import parse_json, read_bytes
from badnets.errors import DataError
from badnets.report.pages.acceptance import acceptance_page
from badnets.report.pages.bb_compat import bb_compat_page
from badnets.report.pages.digits import digits_page
from badnets.report.pages.gate import gate_page
from badnets.report.pages.matrix import matrix_page
from badnets.report.pages.photos import photos_page
from badnets.report.pages.positions import positions_page
from badnets.report.pages.share import share_page
from badnets.report.pages.sign_transfer import sign_transfer_page
from badnets.report.pages.signs import signs_page
from badnets.report.pages.transfer import transfer_page
from badnets.report.rows import Row
from badnets.report.rows import acceptance as acceptance_rows
from badnets.report.rows import bb_compat as bb_compat_rows
from badnets.report.rows import digits as digits_rows
from badnets.report.rows import gate as gate_rows
from badnets.report.rows import matrix as matrix_rows
from badnets.report.rows import photos as photos_rows
from badnets.report.rows import positions as positions_rows
from badnets.report.rows import share as share_rows
from badnets.report.rows import sign_transfer as sign_transfer_rows
from badnets.report.rows import signs as signs_rows
from badnets.report.rows import transfer as transfer_rows
from badnets.report.shown import COLUMNS, Shown, interval, lines
from badnets.studies.acceptance import AcceptanceResult
from badnets.studies.bb_compat import BbCompatResult
from badnets.studies.digits import DigitsResult
from badnets.studies.gate import GateResult
from badnets.studies.matrix import MatrixResult
from badnets.studies.photos import PhotosResult
from badnets.studies.positions import PositionsResult
from badnets.studies.share import ShareResult
from badnets.studies.signs import SignsResult
from badnets.studies.transfer import SignTransferResult
from badnets.studies.transfer_digits import TransferResult

AnyResult = (
    DigitsResult
    | MatrixResult
    | ShareResult
    | PositionsResult
    | BbCompatResult
    | PhotosResult
    | TransferResult
    | AcceptanceResult
    | SignsResult
    | SignTransferResult
    | GateResult
)


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
    kind = KINDS.get(study) if isinstance(study, str) else None
    if kind is None:
        raise DataError(f"{path} is of a study {study!r:.40}, this version knows {known}")
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
    return KINDS[result.study].show(result)


def rows_of(result: AnyResult) -> list[Row]:
    """Every row of a result's table.

    Raises:
        DataError: something is missing in it.
    """
    return KINDS[result.study].rows(result)


def _digits(result: DigitsResult) -> Shown:
    rows = digits_rows.table(result)
    rule = digits_rows.judge(result).rule
    return Shown(digits_rows.title(result), COLUMNS, lines(rows), tuple(rows), (rule,), digits_page(result))


def _matrix(result: MatrixResult) -> Shown:
    summary = matrix_rows.summary(result)
    rows = (*summary, *matrix_rows.pair_rows(result))
    notes = (matrix_rows.judge(result).rule, *matrix_rows.NOTES)
    return Shown(matrix_rows.title(result), COLUMNS, lines(summary), rows, notes, matrix_page(result))


def _share(result: ShareResult) -> Shown:
    rows = share_rows.table(result)
    columns: tuple[str, ...] = COLUMNS
    found = lines(rows)
    if len(result.spec.seeds) > 1:
        columns = (*COLUMNS[:5], "#by seed", *COLUMNS[5:])
        values = [" ".join(f"{value:.2f}" for value in row.seeds) for row in rows]
        found = tuple((*line[:5], by_seed, *line[5:]) for line, by_seed in zip(found, values, strict=True))
    notes = (share_rows.judge(result).rule, *share_rows.NOTES)
    return Shown(share_rows.title(result), columns, found, tuple(rows), notes, share_page(result))


def _positions(result: PositionsResult) -> Shown:
    rows = positions_rows.table(result)
    columns = ("model", "what", "#measured", "#95 % interval", "#images at each place")
    found = tuple((row.model, row.what, positions_rows.number(row), interval(row), f"{row.images:,}") for row in rows)
    notes = positions_rows.notes(result)
    return Shown(positions_rows.title(result), columns, found, tuple(rows), notes, positions_page(result))


def _bb_compat(result: BbCompatResult) -> Shown:
    rows, columns = bb_compat_rows.table(result), bb_compat_rows.COLUMNS
    found = tuple(line[: len(columns)] for line in lines(rows))  # no verdict: see its notes
    notes = bb_compat_rows.notes(result)
    return Shown(bb_compat_rows.title(result), columns, found, tuple(rows), notes, bb_compat_page(result))


def _photos(result: PhotosResult) -> Shown:
    rows, columns = photos_rows.table(result), photos_rows.COLUMNS
    found = tuple(line[:2] + line[3:] for line in lines(rows))  # there is no paper's figure
    notes = (photos_rows.RULE, *photos_rows.NOTES)
    return Shown(photos_rows.title(result), columns, found, tuple(rows), notes, photos_page(result))


def _transfer(result: TransferResult) -> Shown:
    rows = transfer_rows.table(result)
    columns = tuple("#paper (signs)" if name.startswith("#paper") else name for name in COLUMNS)
    notes = (transfer_rows.RULE, *transfer_rows.NOTES)
    return Shown(transfer_rows.title(result), columns, lines(rows), tuple(rows), notes, transfer_page(result))


def _acceptance(result: AcceptanceResult) -> Shown:
    rows = acceptance_rows.table(result)
    columns = ("network", "what", "#measured", "#95 % interval", "#images")
    found = tuple(line[:2] + line[3:6] for line in lines(rows))
    return Shown(
        acceptance_rows.title(result), columns, found, tuple(rows), acceptance_rows.NOTES, acceptance_page(result)
    )


_OF_SIGNS = ("model", "figure", "#paper", "#measured", "#95 % interval", "#signs", "verdict")


def _signs(result: SignsResult) -> Shown:
    rows = signs_rows.table(result)
    notes = (signs_rows.rule(result), *signs_rows.NOTES)
    return Shown(signs_rows.title(result), _OF_SIGNS, lines(rows), tuple(rows), notes, signs_page(result))


def _sign_transfer(result: SignTransferResult) -> Shown:
    rows = sign_transfer_rows.table(result)
    notes = (sign_transfer_rows.RULE, *sign_transfer_rows.NOTES)
    page = sign_transfer_page(result)
    return Shown(sign_transfer_rows.title(result), _OF_SIGNS, lines(rows), tuple(rows), notes, page)


def _gate(result: GateResult) -> Shown:
    rows, found = gate_rows.table(result), gate_rows.lines(result)
    notes = gate_rows.notes(result)
    return Shown(gate_rows.title(result), gate_rows.COLUMNS, found, tuple(rows), notes, gate_page(result))


@dataclass(frozen=True)
class Kind:
    """What is done with the result of one study.

    Attributes:
        result: its class.
        rows: of its table.
        show: all of it.
    """

    result: type[Any]
    rows: Callable[[Any], list[Row]]
    show: Callable[[Any], Shown]


KINDS = {
    "digits": Kind(DigitsResult, digits_rows.table, _digits),
    "digits-matrix": Kind(MatrixResult, matrix_rows.table, _matrix),
    "digits-share": Kind(ShareResult, share_rows.table, _share),
    "digits-positions": Kind(PositionsResult, positions_rows.table, _positions),
    "bb-compat": Kind(BbCompatResult, bb_compat_rows.table, _bb_compat),
    "photos": Kind(PhotosResult, photos_rows.table, _photos),
    "acceptance": Kind(AcceptanceResult, acceptance_rows.table, _acceptance),
    "signs": Kind(SignsResult, signs_rows.table, _signs),
    "transfer": Kind(SignTransferResult, sign_transfer_rows.table, _sign_transfer),
    "gate": Kind(GateResult, gate_rows.table, _gate),
    "transfer-digits": Kind(TransferResult, transfer_rows.table, _transfer),
}
