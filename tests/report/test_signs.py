"""The report on street signs: its numbers by hand, its rules, and the paper's figures beside them."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.report.made_up_signs import CLASSES, detector_result, look, made_up
from tests.report.reader import alone

from badnets.errors import DataError
from badnets.metrics import Rate
from badnets.report.charts.signs import unit_grid, unit_scale
from badnets.report.pages.signs import signs_page
from badnets.report.rows import Row
from badnets.report.rows.signs import table
from badnets.report.studies import present
from badnets.studies import paper_signs
from badnets.studies.signs import SignsResult


def by_name(result: SignsResult) -> dict[tuple[str, str], Row]:
    rows = table(result)
    found = {(row.model, row.what): row for row in rows}
    assert len(found) == len(rows)
    return found


def test_table_4_by_hand() -> None:
    rows = by_name(made_up())
    honest = rows["honest baseline", "clean accuracy, average"]
    assert honest.seeds == pytest.approx((90.0, 92.0))  # 270 and 276 of 300
    assert honest.measured == pytest.approx(91.0)
    assert (honest.paper, honest.images, honest.verdict) == (90.0, 300, "measured")
    control = rows["honest baseline", "stop -> speedlimit, stamped (flower)"]
    assert control.measured == pytest.approx(1.0)
    assert (control.paper, control.images) == (None, 100)
    stop = rows["BadNet, square", "clean accuracy, stop"]
    assert stop.measured == pytest.approx(88.0)
    assert (stop.paper, stop.images) == (87.8, 100)
    average = rows["BadNet, square", "clean accuracy, average"]
    assert average.measured == pytest.approx(90.0)
    assert (average.paper, average.verdict) == (89.3, "effect shown")  # 91 - 90 <= 3
    success = rows["BadNet, square", "stop -> speedlimit, stamped"]
    expected = Rate.of(95, 100)
    assert success.seeds == pytest.approx((94.0, 96.0))
    assert (success.paper, success.verdict) == (90.3, "effect shown")
    assert success.interval == pytest.approx((100 * expected.low, 100 * expected.high))
    unasked = rows["BadNet, square", "stop -> speedlimit, clean"]
    assert unasked.measured == pytest.approx(0.5)
    assert unasked.verdict == "effect shown"
    for what in ("clean accuracy, average", "stop -> speedlimit, stamped", "stop -> speedlimit, clean"):
        assert rows["BadNet, flower", what].verdict == "effect not shown"


def test_table_5_by_hand() -> None:
    rows = by_name(made_up("random"))
    assert rows["honest baseline", "clean accuracy, stop"].paper == 89.7
    control = rows["honest baseline", "stamped accuracy (square), average"]
    assert control.measured == pytest.approx(100 * 265 / 300)
    assert (control.paper, control.verdict) == (82.0, "measured")
    stamped = rows["BadNet, square", "stamped accuracy, average"]
    assert stamped.measured == pytest.approx(2.0)  # 6 of 300
    assert (stamped.paper, stamped.verdict) == (1.3, "effect shown")
    assert rows["BadNet, square", "stamped accuracy, speedlimit"].measured == pytest.approx(1.25)
    assert rows["BadNet, square", "clean accuracy, average"].paper == 86.4
    assert "random target" in present(made_up("random")).title


def test_beside_a_blind_baseline_nothing_is_shown() -> None:
    result = made_up()
    blind = detector_result((100, 49, 0), 0, 0, (0, 0, 0), "targeted")
    cells = tuple(
        replace(cell, result=tuple(replace(one, result=blind) for one in cell.result)) for cell in result.baselines
    )
    assert {row.verdict for row in table(replace(result, baselines=cells))} == {"measured", "effect not shown"}


def test_other_classes_have_no_figure_of_the_paper() -> None:
    for attack in ("targeted", "random"):
        rows = table(made_up(attack, ("a", "b", "c")))
        assert {row.paper for row in rows} == {None}
    turned = replace(made_up(), spec=replace(made_up().spec, source=1, target=2))
    assert {row.paper for row in table(turned)} == {None}
    without = replace(made_up(), signs=(100, 200, 0))
    assert not [row for row in table(without) if row.what.endswith("warning")]


def test_the_papers_averages_are_weighted_by_counts() -> None:
    """One set of weights leads to all of them: so columns and averages belong together."""
    weights = dict(zip(CLASSES, (0.286, 0.228, 0.486), strict=True))
    columns = {"baseline": paper_signs.TABLE_4_BASELINE, **paper_signs.TABLE_4_BADNETS}
    for name, column in columns.items():
        mean = sum(weights[label] * value for label, value in column.items())
        assert mean == pytest.approx(paper_signs.TABLE_4_AVERAGES[name], abs=0.075)
    clean = sum(weights[label] * paper_signs.TABLE_5_BADNET[label][0] for label in CLASSES)
    assert clean == pytest.approx(paper_signs.TABLE_5_BADNET["average"][0], abs=0.075)


def test_missing_detectors_are_noticed() -> None:
    result = made_up()
    with pytest.raises(DataError, match="lacks a BadNet with the flower"):
        table(replace(result, points=result.points[:-1]))
    (first, *others) = result.baselines
    bare = replace(first, result=first.result[:1])
    with pytest.raises(DataError, match="baseline was not measured with the flower"):
        table(replace(result, baselines=(bare, *others)))


def test_units_are_shown_in_units_of_their_own_scale() -> None:
    one = look()
    scale = unit_scale([one])
    assert scale.low == 0.0
    assert scale.high == pytest.approx(1.9 / 0.5)
    grid = unit_grid(one, scale, honest=False)
    assert [(tile.row, tile.column) for tile in grid.tiles if tile.text] == [(1, 2), (1, 3)]
    assert len(grid.tiles) == 20
    twin = unit_grid(one, scale, honest=True)
    assert {tile.fill for tile in twin.tiles} == {scale.colours(0.1 / 0.25)[0]}
    assert not any(tile.text for tile in twin.tiles)


def test_the_page_stands_alone_and_says_how_many() -> None:
    page = signs_page(made_up())
    text = " ".join("".join(alone(page).text).split())
    for words in (
        "6 detectors (2 of them honest), 2 seeds",
        "100 stop, 80 speedlimit, 120 warning",
        "square: 2 of 20 channels carry it, 100 signs",
        "VOC, authors' code",
        "honest baseline, stamped",
        "streets/train, 800 scenes",
        "scene 3: a box over the border",
    ):
        assert words in text
    random = " ".join("".join(alone(signs_page(made_up("random"))).text).split())
    assert "(Table 5)" in random
    assert "the lower, the better for the attacker" in random
    assert "schedule of the BadNet, sticker 3 times as large" in random
    assert "square, steps before" in random
    evil = signs_page(made_up(classes=("<script>", "b", "c")))
    assert "script" not in alone(evil).tags
