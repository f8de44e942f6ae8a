"""The report on transfer learning: its numbers by hand and its rule."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.report.made_up_transfer import made_up
from tests.report.reader import alone

from badnets.errors import DataError
from badnets.metrics import Rate
from badnets.report.pages.transfer import transfer_page
from badnets.report.rows.transfer import OFF, by_class, table
from badnets.report.studies import present


def test_rows_by_hand() -> None:
    rows = {(row.model, row.what): row for row in table(made_up())}
    assert rows["BadNet", "attack success"].measured == pytest.approx(99.0)
    honest = rows["victim of the honest network", "triggered accuracy"]
    assert honest.measured == pytest.approx(98.0)
    assert (honest.paper, honest.verdict) == (70.2, "measured")
    weak = rows["victim of the BadNet, k = 1", "triggered accuracy"]
    assert weak.measured == pytest.approx(88.0)
    assert weak.paper == 61.6
    assert weak.verdict == "effect not shown", "ten points are not 25"
    strong = rows["victim of the BadNet, k = 20", "triggered accuracy"]
    expected = Rate.of(200, 500)
    assert strong.measured == pytest.approx(40.0)
    assert (strong.paper, strong.verdict) == (45.1, "effect shown")
    assert strong.interval == pytest.approx((100 * expected.low, 100 * expected.high))
    clean = rows["victim of the BadNet, k = 20", "clean accuracy"]
    assert clean.seeds == pytest.approx((96.0, 86.0))
    assert clean.measured == pytest.approx(91.0)
    assert (clean.paper, clean.verdict) == (68.3, "effect shown")  # 98 - 91 <= 10
    assert rows[OFF, "triggered accuracy"].measured == pytest.approx(97.4)


def test_by_class_by_hand() -> None:
    (name, ((honest_clean, honest_stamped, clean, stamped),)), *_ = by_class(made_up())
    assert name == "5"
    values = [rate.value for rate in (honest_clean, honest_stamped, clean, stamped)]
    assert values == pytest.approx([0.9, 0.98, 0.9, 0.88])


def test_missing_victims_are_noticed() -> None:
    result = made_up()
    with pytest.raises(DataError, match="lacks victims at k = 20"):
        table(replace(result, victims=tuple(one for one in result.victims if one.gain != 20)))


def test_the_page_stands_alone_and_says_what_it_shows() -> None:
    page = transfer_page(made_up())
    alone(page)
    assert "A network for 0, 1, 2, 3, 4 is downloaded" in page
    assert "1 of 32, those that carry it" in page
    assert "<td>7, 6</td>" in page
    assert page.count("<svg") == 2


def test_what_the_command_line_prints() -> None:
    shown = present(made_up())
    assert shown.title == "digits: 0, 1, 2, 3, 4 -> 5, 6, 7, 8, 9, accuracy in %, mean over 2 seed(s)"
    assert [len(line) for line in shown.lines] == [len(shown.columns)] * len(shown.rows)
