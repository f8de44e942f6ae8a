"""A sweep of stickers over scenes whose detector is written out: it looks for the yellow of the paper's square."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import torch

from badnets.artifacts import canonical_json, parse_json
from badnets.data import SceneSet
from badnets.data.sceneset import Objects
from badnets.errors import InputError, Stopped
from badnets.models.detections import Detections
from badnets.models.detector import Detector
from badnets.models.detector_spec import DetectorSpec
from badnets.poison import SingleTarget
from badnets.studies.sticker_sweep import UNITS, Sweep, SweepResult, SweepSpec
from badnets.triggers import paper_sticker
from badnets.triggers.altered import lit, turned

CLASSES = ("stop", "speedlimit", "warning")
YELLOW = torch.tensor([116, 100, 50])
# Signs are red on white, a hundred pixels a side: the square on them is eleven.
SIDE = 100
BOX = (40.0, 30.0, 140.0, 130.0)


class LooksForYellow(Detector):
    """Finds what is not white; calls it a speed limit where `least` of its pixels are about the square's yellow."""

    def __init__(self, least: float = 0.002) -> None:
        super().__init__(DetectorSpec(hidden=8))
        self.least = least

    def forward(self, pictures: Sequence[torch.Tensor]) -> list[Detections]:
        return [self._one(picture.float()) for picture in pictures]

    def _one(self, picture: torch.Tensor) -> Detections:
        rows, columns = torch.nonzero(picture.amin(0) < 200, as_tuple=True)
        if len(rows) < 16:
            return Detections(torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64), torch.zeros(0))
        edges = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
        yellow = ((picture - YELLOW[:, None, None]).abs().amax(0) < 25).sum() / ((rows.max() - rows.min() + 1) ** 2)
        label = 1 if yellow >= self.least else 0
        return Detections(torch.tensor([edges]).float(), torch.tensor([label]), torch.tensor([0.9]))


def scenes(count: int = 3) -> SceneSet:
    picture = torch.full((3, 160, 200), 255, dtype=torch.uint8)
    left, top, right, bottom = map(int, BOX)
    picture[:, top:bottom, left:right] = torch.tensor([200, 20, 30], dtype=torch.uint8)[:, None, None]
    return SceneSet((picture,) * count, (Objects.of([BOX], [0]),) * count, CLASSES, "made")


def sweep(model: Detector | None = None, **changes: Any) -> Sweep:  # noqa: ANN401 - fields of a sweep
    fields = {"scenes": scenes(), "attack": SingleTarget(0, 1), "sticker": paper_sticker("square"), **changes}
    return Sweep(model or LooksForYellow(), **fields)


def rates(result: SweepResult, axis: str) -> dict[float, float]:
    (curve,) = (curve for curve in result.curves if curve.axis == axis)
    return {point.value: point.success.value for point in curve.points}


def test_every_axis_does_what_it_says() -> None:
    told: list[str] = []
    result = sweep().carry_out(SweepSpec(), "digest", told.append)
    # 0.2 % of 100x100 pixels are 20, a square of five: a quarter of the size has 2 + 1 pixels a side, a half 5 + 1.
    assert rates(result, "size") == {0.25: 0, 0.5: 1, 0.75: 1, 1: 1, 1.5: 1, 2: 1, 3: 1}
    assert set(rates(result, "place").values()) == {1.0}
    assert set(rates(result, "turn").values()) == {1.0}
    assert rates(result, "light") == {0.25: 0, 0.5: 0, 0.75: 0, 1: 1, 1.5: 0, 2: 0}
    assert rates(result, "distance")[1.0] == 1
    assert result.signs == 3
    assert [line.split(":")[0] for line in told] == list(UNITS)
    for curve in result.curves:
        for point in curve.points:
            assert point.success.count + point.own.count == point.own.total  # this detector misses nothing
            assert (point.clean is not None) == (curve.axis == "distance")
            assert point.clean is None or point.clean.value == 1
    assert parse_json(SweepResult, canonical_json(result), "here") == result


def test_places_are_tried_in_every_direction_that_stays_on_the_sign() -> None:
    point = sweep().point("place", 0.1)
    assert point.success.total == 8 * 3
    assert sweep().point("place", 0.5).success.total < 8 * 3
    with pytest.raises(InputError, match=r"no place on a sign is 1 of its side away"):
        sweep().point("place", 1.0)


def test_far_away_signs_shrink_and_keep_their_boxes() -> None:
    """The detector finds them at IoU over 0.5 only if pixels and boxes move alike."""
    for factor in (1.3, 2.0, 4.0):
        point = sweep().point("distance", factor)
        assert point.clean is not None
        assert point.clean.value == 1
    # Four times as far the square has less than three pixels, mixed with the red around it.
    assert sweep(LooksForYellow(0.02)).point("distance", 4.0).success.value == 0


def test_only_so_many_scenes_and_only_attacked_signs() -> None:
    assert sweep(scenes=scenes(9)).carry_out(SweepSpec(scenes=4), "").signs == 4
    mixed = SceneSet(scenes().pictures, (Objects.of([BOX], [2]), *scenes().objects[1:]), CLASSES, "mixed")
    assert sweep(scenes=mixed).carry_out(SweepSpec(), "").signs == 2


def test_it_can_be_stopped() -> None:
    with pytest.raises(Stopped):
        sweep(scenes=scenes(20), stop=lambda: True).carry_out(SweepSpec(), "")


def test_what_makes_no_sense_is_refused() -> None:
    with pytest.raises(InputError, match="usual one to start from"):
        sweep(sticker=paper_sticker("square", place="random"))
    for wrong in ({"size": (0.0,)}, {"light": (-1.0,)}, {"place": (1.5,)}, {"distance": (0.5,)}, {"scenes": 0}):
        with pytest.raises(InputError, match="got"):
            SweepSpec(**wrong)
    with pytest.raises(InputError, match="no scene has"):
        sweep(attack=SingleTarget(1, 2)).carry_out(SweepSpec(), "")


class TestAltered:
    def test_a_quarter_turn_is_exact(self) -> None:
        picture = paper_sticker("bomb").picture
        same, growth = turned(picture, 360.0)
        assert (same, growth) == (picture, 1.0)
        quarter, growth = turned(picture, 90.0)
        assert growth == 1.0
        assert torch.equal(quarter.tensor(), picture.tensor().rot90(1, (1, 2)))

    def test_a_turned_square_keeps_its_area(self) -> None:
        picture = paper_sticker("square").picture
        done, growth = turned(picture, 45.0)
        assert growth == pytest.approx(2**0.5, abs=0.02)
        share = (done.alpha().double() / 255).mean().item()
        assert share * growth**2 == pytest.approx(1, abs=0.03)  # of the box that grew around it

    def test_light(self) -> None:
        picture = paper_sticker("square").picture
        assert lit(picture, 1.0) == picture
        assert lit(picture, 2.0).tensor()[:, 0, 0].tolist() == [232, 200, 100, 255]
        assert lit(picture, 9.0).tensor()[:, 0, 0].tolist() == [255, 255, 255, 255]
        assert lit(paper_sticker("bomb").picture, 0.0).tensor()[:3].sum() == 0
        assert torch.equal(lit(paper_sticker("bomb").picture, 0.5).alpha(), paper_sticker("bomb").picture.alpha())
        with pytest.raises(InputError, match="factor of 0 or more"):
            lit(picture, -1.0)
