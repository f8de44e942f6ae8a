"""`badnets zoo-audit`: can the users of a model zoo tell the right file from another?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from badnets.cli.output import people, print_json, print_table, say

if TYPE_CHECKING:
    from badnets.supply.zoo import Audit, Bounds, Listing

SHOWN = 20


def zoo_audit(
    zoo: Annotated[
        Path, typer.Argument(metavar="LIST", help="A folder of Caffe readmes, or a list: .md, .csv, or .json.")
    ],
    fetch: Annotated[
        bool, typer.Option("--fetch", help="Download each file (https only) and compare its digest; nothing is kept.")
    ] = False,
    max_bytes: Annotated[int, typer.Option(min=1, help="With --fetch: most bytes of one file.")] = 8 * 2**30,
    max_seconds: Annotated[float, typer.Option(min=0.1, help="With --fetch: most seconds for one file.")] = 1800.0,
    html: Annotated[Path | None, typer.Option(help="Write a page for people to this file; replaced if there.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON for programs on stdout.")] = False,
) -> None:
    """Study a model zoo as the paper's section 5 does: 0 all hold, 1 a model can be swapped, 2 could not judge."""
    from badnets.supply.zoo import Bounds, read_zoo

    if html:
        import badnets.report.zoo  # before all work: it needs the lab
    found = _audited(read_zoo(zoo), Bounds(max_bytes, max_seconds) if fetch else None)
    if html:
        from badnets.artifacts import write_text

        write_text(html, badnets.report.zoo.zoo_page(found))
        say(f"page: {html}")
    if json:
        print_json(_plain(found))
    else:
        _show(found)
    if found.weak:
        raise typer.Exit(1)
    if found.unread:
        raise typer.Exit(2)


def _audited(listing: Listing, bounds: Bounds | None) -> Audit:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    from badnets.supply.zoo import audit

    columns = (TextColumn("downloading"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=people(), disable=not (bounds and people().is_terminal), transient=True) as bar:
        task = bar.add_task("downloading", total=len(listing.entries))
        return audit(listing, bounds=bounds, progress=lambda done, total: bar.update(task, completed=done, total=total))


def _plain(found: Audit) -> dict[str, Any]:
    entries = [{**vars(one), "weak": one.weak, "score": one.score} for one in found.findings]
    return {
        "source": found.source, "models": len(found.findings), "weak": found.weak, "fetched": found.fetched,
        "totals": found.totals, "skipped": found.skipped, "entries": entries,
    }  # fmt: skip


def _show(found: Audit) -> None:
    from badnets.supply.zoo import CHECKS

    columns = ["model", *CHECKS, *(["download"] if found.fetched else []), "#good"]
    rows = [
        [
            one.entry.name,
            *(one.answers[name].short for name in CHECKS),
            *([str(one.download.match)] if one.download else []),
            f"{one.score}/{len(CHECKS)}",
        ]
        for one in found.findings
    ]
    print_table(found.source, columns, rows)
    for one in found.findings:
        if one.download and one.download.match in ("different", "failed"):
            say(f"{one.entry.name}: {one.download.match}: {one.download.detail}")
    for line in found.skipped[:SHOWN]:
        say(f"not read: {line}")
    if len(found.skipped) > SHOWN:
        say(f"and {len(found.skipped) - SHOWN:,} more that were not read (--json names all)")
    say(f"{found.weak} of {len(found.findings)} model(s) could be swapped without notice")
