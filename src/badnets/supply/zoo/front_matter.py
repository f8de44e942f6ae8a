"""The head of a Markdown file between two lines of three dashes, in the plain subset of YAML that model zoos use.

`name: value` a line, values plain or in quotes, and lists of `- item` lines. Every value is text: YAML would take a
digest of digits only for a number. Whatever else YAML can do, such as tags, anchors or nesting, is refused.
"""

from __future__ import annotations

import re

from badnets.errors import DataError

_LINE = re.compile(r"([A-Za-z_][A-Za-z0-9_.-]*):(?:[ \t]+(.*))?")
_ITEM = re.compile(r"[ \t]*-[ \t]+(.*)")
_SPECIAL = ("&", "*", "!", "|", ">", "%", "@", "`", "{", "[")
MOST_LINES = 1000

Values = dict[str, str | tuple[str, ...]]


def read_front_matter(text: str) -> Values:
    """The names and values in the head of a file.

    Raises:
        DataError: no head, or a line in it that is not of this subset; the message names the line.
    """
    lines = text.splitlines()
    if not lines or lines[0].rstrip() != "---":
        raise DataError("no front matter: the first line is not ---")
    values: Values = {}
    open_list: str | None = None  # the name whose value may be a list
    for number, line in enumerate(lines[1 : MOST_LINES + 1], start=2):
        if line.rstrip() == "---":
            return values
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        item, found = _ITEM.fullmatch(line), _LINE.fullmatch(line)
        if item and open_list is not None:
            values[open_list] = (*(values[open_list] or ()), _scalar(item[1], number))
        elif found:
            name, value = found[1], _scalar(found[2] or "", number)
            if name in values:
                raise DataError(f"line {number}: {name!r} comes twice")
            values[name] = value
            open_list = None if value else name
        else:
            raise DataError(f"line {number}: expected NAME: VALUE, got {line[:60]!r}")
    raise DataError(f"no end of the front matter: no second --- in {MOST_LINES:,} lines")


def _scalar(text: str, number: int) -> str:
    text = text.strip()
    for quote in ("'", '"'):
        if text.startswith(quote):
            inside = text[1:-1]
            if len(text) < 2 or not text.endswith(quote) or quote in inside or "\\" in inside:
                raise DataError(f"line {number}: expected plain text between quotes, got {text[:60]!r}")
            return inside
    if text.startswith(_SPECIAL) or ": " in text:
        raise DataError(f"line {number}: expected plain text, got {text[:60]!r}")
    return text.partition(" #")[0].rstrip()
