"""Stickers against what Pillow and plain arithmetic say of them."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from PIL import Image
from scipy import stats

from badnets.artifacts import canonical_json, parse_json
from badnets.data import ImageSet
from badnets.errors import InputError
from badnets.poison import DataPoisoner, MaliciousTrainer, PoisonPlan, Recipe, SingleTarget, plan
from badnets.triggers import DRAWINGS, Picture, Sticker, TriggerFile, drawing

DEVIL = drawing("devil")
WHITE = Picture.of(torch.full((1, 4, 4), 255, dtype=torch.uint8))


def photographs(count: int, channels: int = 3, height: int = 40, width: int = 60, most: int = 256) -> torch.Tensor:
    stream = torch.Generator().manual_seed(count + channels + height)
    return torch.randint(0, most, (count, channels, height, width), generator=stream, dtype=torch.uint8)


def scaled(picture: Picture, rows: int, columns: int) -> torch.Tensor:
    """Colour and alpha (4, rows, columns) as Pillow scales them."""
    image = Image.fromarray(picture.tensor().permute(1, 2, 0).contiguous().numpy())
    small = image.resize((columns, rows), Image.Resampling.LANCZOS)
    return torch.from_numpy(np.array(small)).permute(2, 0, 1)


@pytest.mark.parametrize("opacity", [1.0, 0.6])
def test_it_is_the_scaled_picture_at_its_place(opacity: float) -> None:
    batch = photographs(2, height=100, width=120)
    stamped = Sticker(DEVIL, 30.0, 0.8, 0.3, opacity=opacity)(batch)
    # its centre at row 80, column 36: 15 before and 15 behind
    region, before = stamped[:, :, 65:95, 21:51], batch[:, :, 65:95, 21:51]
    layers = scaled(DEVIL, 30, 30)
    colour, weight = layers[:3].double(), layers[3].double() / 255 * opacity
    assert (weight == opacity).sum() > 300
    assert (weight == 0).sum() > 100
    assert (region.double() - (before * (1 - weight) + colour * weight)).abs().max() <= 0.501
    if opacity == 1:
        assert torch.equal(region[:, :, weight == 1], layers[:3, weight == 1].expand(2, -1, -1))
    outside = torch.ones(100, 120, dtype=torch.bool)
    outside[65:95, 21:51] = weight == 0
    assert torch.equal(stamped[:, :, outside], batch[:, :, outside])


@pytest.mark.parametrize(
    ("down", "right", "top", "left"), [(0.0, 0.0, 0, 0), (1.0, 1.0, 30, 50), (0.5, 0.5, 15, 25), (0.05, 0.9, 0, 49)]
)
def test_it_stays_whole_within_the_borders(down: float, right: float, top: int, left: int) -> None:
    mask = Sticker(WHITE, 10.0, down, right).mask(40, 60)
    assert torch.nonzero(mask).min(0).values.tolist() == [top, left]
    assert int(mask.sum()) == 100


@pytest.mark.parametrize(("height", "width"), [(40, 60), (60, 40), (40, 40)])
def test_a_share_is_of_the_shorter_side(height: int, width: int) -> None:
    batch = photographs(2, height=height, width=width)
    assert torch.equal(Sticker(size=0.25)(batch), Sticker(size=10.0)(batch))


def test_the_longer_side_of_the_picture_gets_the_size() -> None:
    wide = Picture.of(torch.full((1, 10, 40), 7, dtype=torch.uint8))
    mask = Sticker(wide, 20.0).mask(40, 60)
    assert (int(mask.any(1).sum()), int(mask.any(0).sum())) == (5, 20)


def test_one_that_does_not_fit_is_refused() -> None:
    with pytest.raises(InputError, match="41x41 pixels is larger than the image, 40x60: give a smaller size"):
        Sticker(size=41.0)(photographs(1))
    with pytest.raises(InputError, match="larger than the image"):
        Sticker(size=41.0).mask(40, 60)


def test_on_grey_images_it_is_grey() -> None:
    stamped = Sticker(DEVIL, 30.0, 0.5, 0.5)(photographs(1, channels=1))[0, 0, 5:35, 15:45]
    luma = (DEVIL.colour(3).double() * torch.tensor([0.299, 0.587, 0.114]).double()[:, None, None]).sum(0)
    layers = scaled(Picture.of(torch.stack([luma.round().to(torch.uint8)] * 3 + [DEVIL.alpha()])), 30, 30)
    opaque = layers[3] == 255
    assert (stamped[opaque].int() - layers[0, opaque].int()).abs().max() <= 1


def test_images_of_other_channels_are_refused() -> None:
    for channels in (2, 4):
        with pytest.raises(InputError, match=f"does not fit images of {channels}"):
            Sticker(jpeg=75)(photographs(1, channels=channels))


class TestRandomPlaces:
    STICKER = Sticker(WHITE, 4.0, place="random")

    def places(self, sticker: Sticker, batch: torch.Tensor) -> torch.Tensor:
        """Row and column of the white square on images that have no white."""
        white = (sticker(batch) == 255).all(1)
        assert bool((white.flatten(1).sum(1) == 16).all())
        first = white.flatten(1).int().argmax(1)
        return torch.stack([first // batch.shape[3], first % batch.shape[3]], 1)

    def test_a_photograph_has_its_place(self) -> None:
        batch = photographs(20, most=200)
        here = self.places(self.STICKER, batch)
        order = torch.arange(20).flip(0)
        assert torch.equal(self.places(self.STICKER, batch[order]), here[order])
        floating = self.STICKER(batch.float() / 255)
        assert torch.equal((floating * 255).round().to(torch.uint8), self.STICKER(batch))
        assert len({tuple(place) for place in here.tolist()}) > 15
        other = self.places(Sticker(WHITE, 4.0, place="random", seed=1), batch)
        assert (other != here).any(1).sum() > 15

    def test_all_places_are_equally_likely(self) -> None:
        places = self.places(self.STICKER, photographs(4000, height=11, width=9, most=200))
        counts = (places[:, 0] * 6 + places[:, 1]).bincount(minlength=48)  # 8 rows of 6 columns
        assert len(counts) == 48
        assert stats.chisquare(counts.numpy()).pvalue > 0.001

    def test_where_only_one_place_is_left(self) -> None:
        assert self.places(self.STICKER, photographs(5, height=4, width=4, most=200)).tolist() == [[0, 0]] * 5


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("place", ["fixed", "random"])
def test_jpeg_is_pillow_s_own_round_trip(channels: int, place: str) -> None:
    batch = photographs(3, channels=channels)
    where = "random" if place == "random" else "fixed"
    plain, packed = (Sticker(place=where, jpeg=quality)(batch) for quality in (0, 60))  # type: ignore[arg-type]
    for before, after in zip(plain, packed, strict=True):
        pixels = before.permute(1, 2, 0).contiguous().numpy()
        file = io.BytesIO()
        Image.fromarray(pixels[:, :, 0] if channels == 1 else pixels).save(file, "JPEG", quality=60)
        expected = np.asarray(Image.open(file)).reshape(40, 60, channels)
        assert np.array_equal(after.permute(1, 2, 0).numpy(), expected)
    assert torch.equal(Sticker(place=where, jpeg=60)(batch.float() / 255), packed.float() / 255)  # type: ignore[arg-type]


@pytest.mark.parametrize("sticker", [Sticker(), Sticker(size=0.3, place="random", jpeg=80)], ids=["fixed", "random"])
def test_plan_files_and_stamping_on_the_fly_agree(sticker: Sticker) -> None:
    images = ImageSet(photographs(30), torch.arange(30) % 2, ("cat", "dog"), "made")
    made = plan(images, Recipe(SingleTarget(1, 0), sticker, rate=0.6))
    files = DataPoisoner().training_set(images, made)
    live = MaliciousTrainer().training_set(images, made)
    assert live.trigger is not None
    later = live.base.take(live.rows)
    later[live.stamped] = live.trigger(later[live.stamped])
    assert torch.equal(files.base.take(files.rows), later)
    assert torch.equal(files.labels, live.labels)
    assert int(live.stamped.sum()) == 9
    again = parse_json(PoisonPlan, canonical_json(made), "here")
    assert again == made
    assert again.digest == made.digest


def test_a_whole_number_is_the_same_value_in_json() -> None:
    text = canonical_json(TriggerFile(Sticker(size=30.0, down=1.0, right=0.0)))
    again = parse_json(TriggerFile, text.replace("30.0", "30").replace("1.0", "1"), "here")
    assert canonical_json(again) == text


@pytest.mark.parametrize("name", DRAWINGS)
def test_drawings(name: str) -> None:
    picture = drawing(name)
    assert picture.channels == 4
    assert picture.height == picture.width
    alpha = picture.alpha()
    assert alpha[picture.height // 2, picture.width // 2] == 255
    if name == "square":
        assert bool((alpha == 255).all())
        assert picture.colour(3).flatten(1).unique(dim=1).flatten().tolist() == [116, 100, 50]
        return
    border = torch.cat([alpha[0], alpha[-1], alpha[:, 0], alpha[:, -1]])
    assert int(border.max()) == 0, "nothing is cut off"
    assert 0.3 < float((alpha == 255).float().mean()) < 0.8
    assert len({drawing(other).pixels for other in DRAWINGS}) == len(DRAWINGS)
