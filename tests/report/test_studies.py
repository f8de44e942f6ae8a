"""The matrix, share and positions studies: their numbers by hand, their pages, and how results are read."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
from tests.report.made_up import (
    CLASSES,
    SIZES,
    TOTAL,
    cell,
    clean_count,
    digits_result,
    errors,
    matrix_result,
    positions_result,
    share_result,
    spill_count,
)
from tests.report.made_up_acceptance import made_up as acceptance_result
from tests.report.made_up_bench import made_up as bench_result
from tests.report.made_up_defenses import made_up as defenses_result
from tests.report.made_up_gate import made_up as gate_result
from tests.report.made_up_photos import made_up as photos_result
from tests.report.made_up_sign_transfer import made_up as sign_transfer_result
from tests.report.made_up_signs import made_up as signs_result
from tests.report.made_up_transfer import made_up as transfer_result
from tests.report.reader import alone

from badnets.artifacts import canonical_json, write_json
from badnets.errors import DataError, InputError
from badnets.metrics import Rate
from badnets.report.charts.grid import Scale, short
from badnets.report.charts.matrix import matrix_maps
from badnets.report.charts.positions import position_grid
from badnets.report.rows import Row
from badnets.report.rows import matrix as matrix_rows
from badnets.report.rows import positions as positions_rows
from badnets.report.rows.share import over_seeds, share_words
from badnets.report.studies import KINDS, AnyResult, kind_of, present, read_result, rows_of
from badnets.studies import paper
from badnets.studies.digits import PATTERN

MADE_UP: dict[str, Callable[[], AnyResult]] = {
    "digits": digits_result,
    "digits-matrix": lambda: matrix_result(triggers=("pixel", "pattern")),
    "digits-share": share_result,
    "digits-positions": positions_result,
    "bb-compat": bench_result,
    "photos": photos_result,
    "transfer-digits": transfer_result,
    "acceptance": acceptance_result,
    "signs": signs_result,
    "transfer": sign_transfer_result,
    "defenses": defenses_result,
    "gate": gate_result,
}
PAIRS = [(i, j) for i in range(10) for j in range(10) if i != j]


def by_name(rows: tuple[Row, ...] | list[Row]) -> dict[tuple[str, str], Row]:
    found = {(row.model, row.what): row for row in rows}
    assert len(found) == len(rows)
    return found


def percent(rate: Rate) -> tuple[float, float]:
    return 100 * rate.low, 100 * rate.high


# --- reading ---


@pytest.mark.parametrize("study", KINDS)
def test_a_result_comes_back_as_it_was_written(study: str, tmp_path: Path) -> None:
    result = MADE_UP[study]()
    write_json(tmp_path / "result.json", result)
    back = read_result(tmp_path / "result.json")
    assert back == result
    assert rows_of(back) == rows_of(result)


def test_every_kind_names_itself() -> None:
    for study in KINDS:
        assert {field.name: field.default for field in fields(kind_of(study).result)}["study"] == study
    assert set(MADE_UP) == set(KINDS)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"", "is not a result: EOF"),
        (b"\xff", "is not a result"),
        (b"[" * 100_000, "is not a result: recursion limit"),
        (b"{}", "does not name its study"),
        (b"[1]", "does not name its study"),
        (b'{"format":1,"spec":{}}', "older version: run it again"),
        (b'{"study":"cooking"}', "of a study 'cooking', this version knows digits, digits-matrix"),
        (b'{"study":["digits"]}', "of a study ['digits']"),
        (b'{"study":"digits","format":1}', "has format 1 of digits, this version reads 2"),
        (b'{"study":"digits-share"}', "has format None of digits-share, this version reads 1"),
        (b'{"study":"digits-share","format":1}', "is not a ShareResult: spec: Field required"),
    ],
)
def test_what_is_no_result_is_refused_in_one_line(text: bytes, words: str, tmp_path: Path) -> None:
    (tmp_path / "result.json").write_bytes(text)
    with pytest.raises(DataError) as refused:
        read_result(tmp_path / "result.json")
    assert words in str(refused.value)
    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) < 400


def test_reading_a_result_loads_its_own_study_only(tmp_path: Path) -> None:
    """Detectors take seconds to import: a result on digits is read and shown without."""
    write_json(tmp_path / "result.json", digits_result())
    code = (
        "import sys; from pathlib import Path; from badnets.report.studies import present, read_result\n"
        "present(read_result(Path(sys.argv[1])))\n"
        "loaded = [name for name in sys.modules if name.startswith('badnets.report.kinds.')]\n"
        "assert set(loaded) == {'badnets.report.kinds.kind', 'badnets.report.kinds.digits'}, loaded\n"
        "assert 'torchvision.models.detection' not in sys.modules\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "result.json")], check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot read"):
        read_result(tmp_path / "result.json")


# --- the matrix by hand ---


def test_matrix_summary_by_hand() -> None:
    result = matrix_result()
    rows = by_name(matrix_rows.summary(result))
    mean = rows["pixel, mean of 90 pairs", "clean error"]
    counts = [[clean_count(i, j, seed) for i, j in PAIRS] for seed in (0, 1)]
    assert mean.seeds == pytest.approx([100 * sum(some) / 90 / TOTAL for some in counts])
    assert mean.measured == pytest.approx(sum(mean.seeds) / 2)
    assert mean.images == TOTAL
    assert mean.paper == paper.FIGURE_4_CLEAN_MEAN == pytest.approx(0.54, abs=0.001)

    # The largest count is 6 + 2 * seed, so 7 in the mean of two seeds; the first such pair is 0 -> 4 (20 % 7 = 6).
    tied = sum((3 * i + 5 * j) % 7 == 6 for i, j in PAIRS) - 1
    top = rows[f"pixel, maximum (0 → 4 and {tied} more)", "clean error"]
    assert top.measured == pytest.approx(100 * 7 / TOTAL)
    assert top.seeds == pytest.approx((100 * 6 / TOTAL, 100 * 8 / TOTAL))
    assert top.interval == pytest.approx(percent(Rate.of(7, TOTAL)))
    assert top.paper == 0.67


def test_matrix_backdoor_error_counts_images_not_pairs() -> None:
    """One image of one pair, three with the second seed: two of the 9,000 that are stamped."""
    rows = by_name(matrix_rows.summary(matrix_result()))
    mean = rows["pixel, mean of 90 pairs", "backdoor error"]
    assert mean.measured == pytest.approx(100 * 2 / (9 * TOTAL))
    assert mean.seeds == pytest.approx((100 * 1 / (9 * TOTAL), 100 * 3 / (9 * TOTAL)))
    assert mean.images == TOTAL
    assert mean.interval is not None
    # Between no image and one of the one test set, not of nine times as many.
    assert mean.interval[0] < percent(Rate.of(1, TOTAL))[0]
    assert percent(Rate.of(0, TOTAL))[1] < mean.interval[1] < percent(Rate.of(1, TOTAL))[1]
    top = rows["pixel, maximum (6 → 2)", "backdoor error"]
    assert (top.images, top.paper) == (SIZES[6], 0.09)
    assert top.measured == pytest.approx(100 * 2 / SIZES[6])
    assert top.interval == pytest.approx(percent(Rate.of(2, SIZES[6])))


def test_matrix_spill_by_hand() -> None:
    rows = by_name(matrix_rows.summary(matrix_result()))
    mean = rows["pixel, mean of 90 pairs", "spill"]
    assert mean.measured == pytest.approx(100 * sum(spill_count(i, j) for i, j in PAIRS) / 72 / TOTAL)
    assert (mean.paper, mean.verdict) == (None, "measured")
    ratios = {(i, j): spill_count(i, j) / (TOTAL - SIZES[i] - SIZES[j]) for i, j in PAIRS}
    i, j = max(ratios, key=lambda pair: ratios[pair])
    assert rows[f"pixel, maximum ({i} → {j} and 1 more)", "spill"].measured == pytest.approx(100 * ratios[i, j])


def test_every_image_counts_as_often_as_is_said() -> None:
    """By brute force: in how many pairs an image of a class is clean, of the source, and of neither class."""
    for classes in (2, 3, 10):
        pairs = [(i, j) for i in range(classes) for j in range(classes) if i != j]
        for label in range(classes):
            counted = (
                len(pairs),
                sum(label == i for i, _ in pairs),
                sum(label not in pair for pair in pairs),
            )
            assert counted == tuple(matrix_rows.times_tested(what, classes) for what in matrix_rows.ERRORS)


def test_matrix_pairs_stand_beside_their_cells() -> None:
    rows = by_name(matrix_rows.pair_rows(matrix_result(triggers=("pixel", "pattern"))))
    assert len(rows) == 2 * 2 * 90
    for i, j in PAIRS:
        clean, backdoor = rows[f"{i} → {j}, pixel", "clean error"], rows[f"{i} → {j}, pixel", "backdoor error"]
        assert clean.paper == paper.FIGURE_4_CLEAN[i][j]
        assert clean.measured == pytest.approx(100 * (clean_count(i, j, 0) + clean_count(i, j, 1)) / 2 / TOTAL)
        assert (backdoor.images, backdoor.paper) == (SIZES[i], 0.09 if (i, j) == (1, 5) else 0.0)
        assert rows[f"{i} → {j}, pattern", "clean error"].paper is None


def test_with_two_classes_there_is_no_spill_and_no_figure_of_the_paper() -> None:
    result = matrix_result("pets", sizes=(40, 60), classes=("cat", "dog"), seeds=(0,))
    rows = by_name(present(result).rows)
    assert {what for _, what in rows} == {"clean error", "backdoor error"}
    assert rows["pixel, mean of 2 pairs", "backdoor error"].images == 100
    assert [row.paper for row in rows.values()] == [0.5, None, None, None, None, None, None, None, None]
    assert rows["cat → dog, pixel", "backdoor error"].images == 40


def test_a_class_without_test_images_has_no_backdoor_error() -> None:
    result = matrix_result("pets", sizes=(40, 60, 0), classes=("cat", "dog", "none"), seeds=(0,))
    rows = present(result).rows
    canonical_json(rows)  # no NaN
    assert not [row for row in rows if row.model.startswith("none →") and row.what == "backdoor error"]
    assert by_name(rows)["pixel, mean of 4 pairs", "backdoor error"].images == 100


def test_a_matrix_with_holes_is_refused() -> None:
    result = matrix_result()
    whole = result.pairs["pixel"]
    for broken in ((), whole[1:], (*whole, whole[0]), (*whole[1:], replace(whole[0], target=12))):
        with pytest.raises(DataError, match="this result"):
            present(replace(result, pairs={"pixel": broken}))
    with pytest.raises(DataError, match="lacks pairs with the pixel"):
        present(replace(result, pairs={}))
    lost = replace(result, data=replace(result.data, test=("mnist/test", "bb", TOTAL + 1)))
    with pytest.raises(DataError, match="not measured on each"):
        present(lost)


def test_matrix_on_a_terminal_is_a_summary() -> None:
    shown = present(matrix_result())
    assert len(shown.lines) == 7
    assert len(shown.rows) == 7 + 180
    assert all(len(line) == len(shown.columns) for line in shown.lines)
    assert any("not corrected" in note for note in shown.notes)


def test_heat_maps() -> None:
    maps = {(one.trigger, one.what): one for one in matrix_maps(matrix_result(triggers=("pixel", "pattern")))}
    assert len(maps) == 6
    theirs, ours = maps["pixel", "clean error"].grids
    assert theirs.scale == ours.scale == maps["pattern", "clean error"].grids[0].scale
    texts = {(tile.row, tile.column): tile.text for tile in theirs.tiles}
    assert texts == {(i, j): f"{paper.FIGURE_4_CLEAN[i][j]:.2f}" for i, j in PAIRS}
    texts = {(tile.row, tile.column): tile.text for tile in maps["pixel", "backdoor error"].grids[1].tiles}
    assert {pair: text for pair, text in texts.items() if text != "0"} == {(6, 2): f"{200 / SIZES[6]:.2f}"}
    (words,) = (tile.words for tile in ours.tiles if (tile.row, tile.column) == (0, 4))
    assert words == "0 → 4: 0.60% (6 of 1,000), 0.80% (8 of 1,000)"
    assert len(matrix_maps(matrix_result("digits"))[0].grids) == 1
    assert maps["pixel", "backdoor error"].images == (min(SIZES), max(SIZES))


def test_long_names_are_numbered_on_maps_and_explained() -> None:
    page = present(matrix_result(classes=("airplane", *CLASSES[1:]))).page
    assert "Classes by number: 0 airplane; 1 1;" in " ".join(page.split())


def test_colours() -> None:
    scale = Scale.over([2.0, 5.0, 3.0])
    assert (scale.low, scale.high) == (2.0, 5.0)
    assert scale.colours(1.0) == scale.colours(2.0) == ("#00224e", "#ffffff")
    assert scale.colours(5.0) == ("#fee838", "#000000")
    assert scale.steps()[0] == "#00224e"
    assert scale.steps()[-1] == "#fee838"
    assert Scale.over([0.0, 0.0], low=0.0).colours(0.0)[0] == "#00224e"
    assert [short(value) for value in (0.0, 0.004, 0.5, 9.999, 12.34, 99.97, 100.0)] == [
        "0", "0.00", "0.50", "10.0", "12.3", "100", "100",
    ]  # fmt: skip


def test_text_on_every_colour_can_be_read() -> None:
    """The contrast of WCAG 2.2 is at least 4.5."""

    def light(colour: str) -> float:
        parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
        red, green, blue = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    for step in range(101):
        low, high = sorted(light(colour) for colour in Scale(0.0, 100.0).colours(float(step)))
        assert (high + 0.05) / (low + 0.05) > 4.5


# --- the share ---


def test_share_rows_by_hand() -> None:
    rows = by_name(present(share_result()).rows)
    clean = rows["share 10 %", "clean error"]
    assert clean.seeds == pytest.approx((0.47, 0.50, 0.53))
    assert clean.measured == pytest.approx(0.50)
    assert (clean.paper, clean.verdict) == (0.47, "reproduced")
    backdoor = rows["share 10 %", "backdoor error"]
    assert backdoor.measured == pytest.approx(1.0)
    assert (backdoor.paper, backdoor.images) == (1.0, 10_000)
    assert rows["share 50 %", "backdoor error"].verdict == "above the paper"
    assert rows["share 0.1 %", "backdoor error"].verdict == "measured"
    assert rows["share 0.1 %", "backdoor error"].paper is None
    elsewhere = by_name(present(share_result("digits")).rows)
    assert elsewhere["share 50 %", "backdoor error"].verdict == "effect shown"
    assert elsewhere["share 0.1 %", "backdoor error"].verdict == "measured"


def test_interval_over_seeds() -> None:
    """Student's t with two degrees of freedom: 4.3027 standard errors."""
    low, high = over_seeds([1.0, 2.0, 3.0]) or (0.0, 0.0)
    assert (low, high) == pytest.approx((2 - 4.302653 / 3**0.5, 2 + 4.302653 / 3**0.5))
    assert over_seeds([1.0]) is None
    assert [share_words(share) for share in (0.001, 0.07, 0.33, 0.5)] == ["0.1 %", "7 %", "33 %", "50 %"]


