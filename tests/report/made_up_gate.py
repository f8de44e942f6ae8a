"""A result of the study of the gate, made up so that every number in its report is known."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from tests.report.made_up_acceptance import cell

from badnets.audit.verdict import Audited, Calibration, CleanData, StageReport, Suspicion, Verdict
from badnets.studies.gate import ATTACKS, GateResult, GateSpec, Suspect
from badnets.studies.gate_cells import Judgement, Rule
from badnets.studies.results import DataNote
from badnets.supply.gate.outcome import Word


def verdict(p: float) -> Verdict:
    """Of an audit whose p-value is that, at a level of 5 %."""
    backdoored = p <= 0.05
    stages = tuple(StageReport(name, "ran", "", 1.0) for name in ("structure", "margins", "inversion", "pairs"))
    suspicions = (Suspicion("inversion", "all-to-one", "all become 3", target=3),) if backdoored else ()
    return Verdict(
        word="backdoored" if backdoored else "clean", reason="all become 3", alpha=0.05, p_value=p, p_how="conformal",
        p_extrapolated=None, calibration=Calibration(19, "key", "settings", 0.05, "by rank"),
        model=Audited("", "badnet_cnn", 1, 10, ""), data=CleanData("digits/test", "", 300, 0.97),
        suspicions=suspicions, stages=stages, not_tested=(), seed=0, versions={}, seconds=10.0,
    )  # fmt: skip


def judgement(p: float) -> Judgement:
    """Refused where the audit says so."""
    said = verdict(p)
    if said.word == "clean":
        rules = (Rule("scan", "every byte explained"), Rule("audit", "clean"))
        return Judgement(Word.ADMIT, rules, said, "e" * 64, "s" * 64, loaded=True, refusal="")
    against = (Rule("audit", "model.safetensors: backdoored, p = 0.05: <b>all become 3</b>"),)
    return Judgement(Word.REFUSE, against, said, "", "s" * 64, loaded=False, refusal="x.safetensors has no verdict")


def made_up(**changes: Any) -> GateResult:  # noqa: ANN401 - any fields
    """Two seeds: five BadNets of which four are refused, a weak one, and six twins of which one is refused."""
    suspects = []
    for number, p in enumerate((0.05, 0.05, 0.4, 0.05, 0.05, 0.6)):
        attack, works = ATTACKS[number % 3], number != 5
        badnet = replace(cell(12, seed=number, poisoned=100), name=f"{attack}-pattern")
        twin = replace(cell(10, seed=number), name="baseline")
        suspects.append(Suspect(attack, badnet, works, p <= 0.05 and number != 4, judgement(p)))
        suspects.append(Suspect(attack, twin, None, None, judgement(0.05 if number == 3 else 0.5)))
    data = DataNote(("digits/train", "aa", 1_297), ("digits/test", "bb", 500), tuple("0123456789"))
    return replace(GateResult(GateSpec(seeds=(0, 1)), data, "p" * 64, tuple(suspects)), **changes)
