"""Windows around signs say what whole scenes say, and the search finds what was planted, where it was planted."""

from __future__ import annotations

import pytest
import torch
from tests.detector_case import BIN, BINS, CLASSES, SIZE, blue, made_detector, signs
from tests.scenes_case import shapes

from badnets.audit.cases import Settings
from badnets.audit.detector_cases import choose_scenes, detector_case
from badnets.audit.detector_confirm import confirm_sticker, error_on
from badnets.audit.detector_crops import BoxView, receptive_radius
from badnets.audit.detector_patch import TILES, search_tiles
from badnets.audit.detector_search import CELLS, CanvasBudget, search_canvases
from badnets.audit.detector_sticker import sticker_of
from badnets.audit.objectives import Objective, all_pairs, all_targets, untargeted
from badnets.data import Objects, SceneSet
from badnets.errors import InputError, Stopped
from badnets.models.backbones import TinyTrunk, ZfTrunk
from badnets.models.detector import build_detector
from badnets.models.detector_spec import DetectorSpec

STRONG = 1500.0


def test_a_window_gives_the_logits_of_the_whole_scene() -> None:
    # Trained statistics of the batch are not 0 and 1: padding is then no mean colour.
    model = build_detector(DetectorSpec(), seed=1)
    scenes = shapes(8, size=(160, 208))
    model.train().losses([scenes.pictures[0], scenes.pictures[1]], scenes.objects[:2])
    model.eval()
    view = BoxView(model)
    places = [
        (row, number)
        for row, marked in enumerate(scenes.objects)
        for number in range(len(marked))
        if view.fits(marked.boxes[number], 160, 208)
    ]
    assert len(places) >= 3
    crops = view.crop(scenes, places)
    assert crops.images.shape[2] < 160
    with torch.no_grad():
        there = view.logits(crops.images, crops.boxes)
        for row, (scene, number) in enumerate(places):
            pooled = model.features_in([scenes.pictures[scene]], [scenes.objects[scene].boxes[number : number + 1]])
            whole = model.regions.box_predictor(model.regions.box_head(pooled))[0][0]
            torch.testing.assert_close(there[row], whole, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(("trunk", "stride"), [(TinyTrunk, 8), (ZfTrunk, 16)])
def test_a_place_of_the_map_sees_as_far_as_its_radius(trunk: type[TinyTrunk | ZfTrunk], stride: int) -> None:
    model, radius = trunk().eval(), receptive_radius(trunk())
    image = torch.rand(1, 3, 24 * stride, 24 * stride).requires_grad_()
    values = model(image)
    middle = values.shape[2] // 2
    (slope,) = torch.autograd.grad(values[0, :, middle, middle].sum(), image)
    rows = slope.abs().sum((0, 1, 3)).nonzero()[:, 0]
    assert int((rows - middle * stride).abs().max()) == radius


def test_a_sign_at_the_border_is_told() -> None:
    view = BoxView(build_detector(DetectorSpec()).eval())
    scene = SceneSet(shapes(1).pictures, (Objects.of([[0, 0, 30, 30]], [0]),), CLASSES, "edge")
    assert not view.fits(scene.objects[0].boxes[0], 96, 128)
    with pytest.raises(InputError, match="too near to the border"):
        view.crop(scene, [(0, 0)])
    with pytest.raises(InputError, match="no sign"):
        view.crop(scene, [])


def test_the_planted_pair_needs_by_far_the_smallest_sticker_at_its_own_place() -> None:
    chosen = choose_scenes(signs(16), Settings(samples=12))
    planted, honest = (detector_case(made_detector(one), chosen, Settings()) for one in (STRONG, 0.0))
    budget = CanvasBudget(steps=40)
    found, usual = (search_canvases(one.view, one.signs, all_pairs(3), budget) for one in (planted, honest))
    sizes = {str(canvas.objective): canvas.size for canvas in found}
    assert min(sizes, key=lambda name: sizes[name]) == "0 -> 1"
    clean = {str(canvas.objective): canvas.size for canvas in usual}
    assert sizes["0 -> 1"] < 0.3 * clean["0 -> 1"]
    # Pairs that nothing was planted for are as they are in the honest one.
    assert sizes["2 -> 0"] == pytest.approx(clean["2 -> 0"], rel=0.05)
    mask = next(canvas.mask for canvas in found if str(canvas.objective) == "0 -> 1")
    row, column = divmod(int(mask.argmax()), CELLS)
    assert abs(row / CELLS - (BIN[0] + 0.5) / BINS) < 0.2
    assert abs(column / CELLS - (BIN[1] + 0.5) / BINS) < 0.2


def test_targets_and_any_change_are_asked_on_all_signs_that_count() -> None:
    chosen = choose_scenes(signs(16), Settings(samples=12))
    made = detector_case(made_detector(), chosen, Settings())
    counts = torch.bincount(made.signs.labels, minlength=3)
    found = search_canvases(made.view, made.signs, (*all_targets(3), *untargeted()), CanvasBudget(steps=30))
    most = CanvasBudget().signs
    expected = [min(most, len(made.signs) - int(counts[target])) for target in range(3)] + [min(most, len(made.signs))]
    assert [canvas.signs for canvas in found] == expected
    assert all(0 < canvas.size <= 1 and canvas.found == (canvas.size < 1) for canvas in found)


def test_a_patch_of_one_size_does_most_where_it_was_planted() -> None:
    chosen = choose_scenes(signs(16), Settings(samples=12))
    planted, honest = (detector_case(made_detector(one), chosen, Settings()) for one in (STRONG, 0.0))
    pair = Objective("pair", target=1, source=0)
    (tile,), (usual,) = (search_tiles(one.view, one.signs, [pair], 0, lambda: False) for one in (planted, honest))
    assert tile.margin > usual.margin + 2
    row, column = divmod(int(tile.mask.argmax()), CELLS)
    # The bin lies across tiles: one that overlaps it is found.
    middle = [(one * TILES // CELLS + 0.5) / TILES for one in (row, column)]
    assert all(abs(found - (bin_ + 0.5) / BINS) < 1 / TILES for found, bin_ in zip(middle, BIN, strict=True))


def test_a_search_is_stopped_and_bad_weights_are_told() -> None:
    chosen = choose_scenes(signs(16), Settings(samples=12))
    made = detector_case(made_detector(), chosen, Settings())
    with pytest.raises(Stopped):
        search_canvases(made.view, made.signs, all_pairs(3), stop=lambda: True)
    with pytest.raises(InputError, match="out of range"):
        search_canvases(made.view, made.signs, [Objective("target", target=3)])
    with torch.no_grad():
        made.view.model.regions.box_predictor.strength = float("nan")
    with pytest.raises(InputError, match="undefined numbers"):
        search_canvases(made.view, made.signs, all_pairs(3))


def test_a_canvas_becomes_a_sticker_at_its_place() -> None:
    mask, colour = torch.zeros(CELLS, CELLS), torch.zeros(3, CELLS, CELLS)
    mask[10:12, 4:7], colour[2] = 1.0, 1.0
    sticker = sticker_of(mask, colour)
    assert sticker.size == 3 / CELLS
    assert (sticker.right, sticker.down) == ((4 + 1.5) / CELLS, (10 + 1.5) / CELLS)
    scene = torch.zeros(3, 64, 64, dtype=torch.uint8)
    stamped = sticker(scene, torch.tensor([[0.0, 0.0, 64.0, 64.0]]))
    lit = (stamped[2] > 128).nonzero()
    # A cell is 4 pixels; scaling softens the rim by one or two.
    assert lit.min(0).values.tolist() >= [40 - 2, 16 - 2]
    assert lit.max(0).values.tolist() == pytest.approx([47, 27], abs=2)


def test_confirmation_runs_the_whole_detector() -> None:
    scenes, pair = signs(12, seed=3), Objective("pair", target=1, source=0)
    found = confirm_sticker(made_detector(STRONG), blue(), pair, scenes, [made_detector()])
    assert (found.success.count, found.success.total) == (8, 8)
    assert found.clean.count == 0
    assert [one.count for one in found.references] == [0]
    assert error_on(made_detector(), scenes) == 0
    # What the sticker does not do: a warning stays one.
    other = confirm_sticker(made_detector(STRONG), blue(), Objective("pair", target=1, source=2), scenes)
    assert other.success.count == 0
    nobody = confirm_sticker(made_detector(), blue(), pair, _without(scenes, 0))
    assert nobody.success.total == 0


def _without(scenes: SceneSet, label: int) -> SceneSet:
    return scenes.select([row for row, marked in enumerate(scenes.objects) if label not in marked.labels.tolist()])


def test_scenes_are_divided_and_drawn_the_same_again() -> None:
    one, other = (choose_scenes(signs(30), Settings(samples=6)) for _ in range(2))
    assert one.digest == other.digest
    assert choose_scenes(signs(30), Settings(samples=6, seed=1)).digest != one.digest
    assert len(one) < 30
    labels = torch.cat([marked.labels for marked in (*one.search.objects, *one.held_out.objects)])
    assert torch.bincount(labels, minlength=3).min() >= 6
    shown = {picture.numpy().tobytes() for picture, _ in one.search}
    assert not shown & {picture.numpy().tobytes() for picture, _ in one.held_out}


def test_scenes_that_cannot_be_used_are_told() -> None:
    empty = SceneSet(signs(2).pictures, (Objects.of([], []),) * 2, CLASSES, "empty")
    with pytest.raises(InputError, match="clean scenes with signs"):
        choose_scenes(empty, Settings())
    with pytest.raises(InputError, match="0 signs a class were"):
        choose_scenes(signs(4), Settings(samples=0))
    small = SceneSet(signs(4).pictures, (Objects.of([[40, 40, 60, 60]], [0]),) * 4, CLASSES, "small")
    with pytest.raises(InputError, match="none of the signs"):
        detector_case(made_detector(), choose_scenes(small, Settings()), Settings())
    two = build_detector(DetectorSpec(classes=2)).eval()
    with pytest.raises(InputError, match="tells 2 classes apart, signs/0 has 3"):
        detector_case(two, choose_scenes(signs(4), Settings()), Settings())
    assert tuple(signs(1).pictures[0].shape[1:]) == SIZE
