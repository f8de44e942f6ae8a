"""The table and the page of the study of defenses, by hand."""

from __future__ import annotations

import pytest
from tests.report.made_up_defenses import DIVERSE, TOTAL, made_up
from tests.report.reader import alone

from badnets.report.rows.defenses import missed_filter, missed_repair
from badnets.report.studies import present


def test_the_summary_by_hand() -> None:
    rows = {(row.model, row.what): row for row in present(made_up()).rows}
    left = rows["all 4 BadNets", "unlearning: attack success, median"]
    assert left.seeds == (1.0, 1.0, 5.0, 5.0)
    assert left.measured == 3
    assert rows["all 4 BadNets", "unlearning: attack success, worst"].measured == 5
    assert rows["all 4 BadNets", "fine-tuning: attack success, worst"].measured == 60
    assert rows["all 4 BadNets", "unlearning: re-learned, median"].measured == 30
    cost = rows["all 2 clean twins", "unlearning: clean accuracy lost, worst"]
    assert abs(cost.measured - 0.5) < 1e-9
    assert not [what for _, what in rows if what.startswith("clp")]


def test_rows_of_one_model_by_hand() -> None:
    rows = {(row.model, row.what): row for row in present(made_up()).rows}
    name = "all-to-all-pattern seed 1"
    found = rows[name, "strip: found at 5 % false alarms"]
    assert (found.measured, found.images) == (80, 200)
    assert rows[name, "strip: area under the curve"].measured == 90
    assert rows[name, "spectre: clean images lost"].measured == pytest.approx(7)
    after = rows[name, "unlearning: clean accuracy"]
    assert (after.measured, after.images) == (98.5, TOTAL)
    twin = [what for model, what in rows if model == "clean twin seed 0"]
    assert "spectre: clean images lost" in twin
    assert "spectre: poison found" not in twin
    assert not [what for what in twin if "re-learned" in what or "area" in what]


def test_misses_are_marked() -> None:
    bad = next(one for one in made_up().models if one.backdoored)
    unlearned, tuned, _ = bad.repairs
    assert not missed_repair(unlearned, backdoored=True)
    assert missed_repair(tuned, backdoored=True)
    strip, ted = bad.inputs
    assert not missed_filter(strip)
    assert missed_filter(ted)
    page = present(made_up()).page
    assert page.count('class="words bad"') == 4 + 4  # of each BadNet fine-tuning and TED
    assert DIVERSE in " ".join(alone(page).text)
