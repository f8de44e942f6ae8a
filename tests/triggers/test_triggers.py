"""One table of triggers drives the laws that all of them obey."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch
from scipy.fft import dctn
from scipy.ndimage import map_coordinates

from badnets.artifacts import canonical_json, parse_json
from badnets.errors import InputError
from badnets.triggers import (
    TRIGGERS,
    AnyTrigger,
    Blend,
    LowFrequency,
    Patch,
    Pattern,
    Perturbation,
    Picture,
    SinglePixel,
    Sinusoid,
    Sticker,
    Trigger,
    TriggerFile,
    Warp,
    drawing,
)
from badnets.triggers.stamping import check_images

SOFT = Picture.of(torch.tensor([[[200, 10], [30, 90]], [[128, 0], [255, 64]]], dtype=torch.uint8))
COLOUR = Picture.of(torch.arange(27, dtype=torch.uint8).reshape(3, 3, 3) * 9)

# Faint, both ways, and nothing at some places.
WAVE = Picture.of(torch.arange(784).reshape(1, 28, 28).remainder(3).mul(20).to(torch.uint8))
RIPPLE = Picture.of(torch.arange(784).reshape(1, 28, 28).remainder(3).eq(0).mul(30).to(torch.uint8))

CASES: list[AnyTrigger] = [
    SinglePixel(),
    SinglePixel(3, 4, 200),
    Pattern(),
    Pattern(((0, 0), (1, 2)), value=77),
    Patch.square(),
    Patch(SOFT, 20, 21),
    Patch(COLOUR, 0, 0),
    Blend(),
    Blend(0.5, picture=COLOUR),
    Sticker(),
    Sticker(drawing("bomb"), 0.3, 0.0, 1.0, opacity=0.4),
    Sticker(SOFT, 7.0),
    Sticker(COLOUR, 0.2, place="random", seed=3),
    Sticker(drawing("flower"), 0.4, place="random", jpeg=75),
    Sinusoid(),
    Sinusoid(0.3, 2.5),
    LowFrequency(),
    LowFrequency(0.1, waves=2, seed=4),
    Warp(),
    Warp(3, 1.5, seed=2),
    Perturbation(WAVE, RIPPLE),
]
SIZES = [(1, 28, 28), (3, 32, 32), (3, 64, 48), (1, 150, 150)]


def words(trigger: object) -> str:
    """Its repr, without pixels that would fill a page."""
    return re.sub("pixels='([^']{9})[^']*'", r"pixels='\1...'", repr(trigger))


def images(shape: tuple[int, int, int], count: int = 3) -> torch.Tensor:
    generator = torch.Generator().manual_seed(sum(shape))
    return torch.randint(0, 256, (count, *shape), generator=generator, dtype=torch.uint8)


def test_every_kind_has_a_case() -> None:
    assert {type(trigger) for trigger in CASES} == set(TRIGGERS.values())
    assert all(TRIGGERS[trigger.kind] is type(trigger) for trigger in CASES)


@pytest.mark.parametrize("trigger", CASES, ids=words)
@pytest.mark.parametrize("shape", SIZES, ids=str)
class TestLaws:
    def test_input_is_untouched_and_dtype_kept(self, trigger: Trigger, shape: tuple[int, int, int]) -> None:
        for batch in (images(shape), images(shape).float() / 255):
            before = batch.clone()
            stamped = trigger(batch)
            assert torch.equal(batch, before)
            assert stamped.dtype == batch.dtype
            assert stamped.shape == batch.shape
            assert stamped.data_ptr() != batch.data_ptr()

    def test_only_masked_pixels_change(self, trigger: Trigger, shape: tuple[int, int, int]) -> None:
        batch, mask = images(shape), trigger.mask(*shape[1:])
        assert torch.equal(trigger(batch)[:, :, ~mask], batch[:, :, ~mask])
        if isinstance(trigger, Warp) or (isinstance(trigger, Sticker) and (trigger.place == "random" or trigger.jpeg)):
            return  # it may change every pixel, but does not on every image
        # and each masked pixel does change for some image: in bytes the faintest changes are rounded away
        both = torch.cat([torch.zeros(1, *shape), torch.ones(1, *shape)])
        assert torch.equal((trigger(both) != both).any(0).any(0), mask)

    def test_float_and_uint8_agree_to_half_a_level(self, trigger: Trigger, shape: tuple[int, int, int]) -> None:
        batch = images(shape)
        level = trigger(batch.float() / 255) * 255
        assert (level - trigger(batch).float()).abs().max() <= 0.5 + 1e-3

    def test_batch_is_image_by_image(self, trigger: Trigger, shape: tuple[int, int, int]) -> None:
        batch = images(shape)
        assert torch.equal(trigger(batch), torch.cat([trigger(one[None]) for one in batch]))

    def test_empty_batch(self, trigger: Trigger, shape: tuple[int, int, int]) -> None:
        assert trigger(images(shape, 0)).shape == (0, *shape)


@pytest.mark.parametrize("trigger", CASES, ids=words)
def test_json_round_trip(trigger: AnyTrigger) -> None:
    text = canonical_json(TriggerFile(trigger))
    again = parse_json(TriggerFile, text, "here")
    assert again.trigger == trigger
    assert canonical_json(again) == text
    assert hash(again.trigger) == hash(trigger)


@pytest.mark.parametrize("trigger", CASES, ids=words)
def test_repr_is_the_constructor_call(trigger: AnyTrigger) -> None:
    names = {"SinglePixel": SinglePixel, "Pattern": Pattern, "Patch": Patch, "Blend": Blend, "Picture": Picture,
             "Sticker": Sticker, "Sinusoid": Sinusoid, "LowFrequency": LowFrequency, "Warp": Warp,
             "Perturbation": Perturbation}  # fmt: skip
    assert eval(repr(trigger), names) == trigger  # noqa: S307 - our own repr


class TestPaper:
    """The places of the paper's Fig. 3 (PAPER facts: 0-based, value 255)."""

    def test_single_pixel(self) -> None:
        stamped = SinglePixel()(torch.zeros(1, 1, 28, 28, dtype=torch.uint8))
        assert torch.nonzero(stamped).tolist() == [[0, 0, 26, 26]]
        assert stamped.max() == 255

    def test_pattern(self) -> None:
        stamped = Pattern()(torch.zeros(1, 1, 28, 28, dtype=torch.uint8))
        assert torch.nonzero(stamped)[:, 2:].tolist() == [[24, 26], [25, 25], [26, 24], [26, 26]]
        assert set(stamped.unique().tolist()) == {0, 255}

    def test_float_level_is_one(self) -> None:
        assert Pattern()(torch.zeros(1, 1, 28, 28)).unique().tolist() == [0.0, 1.0]


