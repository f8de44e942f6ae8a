"""Victims of detectors: what each retrains, and what it leaves as it was."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.scenes_case import shapes
from torch import nn

from badnets.errors import InputError
from badnets.models import mark_plans, plans_of
from badnets.models.detector import Detector, build_detector
from badnets.models.detector_spec import DetectorSpec
from badnets.training import DetectTrainSpec, Retrained, weights_digest
from badnets.training.transfer_detect import FROZEN, transfer_detector

SMALL = DetectorSpec(
    anchors=(24.0, 36.0), before_suppression=(60, 60), after_suppression=(30, 20), hidden=32, region_samples=16
)
CLASSES = ("information", "mandatory", "prohibitory", "warning", "other")


def parts(model: Detector) -> dict[str, nn.Module]:
    return {
        "trunk": model.trunk,
        "proposer": model.proposer,
        "fc": model.regions.box_head,
        "last": model.regions.box_predictor,
    }


@pytest.mark.parametrize(
    ("retrained", "changed"),
    [("last", {"last"}), ("head", {"proposer", "fc", "last"}), ("whole", {"trunk", "proposer", "fc", "last"})],
)
def test_what_each_victim_changes(retrained: Retrained, changed: set[str]) -> None:
    base = build_detector(SMALL, seed=1).eval()
    mark_plans(base, ("a" * 64,))
    before = {name: weights_digest(part) for name, part in parts(base).items()}
    scenes = replace(shapes(6), classes=CLASSES)
    spec = DetectTrainSpec(epochs=1, batch_size=3, frozen=FROZEN[retrained])
    fitted = transfer_detector(base, scenes, spec, retrained=retrained, seed=3)
    after = {name: weights_digest(part) for name, part in parts(fitted.model).items()}
    assert {name for name in after if after[name] != before[name]} == changed
    assert {name: weights_digest(part) for name, part in parts(base).items()} == before, "what was downloaded stays"
    assert fitted.model.spec.classes == 5
    assert fitted.card.job.inherited == plans_of(base)


def test_a_schedule_that_freezes_something_else_is_refused() -> None:
    with pytest.raises(InputError, match=r"retrains 'head' freezes \('trunk',\), got \(\)"):
        transfer_detector(build_detector(SMALL), shapes(2), DetectTrainSpec(epochs=1))
