"""One table of all results, in formats that names from outside cannot break out of."""

from __future__ import annotations

import csv
import io
import re
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.report.made_up import matrix_result, positions_result, share_result

from badnets.artifacts import printable
from badnets.errors import InputError
from badnets.metrics import Rate
from badnets.report.studies import AnyResult, present
from badnets.report.tables import COLUMNS, STYLES, write_table

EVIL = (
    "=cmd|' /C calc'!A0",
    "a|b\\|c",
    "line\nend\r\n& next \\\\ \\hline",
    r"\input{/etc/passwd}$x_1^2$ 100% #~{}",
    "<img src=x onerror=alert(1)>&amp;",
    "[link](https://example.org) *bold* `code` ~~gone~~",
    "\x1b[31mred\u202eback",
    'say "hello", you',
    "--- ''' ```",
)


def tables(name: str, style: str) -> str:
    pets = matrix_result(name, sizes=(40, 60), classes=(name, "dog"), seeds=(0,))
    return write_table([pets], style)


def test_rows_of_several_studies_under_one_header() -> None:
    results: list[AnyResult] = [share_result(), matrix_result("digits"), positions_result()]
    lines = list(csv.reader(io.StringIO(write_table(results, "csv"))))
    assert lines[0] == list(COLUMNS)
    rows = [(result, row) for result in results for row in present(result).rows]
    assert len(lines) == 1 + len(rows)
    for line, (result, row) in zip(lines[1:], rows, strict=True):
        cells = dict(zip(COLUMNS, line, strict=True))
        assert (cells["study"], cells["data"]) == (result.study, result.spec.data)
        assert (cells["model"], cells["error"], cells["verdict"]) == (row.model, row.what, row.verdict)
        assert (float(cells["measured"]), int(cells["images"])) == (row.measured, row.images)
        assert int(cells["seeds"]) == len(row.seeds)
        bounds = (float(cells["low"]), float(cells["high"])) if cells["low"] else None
        assert bounds == row.interval
        assert (float(cells["paper"]) if cells["paper"] else None) == row.paper


def test_markdown_by_hand() -> None:
    lines = write_table([share_result()], "markdown").splitlines()
    assert lines[:2] == [
        "| study | data | model | error | paper | measured | low | high | images | seeds | verdict |",
        "| --- | --- | --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | --- |",
    ]
    low, high = 100 * Rate.of(50, 10_000).low, 100 * Rate.of(50, 10_000).high
    row = f"| 0.47 | 0.50 | {low:.2f} | {high:.2f} | 10000 | 3 | reproduced |"
    assert lines[5] == f"| digits-share | mnist | share 10 % | clean error {row}"


def test_latex_by_hand() -> None:
    lines = write_table([share_result()], "latex").splitlines()
    assert lines[1:3] == [r"\begin{tabular}{llllrrrrrrl}", r"\toprule"]
    assert lines[3] == " & ".join(COLUMNS) + r" \\"
    assert lines[5].startswith(r"digits-share & mnist & baseline & clean error & 0.50 & 0.50 & ")
    assert lines[6].startswith(r"digits-share & mnist & share 0.1 \% & clean error &  & 0.53 & ")
    assert lines[-2:] == [r"\bottomrule", r"\end{tabular}"]
    assert r"cat $\to$ dog, pixel" in tables("cat", "latex")


def test_an_unknown_style() -> None:
    with pytest.raises(InputError, match="markdown, csv, latex, got 'word'"):
        write_table([share_result()], "word")


@pytest.mark.parametrize("style", STYLES)
def test_an_empty_table_has_its_header(style: str) -> None:
    assert "verdict" in write_table([], style)


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("name", EVIL)
def test_one_line_for_each_row_whatever_names_say(name: str, style: str) -> None:
    """Nothing from outside begins a line, steers a terminal, or is lost."""
    plain, evil = tables("cat", style), tables(name, style)
    assert evil.count("\n") == plain.count("\n")
    assert all(letter.isprintable() or letter == "\n" for letter in evil)


@pytest.mark.parametrize("name", EVIL)
def test_csv_gives_names_back_and_no_formulas(name: str) -> None:
    lines = list(csv.DictReader(io.StringIO(tables(name, "csv"))))
    assert {line["data"].removeprefix("'") for line in lines} == {printable(name)}
    assert not any(line["data"].startswith(("=", "+", "-", "@")) for line in lines)


@pytest.mark.parametrize("name", EVIL)
def test_markdown_keeps_its_columns_and_its_letters(name: str) -> None:
    for line in tables(name, "markdown").splitlines():
        assert len(re.findall(r"(?<!\\)(?:\\\\)*\|", line)) == len(COLUMNS) + 1
        assert not re.search(r"[<>]|&(?!amp;|lt;|gt;)", line)
    cells = re.split(r"(?<!\\)(?:\\\\)*\|", tables(name, "markdown").splitlines()[2])
    plain = re.sub(r"\\([^a-zA-Z0-9])", r"\1", cells[2].strip())
    assert plain.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&") == printable(name).strip()


LATEX = {
    r"\textbackslash{}": "\\",
    r"\textasciicircum{}": "^",
    r"\textasciitilde{}": "~",
    r"\textless{}": "<",
    r"\textgreater{}": ">",
    r"\textbar{}": "|",
    r"\textquotedbl{}": '"',
    r"\textasciigrave{}": "`",
    r"\textquotesingle{}": "'",
    r"$\to$": "→",
    "-{}": "-",
}


def typeset(text: str) -> str:
    """What LaTeX makes of escaped text, by a reader that refuses all that has a meaning of its own."""
    found = ""
    while text:
        known = next((code for code in LATEX if text.startswith(code)), None)
        if known:
            found, text = found + LATEX[known], text[len(known) :]
        elif text[0] == "\\":
            assert text[1] in "{}$&#%_", text
            found, text = found + text[1], text[2:]
        else:
            assert text[0] not in "\\{}$&#%_^~", text
            found, text = found + text[0], text[1:]
    return found


@pytest.mark.parametrize("name", EVIL)
def test_latex_carries_nothing_out(name: str) -> None:
    for line in tables(name, "latex").splitlines()[5:-2]:
        cells = re.split(r" (?<!\\)& ", line.removesuffix(r" \\"))
        assert len(cells) == len(COLUMNS)
        assert typeset(cells[1]) == printable(name)
        assert "--" not in cells[1]


@settings(max_examples=30, deadline=None)
@given(st.text(max_size=30))
def test_any_name_at_all(name: str) -> None:
    result = replace(SMALL, spec=replace(SMALL.spec, data=name))
    for line in write_table([result], "latex").splitlines()[5:-2]:
        assert typeset(re.split(r" (?<!\\)& ", line)[1]) == printable(name)
    assert {line["data"].removeprefix("'") for line in csv.DictReader(io.StringIO(write_table([result], "csv")))} == {
        printable(name).removeprefix("'")
    }


SMALL = positions_result()
