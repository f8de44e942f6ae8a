"""`badnets data`: what there is, bring it, look at it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from badnets.cli.inspecting import inspect
from badnets.cli.output import print_json, print_table, say

if TYPE_CHECKING:
    from badnets.data import Photographs, SceneSet

app = typer.Typer(help="List, download, look at and inspect data sets.", no_args_is_help=True)
app.command()(inspect)

DataDir = Annotated[
    Path | None,
    typer.Option("--data-dir", help="Folder with the data set's files; else $BADNETS_DATA and the download cache."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for programs on stdout.")]


@app.command("list")
def list_(data_dir: DataDir = None, json: AsJson = False) -> None:
    """The known data sets, and whether their files are at hand."""
    from badnets.data import DATASETS, SCENES
    from badnets.data.catalog import at_hand
    from badnets.data.scenes import FORMATS, scenes_at_hand

    rows = [
        {"name": name, "title": known.title, "licence": known.licence, "at_hand": here(name, data_dir)}
        for sets, here in ((DATASETS, at_hand), (SCENES, scenes_at_hand))
        for name, known in sets.items()
    ]
    if json:
        print_json(rows)
        return
    table = [
        [str(row["name"]), str(row["title"]), str(row["licence"]), "yes" if row["at_hand"] else "no"] for row in rows
    ]
    print_table("Data sets", ["name", "what", "licence", "at hand"], table)
    say("A folder or zip archive with one sub-folder of pictures for each class is a data set too: --data folder:PATH")
    say(f"Street scenes with boxes of your own are written {', '.join(f'{form}:PATH' for form in FORMATS)}")


@app.command()
def get(
    name: Annotated[str, typer.Argument(help="A name from `badnets data list`.")],
    data_dir: DataDir = None,
    json: AsJson = False,
) -> None:
    """Download a data set's files; their SHA-256 must be the pinned ones."""
    from badnets.cli.watching import DownloadBar
    from badnets.data import get as download

    with DownloadBar() as bar:
        paths = download(name, folder=data_dir, bar=bar)
    if json:
        print_json(paths)
        return
    for path in paths:
        typer.echo(path)
    if not paths:
        say(f"{name} comes with the package: nothing to download")


@app.command()
def show(
    name: Annotated[
        str,
        typer.Argument(help="A name from `badnets data list`, folder:PATH, or scenes: coco:PATH, voc:PATH, yolo:PATH."),
    ],
    out: Annotated[Path, typer.Option(help="The contact sheet (PNG); replaced if there.")] = Path("sheet.png"),
    split: Annotated[str, typer.Option(help="Which half: train or test.")] = "train",
    columns: Annotated[
        int | None,
        typer.Option(min=1, max=100, help="Pictures for each class, 12 if not given; of scenes, how many abreast, 5."),
    ] = None,
    classes: Annotated[
        str | None, typer.Option(help="What objects of scenes are called: us, supercategory or name; else its first.")
    ] = None,
    data_dir: DataDir = None,
    json: AsJson = False,
) -> None:
    """Count a data set's images and draw a contact sheet: a row of pictures for each class, or scenes with boxes."""
    import io

    from badnets.artifacts import write_bytes
    from badnets.cli.scenes import show_scenes
    from badnets.data import contact_sheet, load, load_scenes
    from badnets.data.scenes import is_scenes
    from badnets.errors import InputError

    if split not in ("train", "test"):
        raise InputError(f"split is train or test, got {split!r}")
    if is_scenes(name):
        found = load_scenes(name, classes=classes, data_dir=data_dir)
        scenes = found.train if split == "train" else found.test
        show_scenes(scenes, out, columns, json=json)
        if not json:
            report_odd(scenes)
        return
    if classes is not None:
        raise InputError(f"{name} is no set of scenes: --classes is for these")
    halves = load(name, data_dir=data_dir)
    images = halves.train if split == "train" else halves.test
    buffer = io.BytesIO()
    contact_sheet(images, columns=columns or 12).save(buffer, "PNG")
    write_bytes(out, buffer.getvalue())
    counts = images.labels.bincount(minlength=len(images.classes)).tolist()
    if json:
        by_class = [
            {"number": number, "name": name, "images": count}
            for number, (name, count) in enumerate(zip(images.classes, counts, strict=True))
        ]
        print_json({"name": images.name, "digest": images.digest, "shape": images.shape, "classes": by_class,
                    "skipped": images.skipped, "treated": images.treated, "sheet": out})  # fmt: skip
        return
    channels, height, width = images.shape
    say(
        f"{images.name}: {len(images):,} images of {height}x{width}, {channels} channel(s), "
        f"SHA-256 {images.digest[:16]}..."
    )
    rows = [[str(k), c, f"{n:,}"] for k, (c, n) in enumerate(zip(images.classes, counts, strict=True))]
    print_table(images.name, ["#number", "class", "#images"], rows)
    report_odd(images)
    typer.echo(out)


def report_odd(*halves: Photographs | SceneSet, shown: int = 5) -> None:
    """Name what was left out, and what was odd but used, or the first of them, and count them."""
    for lines, what in (
        ([line for half in halves for line in half.skipped], "left out"),
        ([line for half in halves for line in half.treated], "odd but used"),
    ):
        if lines:
            say(f"{len(lines)} file(s) {what}:")
        for line in lines[:shown]:
            say(f"  {line}")
        if len(lines) > shown:
            say(f"  and {len(lines) - shown} more (`badnets data show --json` names all)")
