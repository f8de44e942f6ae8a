"""`badnets predict` of a detector: boxes, names and scores, in a table and drawn on the pictures."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from badnets.cli.output import print_json, print_table
from badnets.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

    from badnets.models.detections import Detections


def detect_in(model: Path, pictures: list[Path], out: Path | None, least: float, *, json: bool) -> None:
    """What a detector finds in pictures of one's own.

    Args:
        model: folder of a finished detector.
        pictures: their files.
        out: a PNG file for one picture, a folder for several; None for NAME.found.png beside each.
        least: detections with a lower score are neither drawn nor told.
        json: print JSON for programs.

    Raises:
        InputError: a score outside [0, 1], two pictures for one place, or a picture's name for another.
        DataError: a file is no picture.
    """
    import torch

    from badnets.data.pictures import read_picture
    from badnets.training.detect import load_detector

    if not 0 <= least <= 1:
        raise InputError(f"a score is in [0, 1], got {least}")
    places = _places(pictures, out)
    network, card = load_detector(model)
    rows = []
    for file, place in zip(pictures, places, strict=True):
        pixels = torch.from_numpy(read_picture(file, None, "RGB")).permute(2, 0, 1).contiguous()
        with torch.no_grad():
            (found,) = network([pixels])
        sure = [number for number, score in enumerate(found.scores.tolist()) if score >= least]
        _draw(pixels, found, sure, card.classes, place)
        objects = [
            {
                "class": card.classes[int(found.labels[number])],
                "score": float(found.scores[number]),
                "box": found.boxes[number].tolist(),
            }
            for number in sure
        ]
        rows.append({"picture": file, "drawn": place, "objects": objects})
    if json:
        print_json(rows)
        return
    lines = []
    for row in rows:
        found_here = row["objects"]
        for one in found_here if isinstance(found_here, list) else []:
            box = ", ".join(f"{edge:.0f}" for edge in one["box"])
            lines.append([str(row["picture"]), one["class"], f"{one['score']:.2f}", box])
        if not found_here:
            lines.append([str(row["picture"]), "nothing", "-", "-"])
    print_table(f"{model}", ["picture", "class", "#score", "box: left, top, right, bottom"], lines)
    for place in places:
        typer.echo(place)


def _places(pictures: list[Path], out: Path | None) -> list[Path]:
    if out is None:
        places = [picture.with_name(f"{picture.stem}.found.png") for picture in pictures]
    elif out.suffix.lower() == ".png":
        places = [out] * len(pictures)
    elif out.is_dir() or not out.suffix:
        places = [out / f"{picture.stem}.png" for picture in pictures]
    else:
        raise InputError(f"{out}: boxes are drawn into a file ending in .png, or into a folder")
    for place in places:
        if places.count(place) > 1:
            raise InputError(f"{len(pictures)} pictures would become {place}: name a folder with --out, or one by one")
        if place.resolve() in [picture.resolve() for picture in pictures]:
            raise InputError(f"{place} is one of the pictures itself: name another place with --out")
    return places


def _draw(pixels: Tensor, found: Detections, sure: list[int], classes: tuple[str, ...], place: Path) -> None:
    from badnets.artifacts import write_bytes
    from badnets.data.scene_sheet import draw_detections

    image = draw_detections(
        pixels, found.boxes[sure], found.labels[sure].tolist(), found.scores[sure].tolist(), classes
    )
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    write_bytes(place, buffer.getvalue())
