"""Photographs with a sticker: its result and how it is shown."""

from __future__ import annotations

from badnets.report.kinds.kind import Kind
from badnets.report.pages.photos import photos_page
from badnets.report.rows import photos as photos_rows
from badnets.report.shown import Shown, lines
from badnets.studies.photos import PhotosResult


def _show(result: PhotosResult) -> Shown:
    rows, columns = photos_rows.table(result), photos_rows.COLUMNS
    found = tuple(line[:2] + line[3:] for line in lines(rows))  # there is no paper's figure
    notes = (photos_rows.RULE, *photos_rows.NOTES)
    return Shown(photos_rows.title(result), columns, found, tuple(rows), notes, photos_page(result))


KIND = Kind(PhotosResult, photos_rows.table, _show)
