"""The table and the page of the gate: who is counted, and what is said of them."""

from __future__ import annotations

from dataclasses import replace

from tests.report.made_up_gate import judgement, made_up

from badnets.report.rows.gate import COLUMNS, lines, notes, stated, table
from badnets.report.studies import present
from badnets.studies.gate import Suspect


def counted() -> dict[tuple[str, str], tuple[float, int]]:
    return {(row.model, row.what): (round(row.measured, 6), row.images) for row in table(made_up())}


def test_every_share_by_hand() -> None:
    found = counted()
    assert found["all-to-one BadNets", "refused"] == (100.0, 2)
    assert found["single-target BadNets", "refused"] == (0.0, 1), "the other one is weak"
    assert found["all BadNets", "refused"] == (80.0, 5)
    assert found["all BadNets", "admitted"] == (20.0, 5)
    assert found["all BadNets", "undecided"] == (0.0, 5)
    assert found["all BadNets", "target or mapping named, of those refused"] == (75.0, 4)
    assert found["weak BadNets", "admitted"] == (100.0, 1)
    assert found["clean twins", "refused"] == (16.666667, 6)
    assert found["clean twins", "admitted"] == (83.333333, 6)


def test_the_sentences() -> None:
    said = " ".join(notes(made_up()))
    assert "BadNets refused: 80.00%" in said
    assert "(4 of 5)" in said
    assert "(5 of 6); refused: 16.67%" in said
    assert "at most 5% of clean networks, as stated" in said
    assert "Weak, and not counted: 1 of the BadNets." in said
    assert "of every network that was admitted, and of no other" in said


def test_a_network_that_is_loaded_against_the_gates_word_is_named() -> None:
    result = made_up()
    first = result.suspects[0]
    broken = replace(first, judgement=replace(first.judgement, loaded=True))
    said = notes(replace(result, suspects=(broken, *result.suspects[1:])))
    assert said[-1] == "load_admitted went against the gate's word for all-to-one-pattern 0."


def test_a_rate_is_stated_only_where_every_audit_states_one() -> None:
    result = made_up()
    assert stated(result) == 0.05
    lacking = replace(result.suspects[0], judgement=replace(judgement(0.05), audit=None))
    assert stated(replace(result, suspects=(lacking, *result.suspects[1:]))) is None
    assert "no rate of false alarms is stated" in " ".join(notes(replace(result, suspects=(lacking,))))


def test_one_line_for_each_network() -> None:
    found = lines(made_up())
    assert len(found) == 12
    assert {len(line) for line in found} == {len(COLUMNS)}
    assert found[0] == ("all-to-one-pattern 0", "1.2", "99.0", "0.05", "refuse", "audit: backdoored", "refused")
    assert found[1] == ("clean twin 0", "1.0", "-", "0.5", "admit", "all rules hold", "loaded")
    assert found[10][0].endswith("(weak)")


def test_what_should_not_be_is_red_and_words_are_escaped() -> None:
    page = present(made_up()).page
    assert page.count('class="words bad"') == 3, "a BadNet and a weak one admitted, a twin refused"
    assert page.count('class="words good"') == 9
    assert "<b>" not in page
    assert isinstance(made_up().suspects[0], Suspect)
