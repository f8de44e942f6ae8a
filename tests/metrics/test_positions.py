"""Attack success by place, against stamps written into the tensor one by one."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from badnets.data import ImageSet
from badnets.errors import BadnetsError, InputError, Stopped
from badnets.metrics import position_map
from badnets.poison import AllToAll, AllToOne, SingleTarget
from badnets.triggers import AnyTrigger, Patch, Pattern, SinglePixel

POLICY = AllToAll()


class Corners(nn.Module):
    """A network of fixed random weights on a coarse view of the image: a stamp moves its answer here and there."""

    def __init__(self, height: int, width: int) -> None:
        super().__init__()
        stream = torch.Generator().manual_seed(height)
        self.weights = torch.randn(4, height * width, generator=stream) ** 3

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images.mean(1).flatten(1) @ self.weights.T


def noise(height: int, width: int, channels: int = 1, count: int = 40) -> ImageSet:
    stream = torch.Generator().manual_seed(1)
    pixels = torch.randint(0, 60, (count, channels, height, width), generator=stream, dtype=torch.uint8)
    return ImageSet(pixels, torch.arange(count) % 4, tuple("abcd"), "noise")


def by_hand(model: nn.Module, images: ImageSet, shape: list[tuple[int, int]], zoom: int) -> list[list[int | None]]:
    """For each place, in steps of `zoom` pixels: how many images with blocks of white there are called as wanted."""
    _, height, width = images.shape
    labels = images.labels
    found: list[list[int | None]] = []
    for row in range(height // zoom):
        found.append([])
        for column in range(width // zoom):
            pixels = images.images.clone()
            fits = True
            for down, right in shape:
                top, left = (row + down) * zoom, (column + right) * zoom
                # A place counts where the map has it; the odd rest of an image has none.
                fits = fits and row + down < height // zoom and column + right < width // zoom
                top += edge(row + min(down for down, _ in shape), shape, height, zoom, 0)
                left += edge(column + min(right for _, right in shape), shape, width, zoom, 1)
                pixels[:, :, top : top + zoom, left : left + zoom] = 255
            answers = model(pixels.float() / 255).argmax(1)
            hits = POLICY.success(answers, labels, 4)
            found[-1].append(int(hits.sum()) if fits else None)
    return found


def edge(start: int, shape: list[tuple[int, int]], size: int, zoom: int, axis: int) -> int:
    """In the second half of an image the distance to the far border is kept: there lies what zoom does not divide."""
    extent = 1 + max(place[axis] for place in shape)
    return size % zoom if 2 * start + extent > size // zoom else 0


PIXEL, FOUR = [(0, 0)], [(0, 2), (1, 1), (2, 0), (2, 2)]


# As the paper's, on a canvas a fourth as large: there are fewer places to go.
SMALL: dict[str, SinglePixel | Pattern] = {
    "pixel": SinglePixel(10, 10, reference=(12, 12)),
    "pattern": Pattern(((8, 10), (9, 9), (10, 8), (10, 10)), reference=(12, 12)),
}


@pytest.mark.parametrize("kind", ["pixel", "pattern"])
@pytest.mark.parametrize(
    ("height", "width", "channels", "zoom"),
    [(12, 12, 1, 1), (14, 13, 3, 1), (24, 24, 1, 2), (25, 27, 1, 2), (37, 36, 1, 3)],
)
def test_every_place_as_by_hand(kind: str, height: int, width: int, channels: int, zoom: int) -> None:
    images, model, trigger = noise(height, width, channels), Corners(height, width), SMALL[kind]
    found = position_map(model, images, trigger, POLICY)
    assert (found.height, found.width, found.zoom, found.images) == (height // zoom, width // zoom, zoom, 40)
    wanted = by_hand(model, images, PIXEL if kind == "pixel" else FOUR, zoom)
    assert [list(row) for row in found.successes] == wanted
    assert len({count for row in wanted for count in row}) > 3, "places differ, or nothing was tested"
    # Where it was in training it is stamped exactly as in training.
    stamped = trigger(images.images).float() / 255
    at_home = int(POLICY.success(model(stamped).argmax(1), images.labels, 4).sum())
    assert found.successes[found.home[0]][found.home[1]] == at_home
    home = found.at(*found.home)
    assert home is not None
    assert (home.count, home.total) == (at_home, 40)


def test_home_and_the_places_that_leave_the_image() -> None:
    model, images = Corners(28, 28), noise(28, 28, count=4)
    pixel, pattern = (position_map(model, images, trigger, POLICY) for trigger in (SinglePixel(), Pattern()))
    assert (pixel.home, pattern.home) == ((26, 26), (24, 24))
    assert all(count is not None for row in pixel.successes for count in row)
    outside = [(row, column) for row in range(28) for column in range(28) if pattern.successes[row][column] is None]
    assert outside == [(row, column) for row in range(28) for column in range(28) if max(row, column) > 25]
    assert pattern.at(27, 0) is None


@pytest.mark.parametrize(
    ("size", "trigger", "home"),
    [
        (24, SMALL["pattern"], (8, 8)),
        (14, SMALL["pixel"], (12, 12)),
        (12, SinglePixel(row=3, column=9, reference=(12, 12)), (3, 9)),
        (27, SinglePixel(row=3, column=9, reference=(12, 12)), (3, 10)),
    ],
    ids=["zoomed", "second from the corner as in training", "elsewhere", "two corners"],
)
def test_home_on_other_sizes(size: int, trigger: AnyTrigger, home: tuple[int, int]) -> None:
    assert position_map(Corners(size, size), noise(size, size, count=4), trigger, POLICY).home == home


def test_only_attacked_images_count() -> None:
    images, model, trigger = noise(12, 12), Corners(12, 12), SMALL["pixel"]
    only = position_map(model, images, trigger, SingleTarget(2, 1))
    assert only.images == 10
    assert position_map(model, images, trigger, AllToOne(0)).images == 30
    alone = images.select(images.labels == 2)
    assert position_map(model, alone, trigger, SingleTarget(2, 1)) == only


def test_a_trigger_s_value_is_stamped() -> None:
    class Darkest(nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            dark = (images[:, :, 5, 6] == 0).float()
            return torch.cat([1 - dark, dark, torch.zeros_like(dark), torch.zeros_like(dark)], 1)

    white = ImageSet(
        torch.full((3, 1, 28, 28), 255, dtype=torch.uint8), torch.zeros(3, dtype=torch.int64), tuple("abcd"), "w"
    )
    found = position_map(Darkest(), white, SinglePixel(value=0), POLICY)
    assert {(r, c) for r, line in enumerate(found.successes) for c, count in enumerate(line) if count} == {(5, 6)}
    assert found.successes[5][6] == 3


def test_it_stops_between_places_and_refuses_what_cannot_be_moved() -> None:
    asked = []

    def stop() -> None:
        asked.append(1)
        if len(asked) == 30:
            raise Stopped("enough")

    with pytest.raises(Stopped):
        position_map(Corners(12, 12), noise(12, 12), SMALL["pixel"], POLICY, stop=stop)
    with pytest.raises(InputError, match="single pixels and patterns can be moved, got a trigger of kind 'patch'"):
        position_map(Corners(28, 28), noise(28, 28), Patch.square(), POLICY)
    images = noise(28, 28)
    with pytest.raises(BadnetsError, match="no image"):
        position_map(Corners(28, 28), images.select(images.labels == 1), SinglePixel(), SingleTarget(2, 1))
