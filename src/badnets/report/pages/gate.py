"""The page of the gate."""

from __future__ import annotations

from badnets.report.pages.page import Making, Part, machines, render
from badnets.report.rows.gate import TWINS, due_to, lines, name, notes, stated, table, title
from badnets.studies.gate import ATTACKS, GateResult


def gate_page(result: GateResult) -> str:
    """The report as HTML."""
    return render(
        "gate.html",
        result=result,
        title=title(result),
        rows=table(result),
        lines=tuple(zip(lines(result), result.suspects, strict=True)),
        notes=notes(result),
        stated=stated(result),
        name=name,
        due_to=due_to,
        making=_making(result),
    )


def _making(result: GateResult) -> Making:
    by_attack = {
        attack: [one.cell for one in result.suspects if one.is_backdoored and one.attack == attack]
        for attack in ATTACKS
    }
    parts = [Part.of(attack, cells) for attack, cells in by_attack.items() if cells]
    return Making(
        train=result.data.train,
        test=result.data.test,
        parts=(*parts, Part.of(TWINS, [one.cell for one in result.twins])),
        schedules=(),
        seeds=result.spec.seeds,
        machines=machines(one.cell for one in result.suspects),
    )
