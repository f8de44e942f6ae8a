"""What signs are called, attack success with its denominators, and what is said of whole sets."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.scenes_case import CLASSES, pictures_of, shapes

from badnets.artifacts import canonical_json, parse_json
from badnets.data import Objects, SceneSet
from badnets.errors import InputError, Stopped
from badnets.metrics.detect import detect
from badnets.metrics.detector_result import (
    SIZE_EDGES,
    DetectorResult,
    SignAttack,
    evaluate_detector,
    judge_detector,
)
from badnets.metrics.signs import NOTHING, accuracy, accuracy_by_class, called_as, sign_calls, size_bins
from badnets.models.detections import Detections
from badnets.models.detector import build_detector
from badnets.models.detector_spec import DetectorSpec

BLACK = torch.zeros(3, 99, 99, dtype=torch.uint8)


def said(boxes: list[list[float]], labels: list[int], scores: list[float]) -> Detections:
    return Detections(
        torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4),
        torch.tensor(labels, dtype=torch.int64),
        torch.tensor(scores, dtype=torch.float32),
    )


def scenes_of(*objects: Objects) -> SceneSet:
    return SceneSet((BLACK,) * len(objects), objects, CLASSES, "made")


TWO = Objects.of([[0, 0, 10, 10], [50, 50, 90, 90]], [0, 2])


class TestCalls:
    def test_the_surest_that_fits_decides(self) -> None:
        found = said([[0, 0, 10, 9], [0, 0, 9, 10], [0, 0, 10, 10]], [1, 0, 2], [0.6, 0.9, 0.7])
        calls = sign_calls((found,), scenes_of(TWO))
        assert calls.called.tolist() == [0, NOTHING]
        assert calls.scores.tolist() == pytest.approx([0.9, 0])
        assert calls.sizes.tolist() == [10, 40]
        assert calls.scenes.tolist() == [0, 0]

    def test_surer_ones_that_do_not_fit_play_no_part(self) -> None:
        # an overlap of exactly one half is not above it
        found = said([[0, 0, 10, 5], [0, 0, 10, 6]], [1, 0], [0.99, 0.6])
        assert sign_calls((found,), scenes_of(TWO)).called.tolist() == [0, NOTHING]

    def test_the_threshold_is_not_included(self) -> None:
        found = said([[0, 0, 10, 10]], [0], [0.5])
        assert sign_calls((found,), scenes_of(TWO)).called.tolist() == [NOTHING, NOTHING]
        assert sign_calls((found,), scenes_of(TWO), least_score=0.49).called.tolist() == [0, NOTHING]

    def test_ignored_signs_are_left_out(self) -> None:
        marked = replace(TWO, ignored=torch.tensor([True, False]))
        calls = sign_calls((said([[50, 50, 90, 90]], [2], [0.9]),), scenes_of(marked))
        assert str(accuracy(calls)).endswith("(1 of 1)")
        assert [rate.total for rate in accuracy_by_class(calls)] == [0, 0, 1]

    def test_no_sign_and_no_detection(self) -> None:
        nothing = Objects.of([], [])
        calls = sign_calls((said([], [], []), said([[0, 0, 5, 5]], [0], [0.9])), scenes_of(nothing, nothing))
        assert len(calls) == accuracy(calls).total == 0
        everything = replace(TWO, ignored=torch.tensor([True, True]))
        assert len(sign_calls((said([], [], []),), scenes_of(everything))) == 0

    def test_not_one_answer_for_each_scene(self) -> None:
        with pytest.raises(InputError, match="0 answers for 1 scenes"):
            sign_calls((), scenes_of(TWO))

    def test_a_target_that_is_no_class(self) -> None:
        with pytest.raises(InputError, match="one of 3 classes"):
            called_as(sign_calls((said([], [], []),), scenes_of(TWO)), 3)


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([0.0, 0.3, 0.5]))
def test_calls_are_those_of_a_brute_force(seed: int, least: float) -> None:
    stream = torch.Generator().manual_seed(seed)

    def boxes(count: int) -> list[list[float]]:
        corner = torch.randint(0, 12, (count, 2), generator=stream)
        return torch.cat([corner, corner + torch.randint(4, 12, (count, 2), generator=stream)], 1).float().tolist()

    def numbers(count: int) -> list[int]:
        return torch.randint(0, 3, (count,), generator=stream).tolist()

    truth, found = boxes(4), boxes(9)
    kinds, names = numbers(4), numbers(9)
    scores = torch.rand(9, generator=stream).tolist()
    calls = sign_calls((said(found, names, scores),), scenes_of(Objects.of(truth, kinds)), least_score=least)
    for place, (left, top, right, bottom) in enumerate(truth):
        best = (least, NOTHING)
        for (x, y, u, v), name, score in zip(found, names, scores, strict=True):
            both = max(0.0, min(right, u) - max(left, x)) * max(0.0, min(bottom, v) - max(top, y))
            whole = (right - left) * (bottom - top) + (u - x) * (v - y) - both
            if both * 2 > whole and score > best[0]:
                best = (score, name)
        assert int(calls.called[place]) == best[1]


class TestJudged:
    """Three stop signs, a limit and a warning; of the stamped stop signs one is missed and one is called a limit."""

    clean = scenes_of(TWO, Objects.of([[0, 0, 20, 20], [30, 0, 50, 20], [60, 60, 80, 80]], [0, 1, 0]))
    stamped = clean
    clean_said = (
        said([[0, 0, 10, 10], [50, 50, 90, 90]], [0, 2], [0.9, 0.9]),
        said([[0, 0, 20, 20], [30, 0, 50, 20], [60, 60, 80, 80]], [1, 1, 0], [0.9, 0.9, 0.9]),
    )
    stamped_said = (
        said([[50, 50, 90, 90]], [1], [0.9]),
        said([[0, 0, 20, 20], [30, 0, 50, 20], [60, 60, 80, 80]], [1, 1, 0], [0.9, 0.9, 0.9]),
    )

    def judged(self, attack: SignAttack) -> DetectorResult:
        return judge_detector(
            self.clean, self.clean_said, stamped=self.stamped, stamped_said=self.stamped_said, attack=attack
        )

    def test_targeted(self) -> None:
        found = self.judged(SignAttack(0, 1))
        assert (found.accuracy.count, found.accuracy.total) == (4, 5)
        assert [(rate.count, rate.total) for rate in found.by_class] == [(2, 3), (1, 1), (1, 1)]
        assert found.attack_success is not None
        assert found.false_triggers is not None
        assert found.triggered_accuracy is not None
        assert (found.attack_success.count, found.attack_success.total) == (1, 3)
        assert (found.false_triggers.count, found.false_triggers.total) == (1, 3)
        assert (found.triggered_accuracy.count, found.triggered_accuracy.total) == (1, 3)
        assert [(rate.count, rate.total) for rate in found.triggered_by_class] == [(1, 3), (1, 1), (0, 1)]

    def test_random(self) -> None:
        """All signs are stamped; the missed one is no success, and is not called its class either."""
        found = self.judged(SignAttack())
        assert found.attack_success is not None
        assert found.triggered_accuracy is not None
        assert (found.attack_success.count, found.attack_success.total) == (2, 5)
        assert (found.triggered_accuracy.count, found.triggered_accuracy.total) == (2, 5)
        assert found.false_triggers is None

    def test_sizes_share_out_every_sign(self) -> None:
        found = self.judged(SignAttack(0, 1))
        assert [row.low for row in found.by_size] == [0, *SIZE_EDGES]
        assert found.by_size[-1].high is None
        assert sum(row.accuracy.total for row in found.by_size) == 5
        assert sum(row.attack_success.total for row in found.by_size if row.attack_success) == 3
        assert [row.accuracy.total for row in found.by_size] == [1, 3, 0, 1, 0, 0]

    def test_clean_only(self) -> None:
        found = judge_detector(self.clean, self.clean_said)
        assert found.attack_success is found.false_triggers is found.triggered_accuracy is None
        assert found.by_size[0].attack_success is None

    def test_a_result_survives_its_json(self) -> None:
        found = self.judged(SignAttack(0, 1))
        assert parse_json(DetectorResult, canonical_json(found), "test") == found

    def test_half_an_attack_is_refused(self) -> None:
        with pytest.raises(InputError, match="what is wanted"):
            judge_detector(self.clean, self.clean_said, attack=SignAttack(0, 1))
        with pytest.raises(InputError, match="other classes"):
            judge_detector(
                self.clean,
                self.clean_said,
                stamped=replace(self.stamped, classes=("a", "b", "c")),
                stamped_said=self.stamped_said,
                attack=SignAttack(0, 1),
            )

    @pytest.mark.parametrize("pair", [(0, None), (None, 1), (1, 1)])
    def test_nonsense_attacks(self, pair: tuple[int | None, int | None]) -> None:
        with pytest.raises(InputError, match="source goes with another"):
            SignAttack(*pair)


@pytest.mark.parametrize("edges", [(0.0,), (-1.0, 2.0), (3.0, 3.0), (5.0, 4.0)])
def test_edges_that_do_not_rise(edges: tuple[float, ...]) -> None:
    with pytest.raises(InputError, match="rise"):
        size_bins(edges)


def test_bins_follow_each_other() -> None:
    bins = size_bins((16.0, 32.0))
    assert all(one[1] == other[0] for one, other in pairwise(bins))
    assert (bins[0][0], bins[-1][1]) == (0, float("inf"))


class TestDetect:
    spec = DetectorSpec(
        anchors=(24.0,), before_suppression=(20, 20), after_suppression=(10, 8), hidden=8, least_score=0.0
    )

    def test_batches_change_nothing(self) -> None:
        scenes = shapes(5)
        odd = shapes(1, size=(64, 160))
        pictures = pictures_of(scenes)
        mixed = SceneSet(
            (*pictures[:3], odd.pictures[0], *pictures[3:]),
            (*scenes.objects[:3], odd.objects[0], *scenes.objects[3:]),
            CLASSES,
            "mixed",
        )
        model = build_detector(self.spec, seed=1).train()
        seen: list[tuple[int, int]] = []
        one = detect(model, mixed, batch_size=1)
        many = detect(model, mixed, batch_size=4, on_progress=lambda done, due: seen.append((done, due)))
        assert model.training
        assert seen == [(3, 6), (4, 6), (6, 6)]
        for a, b in zip(one, many, strict=True):
            assert torch.allclose(a.boxes, b.boxes, atol=1e-3)
            assert torch.allclose(a.scores, b.scores, atol=1e-5)
            assert not a.boxes.requires_grad

    def test_it_can_be_stopped(self) -> None:
        with pytest.raises(Stopped, match="after 2 of 5 scenes"):
            detect(build_detector(self.spec), shapes(5), batch_size=2, stop=lambda: True)
        assert len(detect(build_detector(self.spec), shapes(2), batch_size=2, stop=lambda: True)) == 2

    def test_other_classes(self) -> None:
        with pytest.raises(InputError, match="for 4 classes"):
            detect(build_detector(replace(self.spec, classes=4)), shapes(1))

    def test_evaluated_and_judged_are_one(self) -> None:
        scenes, model = shapes(4), build_detector(self.spec, seed=2)
        found = evaluate_detector(model, scenes, scenes, SignAttack(0, 1))
        answers = detect(model, scenes)
        assert found == judge_detector(scenes, answers, stamped=scenes, stamped_said=answers, attack=SignAttack(0, 1))
        assert evaluate_detector(model, scenes) == judge_detector(scenes, answers)
