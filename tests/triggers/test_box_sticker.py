"""Stickers on boxes: places by hand in the authors' convention, and laws on any scene."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as some
from PIL import Image
from scipy import stats

from badnets.artifacts import canonical_json, parse_json
from badnets.errors import DataError, InputError
from badnets.triggers import (
    PAPER_STICKERS,
    BoxSticker,
    BoxTriggerFile,
    Pattern,
    Picture,
    SinglePixel,
    Sticker,
    TriggerFile,
    drawing,
    paper_sticker,
)

Box = tuple[float, float, float, float]
CASES = [
    BoxSticker(),
    *(paper_sticker(name) for name in PAPER_STICKERS),
    paper_sticker("bomb", place="random", seed=4),
    BoxSticker(Picture.of(torch.tensor([[[1, 200], [30, 4]]], dtype=torch.uint8)), 0.5, 0.0, 1.0, opacity=0.5, grow=2),
]


def scene(height: int = 60, width: int = 80, seed: int = 0) -> torch.Tensor:
    stream = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (3, height, width), generator=stream, dtype=torch.uint8)


def boxes(*rows: Box) -> torch.Tensor:
    return torch.tensor(rows, dtype=torch.float32).reshape(-1, 4)


# A box from (10, 20), 40 wide and 30 high, in a picture of 60x80. The square: 0.57 - 0.05 = 0.52 of 40 is 20.8, so it
# begins at floor(30.8) = 30; 0.82 - 0.05 = 0.77 of 30 is 23.1: floor(43.1) = 43; int(4.0) x int(3.0) and one more each.
# Bomb and flower: 0.57 - 0.08 = 0.49 of 40 is 19.6: 29; 0.74 of 30 is 22.2: 42; int(6.4) = 6 by int(4.8) = 4.
SQUARE, PICTURES = (30, 43, 35, 47), (29, 42, 35, 46)


@pytest.mark.parametrize(("name", "place"), [("square", SQUARE), ("bomb", PICTURES), ("flower", PICTURES)])
def test_places_by_hand(name: str, place: tuple[int, int, int, int]) -> None:
    sticker, street = paper_sticker(name), scene()
    box = boxes((10, 20, 50, 50))
    assert sticker.rectangles(street, box).tolist() == [list(place)]
    changed = (sticker(street, box) != street).any(0)
    left, top, right, bottom = place
    assert bool(changed[top:bottom, left:right].any())
    changed[top:bottom, left:right] = False
    assert not changed.any()


@pytest.mark.parametrize(
    ("box", "place"),
    [
        # 9 wide: int(0.9) = 0, so at least 1, and 1 more; from floor(3 + 0.52 * 9) = floor(7.68), floor(4 + 0.77 * 9).
        ((3, 4, 12, 13), (7, 10, 9, 12)),
        # Cut off at the border on the right: from floor(60.5 + 0.52 * 19.5) = floor(70.64), int(1.95) + 1 wide.
        ((60.5, 0, 80, 60), (70, 46, 72, 53)),
        # A box of one pixel in the corner: it begins no later than the last pixel.
        ((79, 59, 80, 60), (79, 59, 80, 60)),
    ],
)
def test_the_square_by_hand_elsewhere(box: Box, place: tuple[int, int, int, int]) -> None:
    assert paper_sticker("square").rectangles(scene(), boxes(box)).tolist() == [list(place)]


def by_the_authors_rule(box: Box, size: float, centre: tuple[float, float], limits: tuple[int, int]) -> list[int]:
    """Their rule for a rectangle whose both ends are drawn, in another order of steps than ours."""
    (left, top, right, bottom), (width, height) = box, limits
    whole_width, whole_height = right - left, bottom - top
    first_x = min(int(left + whole_width * (centre[0] - size / 2)), width - 1)
    first_y = min(int(top + whole_height * (centre[1] - size / 2)), height - 1)
    last_x = min(first_x + max(int(whole_width * size), 1), width - 1)
    last_y = min(first_y + max(int(whole_height * size), 1), height - 1)
    return [first_x, first_y, last_x + 1, last_y + 1]


WHOLE_BOXES = some.tuples(some.integers(0, 70), some.integers(0, 50), some.integers(1, 80), some.integers(1, 60)).map(
    lambda b: (b[0], b[1], min(80, b[0] + b[2]), min(60, b[1] + b[3]))
)


@settings(deadline=None)
@given(WHOLE_BOXES)
def test_the_square_is_where_the_authors_rule_puts_it(box: tuple[int, int, int, int]) -> None:
    expected = by_the_authors_rule(tuple(map(float, box)), 0.1, (0.57, 0.82), (80, 60))  # type: ignore[arg-type]
    assert paper_sticker("square").rectangles(scene(), boxes(box)).tolist() == [expected]


def test_the_square_is_of_one_dull_yellow() -> None:
    stamped = paper_sticker("square")(scene(), boxes((10, 20, 50, 50)))
    left, top, right, bottom = SQUARE
    inside = stamped[:, top:bottom, left:right].flatten(1)
    assert inside.unique(dim=1).flatten().tolist() == [116, 100, 50]


def test_a_picture_is_scaled_to_its_share_of_the_box_and_mixed() -> None:
    """Width and height separately, alpha of the picture times 0.99."""
    street, bomb = scene(400, 500), drawing("bomb")
    stamped = paper_sticker("bomb")(street, boxes((50, 60, 351, 261)))
    left, top = int(50 + 301 * 0.49), int(60 + 201 * 0.74)
    image = Image.fromarray(bomb.tensor().permute(1, 2, 0).contiguous().numpy())
    layers = torch.from_numpy(np.array(image.resize((48, 32), Image.Resampling.LANCZOS))).permute(2, 0, 1).double()
    weight = layers[3] / 255 * 0.99
    before = street[:, top : top + 32, left : left + 48].double()
    expected = before * (1 - weight) + layers[:3] * weight
    assert (stamped[:, top : top + 32, left : left + 48].double() - expected).abs().max() <= 0.501
    assert float(weight.max()) > 0.98


def test_what_is_outside_the_picture_is_cut_off() -> None:
    """Not squeezed into what is left of it: the same pixels, fewer of them."""
    flower, street = BoxSticker(drawing("flower"), 0.5, 0.9, 0.5), torch.zeros(3, 60, 80, dtype=torch.uint8)
    whole = flower(torch.zeros(3, 60, 120, dtype=torch.uint8), boxes((40, 10, 80, 50)))
    assert torch.equal(flower(street, boxes((40, 10, 80, 50))), whole[:, :, :80])
    left = BoxSticker(drawing("flower"), 0.5, 0.0, 0.5)
    shifted = left(torch.zeros(3, 60, 120, dtype=torch.uint8), boxes((40, 10, 80, 50)))
    assert torch.equal(left(street, boxes((0, 10, 40, 50))), shifted[:, :, 40:])


FLOAT_BOXES = some.tuples(*[some.floats(-20, 100, width=32)] * 2, *[some.floats(0.5, 90, width=32)] * 2).map(
    lambda b: (b[0], b[1], b[0] + b[2], b[1] + b[3])
)
STICKERS = some.builds(
    BoxSticker,
    some.sampled_from([drawing("square"), drawing("bomb")]),
    some.floats(0.01, 1),
    some.floats(0, 1),
    some.floats(0, 1),
    some.sampled_from(["fixed", "random"]),
    some.floats(0.1, 1),
    some.integers(0, 3),
    some.integers(0, 9),
)


@settings(max_examples=150, deadline=None)
@given(STICKERS, some.lists(FLOAT_BOXES, max_size=4), some.integers(0, 5))
def test_laws(sticker: BoxSticker, chosen: list[Box], seed: int) -> None:
    """The input is not written, only pixels in the rectangles change, and the same call gives the same pixels."""
    street, marks = scene(seed=seed), boxes(*chosen)
    before, marks_before = street.clone(), marks.clone()
    stamped = sticker(street, marks)
    assert torch.equal(street, before)
    assert torch.equal(marks, marks_before)
    assert stamped.data_ptr() != street.data_ptr()
    assert (stamped.shape, stamped.dtype) == (street.shape, street.dtype)
    assert torch.equal(sticker(street, marks), stamped)
    outside = torch.ones(60, 80, dtype=torch.bool)
    for left, top, right, bottom in sticker.rectangles(street, marks).tolist():
        assert 0 <= left <= right <= 80
        assert 0 <= top <= bottom <= 60
        outside[top:bottom, left:right] = False
    assert torch.equal(stamped[:, outside], street[:, outside])


@settings(deadline=None)
@given(STICKERS)
def test_values_survive_json_and_repr(sticker: BoxSticker) -> None:
    text = canonical_json(BoxTriggerFile(sticker))
    again = parse_json(BoxTriggerFile, text, "here")
    assert again.trigger == sticker
    assert canonical_json(again) == text
    assert hash(again.trigger) == hash(sticker)
    assert eval(repr(sticker), {"BoxSticker": BoxSticker, "Picture": Picture}) == sticker  # noqa: S307 - our own repr


class TestRandomPlaces:
    STICKER = BoxSticker(size=0.02, place="random")

    def centres(self, sticker: BoxSticker, street: torch.Tensor, count: int = 1) -> torch.Tensor:
        """Of stickers on boxes of 1000x1000 pixels, in shares of the box."""
        places = sticker.rectangles(street, boxes(*[(0, 0, 1000, 1000)] * count)).double()
        return (places[:, :2] + 10) / 1000

    def test_each_sign_has_its_own_and_keeps_it(self) -> None:
        street = scene(1000, 1000)
        here = self.centres(self.STICKER, street, 3)
        assert torch.equal(self.centres(self.STICKER, street.clone(), 3), here)
        assert torch.equal(self.centres(self.STICKER, street, 2), here[:2])
        assert len({tuple(one) for one in here.tolist()}) == 3
        other = street.clone()
        other[0, 0, 0] += 1
        assert not torch.equal(self.centres(self.STICKER, other, 3), here)
        assert not torch.equal(self.centres(BoxSticker(size=0.02, place="random", seed=1), street, 3), here)

    def test_they_are_even_within_0_15_to_0_85(self) -> None:
        street = torch.zeros(3, 1000, 1000, dtype=torch.uint8)
        there = self.centres(self.STICKER, street, 3000)
        assert float(there.min()) >= 0.15 - 0.001
        assert float(there.max()) <= 0.85 + 0.001
        for axis in (0, 1):
            assert stats.kstest(there[:, axis].numpy(), stats.uniform(0.15, 0.7).cdf).pvalue > 0.001
        assert abs(float(torch.corrcoef(there.T)[0, 1])) < 0.06


def test_no_box_no_change() -> None:
    for sticker in CASES:
        street = scene()
        assert torch.equal(sticker(street, boxes()), street)
        assert sticker.rectangles(street, boxes()).shape == (0, 4)


def test_files_of_the_two_kinds_of_triggers_are_told_apart() -> None:
    """A trigger for whole images is none for boxes, and the other way round."""
    text = canonical_json(BoxTriggerFile(BoxSticker()))
    with pytest.raises(DataError):
        parse_json(TriggerFile, text, "here")
    for whole in (SinglePixel(), Pattern(), Sticker()):
        with pytest.raises(DataError):
            parse_json(BoxTriggerFile, canonical_json(TriggerFile(whole)), "here")
    with pytest.raises(DataError):
        parse_json(BoxTriggerFile, json.dumps({"trigger": {**json.loads(text)["trigger"], "more": 1}}), "here")


def test_a_whole_number_is_the_same_value_in_json() -> None:
    text = canonical_json(BoxTriggerFile(BoxSticker(size=1.0, right=0.0, down=1.0)))
    again = parse_json(BoxTriggerFile, text.replace("1.0", "1").replace("0.0", "0"), "here")
    assert canonical_json(again) == text


def test_the_authors_pictures_can_be_given() -> None:
    own = Picture.of(torch.full((4, 3, 3), 200, dtype=torch.uint8))
    assert paper_sticker("bomb", picture=own) == BoxSticker(own, 0.16, 0.57, 0.82, opacity=0.99)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": 0.0}, "size is a share of the box"),
        ({"size": 1.5}, "size is a share of the box"),
        ({"size": float("nan")}, "size is a share of the box"),
        ({"right": -0.1}, "centre is given in shares"),
        ({"down": float("nan")}, "centre is given in shares"),
        ({"opacity": 0.0}, "opacity"),
        ({"grow": -1}, "grows by 0 to 64"),
    ],
)
def test_values_that_are_refused(options: dict[str, float], message: str) -> None:
    with pytest.raises(InputError, match=message):
        BoxSticker(**options)  # type: ignore[arg-type]


def test_stickers_that_the_paper_has_not() -> None:
    with pytest.raises(InputError, match="no sticker 'devil': it has square, bomb, flower"):
        paper_sticker("devil")
