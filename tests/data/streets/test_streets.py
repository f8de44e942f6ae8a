"""The rendered streets: the same in every run, boxes tight around signs, classes balanced."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as some

from badnets.data.streets import COUNTRIES, SIZE, Streets, read
from badnets.data.streets.faces import Design, face
from badnets.data.streets.layout import Layout, Pose, Sign, plan
from badnets.data.streets.letters import LETTERS
from badnets.data.streets.scene import drawn
from badnets.errors import InputError

DESIGNS = [
    (country, design) for country, known in COUNTRIES.items() for design in (*known.designs, *known.strangers)
]  # fmt: skip


@pytest.mark.parametrize("country", COUNTRIES)
def test_a_scene_is_the_same_in_every_order_and_thread(country: str) -> None:
    streets, again = Streets(12, country), Streets(40, country)
    assert streets[3].shape == (3, *SIZE)
    assert streets[3].dtype == torch.uint8
    np.random.seed(1)  # noqa: NPY002 - whoever else uses it must not matter
    torch.manual_seed(1)
    with ThreadPoolExecutor(4) as pool:
        for number, picture in zip(reversed(range(12)), pool.map(again.__getitem__, reversed(range(12))), strict=True):
            assert torch.equal(picture, streets[number])
    assert all(
        torch.equal(one.boxes, other.boxes) for one, other in zip(streets.objects(), again.objects(), strict=False)
    )


def test_scenes_halves_seeds_and_countries_differ() -> None:
    pictures = [Streets()[number] for number in range(6)]
    pictures += [Streets(half="test")[0], Streets(seed=1)[0], Streets(country="eu")[0]]
    apart = [
        float((one.float() - other.float()).square().mean().sqrt())
        for place, one in enumerate(pictures) for other in pictures[:place]
    ]  # fmt: skip
    assert min(apart) > 20, "root of the mean square, in levels"


def test_numbers_out_of_range_end_a_loop() -> None:
    streets = Streets(3)
    assert torch.equal(streets[-1], streets[2])
    with pytest.raises(IndexError):
        _ = streets[3]


def differing(country: str, number: int) -> tuple[Layout, np.ndarray]:
    """How far each pixel is from the same scene without its signs, before it is photographed."""
    names = (0, country, "train", number)
    layout = plan(names, 320)
    pictures = [np.asarray(drawn(names, layout, (240, 320), signs=signs), dtype=float) for signs in (True, False)]
    return layout, np.abs(pictures[0] - pictures[1]).max(2)


@pytest.mark.parametrize("country", COUNTRIES)
def test_boxes_hold_their_signs_and_no_more(country: str) -> None:
    tight = whole = 0
    for number in range(25):
        layout, apart = differing(country, number)
        outside = np.ones_like(apart, dtype=bool)
        for sign in layout.signs:
            left, top, right, bottom = sign.box(320)
            rows, columns = slice(int(top), int(bottom) + 1), slice(int(left), int(right) + 1)
            # A face is averaged from twice as many pixels, so it colours one pixel around its box a little.
            outside[max(0, int(top) - 1) : int(bottom) + 2, max(0, int(left) - 1) : int(right) + 2] = False
            if sign.hidden:
                continue
            # Each edge of the box has the sign within two pixels, where what was behind it is not of its colour.
            there = np.argwhere(apart[rows, columns] > 12)
            assert len(there) > 0.2 * (right - left) * (bottom - top)
            near = np.concatenate([there.min(0), np.array(apart[rows, columns].shape) - 1 - there.max(0)])
            tight, whole = tight + int((near <= 2).sum()), whole + 4
            assert (near <= 0.34 * sign.pose.side).all()
        assert apart[outside].max() == 0
    whole = sum(
        4 * (not sign.hidden) for number in range(25) for sign in plan((0, country, "train", number), 320).signs
    )
    assert tight >= 0.97 * whole


@settings(max_examples=60, deadline=None)
@given(some.integers(0, 10**9), some.integers(0, 10**6), some.sampled_from(sorted(COUNTRIES)), some.floats(200, 500))
def test_signs_lie_in_the_picture_and_on_no_other(seed: int, number: int, country: str, width: float) -> None:
    layout = plan((seed, country, "test", number), width)
    classes = COUNTRIES[country].classes
    assert 1 <= len(layout.signs) <= 4
    assert layout.signs[0].design.group == classes[number % len(classes)]
    boxes = [sign.box(width) for sign in (*layout.signs, *layout.strangers)]
    for place, (left, top, right, bottom) in enumerate(boxes):
        assert 0 <= left < right <= width
        assert 0 < top < bottom < 240
        assert right - left >= 6
        assert place >= len(layout.signs) or 13 <= bottom - top <= 120
        for other in boxes[:place]:
            assert right <= other[0] or other[2] <= left or bottom <= other[1] or other[3] <= top
    assert all(sign.design.group in classes for sign in layout.signs)
    assert all(sign.design.group == "" for sign in layout.strangers)


@pytest.mark.parametrize("country", COUNTRIES)
def test_classes_are_balanced_and_sizes_are_as_promised(country: str) -> None:
    split = read(240, 60, country=country)
    assert (len(split.train), len(split.test)) == (240, 60)
    labels = torch.cat([one.labels for one in split.train.objects])
    shares = labels.bincount(minlength=len(split.train.classes)) / len(labels)
    assert float((shares * len(shares) - 1).abs().max()) < 0.3
    boxes = torch.cat([one.boxes for one in split.train.objects])
    longer = (boxes[:, 2:] - boxes[:, :2]).amax(1) * 240 / SIZE[0]
    assert 0.35 < float(((longer > 30) & (longer < 70)).float().mean()) < 0.85
    assert float((longer < 30).float().mean()) > 0.1
    assert float((longer > 70).float().mean()) > 0.1
    assert float(len(boxes) / 240) > 1.5
    assert not torch.cat([one.ignored for one in split.train.objects]).any()


def test_more_scenes_begin_with_the_same_ones() -> None:
    few, many = read(3, 2), read(5, 4)
    assert torch.equal(few.train.pictures[2], many.train.pictures[2])
    assert torch.equal(few.test.objects[1].boxes, many.test.objects[1].boxes)
    assert not torch.equal(few.train.pictures[0], few.test.pictures[0])


def test_another_size_shows_the_same_scene() -> None:
    large, small = read(2, 1, size=(480, 640)), read(2, 1, size=(240, 320))
    assert large.train.pictures[0].shape == (3, 480, 640)
    assert torch.allclose(large.train.objects[0].boxes, small.train.objects[0].boxes * 2, atol=1e-3)
    wide = read(2, 1, size=(128, 256)).train
    assert wide.pictures[1].shape == (3, 128, 256)
    assert bool((wide.objects[1].boxes[:, 2] <= 256).all())
    tiny = read(30, 1, size=(64, 64)).train
    sides = torch.cat([(one.boxes[:, 2:] - one.boxes[:, :2]).amin(1) for one in tiny.objects])
    assert torch.equal(torch.cat([one.ignored for one in tiny.objects]), sides < 5)
    assert 0 < int((sides < 5).sum()) < len(sides)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"country": "usa"}, "no streets of country 'usa': did you mean us"),
        ({"country": "mars"}, "known: us, eu"),
        ({"count": 0}, "one scene or more, got 0"),
        ({"size": (32, 320)}, "64 to 4096 pixels a side"),
        ({"size": (240, 9000)}, "64 to 4096 pixels a side"),
    ],
)
def test_what_is_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Streets(**options)  # type: ignore[arg-type]


@pytest.mark.parametrize(("country", "design"), DESIGNS, ids=[f"{country}-{one.name}" for country, one in DESIGNS])
def test_every_face_fills_its_outline(country: str, design: Design) -> None:
    """The outline, which decides the box, is where the face is opaque; and something is drawn on it."""
    assert design.group in ("", *COUNTRIES[country].classes)
    pixels = np.asarray(face(design)[0])
    side = pixels.shape[0]
    rows, columns = np.nonzero(pixels[:, :, 3] > 127)
    expected = np.array([(x, y) for x, y in design.outline])
    low, high = np.array([columns.min(), rows.min()]) / side, np.array([columns.max() + 1, rows.max() + 1]) / side
    assert np.abs(low - expected.min(0)).max() < 0.01
    assert np.abs(high - expected.max(0)).max() < 0.01
    shown = pixels[pixels[:, :, 3] == 255][:, :3].astype(float)
    assert shown.std(0).max() > 20


def test_designs_of_one_country_look_different() -> None:
    for known in COUNTRIES.values():
        shown = [np.asarray(face(one)[2], dtype=float) for one in (*known.designs, *known.strangers)]
        for place, one in enumerate(shown):
            for other in shown[:place]:
                assert np.sqrt(np.square(one - other).mean()) > 4


def test_a_face_on_looks_straight_at_its_square() -> None:
    pose = Pose((100, 80), 40, 0, 0, 0)
    corners = pose.project(((0, 0), (1, 0), (1, 1), (0.5, 0.5)))
    assert np.allclose(corners, [(80, 60), (120, 60), (120, 100), (100, 80)])


@pytest.mark.parametrize(
    ("yaw", "pitch", "roll", "expected"),
    [
        # A quarter turn in the plane brings the right side down.
        (0, 0, 90, [(100, 100), (100, 60), (80, 80), (120, 80)]),
        # Turned by 60 degrees its sides are at cos 60 / 2 = 0.25 of 40, nearer and farther by sin 60 / 2 of 4.5 sides.
        (60, 0, 0, [(100 + 10 * 4.5 / (4.5 - 0.4330127), 80), (100 - 10 * 4.5 / (4.5 + 0.4330127), 80), None, None]),
        (0, 60, 0, [None, None, (100, 80 + 10 * 4.5 / (4.5 + 0.4330127)), (100, 80 - 10 * 4.5 / (4.5 - 0.4330127))]),
    ],
)
def test_turned_faces_by_hand(
    yaw: float, pitch: float, roll: float, expected: list[tuple[float, float] | None]
) -> None:
    """Where the middles of the right, left, lower and upper side go."""
    middles = ((1, 0.5), (0, 0.5), (0.5, 1), (0.5, 0))
    there = Pose((100, 80), 40, yaw, pitch, roll).project(middles)
    for point, wanted in zip(there, expected, strict=True):
        if wanted is not None:
            assert np.allclose(point, wanted)


def test_a_box_ends_at_the_border() -> None:
    design = COUNTRIES["us"].designs[0]
    sign = Sign(design, Pose((5, 60), 40, 0, 0, 0), None, "", 0)
    assert sign.extent() == pytest.approx((-15, 40, 25, 80))
    assert sign.box(320) == pytest.approx((0, 40, 25, 80))


def test_letters_are_all_different() -> None:
    assert len(LETTERS) == len(set(LETTERS)) >= 30