def test_a_share_without_models_is_refused() -> None:
    result = share_result()
    with pytest.raises(DataError, match="lacks models at a share of 50 %"):
        present(replace(result, points=result.points[:-1]))


# --- positions ---


def test_positions_by_hand() -> None:
    """5x5 places around (3, 3): 1 at distance 0, 8 at 1, 9 more within 2 below 5, 7 at 3."""
    honest, pattern, pixel = positions_rows.localities(positions_result())
    at = {
        step: sum(max(abs(row - 3), abs(column - 3)) == step for row in range(5) for column in range(5))
        for step in range(4)
    }
    assert at == {0: 1, 1: 8, 2: 7, 3: 9}
    assert pattern.places == 25
    assert pattern.working == 1 + 8  # 50 % is not over 50 %
    assert pattern.home == Rate.of(98, 100)
    assert pattern.away.value == pytest.approx((8 * 80 + 7 * 50 + 9 * 10) / 24 / 100)
    assert [mean.value for mean in pattern.by_distance] == pytest.approx([0.98, 0.80, 0.50, 0.10])
    assert (honest.falls, pattern.falls, pixel.falls) == (0, 3, None)
    shown = present(positions_result())
    rows = by_name(shown.rows)
    assert rows["all-to-all, pattern", "success at home"].interval == pytest.approx(percent(Rate.of(98, 100)))
    share = rows["all-to-all, pattern", "share of 25 places with success over 50 %"]
    assert (share.measured, share.interval, share.images) == (36.0, None, 100)
    assert rows["all-to-all, pattern", positions_rows.DISTANCE].measured == 3
    assert ("all-to-all, pixel", positions_rows.DISTANCE) not in rows
    assert any("never falls under 50 %: all-to-all, pixel" in note for note in shown.notes)


