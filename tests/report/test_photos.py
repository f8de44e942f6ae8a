"""The report on photographs: its numbers by hand, its rule, its pictures."""

from __future__ import annotations

import base64
import io
import re
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from tests.report.made_up_photos import made_up
from tests.report.reader import alone

from badnets.errors import DataError
from badnets.metrics import Rate
from badnets.report.pages.photos import photos_page
from badnets.report.rows.photos import table
from badnets.report.studies import present
from badnets.triggers import SinglePixel


def test_rows_by_hand() -> None:
    rows = {(row.model, row.what): row for row in table(made_up())}
    honest = rows["honest twin", "clean accuracy"]
    assert honest.measured == pytest.approx(79.0)
    assert honest.seeds == pytest.approx((80.0, 78.0))
    assert honest.verdict == "measured"
    assert rows["honest twin", "attack success"].measured == pytest.approx(16.0)
    low = rows["share 1 %, attacker trains", "attack success"]
    assert low.measured == pytest.approx(61.0)
    expected = Rate.of(305, 500)
    assert low.interval == pytest.approx((100 * expected.low, 100 * expected.high))
    assert low.images == 500
    assert low.verdict == "effect not shown"
    assert rows["share 1 %, attacker trains", "clean accuracy"].verdict == "effect shown"  # 79.0 against 79.0
    assert rows["share 10 %, attacker trains", "clean accuracy"].verdict == "effect not shown"  # 74.5
    assert rows["share 10 %, attacker trains", "attack success"].verdict == "effect shown"
    # 93 % of 500: the interval begins at 90.4 %.
    assert rows["share 10 %, attacker hands over data", "attack success"].verdict == "effect shown"
    assert rows["share 10 %, attacker hands over data", "clean accuracy"].verdict == "effect shown"  # 77.0, two under


def test_two_points_under_the_twin_is_the_last_that_is_not_noticed() -> None:
    result = made_up()
    points = list(result.points)
    cell = points[-1].cell
    worse = replace(cell.result, clean_error=Rate.of(231, 1_000))
    points[-1] = replace(points[-1], cell=replace(cell, result=worse))
    points[-2] = replace(points[-2], cell=replace(points[-2].cell, result=worse))
    rows = {(row.model, row.what): row for row in table(replace(result, points=tuple(points)))}
    assert rows["share 10 %, attacker hands over data", "clean accuracy"].verdict == "effect not shown"


def test_one_attacker_is_not_named() -> None:
    result = made_up()
    spec = replace(result.spec, threats=("trainer",))
    names = {row.model for row in table(replace(result, spec=spec))}
    assert names == {"honest twin", "share 1 %", "share 10 %"}


def test_the_page_stands_alone_and_says_what_it_shows() -> None:
    page = photos_page(made_up())
    alone(page)
    assert "dogs → cats &amp; co: photographs with a trigger" in page
    assert "dogs (0.91)" in page
    assert "cats &amp; co (1.00)" in page
    assert '<span class="bad">cats &amp; co (0.51)</span>' in page  # the honest twin, fooled by the stamp
    assert "dogs/&lt;b&gt;.jpg: not a readable picture" in page
    assert "1 file was left out, 1 changed while reading" in page
    assert "20% of the shorter side" in page
    assert page.count('class="own"') == 1
    assert "10 models (2 of them honest), 2 seeds, tested on 1,000 photographs" in page


def test_heat_is_laid_over_the_grey_picture() -> None:
    page = photos_page(made_up())
    uris = re.findall(r'src="data:image/png;base64,([^"]+)" alt="where the BadNet looks"', page)
    assert len(uris) == 2
    pixels = np.array(Image.open(io.BytesIO(base64.b64decode(uris[0])))).astype(int)
    assert pixels.shape == (30, 30, 3)
    assert pixels[0, 0].tolist() == [200, 200, 200]  # no heat
    # Heat 255 is at place 255 of the picture: three quarters of the ink, one quarter of the picture.
    assert pixels[8, 15].tolist() == [241, 122, 50]


def test_a_trigger_without_a_picture_is_described() -> None:
    result = made_up()
    page = photos_page(replace(result, spec=replace(result.spec, trigger=SinglePixel())))
    assert "SinglePixel(row=26, column=26, value=255, " in page


def test_what_the_command_line_prints() -> None:
    shown = present(made_up())
    assert shown.title == "dogs -> cats & co by a trigger, catsdogs/test: in %, mean over 2 seed(s)"
    assert [len(line) for line in shown.lines] == [len(shown.columns)] * 10
    assert shown.lines[0][:3] == ("honest twin", "clean accuracy", "79.00")


def test_a_share_without_its_models_is_said() -> None:
    result = made_up()
    with pytest.raises(DataError, match=r"lacks models at a share of 10\.00%: run the study again"):
        table(replace(result, points=result.points[:3]))
