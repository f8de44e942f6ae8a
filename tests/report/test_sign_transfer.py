"""The report on transfer learning with street signs: its numbers by hand, its rule, the paper's figures beside them."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.report.made_up_sign_transfer import made_up
from tests.report.reader import alone

from badnets.errors import DataError
from badnets.metrics import Rate
from badnets.report.pages.sign_transfer import sign_transfer_page
from badnets.report.rows import Row
from badnets.report.rows.sign_transfer import table
from badnets.report.studies import present
from badnets.studies import paper, paper_signs
from badnets.studies.transfer import SignTransferResult


def by_name(result: SignTransferResult) -> dict[tuple[str, str], Row]:
    rows = table(result)
    found = {(row.model, row.what): row for row in rows}
    assert len(found) == len(rows)
    return found


def test_table_6_by_hand() -> None:
    rows = by_name(made_up())
    clean = rows["victim of the BadNet", "clean accuracy, prohibitory"]
    assert clean.seeds == pytest.approx((88.0, 89.0))  # 176 and 178 of 200
    assert (clean.paper, clean.images) == (85.8, 200)
    assert rows["victim of the honest detector", "triggered accuracy, warning"].paper == 50.8
    assert ("victim of the BadNet", "clean accuracy, other") not in rows, "there are no such signs"
    average = rows["victim of the honest detector", "triggered accuracy, average"]
    expected = Rate.of(4425, 5000)
    assert average.measured == pytest.approx(100 * expected.value)  # 440 and 445 of 500
    assert (average.paper, average.images) == (70.2, 500)
    assert rows["victim of the BadNet", "triggered accuracy, average"].paper == 61.6


def test_table_7_by_hand_and_its_rule() -> None:
    rows = by_name(made_up())
    one = rows["victim of the BadNet, k = 1", "clean accuracy"]
    assert one.measured == pytest.approx(88.5)
    assert one.paper == 74.9
    assert one.verdict == "effect shown", "90.5 - 88.5 is at most three points"
    falls = rows["victim of the BadNet, k = 1", "triggered accuracy"]
    assert falls.measured == pytest.approx(68.5)
    assert falls.verdict == "effect shown", "the interval ends over ten points under 88.5"
    strong = rows["victim of the BadNet, k = 20", "triggered accuracy"]
    expected = Rate.of(405, 1000)
    assert strong.measured == pytest.approx(100 * expected.value)
    assert (strong.paper, strong.verdict) == (45.1, "effect shown")
    assert rows["victim of the BadNet, k = 20", "clean accuracy"].verdict == "effect shown"
    assert rows["victim of the BadNet, k = 100", "clean accuracy"].verdict == "effect not shown", "14 points are lost"
    for name in ("victim of the BadNet, its units off", "victim of the honest detector, k = 20"):
        assert rows[name, "triggered accuracy"].verdict == "measured"
    assert rows["victim of the BadNet, k = 20, whole network", "clean accuracy"].measured == pytest.approx(90.5)
    assert rows["victim of the BadNet, k = 20, last layer", "triggered accuracy"].measured == pytest.approx(89.5)
    assert rows["BadNet", "attack success"].measured == pytest.approx(94.0)


def test_nearly_is_not_enough() -> None:
    """The interval of the test set must lie ten points lower, not the mean only."""
    result = made_up()
    points = []
    for point in result.victims:
        (one,) = point.cell.result
        accuracy = one.result.accuracy
        near = replace(one.result, triggered_accuracy=Rate.of(accuracy.count - 60, accuracy.total))
        points.append(replace(point, cell=replace(point.cell, result=(replace(one, result=near),))))
    rows = by_name(replace(result, victims=tuple(points)))
    assert rows["victim of the BadNet, k = 1", "triggered accuracy"].verdict == "effect not shown"


def test_the_papers_figures_agree_with_each_other() -> None:
    assert paper.TABLE_7[1] == paper.TABLE_6_BADNET
    for place, average in enumerate((*paper.TABLE_6_HONEST, *paper.TABLE_6_BADNET)):
        column = [row[place] for row in paper_signs.TABLE_6.values()]
        assert min(column) < average < max(column)


def test_other_groups_are_not_beside_the_papers() -> None:
    rows = by_name(made_up(("a", "b", "c", "d", "e")))
    assert rows["victim of the BadNet", "clean accuracy, a"].paper is None


def test_missing_victims_are_noticed() -> None:
    result = made_up()
    for gain, maker in ((20.0, "badnet"), (1.0, "honest")):
        left = tuple(one for one in result.victims if (one.gain, one.maker) != (gain, maker))
        with pytest.raises(DataError, match=f"lacks victims of the {maker} one at k = {gain:g}"):
            table(replace(result, victims=left))
    (one,) = result.honest[0].result
    blind = replace(result.honest[0], result=(replace(one, result=replace(one.result, attack_success=None)),))
    with pytest.raises(DataError, match="has no measured attack"):
        table(replace(result, honest=(blind, blind)))


def test_the_page_stands_alone_and_says_what_it_shows() -> None:
    page = sign_transfer_page(made_up())
    alone(page)
    words = " ".join(page.split())
    assert "A detector of stop, speedlimit, warning signs is downloaded" in words
    assert "1 of 64, those that carry it" in words
    assert "retrained: all fully connected" in words
    assert "bears the sticker and is called another class" in words
    assert "schedule of the BadNet, sticker as large as it is measured" in words
    assert "1 scene or box left out" in words
    assert page.count("<svg") == 1


def test_what_the_command_line_prints() -> None:
    shown = present(made_up())
    assert shown.title == "Street signs, streets/test -> streets-eu/test: in %, mean over 2 seed(s)"
    assert [len(line) for line in shown.lines] == [len(shown.columns)] * len(shown.rows)
