"""The table and the page of the study after BackdoorBench's protocol, from a result whose numbers are known."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.report.made_up_bench import made_up

from badnets.errors import DataError
from badnets.metrics import Rate, Result
from badnets.report.pages.bb_compat import bb_compat_page
from badnets.report.rows.bb_compat import COLUMNS, notes, table, title
from badnets.training import TrainSpec


def test_three_metrics_for_each_ratio_and_published_ones_beside() -> None:
    rows = table(made_up())
    found = [(row.model, row.what, row.paper, round(row.measured, 6), row.images, row.verdict) for row in rows]
    assert found == [
        ("honest", "C-Acc", None, 93.5, 10_000, "measured"),
        ("honest", "ASR", None, 1.5, 9_000, "measured"),
        ("honest", "R-Acc", None, 90.5, 9_000, "measured"),
        ("ratio 2 %", "C-Acc", None, 92.5, 10_000, "measured"),
        ("ratio 2 %", "ASR", None, 81.0, 9_000, "measured"),
        ("ratio 2 %", "R-Acc", None, 14.0, 9_000, "measured"),
        ("ratio 10 %", "C-Acc", 91.32, 91.5, 10_000, "measured"),
        ("ratio 10 %", "ASR", 95.03, 95.5, 9_000, "measured"),
        ("ratio 10 %", "R-Acc", 4.67, 4.5, 9_000, "measured"),
    ]
    assert rows[7].seeds == pytest.approx((95.0, 96.0))
    assert rows[7].interval is not None
    assert rows[7].interval[0] < 95.5 < rows[7].interval[1]
    assert title(made_up()) == "BackdoorBench's BadNets on cifar10/test: shares in %, mean over 2 seed(s)"
    assert len(COLUMNS) == 6


def test_what_is_not_the_protocol_is_said() -> None:
    result = made_up()
    assert len(notes(result)) == 2
    shorter = replace(result, spec=replace(result.spec, train=replace(result.spec.train, epochs=3)))
    assert "3 epochs for its 100" in notes(shorter)[2]
    other = replace(result, spec=replace(result.spec, train=TrainSpec(epochs=100)))
    assert "other steps" in notes(other)[2]
    smaller = replace(result, spec=replace(result.spec, model="badnet_cnn"))
    assert "badnet_cnn" in notes(smaller)[2]
    assert {row.paper for row in table(smaller)} == {None}
    jpeg = replace(result, data=replace(result.data, test=("cifar10 (JPEG q75)/test", "bb", 10_000)))
    assert "JPEG" in notes(jpeg)[2]
    assert table(jpeg) == table(result)


def test_the_page_shows_both_figures_and_escapes_names() -> None:
    result = made_up()
    page = bb_compat_page(result)
    for words in ("ratio 10 %", "95.03", "95.50", "4.67", "Seed by seed", "Stamps replace images", "arXiv 2206.12654"):
        assert words in page
    assert "adds stamped copies beside all clean images, as the paper does" not in page
    single = replace(result, spec=replace(result.spec, seeds=(0,)), baselines=result.baselines[:1])
    single = replace(single, points=tuple(one for one in result.points if one.cell.seed == 0))
    assert "Seed by seed" not in bb_compat_page(single)
    hostile = replace(result, spec=replace(result.spec, data="<script>"))
    assert "<script>" not in bb_compat_page(hostile)


def test_a_result_with_holes_is_refused() -> None:
    result = made_up()
    with pytest.raises(DataError, match="lacks models at a ratio of 10 %"):
        table(replace(result, points=result.points[:-1]))
    bare = replace(result.points[0].cell, result=Result(Rate.of(0, 10_000), ()))
    with pytest.raises(DataError, match="no measured attack"):
        table(replace(result, points=(replace(result.points[0], cell=bare), *result.points[1:])))