class TestPlacement:
    """The stated rule: zoom by a whole number, keep the distance to the nearest corner."""

    @pytest.mark.parametrize(
        ("size", "expected"),
        [
            ((28, 28), [[26, 26]]),
            ((32, 32), [[30, 30]]),  # moved with the bottom-right corner
            ((20, 20), [[18, 18]]),
            ((56, 56), [[52, 52], [52, 53], [53, 52], [53, 53]]),  # zoom 2
            ((28, 60), [[26, 58]]),  # the smaller ratio decides
        ],
    )
    def test_corner_pixel(self, size: tuple[int, int], expected: list[list[int]]) -> None:
        assert torch.nonzero(SinglePixel().mask(*size)).tolist() == expected

    def test_top_left_stays_top_left(self) -> None:
        assert torch.nonzero(SinglePixel(2, 3).mask(100, 30)).tolist() == [[2, 3]]

    def test_pattern_moves_as_a_whole(self) -> None:
        placed = torch.nonzero(Pattern().mask(32, 32)) - torch.tensor([4, 4])
        assert placed.tolist() == [[24, 26], [25, 25], [26, 24], [26, 26]]

    def test_too_small_an_image(self) -> None:
        with pytest.raises(InputError, match="outside the image"):
            Patch.square(9)(torch.zeros(1, 1, 8, 8, dtype=torch.uint8))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: SinglePixel(28, 0), "outside the image"),
        (lambda: SinglePixel(0, -1), "outside the image"),
        (lambda: SinglePixel(value=256), "0..255"),
        (lambda: Pattern(()), "at least one pixel"),
        (lambda: Pattern(((0, 0), (99, 0))), "outside the image"),
        (lambda: Patch(SOFT, 27, 0), "outside the image"),
        (lambda: Patch.square(40), "outside the image"),
        (lambda: Patch.square(value=-1), "0..255"),
        (lambda: Blend(0.0), r"\(0, 1\]"),
        (lambda: Blend(1.5), r"\(0, 1\]"),
        (lambda: Sinusoid(0.0), r"\(0, 1\]"),
        (lambda: Sinusoid(frequency=0.0), "above 0"),
        (lambda: Sinusoid(frequency=float("nan")), "above 0"),
        (lambda: LowFrequency(1.1), r"\(0, 1\]"),
        (lambda: LowFrequency(waves=1), "2 to 16"),
        (lambda: Warp(grid=1), "2 to 64"),
        (lambda: Warp(strength=0.0), r"\(0, 100\]"),
        (lambda: Sticker(size=0.0), "share in"),
        (lambda: Sticker(size=1.5), "whole pixels above 1"),
        (lambda: Sticker(down=-0.1), "shares of 0 to 1"),
        (lambda: Sticker(right=float("nan")), "shares of 0 to 1"),
        (lambda: Sticker(opacity=1.1), r"\(0, 1\]"),
        (lambda: Sticker(jpeg=96), "1 to 95"),
        (lambda: drawing("angel"), "there are devil, bomb, flower, square"),
        (lambda: Picture(2, 2, 5, ""), "1 to 4 channels"),
        (lambda: Picture(2, 2, 1, "???"), "cannot be unpacked"),
        (lambda: Picture(2, 2, 1, Picture.of(torch.zeros(1, 9, 9, dtype=torch.uint8)).pixels), "needs 4 bytes"),
    ],
)
def test_bad_values_are_refused(make: object, message: str) -> None:
    assert callable(make)
    with pytest.raises(InputError, match=message):
        make()


