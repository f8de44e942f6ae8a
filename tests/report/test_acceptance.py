"""The report on acceptance: its numbers by hand, and its page."""

from __future__ import annotations

import pytest
from scipy.stats import binom
from tests.report.made_up_acceptance import made_up
from tests.report.reader import alone

from badnets.report.pages.acceptance import acceptance_page
from badnets.report.rows.acceptance import table
from badnets.report.studies import present


def test_rows_by_hand() -> None:
    rows = {(row.model, row.what): row for row in table(made_up())}
    assert rows["honest network", "accuracy"].measured == pytest.approx(98.95)
    assert rows["BadNet", "attack success"].measured == pytest.approx(99.0)
    # Of 30 images at 99 and 98.9 % right: fewer than 29 are right in 3.6 and 4.3 %; fewer than 30 in 26 %.
    (honest,) = (row for (name, _), row in rows.items() if name.startswith("n = 30, a* = 0.9667: honest"))
    assert honest.measured == pytest.approx(50 * (binom.cdf(28, 30, 0.99) + binom.cdf(28, 30, 0.989)))
    (badnet,) = (row for (name, _), row in rows.items() if name.startswith("n = 30, a* = 0.9667: BadNet"))
    assert badnet.interval is not None
    assert badnet.interval[0] < badnet.measured < badnet.interval[1]


def test_the_page_stands_alone_and_says_what_it_shows() -> None:
    page = acceptance_page(made_up())
    alone(page)
    assert "module &lt;side&gt; was not ordered" in page
    assert "Its user refuses it" in page
    assert page.count("<svg") == 1


def test_what_the_command_line_prints() -> None:
    shown = present(made_up())
    assert [len(line) for line in shown.lines] == [len(shown.columns)] * 9