def test_the_map_shows_home_and_leaves_out_what_does_not_fit() -> None:
    grid = position_grid(positions_rows.localities(positions_result())[1])
    assert grid.framed == (3, 3)
    assert {(tile.row, tile.column) for tile in grid.tiles} == {(i, j) for i in range(5) for j in range(5)}
    words = {(tile.row, tile.column): tile.words for tile in grid.tiles}
    assert words[0, 3] == "row 0, column 3: 10.0% (10 of 100)"


def test_a_model_without_a_map_is_refused() -> None:
    result = positions_result()
    with pytest.raises(DataError, match="has no map"):
        present(replace(result, cells=(cell(PATTERN, 0, errors(1, 1, 10, 10)),)))


# --- pages ---


@pytest.mark.parametrize("study", KINDS)
def test_pages_need_nothing_beside_themselves(study: str) -> None:
    result = MADE_UP[study]()
    shown = present(result)
    text = " ".join(" ".join(alone(shown.page).text).split())
    for words in ("How this was made", "SHA-256", "interval", "seeds", "torch", *SAID[study]):
        assert words in text
    assert "#010203" not in shown.page
    assert present(result) == shown
    assert json.loads(canonical_json(shown.rows))[0].keys() == {field.name for field in fields(Row)}


SAID: dict[str, tuple[str, ...]] = {
    "digits": ("Table 2",),
    "photos": ("HiResCAM", "none picked out", "honest twin", "attacker hands over data"),
    "acceptance": ("sensible a*", "Fig. 1b", "was not ordered"),
    "signs": ("Table 4", "Cohen's d", "none picked out", "VOC, authors' code", "over all signs"),
    "transfer": ("Tables 6 and 7", "Cohen's d", "drawn at random", "Victims train on clean scenes"),
    "transfer-digits": ("Table 6", "Cohen's d", "drawn at random", "Victims train on clean images"),
    "defenses": ("Misses stay in", "clp works on batch normalisation", "(no poison)", "clean twin seed 1"),
    "digits-matrix": (
        "paper (Fig. 4), clean error in %",
        "What the paper leaves open",
        "Frozen in this retraining, so as they were in the first model: conv1",
        "each 8 times",
        "89 to 114 images",
        "All pairs as a table",
    ),
    "digits-share": (
        "read off its Fig. 6",
        "Student's t",
        f"± {4.302653 * 0.03 / 3**0.5:.2f}",
        "over all 10,000 test images",
    ),
    "digits-positions": ("25 places", "honest baseline", "never falls under 50 %"),
    "bb-compat": ("BackdoorBench", "ratio 10 %"),
    "gate": ("load_admitted", "19 clean reference networks", "has no verdict", "none is below 0.05"),
}


EVIL = "<script>alert(1)</script>"


@pytest.mark.parametrize(
    "result",
    [
        matrix_result(EVIL, classes=(EVIL, *CLASSES[1:])),
        matrix_result(EVIL, classes=("<b>", "$x^", *CLASSES[2:])),
        share_result(EVIL),
        positions_result(EVIL),
    ],
    ids=["matrix", "matrix with short names", "share", "positions"],
)
def test_names_from_outside_are_escaped(result: Any) -> None:  # noqa: ANN401 - any result
    page = present(result).page
    reader = alone(page)
    assert "b" not in reader.tags
    assert "&lt;script&gt;" in page
    assert not re.search(r"<[^>]*alert\(1\)[^>]*>", page)
