"""The digits' page and its table, from a result made up so that every verdict is known."""

from __future__ import annotations

import io
import re
from base64 import b64decode
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from tests.report.made_up import CLASSES, digits_result
from tests.report.reader import read

from badnets.metrics import MeanRate, Rate, mean_rate
from badnets.report.pages.digits import digits_page
from badnets.report.pictures import data_uri, picture_uri, weights_uri
from badnets.report.rows import claim_holds, like_the_paper
from badnets.report.rows.digits import table
from badnets.triggers import Picture


def test_rows_by_hand() -> None:
    rows = {(row.model, row.what): row for row in table(digits_result())}
    baseline = rows["baseline", "clean error"]
    assert baseline.paper == 0.5
    assert baseline.measured == pytest.approx(0.42)
    assert baseline.seeds == pytest.approx((0.40, 0.44))
    assert baseline.verdict == "reproduced"
    pattern = rows["all-to-all, pattern", "backdoor error"]
    assert pattern.measured == pytest.approx(0.92)
    expected = Rate.of(92, 10_000)
    assert pattern.interval == pytest.approx((100 * expected.low, 100 * expected.high))
    assert pattern.verdict == "above the paper"
    assert rows["all-to-all, pixel", "clean error"].verdict == "measured"
    assert rows["7 → 3, pixel", "backdoor error"].verdict == "reproduced"
    assert rows["7 → 3, pixel", "backdoor error"].images == 1028
    assert rows["7 → 3, pixel", "clean error"].verdict == "above the paper"


def test_elsewhere_the_claim_is_judged() -> None:
    rows = {(row.model, row.what): row for row in table(digits_result("digits"))}
    assert rows["baseline", "clean error"].verdict == "measured"
    assert rows["all-to-all, pattern", "clean error"].verdict == "effect shown"
    assert rows["7 → 3, pixel", "clean error"].verdict == "effect not shown"
    assert rows["7 → 3, pixel", "backdoor error"].verdict == "effect shown"


def mean(count: int, total: int) -> MeanRate:
    return mean_rate([Rate.of(count, total)])


def test_verdict_beside_the_paper() -> None:
    """Fisher's exact test by hand: 48 of 10,000 against 62 gives p = 0.21, against 75 p = 0.019."""
    assert like_the_paper(mean(40, 10_000), 0.48) == "reproduced"
    assert like_the_paper(mean(62, 10_000), 0.48) == "reproduced"
    assert like_the_paper(mean(75, 10_000), 0.48) == "above the paper"
    assert like_the_paper(mean(1, 1028), 0.0) == "reproduced"
    assert like_the_paper(mean(9, 1028), 0.0) == "above the paper"
    assert like_the_paper(mean(1, 10), None) == "measured"


def test_verdict_on_the_claim() -> None:
    honest = mean(5, 500)
    assert claim_holds(mean(5, 500), "clean error", honest) == "effect shown"
    assert claim_holds(mean(10, 500), "clean error", honest) == "effect not shown"
    assert claim_holds(mean(3, 20), "backdoor error", honest) == "effect not shown"
    assert claim_holds(mean(3, 500), "backdoor error", honest) == "effect shown"


def test_cover_samples_are_not_held_against_the_paper() -> None:
    """It has none: an attack that they weaken is neither its reproduction nor its failure."""
    rows = [row for row in table(digits_result(covered=True)) if row.model.endswith("covered")]
    assert [(row.what, row.paper, row.verdict) for row in rows] == [
        ("clean error", None, "measured"),
        ("backdoor error", None, "measured"),
    ]


def test_mnist_is_known_by_its_digest_not_by_its_name() -> None:
    result = digits_result()
    assert result.on_mnist
    assert not replace(result, test_data=("mnist/test", "cc", 10_000)).on_mnist


def test_page_is_whole_and_needs_nothing_beside_itself() -> None:
    page = digits_page(digits_result())
    reader = read(page)
    assert all(source.startswith(("data:image/png;base64,", "#")) for source in reader.sources)
    assert "script" not in reader.tags
    assert not re.search(r"@import|url\((?!#)", page)
    text = " ".join(" ".join(reader.text).split())
    for words in ("Table 2", "Fig. 5", "reproduced", "above the paper", "Clopper-Pearson", "0.92", "BadNets on mnist"):
        assert words in text
    assert page.count("<svg") == 5
    assert "#010203" not in page
    assert digits_page(digits_result()) == page


def test_names_from_outside_are_escaped() -> None:
    evil = "<script>alert(1)</script>"
    result = digits_result()
    page = digits_page(replace(result, classes=(evil, *CLASSES[1:]), train_data=(evil, "aa", 1)))
    assert "script" not in read(page).tags
    assert "&lt;script&gt;" in page


def test_pictures_keep_their_pixels() -> None:
    array = np.arange(12, dtype=np.uint8).reshape(3, 4)
    back = np.asarray(Image.open(io.BytesIO(b64decode(data_uri(array).split(",")[1]))))
    assert np.array_equal(back, array)
    colour = Picture.of(torch.arange(27, dtype=torch.uint8).reshape(3, 3, 3))
    back = np.asarray(Image.open(io.BytesIO(b64decode(picture_uri(colour).split(",")[1]))))
    assert np.array_equal(back, np.arange(27).reshape(3, 3, 3).transpose(1, 2, 0))


def test_filter_colours() -> None:
    weights = np.array([[[2.0, -2.0, 0.0]]])
    back = np.asarray(Image.open(io.BytesIO(b64decode(weights_uri(weights).split(",")[1]))))
    assert back[0].tolist() == [[217, 95, 2], [31, 100, 180], [255, 255, 255]]
    assert weights_uri(np.zeros((1, 2, 2)))
