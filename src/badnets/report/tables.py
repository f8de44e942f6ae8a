"""The results of several studies as one table: Markdown, CSV, LaTeX.

Names of data and classes come from whoever made them: each writer escapes all that its format would act on.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Sequence

from badnets.artifacts import printable
from badnets.errors import InputError
from badnets.report.rows import Row
from badnets.report.studies import AnyResult, rows_of

Field = str | int | float | None

COLUMNS = (
    "study",
    "data",
    "model",
    "error",
    "paper",
    "measured",
    "low",
    "high",
    "images",
    "seeds",
    "verdict",
)
_TEXTS = frozenset({"study", "data", "model", "error", "verdict"})

# Text that begins so is a formula to spreadsheets, which would carry it out.
_FORMULA = ("=", "+", "-", "@")
_MARKDOWN = {letter: f"\\{letter}" for letter in "\\`*_[]|~$#"} | {"&": "&amp;", "<": "&lt;", ">": "&gt;"}
_LATEX = {letter: f"\\{letter}" for letter in "{}$&#%_"} | {
    "\\": r"\textbackslash{}",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    "→": r"$\to$",
    "`": r"\textasciigrave{}",
    "'": r"\textquotesingle{}",
}


def write_table(results: Sequence[AnyResult], style: str) -> str:
    """All rows of all results, one header.

    Args:
        results: of any studies.
        style: a key of `STYLES`.

    Raises:
        InputError: no such style.
        DataError: something is missing in a result.
    """
    if style not in STYLES:
        raise InputError(f"a table is written as {', '.join(STYLES)}, got {style!r}")
    lines = [_fields(result, row) for result in results for row in rows_of(result)]
    return STYLES[style](lines)


def _fields(result: AnyResult, row: Row) -> list[Field]:
    low, high = row.interval or (None, None)
    return [
        result.study,
        printable(result.spec.data),
        printable(row.model),
        row.what,
        row.paper,
        row.measured,
        low,
        high,
        row.images,
        len(row.seeds),
        row.verdict,
    ]


def _markdown(lines: Sequence[Sequence[Field]]) -> str:
    rule = ["---" if column in _TEXTS else "---:" for column in COLUMNS]
    cells = [[_escape(_rounded(field), _MARKDOWN) for field in line] for line in lines]
    return "".join(f"| {' | '.join(line)} |\n" for line in [list(COLUMNS), rule, *cells])


def _csv(lines: Sequence[Sequence[Field]]) -> str:
    """Numbers as they are; text that a spreadsheet would take for a formula gets an apostrophe before it."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(COLUMNS)
    for line in lines:
        writer.writerow(
            f"'{field}" if isinstance(field, str) and field.lstrip().startswith(_FORMULA) else field for field in line
        )
    return buffer.getvalue()


def _latex(lines: Sequence[Sequence[Field]]) -> str:
    r"""A tabular for `\usepackage{booktabs,textcomp}` and `\usepackage[T1]{fontenc}`."""
    kinds = "".join("l" if column in _TEXTS else "r" for column in COLUMNS)
    # Two hyphens would become one dash.
    rows = [[re.sub("-(?=-)", "-{}", _escape(_rounded(field), _LATEX)) for field in line] for line in lines]
    body = [" & ".join(line) + r" \\" for line in rows]
    head = [
        r"% \usepackage[T1]{fontenc} \usepackage{booktabs,textcomp}",
        rf"\begin{{tabular}}{{{kinds}}}",
        r"\toprule",
        " & ".join(COLUMNS) + r" \\",
        r"\midrule",
    ]
    return "\n".join([*head, *body, r"\bottomrule", r"\end{tabular}"]) + "\n"


def _rounded(field: Field) -> str:
    if field is None:
        return ""
    return f"{field:.2f}" if isinstance(field, float) else str(field)


def _escape(text: str, table: dict[str, str]) -> str:
    return "".join(table.get(letter, letter) for letter in text)


STYLES: dict[str, Callable[[Sequence[Sequence[Field]]], str]] = {
    "markdown": _markdown,
    "csv": _csv,
    "latex": _latex,
}