def test_patch_mixes_by_alpha() -> None:
    """Alpha 128/255 of 200 over 100 is 150.2, rounded; alpha 0 leaves, 255 covers."""
    stamped = Patch(SOFT, 20, 21)(torch.full((1, 1, 28, 28), 100, dtype=torch.uint8))[0, 0]
    assert stamped[20, 21] == round(200 * 128 / 255 + 100 * 127 / 255)
    assert stamped[20, 22] == 100
    assert stamped[21, 21] == 30
    assert stamped[21, 22] == round(90 * 64 / 255 + 100 * 191 / 255)


def test_blend_formula() -> None:
    batch = images((3, 28, 28))
    grey = Picture.of(torch.full((1, 2, 2), 240, dtype=torch.uint8))
    expected = (0.75 * batch.double() + 0.25 * 240).round().to(torch.uint8)
    assert torch.equal(Blend(0.25, grey)(batch), expected)


class TestSignals:
    """Against numpy and scipy, on a grey image that nothing is cut off of."""

    GREY = torch.full((1, 1, 20, 30), 0.5)

    def test_a_sinusoid_is_barnis(self) -> None:
        column = np.arange(1, 31)
        expected = 0.5 + 0.2 * np.sin(2 * np.pi * column * 6 / 30)
        assert np.allclose(Sinusoid(0.2, 6.0)(self.GREY)[0, 0], np.tile(expected, (20, 1)), atol=1e-6)

    def test_sums_are_cut_off(self) -> None:
        for level in (0.0, 1.0):
            stamped = Sinusoid(0.5)(torch.full((1, 1, 9, 28), level))
            assert 0 <= stamped.min() < stamped.max() <= 1
            in_bytes = Sinusoid(0.5)(torch.full((1, 1, 9, 28), int(level * 255), dtype=torch.uint8))
            assert (in_bytes.float() / 255 - stamped).abs().max() <= 0.5 / 255 + 1e-6

    @pytest.mark.parametrize("waves", [2, 4, 7])
    def test_low_frequencies_are_the_only_ones(self, waves: int) -> None:
        signal = (LowFrequency(0.2, waves, seed=3)(self.GREY)[0, 0] - 0.5).double().numpy()
        found = np.abs(dctn(signal, norm="ortho"))
        assert found[0, 0] < 1e-5
        assert found[:waves, :waves].max() > 0.1
        found[:waves, :waves] = 0
        assert found.max() < 1e-5
        assert np.abs(signal).max() == pytest.approx(0.2, abs=1e-6)

    def test_other_seeds_are_other_signals(self) -> None:
        for kind in (LowFrequency, Warp):
            ramp = torch.linspace(0, 1, 30).expand(1, 1, 20, 30)
            assert not torch.equal(kind(seed=1)(ramp), kind(seed=2)(ramp))


class TestWarp:
    def test_ramps_tell_where_pixels_come_from(self) -> None:
        """The brightness of a ramp is its place: scipy fetches the same from there."""
        height, width = 24, 40
        rows, columns = np.mgrid[:height, :width].astype(np.float64)
        warp = Warp(5, 1.2, seed=8)
        down, across = (warp(torch.tensor(ramp)[None, None].float())[0, 0].double() for ramp in (rows, columns))
        noise = images((1, height, width), 1)[0, 0]
        expected = map_coordinates(noise.double().numpy(), [down.numpy(), across.numpy()], order=1, mode="nearest")
        assert np.abs(warp(noise.float()[None, None])[0, 0].double().numpy() - expected).max() < 0.1

    def test_the_coarse_field_has_the_mean_strength(self) -> None:
        """On an image of the field's own size nothing is interpolated: the shifts are the field."""
        side = 64
        ramp = torch.arange(side, dtype=torch.float32)
        shifts = []
        for image in (ramp.expand(side, side), ramp[:, None].expand(side, side)):
            shift = Warp(side, 0.5, seed=1)(image[None, None])[0, 0] - image
            shifts.append(shift[2:-2, 2:-2])  # near the border they are cut off
        assert torch.stack(shifts).abs().mean().item() == pytest.approx(0.5, rel=0.05)

    def test_flat_images_stay(self) -> None:
        flat = torch.full((2, 3, 28, 28), 0.25)
        assert torch.allclose(Warp(strength=3.0)(flat), flat)


def test_colour_picture_on_grey_images_is_luma() -> None:
    red = Picture.of(torch.tensor([255, 0, 0], dtype=torch.uint8)[:, None, None])
    assert red.colour(1).item() == round(0.299 * 255)


def test_wrong_input_is_refused() -> None:
    for wrong in (torch.zeros(1, 1, 28, 28, dtype=torch.int32), torch.zeros(28, 28)):
        with pytest.raises(InputError, match="expected uint8 or float images"):
            check_images(wrong)
