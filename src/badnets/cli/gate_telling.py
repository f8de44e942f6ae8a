"""How a decision of the gate is told: to people on stderr, to programs on stdout."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from badnets.cli.output import print_json, say

if TYPE_CHECKING:
    from badnets.supply.gate.gate import Decision
    from badnets.supply.gate.outcome import Outcome


def tell(decision: Decision, *, explain: bool, pin: Path | None, json: bool) -> None:
    """Say what was decided; on stdout stands the path of the admitted model and nothing else, or JSON."""
    if pin is not None and decision.pin is not None:
        from badnets.artifacts import write_json
        from badnets.supply.gate.pin import CUSTOM

        write_json(pin, {CUSTOM: decision.pin})
    if json:
        print_json(_plain(decision))
        return
    if explain:
        _explain(decision)
    _say_word(decision)
    for leaf in decision.outcome.leaves():
        if leaf.waived:
            say(f"note: {leaf.rule} was waived: {leaf.waived}")
    if decision.folder:
        say(f"evidence: {decision.folder}")
    if decision.path:
        typer.echo(decision.path)


def _plain(decision: Decision) -> dict[str, object]:
    return {
        "word": decision.word, "unsafe": decision.unsafe, "model": decision.evidence.digest, "admitted": decision.path,
        "evidence_folder": decision.folder, "expires": decision.expires, "log_head": decision.head,
        "pin": decision.pin, "outcome": decision.outcome, "evidence": decision.evidence,
    }  # fmt: skip


def _say_word(decision: Decision) -> None:
    if decision.unsafe:
        say("UNSAFE: the policy admits without looking (unsafe-admit-all), and the verdict says so")
    deciding = decision.outcome.deciding()
    if decision.word != "admit":
        for leaf in deciding:
            say(f"{decision.word}: {leaf.rule}: {leaf.reason}")
        return
    until = f", until {decision.expires:%Y-%m-%d %H:%M} UTC" if decision.expires else " (dry run: nothing is kept)"
    say(f"admit: {decision.evidence.name}: all {len(deciding)} rules hold{until}")


def _explain(decision: Decision) -> None:
    evidence = decision.evidence
    say(f"model {evidence.digest}: {evidence.name}, {evidence.kind}, {len(evidence.files):,} file(s)")
    for one in evidence.weights:
        say(f"  {one.source}: tensors-v1:{one.tensor_digest}, {one.parameters:,} parameters")
    for audit in evidence.audits:
        say(f"  audit {audit.sha256[:16]}: {audit.word} of tensors-v1:{audit.tensor_digest}; {audit.guarantee}")
        for line in audit.not_tested:
            say(f"    not tested: {line}")
    for line in evidence.skipped:
        say(f"  skipped: {line}")
    _tree(decision.outcome, 0)
    words = ", ".join(leaf.rule for leaf in decision.outcome.deciding())
    say(f"{decision.word} is due to: {words}")


def _tree(outcome: Outcome, depth: int) -> None:
    say(f"{'  ' * depth}{outcome.rule}: {outcome.word}: {outcome.reason}")
    for part in outcome.parts:
        _tree(part, depth + 1)
