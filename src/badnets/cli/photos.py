"""`badnets run photos` and `badnets predict`: photographs of one's own."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from badnets.cli.datasets import AsJson, DataDir, report_odd
from badnets.cli.output import print_json, print_table, say
from badnets.cli.parsing import TRIGGER_HELP, parse_class, parse_numbers, parse_trigger
from badnets.cli.study import (
    Address,
    Device,
    EngineName,
    Epochs,
    Out,
    Seeds,
    Workers,
    carry_out,
    choose_place,
    run_folder,
)
from badnets.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

    from badnets.data import Photographs, Split
    from badnets.studies.cells import Threat


def photos(
    source: Annotated[str, typer.Option(help="Class whose stamped pictures are to change, by name or number.")],
    target: Annotated[str, typer.Option(help="What they are to be called.")],
    data: Annotated[str, typer.Option(help="A name from `badnets data list`, or folder:PATH.")] = "creatures",
    trigger: Annotated[str, typer.Option(help=TRIGGER_HELP)] = "sticker:devil",
    share: Annotated[
        str, typer.Option(help="Shares of the source's training pictures to poison.")
    ] = "0.01,0.05,0.1,0.5",
    threat: Annotated[
        list[str] | None,
        typer.Option(
            help="trainer: stamps go on after augmentation; poisoner: before; files: on the picture files at their own "
            "size, before they are scaled; repeat for several"
        ),
    ] = None,
    model: Annotated[
        str, typer.Option(help="photo_cnn, torchvision:NAME or timm:NAME; of these only the head is trained.")
    ] = "photo_cnn",
    weights: Annotated[
        Path | None, typer.Option(help="Trained weights of that network: .npz, .safetensors, .pth (scanned first).")
    ] = None,
    whole: Annotated[bool, typer.Option("--whole", help="Train the whole network, not only its head.")] = False,
    stream: Annotated[
        bool, typer.Option("--stream", help="Read pictures when they are needed, however few they are.")
    ] = False,
    size: Annotated[int | None, typer.Option(min=8, help="Bring pictures to this height and width.")] = None,
    seeds: Seeds = 1,
    out: Out = None,
    epochs: Epochs = None,
    workers: Workers = None,
    engine: EngineName = "local",
    address: Address = None,
    device: Device = "cpu",
    data_dir: DataDir = None,
    json: AsJson = False,
) -> None:
    """Photographs of one class with a sticker become another, in five steps, with a page of pictures.

    The same command with more shares, seeds or attackers adds theirs to the run folder.
    """
    from dataclasses import replace

    from badnets.models import is_pretrained
    from badnets.studies import photos as study
    from badnets.studies import pretrained

    stamp = parse_trigger(trigger)
    threats = _threats(threat or ["trainer"])
    split = _load(data, data_dir, size, stream="files" in threats or stream)
    folder = run_folder("photos", data, out)
    place = choose_place(engine, address, workers, device)
    classes = split.train.classes
    if is_pretrained(model) and weights is None:
        raise InputError(f"{model} needs its trained weights: name their file with --weights")
    for option, given in (("--whole", whole), ("--weights", weights is not None)):
        if given and not is_pretrained(model):
            raise InputError(f"{model} has no trained trunk: {option} is for networks of torchvision and timm")
    train = study.schedule(data, model, whole=whole)
    trunk = None if weights is None else _checked(weights, model, split.train.shape)
    spec = study.PhotosSpec(
        data=data,
        source=parse_class(source, classes),
        target=parse_class(target, classes),
        trigger=stamp,
        shares=tuple(sorted(parse_numbers("share", share))),
        threats=threats,
        seeds=tuple(range(seeds)),
        model=model,
        pretrained=None if trunk is None else pretrained.digest_of(trunk),
        train=train if epochs is None else replace(train, epochs=epochs),
    )
    if trunk is not None:
        study.prepare(spec, split, folder)
        pretrained.keep(folder, trunk)
    carry_out(study.run, spec, split, folder, place, json=json)


def predict(
    model: Annotated[Path, typer.Argument(help="Folder of a finished model.")],
    picture: Annotated[list[Path], typer.Argument(help="Pictures.")],
    json: AsJson = False,
) -> None:
    """What a model says of one's own pictures, and how sure it is."""
    import numpy as np
    import torch

    from badnets.data.pictures import read_picture
    from badnets.metrics import predict as ask
    from badnets.models import spec_of
    from badnets.training import load_model

    network, card = load_model(model)
    spec = spec_of(network)
    if spec is None:
        raise InputError(f"{model} does not say which pictures it takes: it was made from a network of one's own")
    if spec.channels not in (1, 3):
        raise InputError(f"{model} takes {spec.channels} channels: pictures have 1 or 3")
    size = (spec.height, spec.width)
    pixels = [read_picture(file, size, "L" if spec.channels == 1 else "RGB") for file in picture]
    said = ask(network, torch.from_numpy(np.stack(pixels)).permute(0, 3, 1, 2).contiguous())
    rows = [
        {"picture": file, "predicted": card.classes[label], "confidence": confidence}
        for file, label, confidence in zip(picture, said.classes.tolist(), said.confidence.tolist(), strict=True)
    ]
    if json:
        print_json(rows)
        return
    lines = [[str(row["picture"]), f"{row['predicted']} ({row['confidence']:.2f})"] for row in rows]
    print_table(f"{model}", ["picture", "predicted"], lines)


def _threats(names: list[str]) -> tuple[Threat, ...]:
    found: dict[Threat, None] = {}
    for name in names:
        if name not in ("trainer", "poisoner", "files"):
            raise InputError(f"the attacker is trainer, poisoner or files, got {name!r}")
        found["files" if name == "files" else "trainer" if name == "trainer" else "poisoner"] = None
    return tuple(found)


def _load(data: str, data_dir: Path | None, size: int | None, *, stream: bool) -> Split[Photographs]:
    """The pictures, in memory where they fit and nothing speaks against it; what was left out of them is said."""
    from badnets.cli.watching import PictureBar, stop_on_interrupt
    from badnets.data import load_photographs

    with stop_on_interrupt() as stop, PictureBar() as bar:
        split = load_photographs(
            data, data_dir=data_dir, size=(size, size) if size else None, stream=stream or None,
            progress=bar.progress, stop=stop,
        )  # fmt: skip
    report_odd(split.train, split.test)
    return split


def _checked(file: Path, model: str, shape: tuple[int, int, int]) -> dict[str, Tensor]:
    """The weights, once they have been seen to fit the network."""
    from badnets.cli.weights import read_weights
    from badnets.models import Beheaded

    weights = read_weights(file)
    Beheaded(model, *shape).load_trunk(weights)
    say(f"{file}: weights of {model}")
    return weights
