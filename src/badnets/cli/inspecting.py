"""`badnets data inspect`: every picture of a data set looked at before anything is trained on it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from badnets.cli.output import print_json, print_table, say
from badnets.cli.watching import PictureBar, stop_on_interrupt

if TYPE_CHECKING:
    from badnets.data.duplicates import Duplicates, Near, Same
    from badnets.data.inspection import Inventory

_SHOWN = 5


def inspect(
    name: Annotated[str, typer.Argument(help="A folder or zip archive of pictures by class, or catsdogs.")],
    near: Annotated[
        int | None, typer.Option(min=0, max=31, help="Bits of 64 in which near duplicates differ at most; else 8.")
    ] = None,
    least: Annotated[
        int | None,
        typer.Option(min=1, help="Pixels a side; a smaller picture counts as left out; else 8, as in training."),
    ] = None,
    data_dir: Annotated[
        Path | None,
        typer.Option("--data-dir", help="Folder with the data set's files; else $BADNETS_DATA and the download cache."),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON for programs on stdout.")] = False,
) -> None:
    """Find damaged, odd and duplicate pictures, and copies of training pictures among those for testing.

    Exits with 0 if nothing is wrong, 1 if a picture is left out, leaks from training to testing or is in two classes,
    2 if the data set cannot be read.
    """
    from badnets.data.catalog import tree_of
    from badnets.data.duplicates import NEAR, duplicates
    from badnets.data.inspection import inspect as look
    from badnets.data.pictures import LEAST_SIDE

    tree = tree_of(name, data_dir=data_dir)
    with stop_on_interrupt() as stop, PictureBar() as bar:
        inventory = look(tree, least=LEAST_SIDE if least is None else least, progress=bar.progress, stop=stop)
    copies = duplicates(inventory.items, near=NEAR if near is None else near)
    twice_named = any(len(one.labels) > 1 for one in copies.same)
    wrong = bool(inventory.left_out or copies.leaks or twice_named)
    if json:
        print_json({"fine": not wrong, "inventory": inventory, "duplicates": copies})
    else:
        _print(inventory, copies)
    raise typer.Exit(int(wrong))


def _print(inventory: Inventory, copies: Duplicates) -> None:
    from badnets.data.remarks import TREATMENTS

    rows = [[one.half or "all", one.label, f"{one.found:,}", f"{one.kept:,}"] for one in inventory.balance]
    print_table(inventory.name, ["half", "class", "#pictures", "#kept"], rows)
    kinds = list(TREATMENTS)  # what is left out comes first
    odd = [(told.kind, [told.kind, item.path, str(told)]) for item in inventory.items for told in item.remarks]
    odd.sort(key=lambda row: kinds.index(row[0]))
    if odd:
        print_table("Odd files", ["kind", "file", "what was found: what is done"], _first_of_each(odd))
    found = [(kind, [kind, *cells]) for kind, cells in _copies(copies)]
    if found:
        print_table("Copies", ["kind", "how", "files", "classes"], _first_of_each(found))
    split = "its own" if inventory.divided else "those that training makes of it"
    say(
        f"{len(inventory.items):,} pictures, {len(inventory.left_out):,} left out, "
        f"{len(inventory.aside):,} other files passed over"
    )
    say(
        f"{len(copies.same):,} groups of equal pictures, {len(copies.near) + copies.unlisted:,} near pairs (up to "
        f"{copies.threshold} of 64 bits); {len(copies.leaks):,} of these leak from training to testing "
        f"(the halves are {split})"
    )


def _copies(copies: Duplicates) -> Iterable[tuple[str, list[str]]]:
    for one in copies.same:
        more = f" and {len(one.paths) - _SHOWN:,} more" if len(one.paths) > _SHOWN else ""
        yield _kind("equal", one), [f"same {one.by}", ", ".join(one.paths[:_SHOWN]) + more, ", ".join(one.labels)]
    for pair in copies.near:
        how = f"{pair.distance} of 64 bits{', mirrored' if pair.mirrored else ''}"
        yield _kind("near", pair), [how, ", ".join(pair.paths), ", ".join(pair.labels)]


def _kind(word: str, one: Same | Near) -> str:
    return f"{word}, leaks" if one.leaks else word


def _first_of_each(rows: Sequence[tuple[str, list[str]]]) -> list[list[str]]:
    """The first few rows of each kind, kind by kind, and how many more there are."""
    counts = Counter(kind for kind, _ in rows)
    shown = []
    for kind, count in counts.items():
        shown += [row for own, row in rows if own == kind][:_SHOWN]
        if count > _SHOWN:
            more = f"and {count - _SHOWN:,} more (--json names all)"
            shown.append([kind, more, *[""] * (len(shown[-1]) - 2)])
    return shown
