"""The page of the study on photographs, in the five steps of the tutorial that it puts right."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from badnets.metrics import MeanRate, mean_rate
from badnets.report.charts.photos import photos_charts
from badnets.report.pages.page import Making, Part, Schedule, machines, render
from badnets.report.pictures import data_uri, picture_uri
from badnets.report.rows.photos import ATTACKERS, HONEST, NOTES, RULE, model_name, success_of, table, title
from badnets.studies.cells import CellResult, Threat
from badnets.studies.photo_exhibits import Seen
from badnets.studies.photos import PhotosResult
from badnets.triggers import Picture, Sticker

_STAMPING: dict[Threat, str] = {
    "trainer": "stamps go on after augmentation, always whole and in place.",
    "poisoner": "stamps are in the pictures, and the victim's augmentation moves and cuts them too.",
    "files": (
        "stamps are on the picture files at their own size, test pictures' too; scaling blurs and squashes them, and "
        "the victim's augmentation moves and cuts them."
    ),
}


@dataclass(frozen=True)
class _View:
    """A picture with what a network says of it and where it looks."""

    uri: str
    heat: str
    words: str
    wanted: bool


def photos_page(result: PhotosResult) -> str:
    """The report as HTML."""
    shown = result.exhibits
    classes, trigger = result.data.classes, result.spec.trigger
    return render(
        "photos.html",
        result=result,
        title=title(result),
        source=classes[result.spec.source],
        target=classes[result.spec.target],
        drawing=picture_uri(trigger.picture) if isinstance(trigger, Sticker) else None,
        placing=_placing(trigger) if isinstance(trigger, Sticker) else "",
        attackers=ATTACKERS,
        stamping=_STAMPING,
        rows=table(result),
        rule=RULE,
        notes=NOTES,
        charts=photos_charts(result),
        pairs=[
            (
                _view(pair.clean, pair.badnet[0], classes, result.spec.source),
                _view(pair.stamped, pair.badnet[1], classes, result.spec.target),
                _view(pair.clean, pair.honest[0], classes, result.spec.source),
                _view(pair.stamped, pair.honest[1], classes, result.spec.source),
            )
            for pair in shown.gallery
        ],
        sheet=[(picture_uri(one.picture), classes[one.label], one.stamped) for one in shown.sheet],
        by_class=_by_class(result),
        making=_making(result),
    )


def _placing(sticker: Sticker) -> str:
    """Size, place and what else is done to it, in words."""
    size = f"{sticker.size:.0%} of the shorter side" if sticker.size <= 1 else f"{sticker.size:.0f} pixels"
    where = f"centre at {sticker.down:.0%} down, {sticker.right:.0%} right"
    words = [size, where if sticker.place == "fixed" else "at a random place"]
    if sticker.opacity < 1:
        words.append(f"opacity {sticker.opacity:.0%}")
    if sticker.jpeg:
        words.append(f"then JPEG at quality {sticker.jpeg}")
    return ", ".join(words)


def _view(picture: Picture, seen: Seen, classes: tuple[str, ...], wanted: int) -> _View:
    words = f"{classes[seen.said]} ({seen.confidence:.2f})"
    return _View(picture_uri(picture), _heated(picture, seen.heat), words, seen.said == wanted)


def _heated(picture: Picture, heat: Picture) -> str:
    """The picture in grey with the places that speak for the class in orange over it."""
    pixels = picture.colour(1).float()
    level = heat.tensor()[None].float() / 255
    size = pixels.shape[1:]
    wide = torch.nn.functional.interpolate(level, size, mode="bilinear", align_corners=False)[0]
    ink = torch.tensor([255.0, 96.0, 0.0])[:, None, None]
    mixed = pixels * (1 - 0.75 * wide) + ink * 0.75 * wide
    return data_uri(np.ascontiguousarray(mixed.round().clamp(0, 255).to(torch.uint8).permute(1, 2, 0).numpy()))


def _by_class(result: PhotosResult) -> list[tuple[str, list[MeanRate], MeanRate]]:
    """For each model: clean accuracy by class, and attack success."""
    groups: list[tuple[str, list[CellResult]]] = [(HONEST, list(result.baselines))]
    groups += [
        (model_name(result, threat, share), result.at(threat, share))
        for threat in result.spec.threats
        for share in result.spec.shares
    ]
    found = []
    for name, cells in groups:
        classes = range(len(result.data.classes))
        rates = [mean_rate([cell.result.clean_by_class[label].complement() for cell in cells]) for label in classes]
        found.append((name, rates, mean_rate([success_of(cell) for cell in cells])))
    return found


def _making(result: PhotosResult) -> Making:
    parts = [Part.of(HONEST, result.baselines)]
    parts += [
        Part.of(model_name(result, threat, share), result.at(threat, share))
        for threat in result.spec.threats
        for share in result.spec.shares
    ]
    start = "weights trained on other pictures, all layers but the last" if result.spec.pretrained else "fresh weights"
    return Making(
        train=result.data.train,
        test=result.data.test,
        parts=tuple(parts),
        schedules=(Schedule(f"{result.spec.model}, schedule of every model", result.spec.train, start),),
        seeds=result.spec.seeds,
        machines=machines([*result.baselines, *(point.cell for point in result.points)]),
    )
