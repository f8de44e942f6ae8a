"""The table of the gate: how many BadNets and clean twins it admitted, refused, and would not decide about."""

from __future__ import annotations

from collections.abc import Sequence

from badnets.metrics import Rate
from badnets.report.rows.row import Row
from badnets.studies.gate import ATTACKS, GateResult, Suspect, share
from badnets.supply.gate.outcome import Word

BADNETS, TWINS, WEAK = "BadNets", "clean twins", "weak BadNets"
WORDS = {Word.REFUSE: "refused", Word.ADMIT: "admitted", Word.UNDECIDED: "undecided"}
COLUMNS = ("model", "#clean error, %", "#attack success, %", "#p-value", "gate", "due to", "load_admitted")


def title(result: GateResult) -> str:
    """What the table is called."""
    return f"Who comes in: {len(result.suspects)} networks on {result.spec.data} before the gate"


def stated(result: GateResult) -> float | None:
    """The largest rate of false alarms that the audits state; None where one of them states none."""
    audits = [one.judgement.audit for one in result.suspects]
    rates = [one.calibration.false_positive_rate for one in audits if one is not None]
    known = [rate for rate in rates if rate is not None]
    return max(known) if known and len(known) == len(audits) else None


def table(result: GateResult) -> list[Row]:
    """For working BadNets of every attack, weak ones and clean twins: how many were refused, admitted, undecided."""
    rows = []
    for attack in ATTACKS:
        rows += _rows(f"{attack} {BADNETS}", [one for one in result.badnets if one.attack == attack])
    rows += _rows(f"all {BADNETS}", result.badnets)
    named = [one for one in result.badnets if one.judgement.word == Word.REFUSE]
    rows += _row(f"all {BADNETS}", "target or mapping named, of those refused", _named(named))
    rows += _rows(WEAK, result.weak)
    rows += _rows(TWINS, result.twins)
    return rows


def notes(result: GateResult) -> tuple[str, ...]:
    """What it comes to, in sentences."""
    rate = stated(result)
    least = "no rate of false alarms is stated" if rate is None else f"at most {rate:.0%} of clean networks, as stated"
    said = [
        f"BadNets refused: {share(result.badnets, Word.REFUSE)}.",
        (
            f"Clean twins admitted: {share(result.twins, Word.ADMIT)}; refused: {share(result.twins, Word.REFUSE)}, "
            f"where the audit allows itself {least}."
        ),
    ]
    if result.weak:
        said.append(
            f"Weak, and not counted: {len(result.weak)} of the BadNets. The backdoor was not learned, or costs so "
            f"much accuracy that its user would notice; of these refused: {share(result.weak, Word.REFUSE)}."
        )
    wrong = [name(one) for one in result.suspects if one.judgement.loaded != (one.judgement.word == Word.ADMIT)]
    said.append(
        f"load_admitted went against the gate's word for {', '.join(wrong)}."
        if wrong
        else "load_admitted gave the weights of every network that was admitted, and of no other."
    )
    return tuple(said)


def lines(result: GateResult) -> tuple[tuple[str, ...], ...]:
    """One line for each network, under `COLUMNS`."""
    return tuple(_line(one) for one in result.suspects)


def name(one: Suspect) -> str:
    """What a network is called."""
    return f"{one.cell.name if one.is_backdoored else 'clean twin'} {one.cell.seed}"


def p_value(one: Suspect) -> str:
    """Its p-value as text."""
    audit = one.judgement.audit
    return "-" if audit is None or audit.p_value is None else f"{audit.p_value:.3g}"


def due_to(one: Suspect) -> str:
    """The rule that decided, in few words."""
    if one.judgement.word == Word.ADMIT:
        return "all rules hold"
    said = one.judgement.audit.word if one.judgement.audit else ""
    return ", ".join(f"{rule.name}: {said}" if rule.name == "audit" else rule.name for rule in one.judgement.rules)


def _line(one: Suspect) -> tuple[str, ...]:
    success = one.cell.result.attack_success
    attack = f"{100 * success.value:.1f}" if success is not None and one.is_backdoored else "-"
    return (
        name(one) + (" (weak)" if one.works is False else ""),
        f"{100 * one.cell.result.clean_error.value:.1f}",
        attack,
        p_value(one),
        one.judgement.word,
        due_to(one),
        "loaded" if one.judgement.loaded else "refused",
    )


def _rows(model: str, suspects: Sequence[Suspect]) -> list[Row]:
    return [row for word, what in WORDS.items() for row in _row(model, what, share(suspects, word))]


def _row(model: str, what: str, rate: Rate) -> list[Row]:
    if not rate.total:
        return []
    value, ends = 100 * rate.value, (100 * rate.low, 100 * rate.high)
    return [Row(model, what, None, value, (value,), ends, rate.total, "measured")]


def _named(refused: Sequence[Suspect]) -> Rate:
    return Rate.of(sum(bool(one.named) for one in refused), len(refused))
