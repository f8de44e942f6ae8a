"""The filter behind detectors: what hangs on a sticker is told from what hangs on the whole sign."""

from __future__ import annotations

import pytest
import torch
from tests.detector_case import BOXES, blue, made_detector, signs

from badnets.data import SceneSet
from badnets.defenses.inputs.sign_consistency import SignConsistencySpec, sign_consistency
from badnets.errors import InputError

STRONG = 1500.0
# The sticker is a sixth of a sign: some cover hides all of it, see there.
SPEC = SignConsistencySpec(false_rejections=0.1)


def stamped(scenes: SceneSet) -> SceneSet:
    """The scenes with a stop sign, the sticker on it."""
    rows = [row for row, marked in enumerate(scenes.objects) if 0 in marked.labels.tolist()]
    pictures = tuple(
        blue()(scenes.pictures[row], scenes.objects[row].boxes[scenes.objects[row].labels == 0]) for row in rows
    )
    return SceneSet(pictures, tuple(scenes.objects[row] for row in rows), scenes.classes, "stamped")


def test_stamped_signs_are_turned_away_and_clean_ones_are_not() -> None:
    model = made_detector(STRONG)
    screen = sign_consistency(model, signs(14), SPEC)
    assert screen.passes == 1 + 36
    assert screen.calibrated_on == 28
    other, bad = signs(9, seed=1), stamped(signs(9, seed=1))
    clean = torch.cat([one.scores for one in screen(other)])
    # Stop signs that are called speed limits: two in three of these scenes have one.
    fooled = [
        (float(score), bool(flag))
        for one, marked in zip(screen(bad), bad.objects, strict=True)
        for box, label, score, flag in zip(one.found.boxes, one.found.labels, one.scores, one.flagged, strict=True)
        if int(label) == 1 and int(marked.labels[(BOXES - box).abs().sum(1).argmin()]) == 0
    ]
    assert len(fooled) == 6
    assert all(flag for _, flag in fooled)
    assert min(score for score, _ in fooled) > float(clean.max())


def test_an_honest_detector_says_nothing_of_stickers() -> None:
    screen = sign_consistency(made_detector(), signs(14), SPEC)
    scores = torch.cat([one.scores for one in screen(stamped(signs(9, seed=1)))])
    assert scores.max() < 0.5


def test_covers_leave_the_scene_as_it_was() -> None:
    scenes = signs(6)
    before = [picture.clone() for picture, _ in scenes]
    sign_consistency(made_detector(), scenes, SignConsistencySpec(places=2, false_rejections=0.2))
    assert all(torch.equal(one, picture) for one, (picture, _) in zip(before, scenes, strict=True))


def test_what_cannot_be_done_is_told() -> None:
    with pytest.raises(InputError, match="at least"):
        sign_consistency(made_detector(), signs(3), SPEC)
    for wrong in ({"places": 0}, {"cover": 0.0}, {"least_score": 2.0}, {"false_rejections": 1.0}):
        with pytest.raises(InputError):
            SignConsistencySpec(**wrong)
