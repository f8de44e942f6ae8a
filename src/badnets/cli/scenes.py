"""`badnets data show` of a set of street scenes: their objects counted, a sheet of scenes with boxes and names."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from badnets.cli.output import print_json, print_table, say

if TYPE_CHECKING:
    from badnets.data import SceneSet

_COLUMNS = 5
_ROWS = 4


def show_scenes(scenes: SceneSet, out: Path, columns: int | None, *, json: bool) -> None:
    """Count the objects of each class, and draw some scenes of the set."""
    import torch

    from badnets.artifacts import write_bytes
    from badnets.data.scene_sheet import scene_sheet

    buffer, across = io.BytesIO(), columns or _COLUMNS
    scene_sheet(scenes, count=_ROWS * across, columns=across).save(buffer, "PNG")
    write_bytes(out, buffer.getvalue())
    labels = torch.cat([marked.labels for marked in scenes.objects])
    ignored = torch.cat([marked.ignored for marked in scenes.objects])
    counts = [labels[part].bincount(minlength=len(scenes.classes)).tolist() for part in (~ignored, ignored)]
    rows = list(zip(scenes.classes, *counts, strict=True))
    if json:
        by_class = [
            {"number": number, "name": name, "objects": count, "ignored": left}
            for number, (name, count, left) in enumerate(rows)
        ]
        print_json({"name": scenes.name, "scenes": len(scenes), "classes": by_class, "skipped": scenes.skipped,
                    "treated": scenes.treated, "sheet": out})  # fmt: skip
        return
    say(f"{scenes.name}: {len(scenes):,} scenes with {len(labels):,} objects")
    table = [[str(number), name, f"{count:,}", f"{left:,}"] for number, (name, count, left) in enumerate(rows)]
    print_table(scenes.name, ["#number", "class", "#objects", "#ignored"], table)
    typer.echo(out)
