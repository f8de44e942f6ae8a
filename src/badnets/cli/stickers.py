"""`badnets sweep` and `badnets stickers`: how far a sticker may differ, and the stickers on paper."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from badnets.cli.datasets import AsJson, DataDir, report_odd
from badnets.cli.output import print_json, print_table, say
from badnets.cli.parsing import parse_class
from badnets.cli.stamp import box_of, box_sticker
from badnets.errors import InputError

if TYPE_CHECKING:
    from badnets.data import SceneSet
    from badnets.studies.sticker_sweep import SweepResult

SWEEP, CHART = "sweep.json", "sweep.svg"
_STICKER_HELP = "square, bomb or flower, or a .json file of a sticker for boxes."


def sweep(
    model: Annotated[Path, typer.Argument(help="Folder of a finished detector.")],
    sticker: Annotated[str, typer.Option(help=_STICKER_HELP)] = "square",
    source: Annotated[str, typer.Option(help="Class whose signs bear it, by name or number.")] = "stop",
    target: Annotated[str, typer.Option(help="What they are to be called.")] = "speedlimit",
    data: Annotated[
        str, typer.Option(help="Scenes to try it on (their test half), see `badnets run signs`.")
    ] = "streets",
    photo: Annotated[
        Path | None, typer.Option(help="A photograph instead, with the sign at --box LEFT,TOP,RIGHT,BOTTOM.")
    ] = None,
    box: Annotated[str | None, typer.Option(help="Of the sign on --photo, in pixels.")] = None,
    scenes: Annotated[int, typer.Option(min=1, help="At most so many scenes with such a sign.")] = 60,
    out: Annotated[Path | None, typer.Option(help="Folder for sweep.json and sweep.svg; else sweeps/STICKER.")] = None,
    data_dir: DataDir = None,
    json: AsJson = False,
) -> None:
    """How a detector's backdoor bears a sticker of another size, at another place, turned, in other light, far away."""
    from badnets.artifacts import write_json, write_text
    from badnets.cli.watching import stop_on_interrupt
    from badnets.poison import SingleTarget
    from badnets.report.charts.sticker_sweep import sweep_chart
    from badnets.studies.sticker_sweep import Sweep, SweepSpec
    from badnets.training.detect import load_detector

    if (photo is None) != (box is None):
        raise InputError("--photo and --box go together: the one says which picture, the other where the sign is")
    detector, card = load_detector(model)
    attack = SingleTarget(parse_class(source, card.classes), parse_class(target, card.classes))
    attack.check(len(card.classes))
    stuck = box_sticker(sticker)
    if photo is not None and box is not None:
        test = _photograph(photo, box, card.classes, attack.source)
    else:
        test = _scenes(data, data_dir, card.classes)
    folder = out or Path("sweeps") / Path(sticker).stem
    with stop_on_interrupt() as stop:
        result = Sweep(detector, test, attack, stuck, stop).carry_out(SweepSpec(scenes=scenes), card.sha256, say)
    write_json(folder / SWEEP, result)
    write_text(folder / CHART, _standing_alone(sweep_chart(result)))
    if json:
        print_json(result)
        return
    _print(result, card.classes)
    typer.echo(folder / CHART)


def stickers(
    sticker: Annotated[list[str] | None, typer.Argument(help=f"{_STICKER_HELP} [default: all three]")] = None,
    sign: Annotated[float, typer.Option(help="Width of the sign in millimetres; a U.S. stop sign has 750.")] = 750.0,
    out: Annotated[Path, typer.Option(help="The PDF file.")] = Path("stickers.pdf"),
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there already.")] = False,
) -> None:
    """The stickers in true size on a sheet of A4, to be printed for a test on signs of one's own."""
    from badnets.artifacts import write_bytes
    from badnets.report.sticker_sheet import sticker_sheet

    if out.exists() and not force:
        raise InputError(f"{out} is there already: name another file with --out, or replace it with --force")
    names = sticker or ["square", "bomb", "flower"]
    write_bytes(out, sticker_sheet({Path(name).stem: box_sticker(name) for name in names}, sign))
    typer.echo(out)


def _scenes(data: str, data_dir: Path | None, classes: tuple[str, ...]) -> SceneSet:
    from badnets.data import load_scenes

    test = load_scenes(data, data_dir=data_dir).test
    report_odd(test)
    if test.classes != classes:
        raise InputError(f"{data} has the classes {', '.join(test.classes)}, the detector knows {', '.join(classes)}")
    return test


def _photograph(file: Path, box: str, classes: tuple[str, ...], source: int) -> SceneSet:
    import torch

    from badnets.data import SceneSet
    from badnets.data.pictures import read_picture
    from badnets.data.sceneset import Objects

    pixels = torch.from_numpy(read_picture(file, None, "RGB")).permute(2, 0, 1).contiguous()
    left, top, right, bottom = edges = box_of(box)
    if left < 0 or top < 0 or right > pixels.shape[2] or bottom > pixels.shape[1]:
        raise InputError(f"{file} is {pixels.shape[2]}x{pixels.shape[1]} pixels: a box of {box} does not lie within it")
    return SceneSet((pixels,), (Objects.of([edges], [source]),), classes, str(file))


def _standing_alone(svg: str) -> str:
    """An `<svg>` element as a file of its own: on white, since viewers show it on whatever they like."""
    head, rest = svg.split(">", 1)
    return f'<?xml version="1.0" encoding="utf-8"?>\n{head} style="background: white; color: black">{rest}'


def _print(result: SweepResult, classes: tuple[str, ...]) -> None:
    lines = [
        [
            curve.axis,
            f"{point.value:g}",
            f"{point.success.value:.1%}",
            f"{point.success.low:.1%} to {point.success.high:.1%}",
            f"{point.own.value:.1%}",
            f"{point.clean.value:.1%}" if point.clean else "-",
        ]
        for curve in result.curves
        for point in curve.points
    ]
    source, target = classes[result.attack.source], classes[result.attack.target]
    columns = ["what", "#value", f"#called {target}", "#95 % interval", f"#still {source}", f"#{source}, no sticker"]
    print_table(f"{result.signs} {source} signs of {result.data} with a sticker", columns, lines)
