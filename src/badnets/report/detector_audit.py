"""The page of a detector's audit: the same as a classifier's, with signs cut out of scenes."""

from __future__ import annotations

import torch
from torch import Tensor

from badnets.audit.detector_auditing import DetectorAudit
from badnets.audit.detector_confirm import stamped_scenes
from badnets.audit.objectives import Objective
from badnets.audit.verdict import Suspicion
from badnets.data import SceneSet
from badnets.metrics.detect import detect
from badnets.metrics.signs import NOTHING, sign_calls
from badnets.models.detector import Detector
from badnets.report.audit import Example, Exhibit, suspicion_words
from badnets.report.pages.page import render
from badnets.report.pictures import data_uri
from badnets.triggers import BoxSticker

_EXAMPLES = 4
# Pixels a side of the grey sign that a sticker is shown on; how much around a sign is shown, as a share of it.
_GREY_SIDE, _AROUND = 96, 0.5


def detector_audit_page(audit: DetectorAudit, name: str) -> str:
    """The report as HTML.

    Args:
        audit: what came out.
        name: of the file that was audited; like all names it is escaped.
    """
    exhibits = tuple(_exhibit(audit, one) for one in audit.verdict.suspicions)
    return render("audit.html", verdict=audit.verdict, name=name, exhibits=exhibits, classes=audit.scenes.classes)


def _exhibit(audit: DetectorAudit, suspicion: Suspicion) -> Exhibit:
    words = suspicion_words(suspicion, audit.scenes.classes)
    sticker = audit.triggers.get(suspicion.trigger or "")
    if sticker is None:
        return Exhibit(suspicion, words, "", ())
    grey = torch.full((3, _GREY_SIDE, _GREY_SIDE), 128, dtype=torch.uint8)
    picture = sticker(grey, torch.tensor([[0.0, 0.0, _GREY_SIDE, _GREY_SIDE]]))
    return Exhibit(suspicion, words, _uri(picture), _examples(audit, suspicion, sticker))


def _examples(audit: DetectorAudit, suspicion: Suspicion, sticker: BoxSticker) -> tuple[Example, ...]:
    """The first scenes that have an attacked sign, cut to that sign."""
    objective = _objective(suspicion)
    scenes = audit.scenes.held_out
    picked: list[tuple[int, int]] = []
    for row, marked in enumerate(scenes.objects):
        signs = (objective.attacked(marked.labels) & ~marked.ignored).nonzero()[:, 0].tolist()
        picked += [(row, number) for number in signs[:1]]
    picked = picked[:_EXAMPLES]
    if not picked:
        return ()
    some = scenes.select([row for row, _ in picked])
    stamped = stamped_scenes(some, sticker, objective)
    before, after = (_called(audit.model, these, [number for _, number in picked]) for these in (some, stamped))
    return tuple(
        Example(
            _uri(_around(some.pictures[place], some.objects[place].boxes[number])),
            _uri(_around(stamped.pictures[place], some.objects[place].boxes[number])),
            before[place],
            after[place],
        )
        for place, (_, number) in enumerate(picked)
    )


def _called(model: Detector, scenes: SceneSet, numbers: list[int]) -> list[str]:
    """What one sign of each scene is called; `numbers` count its objects, ignored ones included."""
    calls = sign_calls(detect(model, scenes), scenes)
    found = []
    for scene, number in enumerate(numbers):
        place = int((~scenes.objects[scene].ignored[:number]).sum())
        said = int(calls.called[calls.scenes == scene][place])
        found.append("nothing" if said == NOTHING else scenes.classes[said])
    return found


def _objective(suspicion: Suspicion) -> Objective:
    if suspicion.mapping == "untargeted":
        return Objective("untargeted")
    if suspicion.sources:
        return Objective("pair", target=suspicion.target, source=suspicion.sources[0])
    return Objective("target", target=suspicion.target)


def _around(picture: Tensor, box: Tensor) -> Tensor:
    left, top, right, bottom = box.tolist()
    more = _AROUND * max(right - left, bottom - top)
    rows = slice(max(0, int(top - more)), int(bottom + more) + 1)
    return picture[:, rows, max(0, int(left - more)) : int(right + more) + 1]


def _uri(picture: Tensor) -> str:
    return data_uri(picture.permute(1, 2, 0).contiguous().numpy())
