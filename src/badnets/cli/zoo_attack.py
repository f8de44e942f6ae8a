"""`badnets run zoo-attack`: the paper's attacks on a model zoo, on one of the old style and on our hub."""

from __future__ import annotations

from typing import TYPE_CHECKING

from badnets.cli.output import people, print_json, print_table, say
from badnets.cli.sign import AsJson

if TYPE_CHECKING:
    from badnets.studies.zoo_attack import Fate


def zoo_attack(json: AsJson = False) -> None:
    """The paper's attacks on a model zoo, really carried out on this machine: who falls for what."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    from badnets.studies import zoo_attack as study

    columns = (TextColumn("attacking"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=people(), disable=not people().is_terminal, transient=True) as bar:
        task = bar.add_task("attacking", total=None)
        found = study.run(lambda done, total: bar.update(task, completed=done, total=total))
    if json:
        print_json(found)
        return
    rows = [[row.attack, *(_words(fate) for fate in (row.zoo, row.zoo_sha1, row.hub))] for row in found.rows]
    print_table("Who falls for what", ["attack", "zoo", "zoo with SHA-1", "hub"], rows)
    total = len(found.rows)
    say(
        f"of {total} attacks, users of the zoo fell for {found.fell('zoo')}, with SHA-1 for {found.fell('zoo_sha1')}, "
        f"users of the hub for {found.fell('hub')}; what the hub's fell for, no TUF client can stop"
    )


def _words(fate: Fate) -> str:
    return f"{'FELL' if fate.fell else 'safe'}: {fate.detail}"
