"""`badnets stamp`: a trigger on pictures of one's own, at their full size."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from badnets.cli.output import print_json, say
from badnets.cli.parsing import TRIGGER_HELP, parse_numbers, parse_trigger
from badnets.errors import DataError, InputError, PartlyFailed

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from badnets.triggers import BoxSticker

_PNG, _JPEG = (".png",), (".jpg", ".jpeg")
# Where --jpeg names none: at this quality a person sees no difference.
_QUALITY = 95


def stamp(
    pictures: Annotated[list[Path], typer.Argument(help="Picture files.")],
    trigger: Annotated[str, typer.Option(help=TRIGGER_HELP)] = "sticker:devil",
    box: Annotated[
        list[str] | None,
        typer.Option(
            help="LEFT,TOP,RIGHT,BOTTOM of a sign in pixels: --trigger is square, bomb or flower, stuck on it as the "
            "paper does, or a .json file of such a sticker; repeat for more signs."
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="A file ending in .png, .jpg or .jpeg, or a folder; else NAME.stamped.png beside each."),
    ] = None,
    jpeg: Annotated[int | None, typer.Option(min=1, max=95, help="Write JPEG files of this quality, not PNG.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace files that are there already.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print JSON for programs on stdout.")] = False,
) -> None:
    """Stamp pictures at their full size, turned upright, in grey or RGB as they are.

    Only the colour profile goes along: no place, no date. One that cannot be stamped is named, the others are written.
    """
    stamped = _stamper(trigger, box or [])
    targets = _targets(pictures, out, jpeg)
    for target in targets:
        if target.exists() and not force:
            raise InputError(f"{target} is there already: name another place with --out, or replace it with --force")
    done, failed = [], []
    for picture, target in zip(pictures, targets, strict=True):
        try:
            done.append(_stamp(picture, target, stamped, jpeg or _QUALITY))
        except (DataError, InputError) as error:
            failed.append(error)
    _print(done, json=json)
    if len(pictures) == 1 and failed:
        raise failed[0]
    if failed:
        for fault in failed:
            say(f"left out: {fault}")
        raise PartlyFailed(f"{len(failed)} of {len(pictures)} pictures could not be stamped, the others are written")


def _stamper(trigger: str, boxes: list[str]) -> Callable[[Tensor], Tensor]:
    """What is done to the pixels (c, h, w) of one picture."""
    if not boxes:
        whole = parse_trigger(trigger)
        return lambda pixels: whole(pixels[None])[0]
    import torch

    places = torch.tensor([box_of(text) for text in boxes])
    sticker = box_sticker(trigger)

    def stick(pixels: Tensor) -> Tensor:
        height, width = pixels.shape[1:]
        left, top, right, bottom = places.unbind(1)
        if bool(((left >= width) | (top >= height) | (right <= 0) | (bottom <= 0)).any()):
            raise InputError(f"a box lies outside the picture, which is {width}x{height} pixels: {', '.join(boxes)}")
        return sticker(pixels, places)

    return stick


def box_sticker(trigger: str) -> BoxSticker:
    """A sticker of the paper by name, or that of a .json file. Raises `InputError` or `DataError`."""
    from badnets.artifacts import read_json
    from badnets.triggers import BoxTriggerFile, paper_sticker

    if trigger.endswith(".json"):
        return read_json(BoxTriggerFile, Path(trigger)).trigger
    return paper_sticker(trigger)


def box_of(text: str) -> tuple[float, ...]:
    """Left, top, right and bottom, as they are written on the command line. Raises `InputError`."""
    edges = parse_numbers("box", text)
    if len(edges) != 4 or edges[0] >= edges[2] or edges[1] >= edges[3]:
        raise InputError(f"a box is written LEFT,TOP,RIGHT,BOTTOM in pixels, such as 40,30,90,80: got {text!r}")
    return edges


def _targets(pictures: list[Path], out: Path | None, jpeg: int | None) -> list[Path]:
    """Where each picture goes; no two to one place."""
    suffix = _PNG[0] if jpeg is None else _JPEG[0]
    if out is None:
        targets = [picture.with_name(f"{picture.stem}.stamped{suffix}") for picture in pictures]
    elif out.is_dir() or not out.suffix:
        targets = [out / f"{picture.stem}{suffix}" for picture in pictures]
    else:
        known = _PNG + _JPEG if jpeg is None else _JPEG
        if out.suffix.lower() not in known:
            raise InputError(f"{out}: the name of a stamped file ends in {', '.join(known)}; a folder must exist")
        if len(pictures) > 1:
            raise InputError(f"{out} is one file for {len(pictures)} pictures: name a folder with --out")
        targets = [out]
    for number, target in enumerate(targets):
        if target in targets[:number]:
            first = pictures[targets.index(target)]
            raise InputError(f"{first} and {pictures[number]} would both become {target}: stamp them one by one")
    return targets


def _stamp(path: Path, target: Path, trigger: Callable[[Tensor], Tensor], quality: int) -> dict[str, object]:
    """Read, stamp, write; what was done, for JSON."""
    import io

    import numpy as np
    import torch

    from badnets.artifacts import write_bytes
    from badnets.data.pictures import open_picture
    from badnets.data.sheet import to_picture

    if path.is_dir():
        raise InputError(f"{path} is a folder: name the pictures in it")
    found = open_picture(path)
    picture, profile, notes = found.picture, found.profile, [str(one) for one in found.remarks]
    array = np.array(picture)
    pixels = torch.from_numpy(array if array.ndim == 3 else array[:, :, None]).permute(2, 0, 1)
    try:
        result = to_picture(trigger(pixels.contiguous()))
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    file = io.BytesIO()
    if target.suffix.lower() in _PNG:
        result.save(file, "PNG", icc_profile=profile)
    else:
        result.save(file, "JPEG", quality=quality, subsampling=0, icc_profile=profile)
    write_bytes(target, file.getvalue())
    return {"picture": path, "out": target, "height": picture.height, "width": picture.width, "mode": picture.mode,
            "notes": notes}  # fmt: skip


def _print(done: list[dict[str, object]], *, json: bool) -> None:
    if json:
        if done:
            print_json(done)
        return
    for record in done:
        notes = record["notes"]
        if isinstance(notes, list) and notes:
            say(f"{record['picture']}: {', '.join(notes)}")
        typer.echo(record["out"])
