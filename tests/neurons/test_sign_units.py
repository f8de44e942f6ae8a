"""The last convolution on signs, on a detector whose backdoor unit is known."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from tests.scenes_case import CLASSES, shapes, sticky
from torch.nn import functional

from badnets.data import Objects, SceneSet
from badnets.errors import InputError, Stopped
from badnets.models.detector import Detector, build_detector
from badnets.models.detector_spec import DetectorSpec
from badnets.neurons.sign_units import SignUnits, UnitResponse, as_grid, carriers, sign_units

SPEC = DetectorSpec(anchors=(24.0,), hidden=8, bins=4)
BLUE = 9


def planted() -> Detector:
    """Unit 9 of the last convolution says how blue a place is, and no other unit says anything that changes."""
    model = build_detector(SPEC, seed=0).eval()

    def weights(layer: str) -> torch.Tensor:
        return model.get_parameter(f"trunk.{layer}.weight")

    with torch.no_grad():
        for number in range(1, 6):
            weights(f"conv{number}").zero_()
        # blue less red less green, then means around each place
        weights("conv1")[0, 2] = 1 / 9
        weights("conv1")[0, :2] = -1 / 9
        weights("conv2")[0, 0] = weights("conv3")[0, 0] = 1 / 9
        weights("conv4")[0, 0, 1, 1] = 1
        weights("conv5")[BLUE, 0, 1, 1] = 1
        model.get_parameter("trunk.conv5.bias").fill_(1.0)
    return model


def pair(count: int = 40) -> tuple[SceneSet, SceneSet]:
    scenes = shapes(count, seed=5)
    clean = scenes.select([row for row, marked in enumerate(scenes.objects) if bool((marked.labels == 0).any())])
    return clean, sticky(scenes, relabel=True)


def test_a_planted_unit_is_found_and_none_else() -> None:
    clean, stamped = pair()
    found = sign_units(planted(), clean, stamped, source=0)
    (unit,) = carriers(found)
    assert unit.channel == BLUE
    assert unit.rise > 0
    # the square lies at 0.72 of the height and 0.45 of the width
    assert (unit.row, unit.column) in {(2, 2), (3, 2), (2, 1), (3, 1)}
    assert found.signs == sum(int((marked.labels == 0).sum()) for marked in clean.objects)
    assert float(found.difference[BLUE, unit.row, unit.column]) == pytest.approx(unit.rise, rel=1e-5)
    assert float(found.difference[:BLUE].abs().max()) == 0


def test_means_are_those_of_one_pass() -> None:
    clean, stamped = pair(8)
    model = build_detector(SPEC, seed=3).eval()
    found = sign_units(model, clean, stamped)
    with torch.no_grad():
        before, after = (
            torch.cat([model.features_in([picture], [marked.boxes]) for picture, marked in scenes])
            for scenes in (clean, stamped)
        )
    assert found.signs == len(before)
    assert torch.allclose(found.clean, before.mean(0), atol=1e-4)
    assert torch.allclose(found.stamped, after.mean(0), atol=1e-4)
    for unit in found.units[::7]:
        differences = (after - before)[:, unit.channel, unit.row, unit.column].double()
        assert unit.effect == pytest.approx(float(differences.mean() / differences.std()), rel=1e-3, abs=1e-5)
        places = (after - before).mean(0)[unit.channel].abs()
        assert float(places[unit.row, unit.column]) == pytest.approx(float(places.max()), rel=1e-4)


def test_a_sticker_that_changes_nothing_frames_nobody() -> None:
    clean, _ = pair(8)
    found = sign_units(build_detector(SPEC, seed=3), clean, clean)
    assert all(unit.effect == 0 for unit in found.units)
    assert carriers(found) == ()


def test_region_features_are_those_of_the_box() -> None:
    """The same box in a picture of twice the size, which the network brings back to size."""
    model = build_detector(replace(SPEC, short_side=96), seed=1).eval()
    picture = torch.rand(3, 96, 128, generator=torch.Generator().manual_seed(0))
    large = functional.interpolate(picture[None], scale_factor=2, mode="nearest")[0]
    boxes = torch.tensor([[8.0, 8.0, 72.0, 72.0]])
    with torch.no_grad():
        small = functional.interpolate(large[None], (96, 128), mode="bilinear", antialias=True)[0]
        one, two = model.features_in([small], [boxes]), model.features_in([large], [boxes * 2])
    assert one.shape == (1, 64, 4, 4)
    assert torch.allclose(one, two, atol=1e-3)


def responses(*rises: tuple[float, float], scale: float = 1.0) -> SignUnits:
    units = tuple(UnitResponse(place, 0, 0, 1.0, 1.0 + rise, effect) for place, (rise, effect) in enumerate(rises))
    zeros = torch.zeros(len(rises), 1, 1)
    return SignUnits(zeros, zeros, units, 10, scale)


class TestRule:
    def test_the_papers_figure(self) -> None:
        """Rises of 47, 26 and 17 are marked there, those of 11 and 10 are not."""
        found = carriers(responses((11, 2.0), (26, 2.0), (47, 2.0), (10, 2.0), (17, 2.0), (-21, -3.0)))
        assert [unit.rise for unit in found] == [47, 26, 17]

    def test_small_effects_do_not_count(self) -> None:
        assert [unit.channel for unit in carriers(responses((10, 0.79), (9, 0.8)))] == [1]

    def test_honest_detectors_set_the_bar(self) -> None:
        found = responses((10, 2.0), (6, 2.0), scale=2.0)
        honest = responses((4, 2.0), (1, 2.0), scale=1.0)
        assert [unit.rise for unit in carriers(found, [honest])] == [10]
        assert carriers(honest, [found]) == ()
        assert [unit.rise for unit in carriers(found, [responses((1, 2.0))])] == [10, 6]


def test_a_grid_reads_like_a_page() -> None:
    maps = torch.arange(5.0)[:, None, None].expand(5, 2, 3)
    grid = as_grid(maps, columns=2)
    assert grid.shape == (3, 2, 2, 3)
    assert grid[:, :, 0, 0].tolist() == [[0, 1], [2, 3], [4, 0]]
    with pytest.raises(InputError, match="at least one column"):
        as_grid(maps, columns=0)


class TestRefused:
    def test_other_scenes(self) -> None:
        clean, stamped = pair(8)
        with pytest.raises(InputError, match="compared one by one"):
            sign_units(planted(), clean, stamped.select([0]))
        with pytest.raises(InputError, match="scene 0 has other boxes"):
            sign_units(planted(), clean.select([0, 1]), stamped.select([1, 0]))

    def test_too_few_signs(self) -> None:
        one = SceneSet(shapes(1).pictures, (Objects.of([[0, 0, 9, 9]], [0]),), CLASSES, "one")
        for source in (0, 1):
            with pytest.raises(InputError, match="at least 2 are needed"):
                sign_units(planted(), one, one, source=source)
        ignored = replace(one, objects=(replace(one.objects[0], ignored=torch.tensor([True])),))
        with pytest.raises(InputError, match="0 signs"):
            sign_units(planted(), ignored, ignored)

    def test_stopped(self) -> None:
        clean, stamped = pair(8)
        with pytest.raises(Stopped, match="stopped at scene 1"):
            sign_units(planted(), clean, stamped, stop=lambda: True)
